//! From hyper to a socket without it: a stream whose head has been answered for is offered to the
//! connection's task, which takes the socket out of hyper.

use std::sync::{Arc, Mutex, PoisonError};

use http::response::Parts;
use tokio::sync::oneshot;

use crate::http::Streaming;

/// Where the streams of one connection are offered. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Handover(Arc<Mutex<Option<Offer>>>);

/// A stream, and the head that it is to begin with.
pub(super) struct Answered {
    pub(super) head: Parts,
    pub(super) streaming: Streaming,
}

/// An offer, to be taken or refused.
pub(super) struct Offer {
    answered: Answered,
    refusal: oneshot::Sender<Answered>,
}

impl Handover {
    /// Offers a stream, and gets it back if it is refused. If it is taken, the connection is no more, and
    /// this with it.
    pub(super) async fn offer(&self, answered: Answered) -> Answered {
        let (refusal, refused) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(Offer { answered, refusal });
        match refused.await {
            Ok(answered) => answered,
            Err(_) => std::future::pending().await,
        }
    }

    /// What was offered since.
    pub(super) fn take(&self) -> Option<Offer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Offer {
    pub(super) fn accept(self) -> Answered {
        self.answered
    }

    /// Gives the stream back: hyper goes on with it.
    pub(super) fn refuse(self) {
        // Nobody waits for it if its connection is over.
        let _ = self.refusal.send(self.answered);
    }
}
