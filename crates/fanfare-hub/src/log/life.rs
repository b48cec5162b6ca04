//! Whether a log that hubs share goes on.

use tokio::sync::watch;

use super::Answer;

/// Goes on until it ends, once.
#[derive(Debug)]
pub(super) struct Life(watch::Sender<State>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Closed,
    /// It has turned out to be another log, or to have lost what it had.
    Replaced,
}

impl Life {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(State::Open))
    }

    pub(super) fn state(&self) -> State {
        *self.0.borrow()
    }

    /// Changes when it ends.
    pub(super) fn subscribe(&self) -> watch::Receiver<State> {
        self.0.subscribe()
    }

    /// The first reason counts.
    pub(super) fn end(&self, why: State) {
        self.0.send_if_modified(|state| {
            let is_open = *state == State::Open;
            if is_open {
                *state = why;
            }
            is_open
        });
    }

    pub(super) fn replaced(&self) -> Answer<'_, ()> {
        let mut state = self.subscribe();
        Box::pin(async move {
            // It is there as long as this is.
            let _ = state.wait_for(|state| *state == State::Replaced).await;
        })
    }
}
