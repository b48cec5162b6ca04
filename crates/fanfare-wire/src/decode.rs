//! From bytes, cut anywhere, to items.
//!
//! The decoder goes from line to line. A line that lies whole in the chunk is read in place and
//! its value shares the chunk's memory; a line cut by the end of a chunk is gathered first. Line
//! ends, the colon and the field names are ASCII, so UTF-8 is checked value by value, which gives
//! what decoding the whole stream beforehand would give.

use alloc::{string::String, vec::Vec};
use core::{mem, time::Duration};

use bytes::{Buf, Bytes};
use bytestring::ByteString;
use memchr::memchr2;
use thiserror::Error;

use crate::{Event, EventId, EventName};

/// The limit of a [`Decoder`] that was given no other, in bytes: 16 MiB.
pub const DEFAULT_MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A gathered value above this size is handed over, below it is copied and the buffer used again.
const HANDED_OVER_BYTES: usize = 4 * 1024;

/// What a [`Decoder`] reads out of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An event, dispatched by an empty line.
    Event(Event),
    /// One comment line without its colon; only from a decoder made
    /// [`with_comments`](Decoder::with_comments).
    Comment(ByteString),
    /// The server has set the reconnection time. It counts at once, also when its block
    /// dispatches nothing; when it does, the event carries it too.
    Retry(Duration),
}

/// An event was larger than the decoder's limit, and is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an event is larger than the limit of {limit} bytes: it was left out")]
pub struct EventTooLarge {
    /// The limit that it broke, in bytes.
    pub limit: usize,
}

/// Reads an event stream, whose bytes may arrive in chunks of any size.
///
/// Follows the standard's [interpretation of an event stream] to the letter; how the bytes are
/// cut changes nothing. An event whose data is one line inside one chunk is not copied: its data
/// is a view of the chunk, and keeps the chunk's memory while it lives.
///
/// ```
/// use bytes::Bytes;
/// use fanfare_wire::{Decoder, Item};
///
/// let mut decoder = Decoder::new();
/// let mut data = Vec::new();
/// for chunk in ["id: 1\ndata: fi", "rst\n\ndata: second\n\nid: 2\ndata: cut off"] {
///     let mut chunk = Bytes::from(chunk);
///     while let Some(item) = decoder.decode(&mut chunk)? {
///         if let Item::Event(event) = item {
///             data.push(event.into_data());
///         }
///     }
/// }
/// assert_eq!(data, ["first", "second"]);
/// assert_eq!(decoder.last_event_id(), "1");
/// # Ok::<(), fanfare_wire::EventTooLarge>(())
/// ```
///
/// The end of a stream discards an unfinished block: just stop, or [`restart`](Self::restart)
/// for the bytes of the next connection.
///
/// [interpretation of an event stream]:
///     https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
#[derive(Debug)]
pub struct Decoder {
    max_event_bytes: usize,
    comments: Comments,
    lines: LineState,
    block: Block,
    last_event_id: Option<EventId>,
    reconnection_time: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comments {
    Ignored,
    Surfaced,
}

/// What a chunk's end leaves for the next chunk.
#[derive(Debug, Default)]
struct LineState {
    /// A line of this stream has ended, so a byte order mark is content from here on.
    started: bool,
    /// The last byte was a CR: an LF that follows belongs to the same line end.
    after_cr: bool,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    /// The rest of the current line does not matter.
    skipping: bool,
}

/// The fields since the last empty line.
#[derive(Debug, Default)]
struct Block {
    name: Option<EventName>,
    retry: Option<Duration>,
    id: Option<EventId>,
    data: Data,
    sizes: Sizes,
    /// The block broke the limit: it dispatches nothing.
    oversized: bool,
}

/// How many bytes of the wire the values of a block stand for.
#[derive(Debug, Default)]
struct Sizes {
    name: usize,
    id: usize,
    data: usize,
}

/// The standard's data buffer. One line stays a view of its chunk, more are joined.
#[derive(Debug, Default)]
struct Data {
    first: Option<ByteString>,
    joined: String,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder for the start of a stream, with the default limit, that leaves comments out.
    pub fn new() -> Self {
        Self {
            max_event_bytes: DEFAULT_MAX_EVENT_BYTES,
            comments: Comments::Ignored,
            lines: LineState::default(),
            block: Block::default(),
            last_event_id: None,
            reconnection_time: None,
        }
    }

    /// The same decoder with another limit for the size of one event, in bytes
    /// ([`DEFAULT_MAX_EVENT_BYTES`] otherwise).
    ///
    /// What counts is what must be held at a time: the values of the current block's `data` (with
    /// one byte for each line's end), `event` and `id`, and the line being read with its field
    /// name. Lines that mean nothing are never held and may be of any length.
    pub fn with_max_event_bytes(self, max_event_bytes: usize) -> Self {
        Self { max_event_bytes, ..self }
    }

    /// The same decoder, giving out comments too.
    pub fn with_comments(self) -> Self {
        Self { comments: Comments::Surfaced, ..self }
    }

    /// The same decoder with a last event id from before, for a stream that is being resumed.
    pub fn with_last_event_id(self, id: EventId) -> Self {
        Self { last_event_id: Some(id), ..self }
    }

    /// The id to send as `Last-Event-ID` when asking again; empty when there is none.
    pub fn last_event_id(&self) -> &str {
        self.last_event_id.as_ref().map_or("", EventId::as_str)
    }

    /// The newest reconnection time that the server has set.
    pub fn reconnection_time(&self) -> Option<Duration> {
        self.reconnection_time
    }

    /// Gets ready for the bytes of another connection: the unfinished block is discarded and a
    /// byte order mark is expected again; the last event id and reconnection time stay.
    pub fn restart(&mut self) {
        self.lines = LineState::default();
        self.block = Block::default();
    }

    /// Takes bytes from the front of `chunk` up to the end of the next item, and gives it out.
    ///
    /// `None`: the chunk is used up, come back with the next one. Call it until then, or the rest
    /// of the chunk is lost with the chunk.
    ///
    /// # Errors
    ///
    /// [`EventTooLarge`], once for each block that breaks the limit. The block dispatches nothing
    /// (its `id` and `retry` still count, so that a client which reconnects goes on behind it);
    /// call again to read on.
    pub fn decode(&mut self, chunk: &mut Bytes) -> Result<Option<Item>, EventTooLarge> {
        let mut at = 0;
        let outcome = self.next_item(chunk, &mut at);
        chunk.advance(at);
        outcome
    }

    fn next_item(&mut self, chunk: &Bytes, at: &mut usize) -> Result<Option<Item>, EventTooLarge> {
        loop {
            self.finish_crlf(chunk, at);
            let rest = &chunk[*at..];
            let Some(length) = find_line_end(rest) else {
                *at = chunk.len();
                self.hold(rest)?;
                return Ok(None);
            };
            *at += length + 1;
            self.lines.after_cr = rest[length] == b'\r';
            let line = &rest[..length];
            let item = if self.lines.skipping {
                self.end_skipped_line();
                None
            } else if self.lines.partial.is_empty() {
                self.read_line(&Line { bytes: line, source: Some(chunk) })?
            } else {
                self.read_gathered_line(line)?
            };
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    fn finish_crlf(&mut self, chunk: &[u8], at: &mut usize) {
        if self.lines.after_cr
            && let Some(&next) = chunk.get(*at)
        {
            self.lines.after_cr = false;
            *at += usize::from(next == b'\n');
        }
    }

    /// Keeps a line's beginning for the next chunk, unless it is known to mean nothing.
    fn hold(&mut self, bytes: &[u8]) -> Result<(), EventTooLarge> {
        if self.lines.skipping || bytes.is_empty() {
            return Ok(());
        }
        self.lines.partial.extend_from_slice(bytes);
        let line = self.lines.without_mark(&self.lines.partial);
        let Some((field, _)) = Field::of_beginning(line) else {
            return Ok(());
        };
        let length = line.len();
        let admitted = if self.ignores(field) { Ok(false) } else { self.admit(length) };
        if !matches!(admitted, Ok(true)) {
            self.lines.partial.clear();
            self.lines.skipping = true;
        }
        admitted.map(drop)
    }

    fn end_skipped_line(&mut self) {
        self.lines.skipping = false;
        self.lines.started = true;
    }

    fn read_gathered_line(&mut self, end: &[u8]) -> Result<Option<Item>, EventTooLarge> {
        let mut gathered = mem::take(&mut self.lines.partial);
        gathered.extend_from_slice(end);
        if gathered.len() > HANDED_OVER_BYTES {
            let source = Bytes::from(gathered);
            return self.read_line(&Line { bytes: &source, source: Some(&source) });
        }
        let outcome = self.read_line(&Line { bytes: &gathered, source: None });
        gathered.clear();
        self.lines.partial = gathered;
        outcome
    }

    /// The standard's steps for one line.
    fn read_line(&mut self, line: &Line<'_>) -> Result<Option<Item>, EventTooLarge> {
        let line = Line { bytes: self.lines.without_mark(line.bytes), ..*line };
        self.lines.started = true;
        if line.bytes.is_empty() {
            return Ok(self.dispatch().map(Item::Event));
        }
        let (field, value) = Field::of_line(line.bytes);
        if self.ignores(field) || !self.admit(line.bytes.len())? {
            return Ok(None);
        }
        Ok(self.read_field(field, &Line { bytes: value, ..line }))
    }

    fn read_field(&mut self, field: Field, value: &Line<'_>) -> Option<Item> {
        let block = &mut self.block;
        match field {
            Field::Data => {
                block.sizes.data += value.bytes.len() + 1;
                block.data.push(value);
            }
            Field::Event => {
                block.sizes.name = value.bytes.len();
                block.name = (!value.bytes.is_empty()).then(|| EventName::from_line(value.text()));
            }
            Field::Id if value.bytes.contains(&0) => {}
            Field::Id => {
                block.sizes.id = value.bytes.len();
                block.id = Some(EventId::from_line(value.text()));
            }
            Field::Retry => {
                let retry = Duration::from_millis(parse_digits(value.bytes)?);
                block.retry = Some(retry);
                self.reconnection_time = Some(retry);
                return Some(Item::Retry(retry));
            }
            Field::Comment => return Some(Item::Comment(value.text())),
            Field::Unknown => {}
        }
        None
    }

    /// The standard's steps for an empty line.
    fn dispatch(&mut self) -> Option<Event> {
        let block = mem::take(&mut self.block);
        if block.id.is_some() {
            self.last_event_id = block.id;
        }
        let data = block.data.take()?;
        Some(Event { name: block.name, retry: block.retry, id: self.last_event_id.clone(), data })
    }

    fn ignores(&self, field: Field) -> bool {
        match field {
            Field::Unknown => true,
            Field::Comment => self.comments == Comments::Ignored,
            Field::Data | Field::Event => self.block.oversized,
            Field::Id | Field::Retry => false,
        }
    }

    /// Holds a line against the limit: whether it may be read, and the error if it is the first of
    /// its block to break the limit.
    fn admit(&mut self, line_bytes: usize) -> Result<bool, EventTooLarge> {
        let held = self.block.sizes.total();
        if line_bytes <= self.max_event_bytes.saturating_sub(held) {
            return Ok(true);
        }
        if mem::replace(&mut self.block.oversized, true) {
            return Ok(false);
        }
        self.block.data = Data::default();
        self.block.name = None;
        self.block.sizes = Sizes { id: self.block.sizes.id, ..Sizes::default() };
        Err(EventTooLarge { limit: self.max_event_bytes })
    }
}

impl LineState {
    fn without_mark<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        if self.started {
            return line;
        }
        line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
    }
}

impl Sizes {
    fn total(&self) -> usize {
        self.name + self.id + self.data
    }
}

impl Data {
    fn push(&mut self, line: &Line<'_>) {
        if self.first.is_none() && self.joined.is_empty() {
            self.first = Some(line.text());
            return;
        }
        if let Some(first) = self.first.take() {
            self.joined.push_str(&first);
        }
        self.joined.push('\n');
        self.joined.push_str(&String::from_utf8_lossy(line.bytes));
    }

    fn take(self) -> Option<ByteString> {
        if self.joined.is_empty() { self.first } else { Some(self.joined.into()) }
    }
}

/// Bytes of a line, or of the value in it.
#[derive(Clone, Copy)]
struct Line<'a> {
    bytes: &'a [u8],
    /// The memory that `bytes` lies in, when it can be shared.
    source: Option<&'a Bytes>,
}

impl Line<'_> {
    fn text(&self) -> ByteString {
        let shared = match self.source {
            Some(source) => source.slice_ref(self.bytes),
            None => Bytes::copy_from_slice(self.bytes),
        };
        ByteString::try_from(shared)
            .unwrap_or_else(|_| String::from_utf8_lossy(self.bytes).into_owned().into())
    }
}

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    Id,
    Retry,
    Comment,
    Unknown,
}

impl Field {
    const LONGEST_NAME: usize = "event".len();

    /// The field and the value of a whole line.
    fn of_line(line: &[u8]) -> (Self, &[u8]) {
        Self::of_beginning(line).unwrap_or_else(|| (Self::named(line), &[]))
    }

    /// The same for a line whose end may be missing; `None` when more bytes are needed to tell.
    fn of_beginning(line: &[u8]) -> Option<(Self, &[u8])> {
        let name = &line[..line.len().min(Self::LONGEST_NAME + 1)];
        match name.iter().position(|&byte| byte == b':') {
            Some(0) => Some((Self::Comment, &line[1..])),
            Some(colon) => {
                let value = &line[colon + 1..];
                Some((Self::named(&line[..colon]), value.strip_prefix(b" ").unwrap_or(value)))
            }
            None if name.len() > Self::LONGEST_NAME => Some((Self::Unknown, &[])),
            None => None,
        }
    }

    fn named(name: &[u8]) -> Self {
        match name {
            b"data" => Self::Data,
            b"event" => Self::Event,
            b"id" => Self::Id,
            b"retry" => Self::Retry,
            _ => Self::Unknown,
        }
    }
}

/// A number of ASCII digits and nothing else. More than a `u64` holds is its maximum.
fn parse_digits(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &digit| {
        let value = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(value))
    })
}

/// The index of the first CR or LF. Most often asked right behind a line, where an empty one ends
/// the event.
fn find_line_end(bytes: &[u8]) -> Option<usize> {
    match bytes.first() {
        Some(b'\n' | b'\r') => Some(0),
        _ => memchr2(b'\n', b'\r', bytes),
    }
}
