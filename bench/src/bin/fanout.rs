//! Fan-out: one event to many subscribers, this library against axum's own.
//!
//! `cargo run --release -p fanfare-bench --bin fanout [-- --quick]` prints Markdown tables.
//!
//! The program starts itself twice for each run: as the server, pinned to one CPU, and as the load
//! (all subscribers), pinned to another. Both servers are axum on hyper; only what makes the
//! response differs.

use std::{env, process::ExitCode};

use fanfare_bench::fanout::{compare, load, server};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["serve", contender] => server::run(contender, 0),
        ["load", port, subscribers] => load::run(port, subscribers),
        ["--quick"] => compare::run(compare::Plan::QUICK),
        [] => compare::run(compare::Plan::FULL),
        _ => Err("usage: fanout [--quick]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fanout: {error}");
            ExitCode::FAILURE
        }
    }
}
