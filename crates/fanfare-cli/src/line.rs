//! What is printed of a stream, item by item.

use std::{
    io::{self, Write},
    time::Duration,
};

use fanfare_wire::{Event, EventId};
use serde::Serialize;

/// One line of JSON; its keys are in this order.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub(crate) enum Line<'a> {
    Event {
        event: &'a str,
        data: &'a str,
        /// The id in force, empty if there is none.
        id: &'a str,
    },
    Comment {
        comment: &'a str,
    },
    /// A reconnection time, in milliseconds.
    Retry {
        retry: u64,
    },
}

impl<'a> Line<'a> {
    pub(crate) fn of_event(event: &'a Event) -> Self {
        let id = event.id().map_or("", EventId::as_str);
        Self::Event { event: event.name(), data: event.data(), id }
    }

    pub(crate) fn of_retry(time: Duration) -> Self {
        Self::Retry { retry: u64::try_from(time.as_millis()).unwrap_or(u64::MAX) }
    }

    pub(crate) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        out.write_all(b"\n")
    }
}
