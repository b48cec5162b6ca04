//! How the tests read a stream: options, chunks, and what came out.

use std::time::Duration;

use bytes::Bytes;
use fanfare_wire::{Decoder, EventId, EventTooLarge, Item};

pub(crate) type Outcome = Result<Item, EventTooLarge>;

/// What a decoder is told before it reads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) comments: bool,
    pub(crate) max_event_bytes: Option<usize>,
    pub(crate) last_event_id: Option<EventId>,
}

/// What a decoder makes of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) items: Vec<Outcome>,
    pub(crate) last_event_id: String,
    pub(crate) reconnection_time: Option<Duration>,
}

impl Options {
    pub(crate) fn decoder(&self) -> Decoder {
        let mut decoder = Decoder::new();
        if self.comments {
            decoder = decoder.with_comments();
        }
        if let Some(max_event_bytes) = self.max_event_bytes {
            decoder = decoder.with_max_event_bytes(max_event_bytes);
        }
        if let Some(id) = &self.last_event_id {
            decoder = decoder.with_last_event_id(id.clone());
        }
        decoder
    }

    pub(crate) fn read(&self, chunks: impl IntoIterator<Item = Bytes>) -> Reading {
        let mut decoder = self.decoder();
        let items = chunks.into_iter().flat_map(|chunk| read_chunk(&mut decoder, chunk)).collect();
        Reading {
            items,
            last_event_id: decoder.last_event_id().to_owned(),
            reconnection_time: decoder.reconnection_time(),
        }
    }
}

pub(crate) fn read_chunk(decoder: &mut Decoder, mut chunk: Bytes) -> Vec<Outcome> {
    let mut items = Vec::new();
    loop {
        let before = chunk.len();
        let Some(item) = decoder.decode(&mut chunk).transpose() else {
            assert!(chunk.is_empty(), "nothing came out, but {} bytes are left", chunk.len());
            return items;
        };
        assert!(chunk.len() < before, "{item:?} came out of no bytes");
        items.push(item);
    }
}

/// Cuts a stream into chunks of these lengths, again and again to its end. A length of zero gives
/// an empty chunk; without any other the stream stays whole.
pub(crate) fn cut(stream: &Bytes, lengths: &[usize]) -> Vec<Bytes> {
    if lengths.iter().all(|&length| length == 0) {
        return vec![stream.clone()];
    }
    let mut rest = stream.clone();
    let mut chunks = Vec::new();
    for &length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        chunks.push(rest.split_to(length.min(rest.len())));
    }
    chunks
}
