//! How a verb ends that has not done all that it was asked for.

use std::{io, path::PathBuf, process::ExitCode};

use fanfare_client::BuildError;
use thiserror::Error;

use crate::{
    bench::BenchError, config, log::LogError, publish::PublishError, serve::ServeError,
    signals::Signal, stderr, sub::Explained, token::TokenError,
};

#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("cannot write to stdout")]
    Stdout(#[source] io::Error),
    #[error("cannot read stdin")]
    Stdin(#[source] io::Error),
    #[error("cannot {action} {}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is no file that could be replaced", path.display())]
    NoFile { path: PathBuf },
    #[error("{} holds no event id: {why}; remove it to begin afresh", path.display())]
    NoId { path: PathBuf, why: String },
    #[error("cannot begin")]
    Begin(#[source] io::Error),
    #[error("{0}")]
    Usage(clap::Error),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("{0}")]
    Refused(Explained),
    #[error("{0}")]
    Lost(Explained),
    #[error("events left out because of their size: {0}")]
    LeftOut(u64),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Bench(#[from] BenchError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("{0}")]
    Settings(config::Wrong),
    #[error("ended by a signal")]
    Signal(Signal),
}

impl Failure {
    /// The help texts of the verbs list them.
    fn status(&self) -> u8 {
        match self {
            Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Stdout(_)
            | Self::Stdin(_)
            | Self::File { .. }
            | Self::NoFile { .. }
            | Self::NoId { .. }
            | Self::Begin(_)
            | Self::Token(_)
            | Self::Build(BuildError::Transport(_)) => 1,
            Self::Serve(error) => error.status(),
            Self::Publish(error) => error.status(),
            Self::Bench(error) => error.status(),
            Self::Log(error) => error.status(),
            Self::Usage(_) | Self::Settings(_) | Self::Build(_) => 2,
            Self::Refused(_) => 3,
            Self::Lost(_) => 4,
            Self::LeftOut(_) => 5,
            Self::Signal(signal) => signal.status(),
        }
    }

    /// Says what has happened, unless whoever caused it knows.
    pub(crate) fn report(self) -> ExitCode {
        match &self {
            Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Self::Usage(error) => {
                let _ = error.print();
            }
            Self::Signal(signal) => signal.tidy(),
            Self::Settings(config::Wrong(wrong)) => wrong.iter().for_each(stderr::say),
            failure => stderr::say(stderr::chain(failure)),
        }
        self.status().into()
    }
}

impl From<config::Wrong> for Failure {
    fn from(wrong: config::Wrong) -> Self {
        Self::Settings(wrong)
    }
}
