//! `fanfare log inspect`: what a log holds.

use std::io::{self, Write};

use fanfare_hub::log::{Log, Size, TopicState};

use super::{LogError, pages::topics};
use crate::{escaped::Escaped, failure::Failure, output};

pub(super) async fn print(log: &dyn Log) -> Result<(), Failure> {
    let size = log.size().await.map_err(LogError::Read)?;
    let topics = topics(log).await.map_err(LogError::Read)?;
    let mut out = output::stdout();
    let written = write_whole(log, size, &mut out).and_then(|()| write_topics(&topics, &mut out));
    written.and_then(|()| out.flush()).map_err(Failure::Stdout)
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
