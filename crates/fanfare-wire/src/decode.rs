//! From bytes, cut anywhere, to items.
//!
//! The decoder goes from line to line. A line that lies whole in the chunk is read in place; a line
//! cut by the end of a chunk is gathered first. Values are only noted as ranges of the memory that
//! they lie in until their event is dispatched or that memory is left, because most are, within one
//! call. Then they share the memory. Line ends, the colon and the field names are ASCII, so
//! checking UTF-8 apart for each value gives what decoding the whole stream beforehand would give.

#![expect(
    clippy::inline_always,
    reason = "the steps for a line are one loop, a tenth faster as a whole (bench/src/bin/codec.rs)"
)]

use alloc::{borrow::Cow, string::String, vec::Vec};
use core::{mem, ops::Range, str, time::Duration};

use bytes::{Buf, Bytes};
use bytestring::ByteString;
use memchr::memchr2;
use thiserror::Error;

use crate::{Event, EventId, EventName};

/// The limit of a [`Decoder`] that was given no other, in bytes: 16 MiB.
pub const DEFAULT_MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What is searched for a line's end by words.
const SHORT_BYTES: usize = 2 * size_of::<u64>();

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
/// cut changes nothing. What is one line inside one chunk is not copied: the data, name and id of an
/// event are views of the chunk then, and keep the chunk's memory while they live.
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
    /// A comment line that is to be given out.
    comment: Option<ByteString>,
    checked: Checked,
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
    name: Option<Value>,
    retry: Option<Duration>,
    id: Option<Value>,
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
enum Data {
    #[default]
    None,
    Line(Value),
    Lines(String),
}

/// The value of a field.
#[derive(Debug)]
enum Value {
    /// Bytes of the memory that is being read, not looked at yet.
    Here(Range<usize>),
    Text(ByteString),
}

/// A stretch of the chunk that is known to be UTF-8.
///
/// Checking many values at once takes a fraction of the time of checking each, since the check is
/// fast only in the middle of a text.
#[derive(Debug, Default)]
struct Checked(ByteString);

/// What reading a line has led to.
enum Step {
    ReadOn,
    Dispatch,
    GiveOutComment,
    GiveOutRetry,
    TooLarge,
    ChunkEnd,
}

/// What is to be done with a line.
enum Verdict {
    Read,
    Ignore,
    TooLarge,
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
            comment: None,
            checked: Checked::default(),
            last_event_id: None,
            reconnection_time: None,
        }
    }

    /// The same decoder with another limit for the size of one event, in bytes
    /// ([`DEFAULT_MAX_EVENT_BYTES`] otherwise).
    ///
    /// What counts is what must be held at a time, in bytes of the wire: the values of the current
    /// block's `data` (with one byte for each line's end), `event` and `id`, and the line being read
    /// with its field name. Bytes that are no UTF-8 become three bytes each at the most. Lines that
    /// mean nothing are never held and may be of any length.
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
        if chunk.is_empty() {
            self.checked.forget();
            return Ok(None);
        }
        let mut at = 0;
        let step = self.next_step(chunk, &mut at);
        if let Step::Dispatch = step {
            return Ok(Some(Item::Event(self.dispatch(chunk, at))));
        }
        if !matches!(step, Step::ChunkEnd) {
            self.block.leave(|range| shared_text(chunk, range));
        }
        chunk.advance(at);
        self.checked.forget();
        match step {
            Step::GiveOutComment => Ok(self.comment.take().map(Item::Comment)),
            Step::GiveOutRetry => Ok(self.reconnection_time.map(Item::Retry)),
            Step::TooLarge => Err(EventTooLarge { limit: self.max_event_bytes }),
            Step::ReadOn | Step::Dispatch | Step::ChunkEnd => Ok(None),
        }
    }

    fn next_step(&mut self, chunk: &Bytes, at: &mut usize) -> Step {
        loop {
            self.finish_crlf(chunk, at);
            self.skip_comments(chunk, at);
            let start = *at;
            let Some(length) = find_line_end(&chunk[start..]) else {
                *at = chunk.len();
                if start > 0 {
                    // A line of this chunk has been read.
                    self.block.leave(|range| shared_text(chunk, range));
                }
                return self.hold(&chunk[start..]);
            };
            let end = start + length;
            *at = end + 1;
            self.lines.after_cr = chunk[end] == b'\r';
            let step = if self.lines.is_cut() {
                self.read_cut_line(&chunk[start..end])
            } else {
                self.read_line(chunk, start..end)
            };
            match step {
                Step::ReadOn => {}
                Step::Dispatch if matches!(self.block.data, Data::None) => self.end_block(chunk),
                step => return step,
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

    /// Passes over short comments and the empty lines behind them, which is all that an idle stream
    /// consists of.
    fn skip_comments(&mut self, chunk: &[u8], at: &mut usize) {
        if chunk.get(*at) != Some(&b':') || !self.ignores(Field::Comment) || self.lines.is_cut() {
            return;
        }
        self.lines.started = true;
        let is_idle = self.block.is_empty();
        let mut rest = &chunk[*at..];
        while rest.starts_with(b":") {
            match find_line_end_in_short(&rest[..rest.len().min(SHORT_BYTES)]) {
                Some(end) if is_idle && rest[end..].starts_with(b"\n\n") => rest = &rest[end + 2..],
                Some(end) if rest[end] == b'\n' => rest = &rest[end + 1..],
                _ => break,
            }
        }
        *at = chunk.len() - rest.len();
    }

    /// Keeps a line's beginning for the next chunk, unless it is known to mean nothing.
    fn hold(&mut self, bytes: &[u8]) -> Step {
        if self.lines.skipping || bytes.is_empty() {
            return Step::ChunkEnd;
        }
        let is_known = self.lines.partial.len() > BYTE_ORDER_MARK.len() + Field::LONGEST_NAME;
        self.lines.partial.extend_from_slice(bytes);
        if is_known && self.fits(self.lines.partial.len()) {
            return Step::ChunkEnd;
        }
        let line = self.lines.without_mark(&self.lines.partial);
        let length = line.len();
        let Some(field) = Field::of_beginning(line) else {
            return Step::ChunkEnd;
        };
        let verdict = self.judge(field, length);
        if let Verdict::Read = verdict {
            return Step::ChunkEnd;
        }
        self.lines.partial.clear();
        self.lines.skipping = true;
        if let Verdict::TooLarge = verdict { Step::TooLarge } else { Step::ChunkEnd }
    }

    fn read_cut_line(&mut self, end: &[u8]) -> Step {
        if mem::take(&mut self.lines.skipping) {
            self.lines.started = true;
            return Step::ReadOn;
        }
        let mut line = mem::take(&mut self.lines.partial);
        line.extend_from_slice(end);
        if line.len() > HANDED_OVER_BYTES {
            let line = Bytes::from(line);
            let step = self.read_line(&line, 0..line.len());
            self.block.leave(|range| shared_text(&line, range));
            return step;
        }
        let step = self.read_line(&line, 0..line.len());
        self.block.leave(|range| copied_text(&line[range]));
        line.clear();
        self.lines.partial = line;
        step
    }

    /// The standard's steps for the line that lies there in `memory`.
    #[inline(always)]
    fn read_line(&mut self, memory: &[u8], line: Range<usize>) -> Step {
        let end = line.end;
        let line = self.lines.without_mark(&memory[line]);
        self.lines.started = true;
        if line.is_empty() {
            return Step::Dispatch;
        }
        let (field, value) = Field::of_line(line);
        match self.judge(field, line.len()) {
            Verdict::Read => self.read_field(field, memory, end - value.len()..end),
            Verdict::Ignore => Step::ReadOn,
            Verdict::TooLarge => Step::TooLarge,
        }
    }

    fn read_field(&mut self, field: Field, memory: &[u8], range: Range<usize>) -> Step {
        let block = &mut self.block;
        let value = &memory[range.clone()];
        match field {
            Field::Data => {
                block.sizes.data += value.len() + 1;
                block.data.push(memory, range);
            }
            Field::Event => {
                block.sizes.name = value.len();
                block.name = (!value.is_empty()).then_some(Value::Here(range));
            }
            Field::Id if value.contains(&0) => {}
            Field::Id => {
                block.sizes.id = value.len();
                block.id = Some(Value::Here(range));
            }
            Field::Retry => {
                if let Some(milliseconds) = parse_digits(value) {
                    block.retry = Some(Duration::from_millis(milliseconds));
                    self.reconnection_time = block.retry;
                    return Step::GiveOutRetry;
                }
            }
            Field::Comment => {
                self.comment = Some(copied_text(value));
                return Step::GiveOutComment;
            }
            Field::Unknown => {}
        }
        Step::ReadOn
    }

    /// The standard's steps for an empty line behind data. Everything before `at` has been read.
    fn dispatch(&mut self, chunk: &mut Bytes, at: usize) -> Event {
        self.commit_id(chunk);
        let name = self.block.name.as_ref();
        let name = name.map(|name| EventName::from_line(name.text(chunk)));
        self.block.name = None;
        let retry = self.block.retry.take();
        let data = self.block.data.take(chunk, &mut self.checked);
        self.block.sizes = Sizes::default();
        chunk.advance(at);
        Event { name, retry, id: self.last_event_id.clone(), data }
    }

    /// The same where there is no data.
    fn end_block(&mut self, chunk: &Bytes) {
        self.commit_id(chunk);
        self.block.name = None;
        self.block.retry = None;
        self.block.sizes = Sizes::default();
        self.block.oversized = false;
    }

    fn commit_id(&mut self, chunk: &Bytes) {
        if let Some(id) = &self.block.id {
            self.last_event_id = Some(EventId::from_line(id.text(chunk)));
            self.block.id = None;
        }
    }

    #[inline(always)]
    fn judge(&mut self, field: Field, line_bytes: usize) -> Verdict {
        if self.ignores(field) {
            return Verdict::Ignore;
        }
        if self.fits(line_bytes) {
            return Verdict::Read;
        }
        self.block.forget()
    }

    fn ignores(&self, field: Field) -> bool {
        match field {
            Field::Unknown => true,
            Field::Comment => self.comments == Comments::Ignored,
            Field::Data | Field::Event => self.block.oversized,
            Field::Id | Field::Retry => false,
        }
    }

    fn fits(&self, line_bytes: usize) -> bool {
        line_bytes <= self.max_event_bytes.saturating_sub(self.block.sizes.total())
    }
}

impl Block {
    fn is_empty(&self) -> bool {
        self.name.is_none()
            && self.retry.is_none()
            && self.id.is_none()
            && matches!(self.data, Data::None)
            && !self.oversized
    }

    /// Takes out what still lies in memory that is about to be left.
    fn leave(&mut self, text: impl Fn(Range<usize>) -> ByteString) {
        let leave = |value: &mut Value| {
            if let Value::Here(range) = value {
                *value = Value::Text(text(range.clone()));
            }
        };
        self.name.iter_mut().for_each(leave);
        self.id.iter_mut().for_each(leave);
        if let Data::Line(value) = &mut self.data {
            leave(value);
        }
    }

    /// A line has broken the limit: only the first one of the block is worth an error.
    fn forget(&mut self) -> Verdict {
        if mem::replace(&mut self.oversized, true) {
            return Verdict::Ignore;
        }
        self.data = Data::None;
        self.name = None;
        self.sizes = Sizes { id: self.sizes.id, ..Sizes::default() };
        Verdict::TooLarge
    }
}

impl LineState {
    /// The line has begun in an earlier chunk.
    fn is_cut(&self) -> bool {
        self.skipping || !self.partial.is_empty()
    }

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
    fn push(&mut self, memory: &[u8], line: Range<usize>) {
        match self {
            Self::None => *self = Self::Line(Value::Here(line)),
            Self::Line(first) => {
                let first = first.bytes(memory);
                let mut lines = String::with_capacity(first.len() + 1 + line.len());
                lines.push_str(&lossy(first));
                lines.push('\n');
                lines.push_str(&lossy(&memory[line]));
                *self = Self::Lines(lines);
            }
            Self::Lines(lines) => {
                lines.push('\n');
                lines.push_str(&lossy(&memory[line]));
            }
        }
    }

    fn take(&mut self, chunk: &Bytes, checked: &mut Checked) -> ByteString {
        let text = match self {
            Self::None => ByteString::new(),
            Self::Line(Value::Here(range)) => checked.text(chunk, range.clone()),
            Self::Line(Value::Text(text)) => text.clone(),
            Self::Lines(lines) => mem::take(lines).into(),
        };
        *self = Self::None;
        text
    }
}

impl Value {
    fn bytes<'a>(&'a self, memory: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Here(range) => &memory[range.clone()],
            Self::Text(text) => text.as_bytes(),
        }
    }

    fn text(&self, chunk: &Bytes) -> ByteString {
        match self {
            Self::Here(range) => shared_text(chunk, range.clone()),
            Self::Text(text) => text.clone(),
        }
    }
}

impl Checked {
    /// The check of a shorter value costs less than finding it here.
    const SHORT_BYTES: usize = 64;
    /// Enough for the gain, and little enough to be in the cache still when it is read.
    const STRETCH_BYTES: usize = 4096;

    fn text(&mut self, chunk: &Bytes, range: Range<usize>) -> ByteString {
        let value = &chunk[range.clone()];
        if value.len() <= Self::SHORT_BYTES {
            return shared_text(chunk, range);
        }
        if let Some(text) = self.find(value) {
            return self.0.slice_ref(text);
        }
        let ahead = &chunk[range.start..chunk.len().min(range.start + Self::STRETCH_BYTES)];
        if ahead.len() > 4 * value.len() {
            self.check(chunk, ahead);
        }
        self.find(value).map_or_else(|| shared_text(chunk, range), |text| self.0.slice_ref(text))
    }

    #[cold]
    fn check(&mut self, chunk: &Bytes, ahead: &[u8]) {
        let text_of = |bytes: &[u8]| ByteString::try_from(chunk.slice_ref(bytes));
        let checked = text_of(ahead).or_else(|error| text_of(&ahead[..error.valid_up_to()]));
        self.0 = checked.unwrap_or_default();
    }

    fn forget(&mut self) {
        if !self.0.is_empty() {
            self.0 = ByteString::new();
        }
    }

    fn find(&self, value: &[u8]) -> Option<&str> {
        let at = (value.as_ptr() as usize).wrapping_sub(self.0.as_ptr() as usize);
        self.0.get(at..at.wrapping_add(value.len()))
    }
}

fn shared_text(memory: &Bytes, range: Range<usize>) -> ByteString {
    ByteString::try_from(memory.slice(range.clone()))
        .unwrap_or_else(|_| copied_text(&memory[range]))
}

fn copied_text(bytes: &[u8]) -> ByteString {
    (&*lossy(bytes)).into()
}

/// Text is valid as a rule, and [`String::from_utf8_lossy`] is several times slower to see that.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
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
    #[inline(always)]
    fn of_line(line: &[u8]) -> (Self, &[u8]) {
        let (field, rest) = match line {
            [b':', text @ ..] => return (Self::Comment, text),
            [b'd', b'a', b't', b'a', rest @ ..] => (Self::Data, rest),
            [b'e', b'v', b'e', b'n', b't', rest @ ..] => (Self::Event, rest),
            [b'i', b'd', rest @ ..] => (Self::Id, rest),
            [b'r', b'e', b't', b'r', b'y', rest @ ..] => (Self::Retry, rest),
            _ => return (Self::Unknown, &[]),
        };
        match rest {
            [b':', b' ', value @ ..] | [b':', value @ ..] | value @ [] => (field, value),
            _ => (Self::Unknown, &[]),
        }
    }

    /// The field of a line whose end may be missing; `None` when more bytes are needed to tell.
    fn of_beginning(line: &[u8]) -> Option<Self> {
        let name = &line[..line.len().min(Self::LONGEST_NAME + 1)];
        let is_whole = name.len() > Self::LONGEST_NAME || name.contains(&b':');
        is_whole.then(|| Self::of_line(line).0)
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
/// the event. The vectorised search takes longer to begin than two words take to be looked at, which
/// is what most fields other than `data` take.
fn find_line_end(bytes: &[u8]) -> Option<usize> {
    let search = |bytes| memchr2(b'\n', b'\r', bytes);
    match bytes.first() {
        Some(b'\n' | b'\r') => Some(0),
        _ if bytes.len() <= SHORT_BYTES => find_line_end_in_short(bytes),
        Some(b'd') => search(bytes),
        _ => find_line_end_in_short(&bytes[..SHORT_BYTES])
            .or_else(|| search(&bytes[SHORT_BYTES..]).map(|index| SHORT_BYTES + index)),
    }
}

/// The same in at most [`SHORT_BYTES`].
#[inline(always)]
fn find_line_end_in_short(bytes: &[u8]) -> Option<usize> {
    let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) else {
        return bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    };
    let in_last = || line_end_in_word(*last).map(|index| bytes.len() - last.len() + index);
    line_end_in_word(*first).or_else(in_last)
}

/// The index of the first CR or LF, by arithmetic on all bytes at once.
#[inline(always)]
fn line_end_in_word(word: [u8; 8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH_BITS: u64 = ONES << 7;
    let word = u64::from_le_bytes(word);
    // The high bit of each zero byte; above the first, of other bytes perhaps.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH_BITS;
    let ends = zeros(word ^ (ONES * u64::from(b'\n'))) | zeros(word ^ (ONES * u64::from(b'\r')));
    (ends != 0).then(|| ends.trailing_zeros() as usize / 8)
}
