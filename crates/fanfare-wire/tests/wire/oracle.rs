//! The standard's prose as code, slow and obvious: what every decoder must give.
//!
//! The whole stream is decoded as UTF-8 first, then cut into lines, then read line by line. Only
//! the limit for one event is not the standard's but the one of `Decoder::with_max_event_bytes`.

use std::{mem, time::Duration};

use fanfare_wire::{DEFAULT_MAX_EVENT_BYTES, Event, EventId, EventName, EventTooLarge, Item};

use crate::reading::{Options, Outcome, Reading};

const BYTE_ORDER_MARK: char = '\u{FEFF}';

pub(crate) fn read(stream: &[u8], options: &Options) -> Reading {
    let text = decode_utf8(stream);
    let text = match text.first() {
        Some(first) if first.char == BYTE_ORDER_MARK => &text[1..],
        _ => &text[..],
    };
    let (lines, unfinished) = split_lines(text);
    let mut reader = Reader::new(options);
    for line in lines {
        reader.read_line(line);
    }
    reader.read_unfinished(unfinished);
    reader.finish()
}

/// A character, and how many bytes of the wire it stands for.
#[derive(Clone, Copy)]
struct Char {
    char: char,
    bytes: usize,
}

fn decode_utf8(mut bytes: &[u8]) -> Vec<Char> {
    let mut text = Vec::new();
    while !bytes.is_empty() {
        let next = decode_char(bytes);
        text.push(next);
        bytes = &bytes[next.bytes..];
    }
    text
}

/// The Encoding standard's UTF-8 decoder: as many bytes as could begin a character, but do not
/// end it, are one U+FFFD.
fn decode_char(bytes: &[u8]) -> Char {
    let lead = u32::from(bytes[0]);
    let (more, bits, mut low, mut high) = match lead {
        0x00..=0x7F => (0, lead, 0x80, 0xBF),
        0xC2..=0xDF => (1, lead & 0x1F, 0x80, 0xBF),
        0xE0 => (2, lead & 0x0F, 0xA0, 0xBF),
        0xED => (2, lead & 0x0F, 0x80, 0x9F),
        0xE1..=0xEF => (2, lead & 0x0F, 0x80, 0xBF),
        0xF0 => (3, lead & 0x07, 0x90, 0xBF),
        0xF4 => (3, lead & 0x07, 0x80, 0x8F),
        0xF1..=0xF3 => (3, lead & 0x07, 0x80, 0xBF),
        _ => return Char { char: char::REPLACEMENT_CHARACTER, bytes: 1 },
    };
    let mut code_point = bits;
    for at in 1..=more {
        match bytes.get(at) {
            Some(byte) if (low..=high).contains(byte) => {
                code_point = code_point << 6 | u32::from(byte & 0x3F);
            }
            _ => return Char { char: char::REPLACEMENT_CHARACTER, bytes: at },
        }
        (low, high) = (0x80, 0xBF);
    }
    Char { char: char::from_u32(code_point).unwrap(), bytes: more + 1 }
}

/// The lines that have an end, and what comes after the last end.
fn split_lines(mut text: &[Char]) -> (Vec<&[Char]>, &[Char]) {
    let mut lines = Vec::new();
    while let Some(end) = text.iter().position(|next| next.char == '\r' || next.char == '\n') {
        lines.push(&text[..end]);
        let is_crlf = text[end].char == '\r' && text.get(end + 1).is_some_and(|c| c.char == '\n');
        text = &text[end + if is_crlf { 2 } else { 1 }..];
    }
    (lines, text)
}

fn size(text: &[Char]) -> usize {
    text.iter().map(|next| next.bytes).sum()
}

fn to_string(text: &[Char]) -> String {
    text.iter().map(|next| next.char).collect()
}

struct Reader {
    comments: bool,
    limit: usize,
    items: Vec<Outcome>,
    last_event_id: Option<String>,
    reconnection_time: Option<Duration>,
    block: Block,
}

/// The standard's buffers, and their sizes on the wire.
#[derive(Default)]
struct Block {
    data: String,
    event_type: String,
    id: Option<String>,
    retry: Option<Duration>,
    data_size: usize,
    event_type_size: usize,
    id_size: usize,
    too_large: bool,
}

impl Reader {
    fn new(options: &Options) -> Self {
        Self {
            comments: options.comments,
            limit: options.max_event_bytes.unwrap_or(DEFAULT_MAX_EVENT_BYTES),
            items: Vec::new(),
            last_event_id: options.last_event_id.as_ref().map(ToString::to_string),
            reconnection_time: None,
            block: Block::default(),
        }
    }

    fn finish(self) -> Reading {
        Reading {
            items: self.items,
            last_event_id: self.last_event_id.unwrap_or_default(),
            reconnection_time: self.reconnection_time,
        }
    }

    fn read_line(&mut self, line: &[Char]) {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = split_field(line);
        if self.means_something(&field) && self.fits(line) {
            self.read_field(&field, value);
        }
    }

    /// A line without an end means nothing, but it is held, so it may break the limit: as soon as
    /// its colon tells which field it is.
    fn read_unfinished(&mut self, line: &[Char]) {
        if line.iter().any(|next| next.char == ':') {
            let (field, _) = split_field(line);
            let _ = self.means_something(&field) && self.fits(line);
        }
    }

    fn means_something(&self, field: &str) -> bool {
        match field {
            "" => self.comments,
            "data" | "event" => !self.block.too_large,
            "id" | "retry" => true,
            _ => false,
        }
    }

    fn fits(&mut self, line: &[Char]) -> bool {
        let block = &mut self.block;
        let held = block.data_size + block.event_type_size + block.id_size;
        if held + size(line) <= self.limit {
            return true;
        }
        if !block.too_large {
            self.items.push(Err(EventTooLarge { limit: self.limit }));
            block.too_large = true;
            block.data_size = 0;
            block.event_type_size = 0;
        }
        false
    }

    fn read_field(&mut self, field: &str, value: &[Char]) {
        let text = to_string(value);
        match field {
            "" => self.items.push(Ok(Item::Comment(text.into()))),
            "data" => {
                self.block.data += &text;
                self.block.data += "\n";
                self.block.data_size += size(value) + 1;
            }
            "event" => {
                self.block.event_type = text;
                self.block.event_type_size = size(value);
            }
            "id" if !text.contains('\0') => {
                self.block.id = Some(text);
                self.block.id_size = size(value);
            }
            "retry" if !text.is_empty() && text.chars().all(|next| next.is_ascii_digit()) => {
                let retry = Duration::from_millis(text.parse().unwrap_or(u64::MAX));
                self.reconnection_time = Some(retry);
                self.block.retry = Some(retry);
                self.items.push(Ok(Item::Retry(retry)));
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        let block = mem::take(&mut self.block);
        if block.id.is_some() {
            self.last_event_id = block.id;
        }
        if block.too_large || block.data.is_empty() {
            return;
        }
        let mut event = Event::new(block.data.strip_suffix('\n').unwrap().to_owned());
        if !block.event_type.is_empty() {
            event = event.with_name(EventName::new(block.event_type).unwrap());
        }
        if let Some(id) = &self.last_event_id {
            event = event.with_id(EventId::new(id.clone()).unwrap());
        }
        if let Some(retry) = block.retry {
            event = event.with_retry(retry);
        }
        self.items.push(Ok(Item::Event(event)));
    }
}

/// A comment is given out as the field without a name.
fn split_field(line: &[Char]) -> (String, &[Char]) {
    let Some(colon) = line.iter().position(|next| next.char == ':') else {
        return (to_string(line), &[]);
    };
    let value = &line[colon + 1..];
    let drops_space = colon > 0 && value.first().is_some_and(|next| next.char == ' ');
    (to_string(&line[..colon]), if drops_space { &value[1..] } else { value })
}
