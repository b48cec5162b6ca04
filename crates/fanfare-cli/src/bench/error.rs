//! Why nothing could be measured, and what to do about it.

use std::{io, net::SocketAddr, time::Duration};

use http::StatusCode;
use thiserror::Error;

use super::http::Malformed;

#[derive(Debug, Error)]
pub(crate) enum BenchError {
    #[error("{0} is no address")]
    Address(String),
    #[error("the host {host} is not known")]
    Host { host: String, source: io::Error },
    #[error("the server cannot be reached at {address}: is it running?")]
    Unreachable { address: SocketAddr, source: io::Error },
    #[error(
        "no connection can come from there: is each address of --source one of this machine's? (if it is, no ports are left of it: wait a minute until those of an earlier run are free)"
    )]
    Source { source: io::Error },
    #[error(
        "no ports are left for more than {connected} connections: give more addresses that they can come from, such as --source 127.0.0.0/24, or wait a minute until those of an earlier run are free"
    )]
    Ports { connected: usize },
    #[error(
        "{connected} connections are as many as this process may have: `ulimit -n` raises that"
    )]
    Files { connected: usize },
    #[error("{request} was refused: {status}{}{}", beginning(.body), hint(*.status))]
    Refused { request: String, status: StatusCode, body: String },
    #[error(
        "{request} was answered with {}, which is no event stream: is the address right?",
        .content_type.as_deref().unwrap_or("no content type")
    )]
    NoStream { request: String, content_type: Option<String> },
    #[error("{request} was answered with what cannot be read: {why}")]
    Malformed { request: String, why: Malformed },
    #[error(
        "the connection was lost before {request} was answered ({connected} were): has the server a limit?"
    )]
    Closed { request: String, connected: usize, source: io::Error },
    #[error(
        "{connected} of {all} subscriptions were answered, and none for {}: does the server hang, or has it a limit?",
        humantime::format_duration(*.patience)
    )]
    Silent { connected: usize, all: usize, patience: Duration },
    #[error("{request} was not answered, {published} events before it were")]
    Publish { request: String, published: u64, source: io::Error },
    #[error("there is no process {pid} whose figures could be read")]
    Process { pid: u32, source: io::Error },
    #[error("the network cannot be waited for")]
    Poll(#[source] io::Error),
    #[error("not every subscriber was given every event once and in order")]
    Wrong,
}

impl BenchError {
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Source { .. }
            | Self::Ports { .. }
            | Self::Files { .. }
            | Self::Process { .. }
            | Self::Poll(_) => 1,
            Self::Address(_) => 2,
            Self::Refused { .. } | Self::NoStream { .. } | Self::Malformed { .. } => 3,
            Self::Host { .. }
            | Self::Unreachable { .. }
            | Self::Closed { .. }
            | Self::Silent { .. }
            | Self::Publish { .. } => 4,
            Self::Wrong => 5,
        }
    }

    /// Of a connection that could not be made.
    pub(super) fn of_connect(address: SocketAddr, connected: usize, source: io::Error) -> Self {
        use rustix::io::Errno;

        match source.raw_os_error().map(Errno::from_raw_os_error) {
            // Were it for ports, some would have been left for the first ones, as a rule.
            Some(Errno::ADDRNOTAVAIL) if connected == 0 => Self::Source { source },
            Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE) => Self::Ports { connected },
            Some(Errno::MFILE | Errno::NFILE) => Self::Files { connected },
            _ => Self::Unreachable { address, source },
        }
    }
}

fn beginning(body: &str) -> String {
    if body.is_empty() { String::new() } else { format!(": {body}") }
}

fn hint(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 | 403 => " (--header and --publish-header give credentials)",
        404 | 405 => " (are the path and the method right?)",
        413 => " (--payload makes it smaller)",
        415 | 422 => {
            " (--publish-header 'Content-Type: …' and --publish-body give it another form)"
        }
        429 | 503 => " (has the server a limit?)",
        _ => "",
    }
}
