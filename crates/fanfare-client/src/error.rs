//! What can go wrong with an event stream.

use std::{error, time::Duration};

use fanfare_wire::EventTooLarge;
use http::StatusCode;
use thiserror::Error;

/// Any error of a transport.
pub type BoxError = Box<dyn error::Error + Send + Sync>;

/// Why there is no event stream, or no more of it.
///
/// As an item of an [`EventSource`](crate::EventSource) it is the end, unless
/// [`is_final`](Self::is_final) says otherwise; as the reason of a reconnection it is news.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection could not be made, or broke.
    #[error("the connection failed")]
    Connection(#[source] BoxError),
    /// The event stream came to its end, as streams do when a server is restarted.
    #[error("the event stream ended")]
    Ended,
    /// No byte came for as long as the idle timeout allows.
    #[error("nothing came for {0:?}")]
    Idle(Duration),
    /// No answer came for as long as the connect timeout allows.
    #[error("no answer came within {0:?}")]
    ConnectTimeout(Duration),
    /// The answer has another status than 200.
    #[error("the server answered {status}")]
    Status {
        /// What it is. 204 is how a server tells an event source to stop.
        status: StatusCode,
        /// How long the server asks to wait (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// The answer is no event stream.
    #[error("the answer is no event stream: its content-type is {}, not text/event-stream", found.as_deref().unwrap_or("missing"))]
    ContentType {
        /// What it is instead, if anything.
        found: Option<String>,
    },
    /// The answer is compressed in a way that the transport does not know.
    #[error("cannot decompress the answer: its content-encoding is {found}")]
    ContentEncoding {
        /// Which way.
        found: String,
    },
    /// A redirect cannot be followed.
    #[error("cannot follow a redirect")]
    Redirect(#[from] RedirectError),
    /// An event is larger than the limit and was left out. The stream goes on.
    #[error(transparent)]
    TooLarge(#[from] EventTooLarge),
    /// The request must not be sent a second time, and the stream was lost.
    #[error("the stream was lost, and its request may not be sent again")]
    NotRepeatable(#[source] Box<Error>),
    /// The policy allows no further try.
    #[error("gave up after {failures} failure{} in a row", if *failures == 1 { "" } else { "s" })]
    GaveUp {
        /// How many.
        failures: u32,
        /// The newest of them.
        #[source]
        last: Box<Error>,
    },
    /// The last event id holds a control character, which no header can carry: asking without it
    /// would lose events.
    #[error("the last event id {id:?} cannot be sent in a header")]
    UnsendableId {
        /// The id.
        id: String,
    },
}

/// Why a redirect cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RedirectError {
    /// There is no `Location`, or an empty one.
    #[error("the answer {0} names no location")]
    NoLocation(StatusCode),
    /// The `Location` is no URL to which a request could go.
    #[error("the location {location:?} is no http or https URL")]
    BadLocation {
        /// What it says.
        location: String,
    },
    /// There were as many redirects in a row as the limit allows.
    #[error("more than {0} redirects in a row")]
    TooMany(u32),
}

impl Error {
    /// Whether an event source that gives this error has ended with it.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::TooLarge(_))
    }

    /// Whether the connection is to blame, or its end, and not what the server answered. These are
    /// the losses after which the standard asks again.
    pub fn is_network(&self) -> bool {
        matches!(self, Self::Connection(_) | Self::Ended | Self::Idle(_) | Self::ConnectTimeout(_))
    }

    /// The status of the answer, when that is the error.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::NotRepeatable(error) | Self::GaveUp { last: error, .. } => error.status(),
            _ => None,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
