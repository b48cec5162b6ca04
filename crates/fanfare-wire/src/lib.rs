//! The wire format of [server-sent events][standard] (`text/event-stream`).
//!
//! - [`Event`] is what an application sends and what an `EventSource` dispatches. Its parts are
//!   checked when they are built ([`EventName`], [`EventId`]), so no value can inject a field.
//! - [`Event::encode`] writes the bytes of one event into any buffer; [`encode_comment`] those of
//!   a comment.
//! - [`Decoder`] turns bytes, cut into chunks anywhere, into [`Item`]s.
//!
//! The crate does no I/O, has no clock, and needs `alloc` but not `std`. No input makes it panic,
//! and its work is linear in the input. It does not reconnect: that is a client's task.
//!
//! ```
//! use bytes::Bytes;
//! use fanfare_wire::{Decoder, Event, EventName, Item};
//!
//! const TICK: EventName = EventName::from_static("tick");
//!
//! let event = Event::new("one\ntwo").with_name(TICK);
//! let mut wire = event.to_bytes();
//! assert_eq!(wire, "event: tick\ndata: one\ndata: two\n\n");
//!
//! let mut decoder = Decoder::new();
//! assert_eq!(decoder.decode(&mut wire), Ok(Some(Item::Event(event))));
//! assert_eq!(decoder.decode(&mut wire), Ok(None)); // wants more bytes
//! ```
//!
//! # Features
//!
//! - `std` (default): picks vectorised search at run time.
//! - `serde`: JSON in and out of an event's data ([`Event::json`], [`Event::parse_json`]).
//!
//! [standard]: https://html.spec.whatwg.org/multipage/server-sent-events.html

#![no_std]

extern crate alloc;

mod decode;
mod encode;
mod event;
mod field;

pub use bytestring::ByteString;
pub use decode::{DEFAULT_MAX_EVENT_BYTES, Decoder, EventTooLarge, Item};
pub use encode::{encode_comment, encode_id, encode_retry};
pub use event::Event;
pub use field::{EventId, EventName, IdError, NameError};

/// The media type of an event stream.
///
/// Standard: [9.2.8 IANA considerations](https://html.spec.whatwg.org/multipage/iana.html#text/event-stream).
pub const MEDIA_TYPE: &str = "text/event-stream";
