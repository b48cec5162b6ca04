//! `fanfare pub`: publishes to a topic of a hub.

mod batches;
mod input;
mod options;
mod sender;

use std::io;

use bytes::Bytes;
use fanfare_client::BoxError;
use http::StatusCode;
use thiserror::Error;
use tokio::runtime;

pub(crate) use options::Options;

use crate::failure::Failure;
use options::Mode;
use sender::Sender;

/// Why something was not published.
#[derive(Debug, Error)]
pub(crate) enum PublishError {
    #[error("the hub refused: {status}{}", detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default())]
    Refused { status: StatusCode, detail: Option<String> },
    #[error("no answer from the hub, so that it is unknown whether all was published")]
    NoAnswer(#[source] BoxError),
    #[error("the hub cannot be reached at {server}")]
    Unreachable { server: String, source: BoxError },
    #[error(
        "the answer is not that of a hub: is the address that of a topic, such as http://localhost:8080/sse/news?"
    )]
    Foreign,
    #[error("HTTP requests are not possible")]
    Client(#[source] BoxError),
    #[error("line {number} is longer than {most} bytes")]
    LongLine { number: u64, most: usize },
    #[error("cannot read stdin")]
    Stdin(#[source] io::Error),
}

impl PublishError {
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Client(_) | Self::LongLine { .. } | Self::Stdin(_) => 1,
            Self::Refused { .. } | Self::Foreign => 3,
            Self::NoAnswer(_) | Self::Unreachable { .. } => 4,
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let sender = Sender::new(options)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::Begin)?;
    let outcome = runtime.block_on(publish(options, &sender));
    // Stdin may have more that nobody wants.
    runtime.shutdown_background();
    outcome
}

async fn publish(options: &Options, sender: &Sender) -> Result<(), Failure> {
    match options.mode() {
        Mode::One(data) => sender.publish_one(data).await,
        Mode::Stdin => sender.publish_one(input::whole().map_err(Failure::Stdin)?).await,
        Mode::Lines => batches::publish(sender, options.line()).await,
        Mode::Stream => sender.publish_stream(input::chunks().map_err(Failure::Begin)?).await,
        Mode::End => sender.end().await,
    }
}

/// What is read of stdin, as it comes.
type Chunks = tokio::sync::mpsc::Receiver<io::Result<Bytes>>;
