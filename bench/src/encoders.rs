//! The encoders: from a message's name, id and data to the event's bytes.

use std::{
    convert::Infallible,
    hint::black_box,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use axum::{
    body::HttpBody,
    response::{IntoResponse, sse},
};
use bytes::BytesMut;
use fanfare_wire::{Event, EventId, EventName};
use futures_util::stream;
use sse_stream::Sse;

use crate::workload::Message;

/// Encodes messages, one after the other.
pub trait Encode {
    /// The package that does it.
    const PACKAGE: &str;
    /// Which of the package's ways it is.
    const WAY: &str;

    /// Encodes `messages` and hands the bytes of each event to `on_bytes`.
    fn encode(messages: &Arc<[Message]>, on_bytes: impl FnMut(&[u8]));
}

/// Builds an `Event` and writes it into memory of its own.
#[derive(Debug)]
pub struct FanfareToBytes;

impl Encode for FanfareToBytes {
    const PACKAGE: &str = "fanfare-wire";
    const WAY: &str = "to_bytes";

    fn encode(messages: &Arc<[Message]>, mut on_bytes: impl FnMut(&[u8])) {
        for message in messages.iter() {
            on_bytes(&fanfare_event(message).to_bytes());
        }
    }
}

/// Builds an `Event` and writes it into a buffer that is used again.
#[derive(Debug)]
pub struct FanfareReused;

impl Encode for FanfareReused {
    const PACKAGE: &str = "fanfare-wire";
    const WAY: &str = "encode, reused buffer";

    fn encode(messages: &Arc<[Message]>, mut on_bytes: impl FnMut(&[u8])) {
        let mut buffer = BytesMut::new();
        for message in messages.iter() {
            buffer.clear();
            fanfare_event(message).encode(&mut buffer);
            on_bytes(&buffer);
        }
    }
}

/// Builds events and takes their frames out of a response body, which is the only way to the
/// bytes.
#[derive(Debug)]
pub struct AxumFrames;

impl Encode for AxumFrames {
    const PACKAGE: &str = "axum";
    const WAY: &str = "Event to body frame";

    fn encode(messages: &Arc<[Message]>, mut on_bytes: impl FnMut(&[u8])) {
        let messages = Arc::clone(messages);
        let events = (0..messages.len()).map(move |at| axum_event(&messages[at]));
        let events = stream::iter(events.map(Ok::<_, Infallible>));
        let mut body = sse::Sse::new(events).into_response().into_body();
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) {
            if let Ok(bytes) = frame.into_data() {
                on_bytes(&bytes);
            }
        }
    }
}

/// Builds an `Sse` and encodes it.
#[derive(Debug)]
pub struct SseStreamEncode;

impl Encode for SseStreamEncode {
    const PACKAGE: &str = "sse-stream";
    const WAY: &str = "Sse::encode";

    fn encode(messages: &Arc<[Message]>, mut on_bytes: impl FnMut(&[u8])) {
        for message in messages.iter() {
            if let Ok(bytes) = sse_stream_event(message).encode() {
                on_bytes(&bytes);
            }
        }
    }
}

/// Only builds axum's events. That writes all their bytes but the last LF, so it is the least
/// that axum's encoding can cost.
pub fn build_axum_events(messages: &[Message]) {
    for message in messages {
        drop(black_box(axum_event(message)));
    }
}

/// What a message is as an event.
///
/// # Panics
///
/// When the message's id is not one; those of the workloads are.
pub fn fanfare_event(message: &Message) -> Event {
    let mut event = Event::new(message.data.as_str());
    if let Some(name) = message.name {
        event = event.with_name(EventName::from_static(name));
    }
    if let Some(id) = &message.id {
        #[expect(clippy::expect_used, reason = "the workloads hold numbers as ids")]
        let id = EventId::new(id.as_str()).expect("an id without line ends");
        event = event.with_id(id);
    }
    event
}

fn axum_event(message: &Message) -> sse::Event {
    let mut event = sse::Event::default();
    if let Some(name) = message.name {
        event = event.event(name);
    }
    if let Some(id) = &message.id {
        event = event.id(id);
    }
    event.data(&message.data)
}

fn sse_stream_event(message: &Message) -> Sse {
    let mut event = Sse::default().data(message.data.as_str());
    if let Some(name) = message.name {
        event = event.event(name);
    }
    if let Some(id) = &message.id {
        event = event.id(id.as_str());
    }
    event
}
