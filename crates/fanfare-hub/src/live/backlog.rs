//! What waits to be compressed.

use std::{
    collections::HashSet,
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use super::lane::position;
use crate::log::Committed;

/// What of the log waits for a thread of its own. More than the limit does not wait: its events are
/// left out, and readers find them in the log.
#[derive(Debug)]
pub(super) struct Backlog {
    state: Mutex<State>,
    has_changed: Condvar,
    /// In bytes of data.
    limit: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Committed>,
    /// Of the data that waits.
    bytes: usize,
    /// The thread has done everything and waits for more.
    is_idle: bool,
    is_closed: bool,
}

/// While there is one, the thread does nothing.
pub(super) struct Idle<'a>(#[expect(dead_code, reason = "it is held")] MutexGuard<'a, State>);

impl Backlog {
    pub(super) fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), has_changed: Condvar::new(), limit }
    }

    pub(super) fn push(&self, committed: Vec<Committed>) {
        let mut state = self.state();
        state.bytes += committed.iter().map(size).sum::<usize>();
        state.waiting.extend(committed);
        if state.bytes > self.limit {
            state.leave_out_events();
        }
        drop(state);
        self.has_changed.notify_one();
    }

    /// Everything that waits, in order, as soon as there is something; `None` when it was closed.
    pub(super) fn take(&self) -> Option<Vec<Committed>> {
        let mut state = self.state();
        state.is_idle = true;
        while state.waiting.is_empty() {
            if state.is_closed {
                return None;
            }
            state = self.has_changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_idle = false;
        state.bytes = 0;
        Some(mem::take(&mut state.waiting))
    }

    /// Keeps the thread from beginning, if nothing waits and nothing is being done.
    pub(super) fn idle(&self) -> Option<Idle<'_>> {
        let state = self.state();
        (state.is_idle && state.waiting.is_empty()).then_some(Idle(state))
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.has_changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What remains is how far the log is, and what ends streams, once a topic.
    fn leave_out_events(&mut self) {
        let newest = self.waiting.iter().filter_map(position).max();
        let waiting = mem::take(&mut self.waiting);
        let has_missed = waiting.iter().any(|one| matches!(one, Committed::Missed(_)));
        let skipped = if has_missed { Committed::Missed } else { Committed::Skipped };
        let mut ends = HashSet::new();
        let is_new_end = |one: &Committed| match one {
            Committed::Event(_) | Committed::Skipped(_) | Committed::Missed(_) => false,
            Committed::End(name) => ends.insert((name.clone(), false)),
            Committed::Erased(name, _) => ends.insert((name.clone(), true)),
        };
        self.waiting.extend(newest.map(skipped));
        self.waiting.extend(waiting.into_iter().filter(is_new_end));
        self.bytes = 0;
    }
}

fn size(committed: &Committed) -> usize {
    let data = match committed {
        Committed::Event(record) => record.event.data.len(),
        Committed::End(_)
        | Committed::Erased(..)
        | Committed::Skipped(_)
        | Committed::Missed(_) => 0,
    };
    size_of::<Committed>() + data
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use fanfare_fanout::Position;

    use super::*;
    use crate::{
        TopicName,
        log::{NewEvent, Record, Timestamp},
    };

    fn topic(name: &str) -> TopicName {
        TopicName::new(name).unwrap()
    }

    fn event(position: u64, data: &str) -> Committed {
        let data = data.to_owned().into();
        let event = NewEvent { topic: topic("a"), name: None, retry: None, data };
        Committed::Event(Record { position: Position(position), time: Timestamp(0), event })
    }

    #[test]
    fn what_waits_is_taken_in_order_and_whole() {
        let backlog = Backlog::new(1024);
        backlog.push(vec![event(1, "x"), Committed::End(topic("a"))]);
        backlog.push(vec![event(2, "y")]);
        let taken = [event(1, "x"), Committed::End(topic("a")), event(2, "y")];
        assert_eq!(backlog.take().unwrap(), taken);
        backlog.push(vec![event(3, "z")]);
        backlog.close();
        assert_eq!(backlog.take().unwrap(), [event(3, "z")]);
        assert_eq!(backlog.take(), None);
    }

    #[test]
    fn beyond_the_limit_only_what_ends_streams_remains() {
        let backlog = Backlog::new(1024);
        let data = "x".repeat(600);
        backlog.push(vec![event(1, &data), Committed::End(topic("a"))]);
        backlog.push(vec![Committed::Erased(topic("a"), Position(1)), event(2, &data)]);
        // The limit counts anew.
        backlog.push(vec![event(3, "y"), Committed::End(topic("b"))]);
        let taken = [
            Committed::Skipped(Position(2)),
            Committed::End(topic("a")),
            Committed::Erased(topic("a"), Position(1)),
            event(3, "y"),
            Committed::End(topic("b")),
        ];
        assert_eq!(backlog.take().unwrap(), taken);
    }

    #[test]
    fn topics_that_end_again_and_again_take_no_more_room() {
        let backlog = Backlog::new(0);
        for position in 1..=1000 {
            backlog.push(vec![event(position, "x"), Committed::End(topic("a"))]);
        }
        let taken = [Committed::Skipped(Position(1000)), Committed::End(topic("a"))];
        assert_eq!(backlog.take().unwrap(), taken);
    }

    #[test]
    fn that_ends_may_have_been_missed_remains_known() {
        let backlog = Backlog::new(0);
        backlog.push(vec![Committed::Missed(Position(1)), event(2, "x")]);
        backlog.push(vec![event(3, "y")]);
        assert_eq!(backlog.take().unwrap(), [Committed::Missed(Position(3))]);
    }

    #[test]
    fn it_is_idle_when_everything_has_been_done() {
        let backlog = Arc::new(Backlog::new(1024));
        assert!(backlog.idle().is_none(), "nobody has come for anything");
        let thread = {
            let backlog = backlog.clone();
            thread::spawn(move || (backlog.take(), backlog.take()))
        };
        while backlog.idle().is_none() {
            thread::yield_now();
        }
        backlog.push(vec![event(1, "x")]);
        while backlog.idle().is_none() {
            thread::yield_now();
        }
        backlog.close();
        assert_eq!(thread.join().unwrap(), (Some(vec![event(1, "x")]), None));
        assert!(backlog.idle().is_some(), "everything has been done");
    }
}
