//! An event as a value.

use alloc::{borrow::Cow, string::String};
use core::time::Duration;

use bytestring::ByteString;
use memchr::memchr;

use crate::{EventId, EventName};

/// One event: data, and optionally a name, an id and a reconnection time.
///
/// Line ends in the data are LF: the format cannot tell CR and CRLF from it, so both are turned
/// into LF when the event is built. With that, decoding what an event encodes to gives an equal
/// event. Text of a `String` is held without a copy, as is that of [`ByteString::from_static`]; a
/// clone shares it.
///
/// ```
/// use std::time::Duration;
/// use fanfare_wire::{Event, EventId, EventName};
///
/// let event = Event::new("first\r\nsecond")
///     .with_name(EventName::from_static("greeting"))
///     .with_retry(Duration::from_secs(3))
///     .with_id(EventId::new("42")?);
/// assert_eq!(event.data(), "first\nsecond");
/// assert_eq!(
///     event.to_bytes(),
///     "event: greeting\nretry: 3000\nid: 42\ndata: first\ndata: second\n\n",
/// );
/// # Ok::<(), fanfare_wire::IdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Event {
    pub(crate) name: Option<EventName>,
    pub(crate) retry: Option<Duration>,
    pub(crate) id: Option<EventId>,
    pub(crate) data: ByteString,
}

impl Event {
    /// The type under which a client dispatches an event that has no name.
    pub const DEFAULT_NAME: &'static str = "message";

    /// An event with this data and nothing else.
    pub fn new(data: impl Into<ByteString>) -> Self {
        Self { data: with_lf_only(data.into()), ..Self::default() }
    }

    /// An event whose data is `value` as compact JSON, which is always one line.
    ///
    /// ```
    /// use fanfare_wire::Event;
    ///
    /// let event = Event::json(&[1, 2])?;
    /// assert_eq!(event.data(), "[1,2]");
    /// assert_eq!(event.parse_json::<Vec<u8>>()?, [1, 2]);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When `value`'s `Serialize` fails, or it is a map with keys that are not strings.
    #[cfg(feature = "serde")]
    pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self { data: serde_json::to_string(value)?.into(), ..Self::default() })
    }

    /// Reads the data as JSON.
    ///
    /// # Errors
    ///
    /// When the data is not JSON, or not of the shape of `T`.
    #[cfg(feature = "serde")]
    pub fn parse_json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.data)
    }

    /// The same event with this name.
    pub fn with_name(self, name: EventName) -> Self {
        Self { name: Some(name), ..self }
    }

    /// The same event with this id.
    pub fn with_id(self, id: EventId) -> Self {
        Self { id: Some(id), ..self }
    }

    /// The same event with this reconnection time: how long a client waits before it asks again.
    ///
    /// The wire has whole milliseconds: what is finer is cut off, and what is longer than
    /// `u64::MAX` of them becomes that.
    pub fn with_retry(self, retry: Duration) -> Self {
        let milliseconds = u64::try_from(retry.as_millis()).unwrap_or(u64::MAX);
        Self { retry: Some(Duration::from_millis(milliseconds)), ..self }
    }

    /// The name it was given, or [`DEFAULT_NAME`](Self::DEFAULT_NAME).
    pub fn name(&self) -> &str {
        self.name.as_ref().map_or(Self::DEFAULT_NAME, EventName::as_str)
    }

    /// The id. Of a decoded event: the id in force, also when an earlier event had set it.
    pub fn id(&self) -> Option<&EventId> {
        self.id.as_ref()
    }

    /// The reconnection time that this event carries.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The data, its lines separated by LF.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// The data, without a copy.
    pub fn into_data(self) -> ByteString {
        self.data
    }
}

impl From<ByteString> for Event {
    fn from(data: ByteString) -> Self {
        Self::new(data)
    }
}

impl From<String> for Event {
    fn from(data: String) -> Self {
        Self::new(data)
    }
}

impl From<&str> for Event {
    fn from(data: &str) -> Self {
        Self::new(data)
    }
}

impl From<Cow<'_, str>> for Event {
    fn from(data: Cow<'_, str>) -> Self {
        Self::new(data.into_owned())
    }
}

fn with_lf_only(data: ByteString) -> ByteString {
    match memchr(b'\r', data.as_bytes()) {
        None => data,
        Some(first) => replace_cr(&data, first).into(),
    }
}

fn replace_cr(data: &str, first: usize) -> String {
    let mut text = String::with_capacity(data.len());
    text.push_str(&data[..first]);
    let mut rest = &data[first..];
    while let Some(at) = memchr(b'\r', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        text.push('\n');
        let after = &rest[at + 1..];
        rest = after.strip_prefix('\n').unwrap_or(after);
    }
    text.push_str(rest);
    text
}
