//! `fanfare log verify`: whether everything is there that should be.

use std::collections::HashMap;

use fanfare_fanout::Position;
use fanfare_hub::{
    Selection, TopicName,
    log::{Log, Record, Size},
};

use super::{
    LogError,
    pages::{self, Pages},
    progress::Progress,
};
use crate::{escaped::Escaped, failure::Failure, output, stderr};

/// What has been read, by topic.
#[derive(Debug, Default)]
struct Found {
    newest: Position,
    all: Count,
    topics: HashMap<TopicName, Count>,
    wrong: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    events: u64,
    bytes: u64,
}

pub(super) async fn verify(log: &dyn Log, events: u64) -> Result<(), Failure> {
    let found = read(log, events).await?;
    let found = compare(log, found).await?;
    if found.wrong > 0 {
        return Err(LogError::Damaged(found.wrong).into());
    }
    let Count { events, bytes } = found.all;
    let text = format!("nothing is wrong: events {events}, data bytes {bytes}\n");
    output::print(text.as_bytes())
}

async fn read(log: &dyn Log, events: u64) -> Result<Found, LogError> {
    let mut progress = Progress::new(events);
    let mut found = Found::default();
    let mut pages = Pages::new(log, Selection::all());
    while let Some(records) = pages.next().await? {
        found.take(&records);
        progress.add(records.len());
    }
    Ok(found)
}

/// Compares it with what the log says of itself.
async fn compare(log: &dyn Log, mut found: Found) -> Result<Found, LogError> {
    for topic in pages::topics(log).await? {
        let said = Count { events: topic.events, bytes: topic.bytes };
        let read = found.topics.remove(&topic.name).unwrap_or_default();
        if said != read {
            found.complain(&format!("{}: {}", Escaped(topic.name.as_str()), differ(said, read)));
        }
    }
    let unknown = found.topics.len();
    if unknown > 0 {
        found.complain(&format!(
            "topics that have events, and that the log does not know: {unknown}"
        ));
    }
    let Size { events, bytes, .. } = log.size().await?;
    let (said, read) = (Count { events, bytes }, found.all);
    if said != read {
        found.complain(&format!("the log as a whole: {}", differ(said, read)));
    }
    Ok(found)
}

fn differ(said: Count, read: Count) -> String {
    let Count { events, bytes } = said;
    format!(
        "it should have {events} events of {bytes} bytes, and has {} of {}",
        read.events, read.bytes
    )
}

impl Found {
    fn take(&mut self, records: &[Record]) {
        for record in records {
            self.take_one(record);
        }
    }

    fn take_one(&mut self, record: &Record) {
        if record.position <= self.newest {
            self.complain(&format!(
                "the position {} comes behind {}",
                record.position, self.newest
            ));
        }
        self.newest = record.position;
        let bytes = record.event.data.len() as u64;
        self.all.add(bytes);
        self.topics.entry(record.event.topic.clone()).or_default().add(bytes);
    }

    fn complain(&mut self, what: &str) {
        self.wrong += 1;
        stderr::say(what);
    }
}

impl Count {
    fn add(&mut self, bytes: u64) {
        self.events += 1;
        self.bytes += bytes;
    }
}
