//! Whole servers side by side: what a delivery, a subscriber and a flood cost each of them.
//!
//! `cargo run --release -p fanfare-bench --bin systems [-- --help]`; bench/README.md tells of it.

use std::{process::ExitCode, time::SystemTime};

use clap::Parser;
use fanfare_bench::systems::{self, Options, Suite};

fn main() -> ExitCode {
    match systems::run(Suite::Systems, Options::parse(), now()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("systems: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge: the date of the results is passed in")]
fn now() -> SystemTime {
    SystemTime::now()
}
