//! What is wrong with a stream, and what to do about it.

use std::{
    fmt::{self, Display, Formatter},
    io,
};

use fanfare_client::{BoxError, Error};
use http::StatusCode;
use url::{Position, Url};

use crate::stderr;

/// An error of a stream, in words.
#[derive(Debug)]
pub(crate) struct Explained {
    chain: String,
    hint: Option<String>,
}

/// Knows what was asked for, and so what else could be.
#[derive(Debug)]
pub(super) struct Explainer {
    /// The host and port.
    server: String,
    may_be_more_resilient: bool,
}

impl Explainer {
    pub(super) fn new(url: &Url, may_be_more_resilient: bool) -> Self {
        let server = url[Position::BeforeHost..Position::AfterPort].to_owned();
        Self { server, may_be_more_resilient }
    }

    pub(super) fn explain(&self, error: &Error) -> Explained {
        // That it is not tried again, the end tells.
        let error = if let Error::NotRepeatable(reason) = error { reason } else { error };
        Explained { chain: stderr::chain(error), hint: self.hint(error) }
    }

    fn hint(&self, error: &Error) -> Option<String> {
        let hint = match error {
            Error::Connection(cause) if is_refused(cause) => {
                return Some(format!("is the server running at {}?", self.server));
            }
            Error::ContentType { .. } => "is this the address of an event stream?",
            Error::Status { status, .. } => self.hint_for(*status)?,
            _ => return None,
        };
        Some(hint.to_owned())
    }

    fn hint_for(&self, status: StatusCode) -> Option<&'static str> {
        Some(match status.as_u16() {
            401 | 403 => "--header 'Authorization: …' gives credentials",
            404 => "is the path right?",
            405 => "--method asks with another one",
            415 => "--header 'Content-Type: …' says what --data is",
            408 | 425 | 429 | 500.. if self.may_be_more_resilient => {
                "--policy resilient tries again"
            }
            _ => return None,
        })
    }
}

fn is_refused(error: &BoxError) -> bool {
    let mut cause = Some(&**error as &dyn std::error::Error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}

impl Display for Explained {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}
