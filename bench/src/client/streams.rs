//! What the server sends. It is the same in every run.

use std::{iter, time::Duration};

use crate::workload::{ENGLISH, Message, token_texts};

/// How long a stream is before it begins anew.
const STREAM_BYTES: usize = 512 * 1024;

/// A large chunk of HTTP, as much as a TLS record carries at most.
const LARGE_CHUNK: usize = 16 * 1024;

/// Every event has a line each for its id and its data, then an empty one.
pub const LINES_AN_EVENT: usize = 3;

/// A stream of events, sent over and over.
#[derive(Debug)]
pub struct Stream {
    /// What it is called on the command line and in the URL.
    pub word: &'static str,
    /// What it is, for a heading.
    pub title: &'static str,
    /// The time from one write to the next; none if the server is to be faster than its client.
    pub interval: Option<Duration>,
    /// How many times as fast as the better peer fanfare means to read it.
    pub target: Option<f64>,
    data: fn() -> Vec<String>,
    cut: Cut,
}

/// How the bytes are put into chunks of HTTP, and those into writes.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// Chunks that end anywhere, all in one write.
    Anywhere,
    /// A chunk for each event, all in one write.
    EachEvent,
    /// A chunk and a write for each event.
    EachEventAlone,
}

/// All streams.
pub const STREAMS: [Stream; 3] = [
    Stream {
        word: "bulk",
        title: "1. events of 100 bytes, chunks of 16 KiB",
        interval: None,
        target: Some(3.0),
        data: hundred_bytes,
        cut: Cut::Anywhere,
    },
    Stream {
        word: "chunks",
        title: "2. events of 100 bytes, each a chunk",
        interval: None,
        target: Some(1.0),
        data: hundred_bytes,
        cut: Cut::EachEvent,
    },
    Stream {
        word: "tokens",
        title: "3. LLM tokens, 20000 a second, each a chunk and a write",
        interval: Some(Duration::from_micros(50)),
        target: None,
        data: tokens,
        cut: Cut::EachEventAlone,
    },
];

impl Stream {
    /// The one that is called `word`.
    pub fn called(word: &str) -> Option<&'static Self> {
        STREAMS.iter().find(|stream| stream.word == word)
    }

    /// The events, each with an id.
    pub fn events(&self) -> Vec<Message> {
        let numbered = iter::zip(1.., (self.data)());
        let event =
            |(number, data): (u32, _)| Message { name: None, id: Some(number.to_string()), data };
        numbered.map(event).collect()
    }

    /// What the server writes, piece by piece: chunks of HTTP.
    pub fn writes(&self) -> Vec<Vec<u8>> {
        let events: Vec<_> = self.events().iter().map(on_the_wire).collect();
        match self.cut {
            Cut::Anywhere => {
                let stream = events.concat();
                vec![stream.as_bytes().chunks(LARGE_CHUNK).flat_map(chunk).collect()]
            }
            Cut::EachEvent => {
                vec![events.iter().flat_map(|event| chunk(event.as_bytes())).collect()]
            }
            Cut::EachEventAlone => events.iter().map(|event| chunk(event.as_bytes())).collect(),
        }
    }

    /// The length of an event on the wire, on average, without what HTTP adds.
    #[expect(clippy::cast_precision_loss, reason = "no stream has 2^52 bytes")]
    pub fn bytes_an_event(&self) -> f64 {
        let events = self.events();
        let bytes: usize = events.iter().map(|event| on_the_wire(event).len()).sum();
        bytes as f64 / events.len() as f64
    }
}

fn on_the_wire(event: &Message) -> String {
    let Message { id, data, .. } = event;
    format!("id: {}\ndata: {data}\n\n", id.as_deref().unwrap_or_default())
}

/// A chunk of `Transfer-Encoding: chunked`.
fn chunk(content: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", content.len()).as_bytes(), content, b"\r\n"].concat()
}

fn hundred_bytes() -> Vec<String> {
    let data = |number: usize| format!("{number:0>10}{}", "abcdefghi ".repeat(9));
    (0..STREAM_BYTES / 100).map(data).collect()
}

fn tokens() -> Vec<String> {
    let mut length = 0;
    let is_within = |data: &String| {
        length += data.len();
        length < STREAM_BYTES
    };
    token_texts(ENGLISH).take_while(is_within).collect()
}

#[cfg(test)]
mod tests {
    use fanfare_wire::{Decoder, Item};

    use super::*;

    /// What is inside the chunks of HTTP.
    fn content(mut chunks: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        while !chunks.is_empty() {
            let end = chunks.windows(2).position(|two| two == b"\r\n").unwrap();
            let length = str::from_utf8(&chunks[..end]).unwrap();
            let length = usize::from_str_radix(length, 16).unwrap();
            let (chunk, rest) = chunks[end + 2..].split_at(length);
            content.extend_from_slice(chunk);
            chunks = rest.strip_prefix(b"\r\n").unwrap();
        }
        content
    }

    #[test]
    fn every_write_is_whole_chunks_and_all_of_them_are_the_events() {
        for stream in &STREAMS {
            let sent = stream.writes().iter().flat_map(|write| content(write)).collect::<Vec<_>>();
            let mut sent = sent.into();
            let mut decoder = Decoder::new();
            for expected in stream.events() {
                let Ok(Some(Item::Event(event))) = decoder.decode(&mut sent) else {
                    panic!("no event {expected:?}");
                };
                assert_eq!(event.data(), expected.data);
                assert_eq!(decoder.last_event_id(), expected.id.unwrap());
            }
            assert_eq!(decoder.decode(&mut sent), Ok(None));
        }
    }

    #[test]
    fn every_event_of_100_bytes_is_another_one() {
        let data = hundred_bytes();
        assert!(data.iter().all(|data| data.len() == 100));
        assert!(data.is_sorted_by(|one, next| one < next));
    }
}
