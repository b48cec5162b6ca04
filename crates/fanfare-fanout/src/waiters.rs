//! The readers that wait for the next frame.

use std::{mem, task::Waker};

use slab::Slab;

/// Wakers, each under a ticket. All are woken at once; a reader that does not wait costs nothing.
///
/// A waker that leaves is handed out, to be dropped once the lock is released: it may be the last
/// owner of a task, and the task that of another cursor.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    /// Counts the times that everybody was woken, which made all older tickets void.
    batch: u64,
    waiting: Slab<Waker>,
}

/// A reader's place among the waiting.
#[derive(Debug)]
pub(crate) struct Ticket {
    batch: u64,
    key: usize,
}

impl Waiters {
    /// Has `waker` woken with the next batch, instead of the one that `ticket` stands for, which
    /// is returned.
    pub(crate) fn wait(&mut self, ticket: &mut Option<Ticket>, waker: &Waker) -> Option<Waker> {
        match ticket {
            Some(ticket) if ticket.batch == self.batch => {
                let place = &mut self.waiting[ticket.key];
                (!place.will_wake(waker)).then(|| mem::replace(place, waker.clone()))
            }
            _ => {
                let key = self.waiting.insert(waker.clone());
                *ticket = Some(Ticket { batch: self.batch, key });
                None
            }
        }
    }

    /// Forgets a reader that no longer waits, and returns its waker.
    pub(crate) fn leave(&mut self, ticket: &mut Option<Ticket>) -> Option<Waker> {
        let ticket = ticket.take()?;
        (ticket.batch == self.batch).then(|| self.waiting.remove(ticket.key))
    }

    /// Takes out everybody who waits, to be woken once the lock is released.
    pub(crate) fn take(&mut self) -> Batch {
        if self.waiting.is_empty() {
            return Batch(Slab::new());
        }
        self.batch += 1;
        let as_many_again = Slab::with_capacity(self.waiting.len());
        Batch(mem::replace(&mut self.waiting, as_many_again))
    }
}

/// Readers to wake.
#[must_use = "whoever is in it waits for ever unless woken"]
pub(crate) struct Batch(Slab<Waker>);

impl Batch {
    pub(crate) fn wake(self) {
        for (_, waker) in self.0 {
            waker.wake();
        }
    }
}
