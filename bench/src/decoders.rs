//! The decoders, each through the fastest public interface that it has.

use std::{
    convert::Infallible,
    num::NonZeroUsize,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use eventsource_stream::EventStream;
use fanfare_wire::{Decoder, Item};
use futures_util::stream::{self, Stream};
use sse_core::{SseDecoder, SseEvent};
use sse_parse::SseParser;
use sse_stream::SseByteStream;

/// More than the largest event of any workload.
const LIMIT_BYTES: NonZeroUsize = NonZeroUsize::new(16 * 1024 * 1024).unwrap();

/// Decodes a whole stream.
pub trait Decode {
    /// The package that does it.
    const PACKAGE: &str;

    /// Decodes `chunks` and hands the data of each event to `on_data`.
    fn decode(chunks: Vec<Bytes>, on_data: impl FnMut(&str));
}

/// `Decoder::decode`.
#[derive(Debug)]
pub struct Fanfare;

impl Decode for Fanfare {
    const PACKAGE: &str = "fanfare-wire";

    fn decode(chunks: Vec<Bytes>, mut on_data: impl FnMut(&str)) {
        let mut decoder = Decoder::new();
        for mut chunk in chunks {
            while let Ok(Some(item)) = decoder.decode(&mut chunk) {
                if let Item::Event(event) = item {
                    on_data(event.data());
                }
            }
        }
    }
}

/// `SseDecoder::next`, without its stream.
#[derive(Debug)]
pub struct SseCore;

impl Decode for SseCore {
    const PACKAGE: &str = "sse-core";

    fn decode(chunks: Vec<Bytes>, mut on_data: impl FnMut(&str)) {
        let mut decoder = SseDecoder::with_limit(LIMIT_BYTES);
        for mut chunk in chunks {
            while let Some(Ok(item)) = decoder.next(&mut chunk) {
                if let SseEvent::Message(event) = item {
                    on_data(&event.data);
                }
            }
        }
    }
}

/// `SseParser::feed` and `next_event`, without its stream.
#[derive(Debug)]
pub struct SseParse;

impl Decode for SseParse {
    const PACKAGE: &str = "sse-parse";

    fn decode(chunks: Vec<Bytes>, mut on_data: impl FnMut(&str)) {
        let mut parser = SseParser::new();
        for chunk in chunks {
            parser.feed(&chunk);
            while let Some(event) = parser.next_event() {
                on_data(&event.data);
            }
        }
    }
}

/// `EventStream`: it has no other interface than a stream.
#[derive(Debug)]
pub struct EventsourceStream;

impl Decode for EventsourceStream {
    const PACKAGE: &str = "eventsource-stream";

    fn decode(chunks: Vec<Bytes>, mut on_data: impl FnMut(&str)) {
        for_each_ready(EventStream::new(ready(chunks)), |event| {
            if let Ok(event) = event {
                on_data(&event.data);
            }
        });
    }
}

/// `SseByteStream`: it has no other interface than streams, and this is the faster one.
#[derive(Debug)]
pub struct SseStream;

impl Decode for SseStream {
    const PACKAGE: &str = "sse-stream";

    fn decode(chunks: Vec<Bytes>, mut on_data: impl FnMut(&str)) {
        for_each_ready(SseByteStream::new(ready(chunks)), |event| {
            if let Ok(event) = event {
                on_data(event.data.as_deref().unwrap_or_default());
            }
        });
    }
}

fn ready(chunks: Vec<Bytes>) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::iter(chunks.into_iter().map(Ok))
}

/// Polls a stream to its end, which must never be pending.
fn for_each_ready<T>(stream: impl Stream<Item = T>, mut on_item: impl FnMut(T)) {
    let mut stream = pin!(stream);
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(item)) = stream.as_mut().poll_next(&mut context) {
        on_item(item);
    }
}
