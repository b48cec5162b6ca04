//! `fanfare log inspect`: what a log holds.

use std::io::{self, Write};

use fanfare_hub::log::{Log, Size, TopicState};
use serde::Serialize;

use super::{LogError, pages::topics};
use crate::{escaped::Escaped, failure::Failure, output};

/// The log as JSON. Positions are ids.
#[derive(Serialize)]
struct Whole {
    epoch: String,
    newest: String,
    events: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_bytes: Option<u64>,
    topics: Vec<Topic>,
}

#[derive(Serialize)]
struct Topic {
    #[serde(rename = "topic")]
    name: String,
    events: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<String>,
    newest: String,
    ended: bool,
}

pub(super) async fn print(log: &dyn Log, as_json: bool) -> Result<(), Failure> {
    let size = log.size().await.map_err(LogError::Read)?;
    let topics = topics(log).await.map_err(LogError::Read)?;
    let mut out = output::stdout();
    let written = if as_json {
        write_json(&Whole::of(log, size, &topics), &mut out)
    } else {
        write_whole(log, size, &mut out).and_then(|()| write_topics(&topics, &mut out))
    };
    written.and_then(|()| out.flush()).map_err(Failure::Stdout)
}

fn write_json(whole: &Whole, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, whole)?;
    writeln!(out)
}

impl Whole {
    fn of(log: &dyn Log, size: Size, topics: &[TopicState]) -> Self {
        let epoch = log.epoch();
        let topic = |topic: &TopicState| Topic {
            name: topic.name.to_string(),
            events: topic.events,
            bytes: topic.bytes,
            oldest: topic.oldest.map(|oldest| epoch.id(oldest).to_string()),
            newest: epoch.id(topic.newest).to_string(),
            ended: topic.ended.is_some(),
        };
        Self {
            epoch: epoch.to_string(),
            newest: epoch.id(log.newest()).to_string(),
            events: size.events,
            bytes: size.bytes,
            disk_bytes: size.disk_bytes,
            topics: topics.iter().map(topic).collect(),
        }
    }
}

fn write_whole(log: &dyn Log, size: Size, out: &mut impl Write) -> io::Result<()> {
    let Size { events, bytes, topics, disk_bytes } = size;
    writeln!(out, "epoch       {}", log.epoch())?;
    writeln!(out, "newest id   {}", log.epoch().id(log.newest()))?;
    writeln!(out, "topics      {topics}")?;
    writeln!(out, "events      {events}")?;
    writeln!(out, "data bytes  {bytes}")?;
    disk_bytes.map_or(Ok(()), |bytes| writeln!(out, "disk bytes  {bytes}"))
}

fn write_topics(topics: &[TopicState], out: &mut impl Write) -> io::Result<()> {
    if topics.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n{:>12} {:>14} {:>12} {:>12}  topic",
        "events", "data bytes", "oldest", "newest"
    )?;
    for TopicState { name, events, bytes, oldest, newest, ended } in topics {
        let oldest = oldest.map_or_else(|| "-".to_owned(), |oldest| oldest.to_string());
        let ended = if ended.is_some() { " (ended)" } else { "" };
        let (newest, name) = (newest.to_string(), Escaped(name.as_str()));
        writeln!(out, "{events:>12} {bytes:>14} {oldest:>12} {newest:>12}  {name}{ended}")?;
    }
    Ok(())
}
