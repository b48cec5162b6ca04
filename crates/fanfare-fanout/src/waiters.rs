//! The readers that wait for the next frame.

use std::{mem, task::Waker};

use slab::Slab;

/// Wakers, each under a ticket. All are woken at once; a reader that does not wait costs nothing.
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
    /// Has `waker` woken with the next batch, instead of the one that `ticket` stands for.
    pub(crate) fn wait(&mut self, ticket: &mut Option<Ticket>, waker: &Waker) {
        match ticket {
            Some(ticket) if ticket.batch == self.batch => {
                self.waiting[ticket.key].clone_from(waker);
            }
            _ => {
                let key = self.waiting.insert(waker.clone());
                *ticket = Some(Ticket { batch: self.batch, key });
            }
        }
    }

    /// Forgets a reader that no longer waits.
    pub(crate) fn leave(&mut self, ticket: &mut Option<Ticket>) {
        if let Some(ticket) = ticket.take()
            && ticket.batch == self.batch
        {
            self.waiting.remove(ticket.key);
        }
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
