//! Who is told what becomes durable.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::{Committed, Tail};

/// Batches that may wait for the reader of the tail.
const TAIL_BATCHES: usize = 64;

/// Gives a tail what is committed. One at a time tells, or there is no order.
#[derive(Debug, Default)]
pub(super) struct Teller(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Untaken,
    Taken(mpsc::Sender<Vec<Committed>>),
    /// Nobody reads it any more, or nothing is told.
    Gone,
}

impl Teller {
    /// The tail, once.
    pub(super) fn tail(&self) -> Option<Tail> {
        let mut state = self.state();
        if !matches!(*state, State::Untaken) {
            return None;
        }
        let (sender, receiver) = mpsc::channel(TAIL_BATCHES);
        *state = State::Taken(sender);
        Some(receiver)
    }

    /// Waits while the reader does not keep up.
    pub(super) async fn tell(&self, committed: Vec<Committed>) {
        let tail = match &*self.state() {
            State::Taken(tail) if !committed.is_empty() => tail.clone(),
            _ => return,
        };
        if tail.send(committed).await.is_err() {
            self.end();
        }
    }

    /// Nothing more is told.
    pub(super) fn end(&self) {
        *self.state() = State::Gone;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
