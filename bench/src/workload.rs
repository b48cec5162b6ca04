//! The streams and messages that the codecs work on. They are the same in every run.

use std::{fmt::Write as _, sync::Arc};

use bytes::Bytes;

/// How long a stream is: many passes fit into one measurement, and the second level cache of a
/// current processor holds it.
const STREAM_BYTES: usize = 512 * 1024;

/// A large read, as many as a TLS record carries at most.
const LARGE_CHUNK: usize = 16 * 1024;

/// The payload of one TCP segment over Ethernet.
const SEGMENT: usize = 1460;

pub(crate) const ENGLISH: &str = "Sure! A lighthouse keeper counts the ships that pass at night, writes each \
    name into a heavy book, and wonders where they go: some return within a week, others never do.";

const CHINESE_AND_EMOJI: &str = "当然 ！ 海边 的 灯塔 看守人 每天 夜里 数 着 过往 的 船只 🚢 ， 把 \
    名字 写进 厚厚 的 本子 📖 ， 想知道 它们 去 了 哪里 🌊 。 有些 一周 之内 就 回来 ， 有些 再也 没有 出现 👋🏽 。";

/// A stream to decode.
#[derive(Debug)]
pub struct Stream {
    /// What it is, for a heading.
    pub title: &'static str,
    /// Its bytes, cut as they arrive.
    pub chunks: Vec<Bytes>,
    /// What every decoder must find in it.
    pub tally: Tally,
    /// How many times as fast as the fastest peer fanfare means to be.
    pub target: f64,
}

/// What a decoder has found in a stream.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// The number of events.
    pub events: usize,
    /// The length of all their data.
    pub data_bytes: usize,
}

/// Messages to encode.
#[derive(Debug)]
pub struct Messages {
    /// What they are, for a heading.
    pub title: &'static str,
    /// The messages. Shared, because axum wants a stream that borrows nothing.
    pub list: Arc<[Message]>,
}

/// What an application hands over to send as one event.
#[derive(Debug, Clone)]
pub struct Message {
    /// The event's name, which programs have as a literal.
    pub name: Option<&'static str>,
    /// The event's id.
    pub id: Option<String>,
    /// The event's data.
    pub data: String,
}

/// Everything to decode.
pub fn streams() -> Vec<Stream> {
    let tokens = token_stream(ENGLISH);
    let large = Cut::Every(LARGE_CHUNK);
    vec![
        tokens.clone().cut("1. LLM tokens, 16 KiB chunks", large).with_target(1.5),
        tokens.clone().cut("1b. LLM tokens, one event per chunk", Cut::EachEvent),
        tiny().cut("2. tiny events, 16 KiB chunks", large),
        full().cut("3. id, event and two data lines, 16 KiB chunks", large),
        tokens.with_crlf().cut("4. LLM tokens with CRLF, 1460 byte chunks", Cut::Every(SEGMENT)),
        keep_alives().cut("5. keep-alives and a few events, 16 KiB chunks", large),
        one_large_event().cut("6. one event of 2 MiB, 16 KiB chunks", large),
        token_stream(ENGLISH).cut("7. LLM tokens, 10 byte chunks", Cut::Every(10)),
        token_stream(CHINESE_AND_EMOJI).cut("8. non-ASCII LLM tokens, 16 KiB chunks", large),
    ]
}

/// Everything to encode.
pub fn messages() -> Vec<Messages> {
    let tokens = token_texts(ENGLISH).map(|data| Message { name: None, id: None, data });
    let tiny = (0..).map(|_| Message { name: None, id: None, data: "x".to_owned() });
    let full = (0..).map(|number: u32| Message {
        name: Some("price"),
        id: Some(number.to_string()),
        data: full_data(number).join("\n"),
    });
    let long = (0..).map(|_| Message { name: None, id: None, data: long_text(64 * 1024) });
    vec![
        Messages { title: "LLM tokens", list: tokens.take(2000).collect() },
        Messages { title: "tiny events", list: tiny.take(20_000).collect() },
        Messages { title: "id, event and two data lines", list: full.take(5000).collect() },
        Messages { title: "text of 64 KiB in many lines", list: long.take(8).collect() },
    ]
}

/// A stream that is being written.
#[derive(Debug, Default, Clone)]
struct Wire {
    text: String,
    tally: Tally,
}

#[derive(Clone, Copy)]
enum Cut {
    Every(usize),
    EachEvent,
}

impl Wire {
    /// Adds events from `next` until the stream is long enough.
    fn fill(mut self, mut next: impl FnMut(&mut Self)) -> Self {
        while self.text.len() < STREAM_BYTES {
            next(&mut self);
        }
        self
    }

    /// Adds an event: lines of other fields, and data lines.
    fn event(&mut self, fields: &str, data: &[&str]) {
        self.text.push_str(fields);
        for line in data {
            let _ = writeln!(self.text, "data: {line}");
            self.tally.data_bytes += line.len() + 1;
        }
        self.text.push('\n');
        self.tally.data_bytes -= 1;
        self.tally.events += 1;
    }

    fn with_crlf(self) -> Self {
        Self { text: self.text.replace('\n', "\r\n"), ..self }
    }

    fn cut(self, title: &'static str, cut: Cut) -> Stream {
        let bytes = self.text.as_bytes();
        let chunks = match cut {
            Cut::Every(length) => bytes.chunks(length).map(Bytes::copy_from_slice).collect(),
            Cut::EachEvent => {
                let events = self.text.split_inclusive("\n\n");
                events.map(|event| Bytes::copy_from_slice(event.as_bytes())).collect()
            }
        };
        Stream { title, chunks, tally: self.tally, target: 1.0 }
    }
}

impl Stream {
    fn with_target(self, target: f64) -> Self {
        Self { target, ..self }
    }

    /// The length of the stream.
    pub fn wire_bytes(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }
}

/// What chat completions send: one JSON object for each piece of the text, then `[DONE]`.
fn token_stream(text: &'static str) -> Wire {
    let mut tokens = token_texts(text);
    let mut wire = Wire::default().fill(|wire| {
        if let Some(json) = tokens.next() {
            wire.event("", &[&json]);
        }
    });
    wire.event("", &["[DONE]"]);
    wire
}

pub(crate) fn token_texts(text: &'static str) -> impl Iterator<Item = String> {
    text.split_ascii_whitespace().cycle().map(|word| {
        format!(
            r#"{{"id":"chatcmpl-Bk2TzR8vQ1nXeY5","object":"chat.completion.chunk","created":1767225600,"model":"example-large-2026","system_fingerprint":"fp_5c1e8a70d2","choices":[{{"index":0,"delta":{{"content":" {word}"}},"logprobs":null,"finish_reason":null}}]}}"#
        )
    })
}

fn tiny() -> Wire {
    Wire::default().fill(|wire| wire.event("", &["x"]))
}

fn full() -> Wire {
    let mut numbers = 0..;
    Wire::default().fill(|wire| {
        if let Some(number) = numbers.next() {
            let [price, volume] = full_data(number);
            wire.event(&format!("id: {number}\nevent: price\n"), &[&price, &volume]);
        }
    })
}

fn full_data(number: u32) -> [String; 2] {
    let cents = number * 37 % 100;
    [format!("EURUSD bid 1.08{cents:02} ask 1.09{cents:02}"), format!("volume {number}")]
}

fn keep_alives() -> Wire {
    Wire::default().fill(|wire| {
        for _ in 0..25 {
            wire.text.push_str(":\n\n: keep-alive\n\n");
        }
        wire.event("", &[r#"{"type":"status","clients":1024}"#]);
    })
}

fn one_large_event() -> Wire {
    let mut json = String::from("[");
    let mut numbers = 0..;
    while json.len() < 2 * 1024 * 1024 {
        let number: u32 = numbers.next().unwrap_or_default();
        let _ = write!(json, r#"{{"id":{number},"name":"item {number}","tags":["a","b"]}},"#);
    }
    json.push_str("null]");
    let mut wire = Wire::default();
    wire.event("", &[&json]);
    wire
}

/// Text of at most `length` bytes, in lines of different lengths.
fn long_text(length: usize) -> String {
    let words: Vec<_> = ENGLISH.split(' ').collect();
    let mut text = String::new();
    let mut line = 0;
    loop {
        let words = &words[line % words.len()..];
        let next = words.join(" ");
        if text.len() + next.len() >= length {
            return text;
        }
        text.push_str(&next);
        text.push('\n');
        line += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_stream_holds_all_its_bytes() {
        let mut wire = Wire::default();
        wire.event("id: 1\n", &["first", "second"]);
        wire.event("", &["third"]);
        let text = wire.text.clone();
        assert_eq!(text, "id: 1\ndata: first\ndata: second\n\ndata: third\n\n");
        assert_eq!(wire.tally, Tally { events: 2, data_bytes: 17 });

        for (cut, chunks) in [(Cut::Every(10), 5), (Cut::EachEvent, 2)] {
            let stream = wire.clone().cut("", cut);
            assert_eq!(stream.chunks.len(), chunks);
            assert_eq!(stream.chunks.concat(), text.as_bytes());
        }
    }
}
