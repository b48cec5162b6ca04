//! Hubs that share a log: what it takes to publish into it, to take from it, and to serve a topic together.
//!
//! `cargo run --release -p fanfare-bench --bin cluster [-- --help]`; bench/README.md tells of it.

use std::{process::ExitCode, time::SystemTime};

use clap::Parser;
use fanfare_bench::systems::{self, Options, Suite};

fn main() -> ExitCode {
    match systems::run(Suite::Cluster, Options::parse(), now()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge: the date of the results is passed in")]
fn now() -> SystemTime {
    SystemTime::now()
}
