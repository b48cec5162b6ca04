//! The end of a stream whose token expires.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use fanfare_wire::{Event, EventName};
use tokio::time::{Instant, Sleep, sleep};

use crate::{Hub, log::Timestamp};

const EXPIRED: EventName = EventName::from_static("expired");
const DETAIL: &str = r#"{"detail":"The token has expired: connect again with a new one."}"#;

/// After so long the hub's clock is asked again: it may be set, or go on while the machine sleeps.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// Waits until a token has expired.
pub(super) struct Expiry {
    at: Timestamp,
    /// Set while somebody waits.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Expiry {
    pub(super) fn new(at: Timestamp) -> Self {
        Self { at, timer: None }
    }

    pub(super) fn at(&self) -> Timestamp {
        self.at
    }

    /// When somebody else is to look whether it has.
    pub(super) fn look(&self, now: Timestamp) -> Instant {
        Instant::now() + until(self.at, now)
    }

    /// Ready when the hub's clock says that it is time.
    pub(super) fn poll(&mut self, hub: &Hub, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(timer) = &mut self.timer {
                ready!(timer.as_mut().poll(context));
            }
            let now = hub.now();
            if now >= self.at {
                return Poll::Ready(());
            }
            self.timer = Some(Box::pin(sleep(until(self.at, now))));
        }
    }
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(at.0.saturating_sub(now.0)).min(LONGEST_SLEEP)
}

/// The last event of the stream. It has no id, so that whoever comes back misses nothing.
pub(super) fn event() -> Bytes {
    Event::new(DETAIL).with_name(EXPIRED).to_bytes()
}
