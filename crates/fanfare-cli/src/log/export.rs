//! `fanfare log export`: events as lines of JSON that a hub publishes again.

use std::io::{self, Write};

use fanfare_hub::{
    Selector,
    log::{Log, Record},
};
use fanfare_wire::EventName;
use serde::Serialize;

use super::{LogError, pages::Pages, progress::Progress};
use crate::{failure::Failure, output};

/// A line; its keys are in this order.
#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u64>,
    data: &'a str,
}

pub(super) async fn print(log: &dyn Log, events: u64, topics: &[Selector]) -> Result<(), Failure> {
    let mut progress = Progress::new(events);
    let mut pages = Pages::new(log, topics);
    while let Some(records) = pages.next().await.map_err(LogError::Read)? {
        write(&records).map_err(Failure::Stdout)?;
        progress.add(records.len());
    }
    Ok(())
}

fn write(records: &[Record]) -> io::Result<()> {
    let mut out = output::stdout();
    for record in records {
        serde_json::to_writer(&mut out, &Line::of(record))?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

impl<'a> Line<'a> {
    fn of(record: &'a Record) -> Self {
        let event = &record.event;
        let retry = event.retry.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        Self {
            topic: event.topic.as_str(),
            event: event.name.as_ref().map(EventName::as_str),
            retry,
            data: &event.data,
        }
    }
}
