//! A program that follows the server, and sees to it that each event comes once, in order.

use std::time::Duration;

use fanfare_client::{BuildError, Event, EventId, EventSource, Item, Policy, Transport};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::events::Numbered;

/// What passes for a server that has fallen silent for good.
const MOST_SILENCE: Duration = Duration::from_millis(250);
/// Far longer than any silence and the waits behind it.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Follower {
    source: EventSource,
    /// The number of the last event.
    pub(crate) last: u64,
    pub(crate) reconnections: u64,
}

impl Follower {
    pub(crate) fn new(url: &str, transport: impl Transport + 'static) -> Result<Self, BuildError> {
        let source = EventSource::builder(url)
            .transport(transport)
            .policy(Policy::resilient().with_cap(Duration::from_millis(5)))
            .reconnection_time(Duration::from_millis(1))
            .connect_timeout(MOST_SILENCE)
            .idle_timeout(MOST_SILENCE)
            .build()?;
        Ok(Self { source, last: 0, reconnections: 0 })
    }

    /// Waits for the next event, which has to be the next of all.
    ///
    /// # Errors
    ///
    /// In words, when it is another, does not come, or there is an end.
    pub(crate) async fn follow(&mut self) -> Result<(), String> {
        loop {
            let last = self.last;
            let item = timeout(PATIENCE, self.source.next()).await;
            let item = item.map_err(|_| format!("nothing came for {PATIENCE:?} behind {last}"))?;
            match item {
                Some(Ok(Item::Event(event))) => return self.check(&event),
                Some(Ok(Item::Reconnecting { .. })) => self.reconnections += 1,
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(format!("behind {last}: {error}")),
                None => return Err(format!("the end behind {last}")),
            }
        }
    }

    fn check(&mut self, event: &Event) -> Result<(), String> {
        let expected = Numbered::new(self.last + 1);
        let id = event.id().map_or("", EventId::as_str);
        if id != expected.id() {
            return Err(format!("event {id} instead of {}", expected.id()));
        }
        if (event.name(), event.data()) != (expected.name, &expected.data) {
            return Err(format!("event {id} is {event:?}, not {:?}", expected.data));
        }
        self.last += 1;
        Ok(())
    }
}
