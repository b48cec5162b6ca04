//! `fanfare log export`: events as lines of JSON that a hub publishes again.

use std::io::{self, Write};

use fanfare_hub::{
    Epoch, Selection, Selector,
    log::{Log, Record},
};
use fanfare_wire::EventName;
use serde::Serialize;

use super::{LogError, pages::Pages, progress::Progress};
use crate::{failure::Failure, output};

/// A line; its keys are in this order.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<u64>,
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u64>,
    data: &'a str,
}

pub(super) async fn print(
    log: &dyn Log,
    events: u64,
    topics: &[Selector],
    with_ids: bool,
) -> Result<(), Failure> {
    let epoch = with_ids.then(|| log.epoch());
    let mut progress = Progress::new(events);
    let mut pages = Pages::new(log, selection(topics));
    while let Some(records) = pages.next().await.map_err(LogError::Read)? {
        write(&records, epoch).map_err(Failure::Stdout)?;
        progress.add(records.len());
    }
    Ok(())
}

/// These topics; without any, all that can be published to.
fn selection(topics: &[Selector]) -> Selection {
    if topics.is_empty() {
        return Selector::Prefix("".into()).into();
    }
    Selection::new(topics.iter().cloned())
}

fn write(records: &[Record], epoch: Option<Epoch>) -> io::Result<()> {
    let mut out = output::stdout();
    for record in records {
        serde_json::to_writer(&mut out, &Line::of(record, epoch))?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

impl<'a> Line<'a> {
    fn of(record: &'a Record, epoch: Option<Epoch>) -> Self {
        let event = &record.event;
        let retry = event.retry.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        Self {
            id: epoch.map(|epoch| epoch.id(record.position).to_string()),
            time: epoch.map(|_| record.time.0),
            topic: event.topic.as_str(),
            event: event.name.as_ref().map(EventName::as_str),
            retry,
            data: &event.data,
        }
    }
}
