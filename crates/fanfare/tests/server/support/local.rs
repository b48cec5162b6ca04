//! An event stream without a connection, whose body is polled step by step.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::{Bytes, BytesMut};
use fanfare::{Body, Client, Sse};
use fanfare_wire::Event;
use http::{Request, request::Parts};
use http_body::Body as _;

use super::{data_in, events_in};

/// A client and the body of its response. Dropping it is the peer's leaving.
pub(crate) struct Local {
    pub(crate) client: Client,
    body: Pin<Box<Body>>,
    woken: Arc<Woken>,
    waker: Waker,
}

/// What a poll of a body gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Bytes(Bytes),
    Waits,
    Ended,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Local {
    /// A client of `sse` that has been given its `:ok`.
    pub(crate) fn open(sse: &Sse) -> Self {
        Self::of(sse, request("/sse"))
    }

    /// The same for one that comes with a last event id.
    pub(crate) fn after(sse: &Sse, last_event_id: &str) -> Self {
        Self::of(sse, request_after(last_event_id))
    }

    pub(crate) fn of(sse: &Sse, request: Parts) -> Self {
        let mut local = Self::unread(sse, request);
        assert_eq!(local.step(), Step::Bytes(":ok\n\n".into()));
        local
    }

    /// A client of which nothing has been read.
    pub(crate) fn unread(sse: &Sse, request: Parts) -> Self {
        let (client, response) = sse.accept(request).unwrap();
        let woken = Arc::<Woken>::default();
        let waker = woken.clone().into();
        Self { client, body: Box::pin(response.into_body()), woken, waker }
    }

    /// Polls the body until it gives something or truly waits.
    pub(crate) fn step(&mut self) -> Step {
        loop {
            self.woken.0.store(false, Ordering::SeqCst);
            match self.body.as_mut().poll_frame(&mut Context::from_waker(&self.waker)) {
                Poll::Ready(Some(Ok(frame))) => return Step::Bytes(frame.into_data().unwrap()),
                Poll::Ready(None) => return Step::Ended,
                Poll::Pending if !self.was_woken() => return Step::Waits,
                Poll::Pending => {}
            }
        }
    }

    /// Whether the body has asked to be polled again.
    pub(crate) fn was_woken(&self) -> bool {
        self.woken.0.load(Ordering::SeqCst)
    }

    /// Everything that is there now, and whether the stream ends behind it.
    pub(crate) fn read_to_wait(&mut self) -> (Bytes, bool) {
        let mut read = BytesMut::new();
        loop {
            match self.step() {
                Step::Bytes(bytes) => read.extend_from_slice(&bytes),
                Step::Waits => return (read.freeze(), false),
                Step::Ended => return (read.freeze(), true),
            }
        }
    }

    /// The bytes that are there now, of a stream that goes on.
    #[track_caller]
    pub(crate) fn bytes(&mut self) -> Bytes {
        let (bytes, has_ended) = self.read_to_wait();
        assert!(!has_ended, "ended behind {bytes:?}");
        bytes
    }

    /// The events that are there now, of a stream that goes on.
    #[track_caller]
    pub(crate) fn events(&mut self) -> Vec<Event> {
        events_in(self.bytes())
    }

    /// The data of the events that are there now, of a stream that goes on.
    #[track_caller]
    pub(crate) fn data(&mut self) -> Vec<String> {
        data_in(self.bytes())
    }

    /// The data of the last events of a stream that ends behind them.
    #[track_caller]
    pub(crate) fn last_data(&mut self) -> Vec<String> {
        let (bytes, has_ended) = self.read_to_wait();
        assert!(has_ended, "goes on behind {bytes:?}");
        data_in(bytes)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub(crate) fn request(target: &str) -> Parts {
    Request::get(target).body(()).unwrap().into_parts().0
}

pub(crate) fn request_after(last_event_id: &str) -> Parts {
    let request = Request::get("/sse").header("last-event-id", last_event_id);
    request.body(()).unwrap().into_parts().0
}
