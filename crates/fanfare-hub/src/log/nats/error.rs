use std::time::Duration;

use async_nats::{
    ConnectError, ConnectErrorKind,
    jetstream::{
        Error as Refusal, ErrorCode,
        context::{
            CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind,
            PublishError, PublishErrorKind, RequestError,
        },
        stream::{DeleteMessageError, DeleteMessageErrorKind, PurgeError},
    },
};
use thiserror::Error;

use crate::log::{AppendError, BoxError, ReadError};

/// Why NATS cannot be used, or not now.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NatsError {
    /// The address is none.
    #[error("this is no address of NATS, such as nats://127.0.0.1:4222")]
    Address(#[source] BoxError),
    /// No connection can be made.
    #[error("NATS cannot be reached")]
    Connect(#[source] ConnectError),
    /// The server does not know whoever asks.
    #[error(
        "NATS refuses the credentials: they are those of nats://USER:PASSWORD@HOST or nats://TOKEN@HOST"
    )]
    Unauthorized(#[source] ConnectError),
    /// The server has no `JetStream`.
    #[error(
        "JetStream is not enabled: start nats-server with -js, or enable it in its configuration"
    )]
    NoJetStream,
    /// There is a stream of this name which is set up in another way.
    #[error("the stream {stream} does not fit: {what}; delete it, or give the log another name")]
    Unfit {
        /// Its name.
        stream: String,
        /// What is wrong with it.
        what: String,
    },
    /// Another stream has the subjects of this log.
    #[error("another stream takes some of {subjects}: delete it, or give the log another name")]
    Taken {
        /// What this log needs.
        subjects: String,
    },
    /// NATS has not answered in time.
    #[error(
        "NATS has not answered within {} ms: a cluster may have no leader at the moment, or the user not be allowed \
         to use $JS.API.>",
        .0.as_millis()
    )]
    Late(Duration),
    /// NATS has refused what was asked.
    #[error("NATS does not answer as it should")]
    Nats(#[source] BoxError),
    /// The connection is lost, and not there again yet.
    #[error("NATS is away")]
    Away,
    /// It would be one hub too many.
    #[error("too many hubs share the log already: what this one tells the others does not count")]
    Crowded,
    /// There is a newer message than its sender knew of.
    #[error("another hub was faster")]
    Conflict,
    /// The message is larger than the server takes.
    #[error("a batch of {size} bytes is more than the {most} that NATS takes (its max_payload)")]
    TooLarge {
        /// Of the message, in bytes.
        size: usize,
        /// What the server takes, in bytes.
        most: usize,
    },
    /// What is said of the events and topics of a batch is more than NATS takes beside the data.
    #[error(
        "a batch of so many events or topics needs {size} bytes of headers, more than the {most} that NATS takes: \
         publish it in several"
    )]
    TooMany {
        /// Of the headers, in bytes.
        size: usize,
        /// What the server takes, in bytes.
        most: usize,
    },
    /// The stream holds what it may.
    #[error(
        "the stream holds the {most} bytes that it may (log.max_stored): raise that, keep less, or DELETE topics"
    )]
    Full {
        /// What it may, in bytes.
        most: u64,
    },
    /// The stream has not even room for what hubs append in the same moment.
    #[error(
        "the stream holds more than it may (log.max_stored): raise that, keep less, or DELETE topics"
    )]
    StreamFull(#[source] BoxError),
    /// The server or the account has no room, for what is dropped to be said neither.
    #[error(
        "nats-server has no room left, and nothing can be dropped without: raise its max_file_store (with log.storage \
         = \"memory\" max_memory_store) or what the account may store, and have log.max_stored be less"
    )]
    ServerFull(#[source] BoxError),
    /// The log is another one than it was, or has lost events that it had.
    #[error("the log in NATS is not the one that it was: events that were acknowledged are gone")]
    Replaced,
    /// The log was closed here.
    #[error("it has been closed")]
    Closed,
}

impl From<ConnectError> for NatsError {
    fn from(error: ConnectError) -> Self {
        match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                Self::Unauthorized(error)
            }
            _ => Self::Connect(error),
        }
    }
}

impl From<PublishError> for NatsError {
    fn from(error: PublishError) -> Self {
        match error.kind() {
            PublishErrorKind::WrongLastSequence => Self::Conflict,
            _ => match refusal(&error) {
                Some(refused) if is_limit(refused) => Self::StreamFull(error.into()),
                Some(refused) if is_full(refused) => Self::ServerFull(error.into()),
                _ => Self::Nats(error.into()),
            },
        }
    }
}

/// Codes of a server that stores no more.
const FULL: [ErrorCode; 5] = [
    ErrorCode::INSUFFICIENT_RESOURCES,
    ErrorCode::MEMORY_RESOURCES_EXCEEDED,
    ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
    ErrorCode::STORAGE_RESOURCES_EXCEEDED,
    ErrorCode::STREAM_STORE_FAILED,
];

fn refusal(error: &PublishError) -> Option<&Refusal> {
    std::error::Error::source(error)?.downcast_ref()
}

/// Whether it is the stream's own limit, and not the server's.
fn is_limit(refused: &Refusal) -> bool {
    refused.error_code() == ErrorCode::STREAM_STORE_FAILED
        && refused.to_string().contains("maximum bytes exceeded")
}

fn is_full(refused: &Refusal) -> bool {
    FULL.contains(&refused.error_code())
}

impl From<RequestError> for NatsError {
    fn from(error: RequestError) -> Self {
        Self::Nats(error.into())
    }
}

impl From<GetStreamError> for NatsError {
    fn from(error: GetStreamError) -> Self {
        match error.kind() {
            GetStreamErrorKind::JetStream(refused)
                if refused.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Self::Replaced
            }
            _ => Self::Nats(error.into()),
        }
    }
}

impl From<CreateStreamError> for NatsError {
    fn from(error: CreateStreamError) -> Self {
        match error.kind() {
            CreateStreamErrorKind::JetStreamUnavailable => Self::NoJetStream,
            CreateStreamErrorKind::JetStream(refused) if is_full(&refused) => {
                Self::ServerFull(error.into())
            }
            _ => Self::Nats(error.into()),
        }
    }
}

impl From<PurgeError> for NatsError {
    fn from(error: PurgeError) -> Self {
        Self::Nats(error.into())
    }
}

/// That a message is gone already is as good.
pub(super) fn deleted(outcome: Result<bool, DeleteMessageError>) -> Result<(), NatsError> {
    match outcome {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), DeleteMessageErrorKind::JetStream(_)) => Ok(()),
        Err(error) => Err(NatsError::Nats(error.into())),
    }
}

pub(super) fn refused(error: NatsError) -> AppendError {
    match error {
        NatsError::Full { .. } | NatsError::StreamFull(_) | NatsError::ServerFull(_) => {
            AppendError::Full(error.into())
        }
        NatsError::TooLarge { .. } | NatsError::TooMany { .. } => {
            AppendError::TooLarge(error.into())
        }
        _ => AppendError::Unavailable(error.into()),
    }
}

pub(super) fn unreadable(error: NatsError) -> ReadError {
    ReadError(error.into())
}
