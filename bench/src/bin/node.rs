//! Packages for Node.js: what a delivery costs, and how long a broadcast holds up the event loop.
//!
//! `cargo run --release -p fanfare-bench --bin node [-- --help]`; bench/README.md tells of it.

use std::{process::ExitCode, time::SystemTime};

use clap::Parser;
use fanfare_bench::systems::{self, Options, Suite};

fn main() -> ExitCode {
    match systems::run(Suite::Node, Options::parse(), now()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("node: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge: the date of the results is passed in")]
fn now() -> SystemTime {
    SystemTime::now()
}
