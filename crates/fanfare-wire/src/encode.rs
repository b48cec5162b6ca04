//! From events and comments to bytes.

use core::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use memchr::{memchr_iter, memchr2};

use crate::{Event, EventId};

impl Event {
    /// Appends the event's bytes: `event`, `retry` and `id` where it has them, one `data` line for
    /// each line of its data, and the empty line that dispatches it.
    ///
    /// # Panics
    ///
    /// As `buffer` does when it is of a fixed size and full; `Vec` and `BytesMut` grow. The number
    /// of bytes is known before: [`encoded_len`](Self::encoded_len).
    pub fn encode(&self, buffer: &mut impl BufMut) {
        if let Some(name) = &self.name {
            put_field(buffer, b"event: ", name.as_str().as_bytes());
        }
        if let Some(retry) = self.retry {
            put_retry(buffer, retry);
        }
        if let Some(id) = &self.id {
            put_field(buffer, b"id: ", id.as_str().as_bytes());
        }
        self.encode_data(buffer);
        buffer.put_slice(b"\n");
    }

    fn encode_data(&self, buffer: &mut impl BufMut) {
        let data = self.data.as_bytes();
        let mut start = 0;
        for end in memchr_iter(b'\n', data) {
            // The line end of the data is that of the field.
            buffer.put_slice(b"data: ");
            buffer.put_slice(&data[start..=end]);
            start = end + 1;
        }
        put_field(buffer, b"data: ", &data[start..]);
    }

    /// How many bytes [`encode`](Self::encode) appends.
    pub fn encoded_len(&self) -> usize {
        let field = |prefix: &str, value: usize| prefix.len() + value + 1;
        let name = self.name.as_ref().map_or(0, |name| field("event: ", name.as_str().len()));
        let retry =
            self.retry.map_or(0, |retry| field("retry: ", decimal_len(milliseconds(retry))));
        let id = self.id.as_ref().map_or(0, |id| field("id: ", id.as_str().len()));
        let line_ends = memchr_iter(b'\n', self.data.as_bytes()).count();
        // Each line end of the data is there on the wire too, before one more prefix.
        let data = field("data: ", self.data.len()) + line_ends * "data: ".len();
        name + retry + id + data + 1
    }

    /// The event's bytes in a buffer of their own size.
    pub fn to_bytes(&self) -> Bytes {
        let mut buffer = BytesMut::with_capacity(self.encoded_len());
        self.encode(&mut buffer);
        buffer.freeze()
    }
}

/// Appends a comment, which clients ignore: `:` and the text, then an empty line. A text of
/// several lines gives as many comment lines, so it cannot end early and become a field.
///
/// ```
/// let mut wire = Vec::new();
/// fanfare_wire::encode_comment("ok", &mut wire);
/// fanfare_wire::encode_comment("a\ndata: b", &mut wire);
/// assert_eq!(wire, b":ok\n\n:a\n:data: b\n\n");
/// ```
///
/// # Panics
///
/// As `buffer` does when it is of a fixed size and full; `Vec` and `BytesMut` grow.
pub fn encode_comment(text: &str, buffer: &mut impl BufMut) {
    let mut rest = text.as_bytes();
    while let Some(end) = memchr2(b'\n', b'\r', rest) {
        put_field(buffer, b":", &rest[..end]);
        let length = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[end + length..];
    }
    put_field(buffer, b":", rest);
    buffer.put_slice(b"\n");
}

/// Appends an id alone: a block that dispatches nothing, but from which the client resumes.
///
/// ```
/// use fanfare_wire::{EventId, encode_id};
///
/// let mut wire = Vec::new();
/// encode_id(&EventId::from_static("7"), &mut wire);
/// assert_eq!(wire, b"id: 7\n\n");
/// ```
///
/// # Panics
///
/// As `buffer` does when it is of a fixed size and full; `Vec` and `BytesMut` grow.
pub fn encode_id(id: &EventId, buffer: &mut impl BufMut) {
    put_field(buffer, b"id: ", id.as_str().as_bytes());
    buffer.put_slice(b"\n");
}

/// Appends a reconnection time alone: a block that dispatches nothing. Whole milliseconds, as
/// [`Event::with_retry`] says.
///
/// ```
/// use std::time::Duration;
///
/// let mut wire = Vec::new();
/// fanfare_wire::encode_retry(Duration::from_secs(3), &mut wire);
/// assert_eq!(wire, b"retry: 3000\n\n");
/// ```
///
/// # Panics
///
/// As `buffer` does when it is of a fixed size and full; `Vec` and `BytesMut` grow.
pub fn encode_retry(retry: Duration, buffer: &mut impl BufMut) {
    put_retry(buffer, retry);
    buffer.put_slice(b"\n");
}

fn put_retry(buffer: &mut impl BufMut, retry: Duration) {
    let mut digits = itoa::Buffer::new();
    put_field(buffer, b"retry: ", digits.format(milliseconds(retry)).as_bytes());
}

fn put_field(buffer: &mut impl BufMut, prefix: &[u8], value: &[u8]) {
    buffer.put_slice(prefix);
    buffer.put_slice(value);
    buffer.put_slice(b"\n");
}

/// Finer times are cut off; longer ones than the number holds become its maximum.
fn milliseconds(retry: Duration) -> u64 {
    u64::try_from(retry.as_millis()).unwrap_or(u64::MAX)
}

fn decimal_len(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |power| power as usize + 1)
}
