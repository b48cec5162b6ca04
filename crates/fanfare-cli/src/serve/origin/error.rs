//! Why the origin's log is not known.

use std::{io, time::Duration};

use fanfare_client::{BoxError, BuildError};
use http::StatusCode;
use thiserror::Error;

#[derive(Debug, Error)]
pub(crate) enum OriginError {
    #[error("there is no answer within {0:?}")]
    Late(Duration),
    #[error("it cannot be asked")]
    Unasked(#[source] BoxError),
    #[error("the token in {path} cannot be read")]
    Token { path: String, source: io::Error },
    #[error("it cannot be reached")]
    Unreached(#[source] reqwest::Error),
    #[error("it answers {status}{advice}: {detail}", advice = advice(*.status))]
    Refused { status: StatusCode, detail: String },
    #[error("the stream of what is followed is refused")]
    Stream(#[source] fanfare_client::Error),
    #[error(
        "what it answers is not what a hub says of its log: is that the address of a hub, and of this version?"
    )]
    Foreign,
    #[error("the log of the origin has lost events that it had, or is another one")]
    Replaced,
}

impl From<BuildError> for OriginError {
    fn from(error: BuildError) -> Self {
        Self::Unasked(error.into())
    }
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            " (name a file with a token that may subscribe in `log.token_file`)"
        }
        StatusCode::NOT_FOUND => " (is that the address of a hub?)",
        _ => "",
    }
}
