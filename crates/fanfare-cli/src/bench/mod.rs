//! `fanfare bench`: loads a server with subscribers and events, and measures it.
//!
//! One thread reads all subscribers; each publisher is a thread of its own, so that a burst of
//! deliveries does not make the next event late.

// From the command line to requests.
mod error;
mod options;
mod sources;
mod target;

// What an event carries, and when.
mod clock;
mod payload;

// From the bytes of an answer to events.
mod coded;
mod events;
mod http;

// Who subscribes and who publishes.
mod flood;
mod publisher;
mod stream;
mod subscribers;

// What came of it.
mod check;
mod latency;
mod process;
mod report;
mod run;
mod tally;

pub(crate) use error::BenchError;
pub(crate) use options::Options;

use crate::{descriptors, failure::Failure, output};
use check::Wrong;

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    options.check()?;
    descriptors::raise_limit();
    if options.measure_itself {
        let limits = flood::measure(options)?;
        let text = if options.json { limits.to_json() } else { limits.to_string() };
        return output::print(text.as_bytes());
    }
    let report = run::run(options)?;
    let text = if options.json { report.to_json() } else { report.to_string() };
    output::print(text.as_bytes())?;
    let is_right = report.wrong.as_ref().is_none_or(Wrong::is_nothing);
    if is_right { Ok(()) } else { Err(BenchError::Wrong.into()) }
}
