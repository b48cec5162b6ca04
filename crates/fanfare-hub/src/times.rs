//! When the newest events were published.

use std::sync::atomic::{AtomicU64, Ordering};

use fanfare_fanout::Position;

use crate::log::{Record, Timestamp};

/// How many events' times are known.
const SLOTS: usize = 4096;

/// The times of the newest events by position, for telling how long they take to their subscribers.
/// One writes, any number read.
#[derive(Debug)]
pub(crate) struct Times {
    /// No newer time has been written, or is being written.
    newest: AtomicU64,
    slots: Box<[AtomicU64]>,
}

impl Times {
    pub(crate) fn new() -> Self {
        Self { newest: AtomicU64::new(0), slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Notes the times of events in the order of their positions.
    pub(crate) fn note<'a>(&self, records: impl Iterator<Item = &'a Record>) {
        for record in records {
            let Position(position) = record.position;
            // First, so that whoever reads the new time in the slot sees that it is not its own.
            self.newest.store(position, Ordering::SeqCst);
            self.slot(position).store(record.time.0, Ordering::SeqCst);
        }
    }

    /// When an event was published whose time was noted before; `None` if it is too old.
    pub(crate) fn of(&self, position: Position) -> Option<Timestamp> {
        let time = self.slot(position.0).load(Ordering::SeqCst);
        let newest = self.newest.load(Ordering::SeqCst);
        let is_known = time > 0 && newest.checked_sub(position.0)? < SLOTS as u64;
        is_known.then_some(Timestamp(time))
    }

    fn slot(&self, position: u64) -> &AtomicU64 {
        // The remainder is within the bounds.
        &self.slots[usize::try_from(position % SLOTS as u64).unwrap_or_default()]
    }
}

#[cfg(test)]
mod tests {
    use fanfare_wire::ByteString;

    use super::*;
    use crate::{TopicName, log::NewEvent};

    fn record(position: u64) -> Record {
        let topic = TopicName::new("a").unwrap();
        let event = NewEvent { topic, name: None, retry: None, data: ByteString::new() };
        Record { position: Position(position), time: Timestamp(position * 10), event }
    }

    #[test]
    fn the_times_of_the_newest_events_are_known() {
        let times = Times::new();
        assert_eq!(times.of(Position(1)), None);
        times.note((1..=5000).map(record).collect::<Vec<_>>().iter());
        assert_eq!(times.of(Position(5000)), Some(Timestamp(50_000)));
        assert_eq!(times.of(Position(905)), Some(Timestamp(9050)));
        assert_eq!(times.of(Position(904)), None, "its slot has another time");
        assert_eq!(times.of(Position(5001)), None);
    }

    #[test]
    fn positions_that_were_skipped_have_no_time() {
        let times = Times::new();
        times.note([record(1), record(3)].iter());
        assert_eq!(times.of(Position(2)), None);
    }
}
