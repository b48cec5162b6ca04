//! `fanfare log`: a log in a folder, without a hub.

mod export;
mod inspect;
mod pages;
mod progress;
mod verify;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, Subcommand};
use fanfare_hub::{
    Selector, TopicError,
    log::{self, AppendError, EmbeddedLog, Log, OpenError, Opened, ReadError},
};
use thiserror::Error;
use tokio::runtime;

use crate::{failure::Failure, stderr};

const MORE: &str = "\
The folder is that of `fanfare serve --data`, and no hub may be using it. A log
that was not closed is made whole first, as a hub does it; stderr tells of it.

Exit status:
    0  done; verify: nothing is wrong
    1  stdout failed, or the log cannot be opened or read
    2  wrong usage
    5  verify: something is wrong, which stderr tells

Examples:
  fanfare log inspect ./fanfare-data
  fanfare log verify ./fanfare-data
  fanfare log export ./fanfare-data --topic 'news/*' > news.ndjson
  fanfare pub http://localhost:8080/sse --json < news.ndjson";

/// Look at a log in a folder, check it, or export it
#[derive(Debug, Args)]
#[command(after_help = MORE, subcommand_value_name = "ACTION", subcommand_help_heading = "Actions")]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the log's epoch, what it holds, and its topics
    Inspect {
        /// The log's folder
        folder: PathBuf,
        /// Print it as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Read all events, and compare them with what the log says of its topics
    Verify {
        /// The log's folder
        folder: PathBuf,
    },
    /// Print all events as JSON, one a line: {"topic":…,"event":…,"retry":…,"data":…}
    ///
    /// `fanfare pub URL --json` publishes them again, except with --ids. That a topic has ended is not
    /// exported: `log inspect` tells it.
    Export {
        /// The log's folder
        folder: PathBuf,
        /// Export this topic, or these, such as news/* [default: all]
        #[arg(long, value_name = "PATTERN", value_parser = selector)]
        topic: Vec<Selector>,
        /// Begin each line with the event's id and time: "id":…, and "time":… in milliseconds since 1970
        #[arg(long)]
        ids: bool,
    },
}

/// Why a log is not looked at.
#[derive(Debug, Error)]
pub(crate) enum LogError {
    #[error("there is no log in {}", .0.display())]
    Absent(PathBuf),
    #[error("{0}: stop it first")]
    InUse(OpenError),
    #[error("the log cannot be opened")]
    Open(#[source] OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the log could not be closed in good order")]
    Close(#[from] AppendError),
    #[error("the log is damaged, things that are wrong: {0}")]
    Damaged(usize),
}

impl LogError {
    pub(crate) fn status(&self) -> u8 {
        if matches!(self, Self::Damaged(_)) { 5 } else { 1 }
    }
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.map_err(Failure::Begin)?.block_on(act(&options.action))
}

async fn act(action: &Action) -> Result<(), Failure> {
    let (log, opened) = open(action.folder())?;
    let outcome = match action {
        Action::Inspect { json, .. } => inspect::print(&*log, *json).await,
        Action::Verify { .. } => verify::verify(&*log, opened.events).await,
        Action::Export { topic, ids, .. } => export::print(&*log, opened.events, topic, *ids).await,
    };
    let closed = log.close().await;
    outcome?;
    Ok(closed.map_err(LogError::Close)?)
}

impl Action {
    fn folder(&self) -> &Path {
        match self {
            Self::Inspect { folder, .. }
            | Self::Verify { folder }
            | Self::Export { folder, .. } => folder,
        }
    }
}

fn open(folder: &Path) -> Result<(Arc<dyn Log>, Opened), LogError> {
    // Opening it would make one.
    if !folder.join("log").is_dir() {
        return Err(LogError::Absent(folder.to_owned()));
    }
    let options = log::Options { max_topics: usize::MAX, ..log::Options::default() };
    let opened = EmbeddedLog::open(folder, fastrand::u64(..), options);
    let (log, opened) = opened.map_err(|error| match error {
        error @ OpenError::InUse { .. } => LogError::InUse(error),
        error => LogError::Open(error),
    })?;
    if opened.was_open || opened.was_unfinished {
        stderr::say(&opened);
    }
    Ok((Arc::new(log), opened))
}

fn selector(text: &str) -> Result<Selector, TopicError> {
    Selector::new(text)
}
