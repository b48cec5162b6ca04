//! The command `fanfare`: server-sent events at a terminal.
//!
//! Each verb is a module with its `Options` and a `run`. A new one is a line in `cli.rs` and one
//! below.

// What is asked for.
mod cli;

// The verbs.
mod completions;
mod decode;
mod man;
mod sub;

// What goes to stdout.
mod escaped;
mod line;
mod output;
mod readable;

// How it ends, and what stderr says of it.
mod failure;
mod signals;
mod stderr;

use std::{process::ExitCode, time::SystemTime};

use clap::Parser;

use cli::{Cli, Verb};
use failure::Failure;

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Sub(options) => sub::run(&options, now),
        Verb::Decode(options) => decode::run(&options),
        Verb::Completions(options) => completions::run(&options),
        Verb::Man(options) => man::run(&options),
    };
    outcome.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge: from here the time of an event is passed in"
)]
fn now() -> SystemTime {
    SystemTime::now()
}
