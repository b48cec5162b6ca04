//! The command `fanfare`: server-sent events at a terminal.
//!
//! Each verb is a module with its `Options` and a `run`. A new one is a line in `cli.rs` and one
//! below.

// What is asked for.
mod cli;

// The verbs.
mod bench;
mod completions;
mod config;
mod decode;
mod log;
mod man;
mod publish;
mod serve;
mod sub;
mod token;

// What asks other servers.
mod http_client;

// What many connections need.
mod descriptors;

// What goes to stdout.
mod escaped;
mod line;
mod output;
mod readable;

// How it ends, and what stderr says of it.
mod failure;
mod progress;
mod signals;
mod stderr;

use std::{process::ExitCode, time::SystemTime};

use clap::Parser;

use cli::{Cli, Verb};
use failure::Failure;

/// A hub allocates and frees small things on many threads. With threads of its own, this allocator gives
/// back what a crowd took once it has gone.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Where that one has no threads.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Serve(options) => serve::run(&options, now),
        Verb::Pub(options) => publish::run(&options),
        Verb::Sub(options) => sub::run(&options, now),
        Verb::Bench(options) => bench::run(&options),
        Verb::Token(options) => token::run(&options, now),
        Verb::Config(options) => config::run(&options),
        Verb::Log(options) => log::run(&options),
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
