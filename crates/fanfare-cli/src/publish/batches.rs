//! Lines, sent together as they come.

use serde::Serialize;
use tokio::sync::mpsc::Receiver;

use super::{PublishError, input, sender::Sender};
use crate::failure::Failure;

/// Events of a batch at most.
const MOST_EVENTS: usize = 1000;
/// Bytes beyond which nothing is added to a batch.
const ENOUGH_BYTES: usize = 256 * 1024;

/// A line, or why there is none.
pub(super) type Gathered = Result<String, PublishError>;

/// What a line is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Line<'a> {
    /// The data of an event with this name and this reconnection time, in milliseconds.
    Data { event: Option<&'a str>, retry: Option<u64> },
    /// An event as JSON.
    Json,
}

#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "event", skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u64>,
    data: &'a str,
}

/// Publishes all lines of stdin. While a batch is under way, the next one gathers.
pub(super) async fn publish(sender: &Sender, line: Line<'_>) -> Result<(), Failure> {
    let mut lines = input::lines().map_err(Failure::Begin)?;
    while let Some(first) = lines.recv().await {
        let (batch, failure) = gather(first, &mut lines, line);
        if !batch.is_empty() {
            sender.publish_batch(batch).await?;
        }
        failure?;
    }
    if sender.ends() { sender.end().await } else { Ok(()) }
}

/// The line and those that have come behind it.
fn gather(
    first: Gathered,
    lines: &mut Receiver<Gathered>,
    line: Line<'_>,
) -> (Vec<u8>, Result<(), PublishError>) {
    let (mut batch, mut count) = (vec![], 0);
    let mut next = Some(first);
    while let Some(text) = next {
        match text {
            Ok(text) => line.write(&text, &mut batch),
            Err(error) => return (batch, Err(error)),
        }
        count += 1;
        let has_room = count < MOST_EVENTS && batch.len() < ENOUGH_BYTES;
        // Empty, or at its end: which of them the next wait tells.
        next = if has_room { lines.try_recv().ok() } else { None };
    }
    (batch, Ok(()))
}

impl Line<'_> {
    fn write(self, text: &str, batch: &mut Vec<u8>) {
        match self {
            Self::Json if text.trim().is_empty() => return,
            Self::Json => batch.extend_from_slice(text.as_bytes()),
            Self::Data { event, retry } => {
                let event = Event { name: event, retry, data: text };
                // Strings and numbers always serialise.
                batch.extend(serde_json::to_vec(&event).unwrap_or_default());
            }
        }
        batch.push(b'\n');
    }
}
