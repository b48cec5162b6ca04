//! The field values that have a forbidden form: an event's name and its id.

use alloc::string::String;
use core::{borrow::Borrow, fmt};

use bytestring::ByteString;
use thiserror::Error;

/// The type of an event, to which an `EventSource` listens with `addEventListener(name, …)`.
///
/// Any text without CR and LF that is not empty: a line end would start a new field, and the
/// standard reads an empty `event` field as no field at all.
///
/// ```
/// use fanfare_wire::{EventName, NameError};
///
/// const TICK: EventName = EventName::from_static("tick");
/// assert_eq!(EventName::new("tick"), Ok(TICK));
/// assert_eq!(EventName::new("a\ndata: injected"), Err(NameError::LineEnd { at: 1 }));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventName(ByteString);

/// Why a text cannot be an [`EventName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    /// The text is empty. Leave the name out for an event of type `message`.
    #[error("an event name cannot be empty: leave it out to send a `message`")]
    Empty,
    /// The text holds a CR or LF.
    #[error("an event name cannot hold a line end (found at byte {at})")]
    LineEnd {
        /// The index of the first such byte.
        at: usize,
    },
}

impl EventName {
    /// Checks `name` and makes it an event name. A `String` is taken over without a copy.
    ///
    /// # Errors
    ///
    /// [`NameError`] says which rule `name` breaks.
    pub fn new(name: impl Into<ByteString>) -> Result<Self, NameError> {
        let name = name.into();
        match check_name(&name) {
            Ok(()) => Ok(Self(name)),
            Err(error) => Err(error),
        }
    }

    /// Makes a literal an event name; in a `const`, a bad one does not compile.
    ///
    /// # Panics
    ///
    /// If `name` is empty or holds a CR or LF. Use [`EventName::new`] for anything but literals.
    #[track_caller]
    pub const fn from_static(name: &'static str) -> Self {
        assert!(check_name(name).is_ok(), "an event name is not empty and holds no line end");
        Self(ByteString::from_static(name))
    }

    /// Takes what a decoder has read: one line's value, known not to be empty.
    pub(crate) fn from_line(name: ByteString) -> Self {
        debug_assert!(check_name(&name).is_ok());
        Self(name)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    match find_any(name, b"\n\r") {
        Some(at) => Err(NameError::LineEnd { at }),
        None => Ok(()),
    }
}

/// The id of an event, which a client sends back as `Last-Event-ID` when it reconnects.
///
/// Any text without CR, LF and NUL; the standard ignores an `id` field that holds a NUL. The empty
/// id resets the client's last event id. Keep ids that browsers send across origins to at most 128
/// bytes of `0-9 A-Z a-z` and ` *,-.;=`: other values cost a CORS preflight at each reconnection.
///
/// ```
/// use fanfare_wire::{EventId, IdError};
///
/// assert_eq!(EventId::new("42")?.as_str(), "42");
/// assert_eq!(EventId::new("4\02"), Err(IdError::Nul { at: 1 }));
/// # Ok::<(), IdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventId(ByteString);

/// Why a text cannot be an [`EventId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdError {
    /// The text holds a CR or LF.
    #[error("an event id cannot hold a line end (found at byte {at})")]
    LineEnd {
        /// The index of the first such byte.
        at: usize,
    },
    /// The text holds a NUL, which makes clients ignore the id.
    #[error("an event id cannot hold a NUL (found at byte {at})")]
    Nul {
        /// The index of the first such byte.
        at: usize,
    },
}

impl EventId {
    /// Checks `id` and makes it an event id. A `String` is taken over without a copy.
    ///
    /// # Errors
    ///
    /// [`IdError`] says which rule `id` breaks.
    pub fn new(id: impl Into<ByteString>) -> Result<Self, IdError> {
        let id = id.into();
        match check_id(&id) {
            Ok(()) => Ok(Self(id)),
            Err(error) => Err(error),
        }
    }

    /// Makes a literal an event id; in a `const`, a bad one does not compile.
    ///
    /// # Panics
    ///
    /// If `id` holds a CR, LF or NUL. Use [`EventId::new`] for anything but literals.
    #[track_caller]
    pub const fn from_static(id: &'static str) -> Self {
        assert!(check_id(id).is_ok(), "an event id holds no line end and no NUL");
        Self(ByteString::from_static(id))
    }

    /// The same id in memory of its own. An id that a decoder gave is a view of its chunk, and keeps
    /// all of it: whoever keeps ids for long keeps this.
    ///
    /// ```
    /// # use fanfare_wire::EventId;
    /// let id = EventId::from_static("42");
    /// assert_eq!(id.to_compact(), id);
    /// ```
    pub fn to_compact(&self) -> Self {
        Self(self.as_str().into())
    }

    /// Takes what a decoder has read: one line's value, known to hold no NUL.
    pub(crate) fn from_line(id: ByteString) -> Self {
        debug_assert!(check_id(&id).is_ok());
        Self(id)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn check_id(id: &str) -> Result<(), IdError> {
    match find_any(id, b"\n\r\0") {
        Some(at) if id.as_bytes()[at] == 0 => Err(IdError::Nul { at }),
        Some(at) => Err(IdError::LineEnd { at }),
        None => Ok(()),
    }
}

/// Const evaluation has neither iterators nor memchr; names and ids are short.
const fn find_any(text: &str, needles: &[u8]) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let mut needle = 0;
        while needle < needles.len() {
            if bytes[at] == needles[needle] {
                return Some(at);
            }
            needle += 1;
        }
        at += 1;
    }
    None
}

macro_rules! text_impls {
    ($type:ident, $error:ident) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        /// Hashes, compares and orders as its text does.
        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl From<$type> for ByteString {
            fn from(value: $type) -> Self {
                value.0
            }
        }

        impl TryFrom<&str> for $type {
            type Error = $error;

            fn try_from(text: &str) -> Result<Self, $error> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                Self::new(text)
            }
        }

        impl PartialEq<str> for $type {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $type {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }
    };
}

text_impls!(EventName, NameError);
text_impls!(EventId, IdError);
