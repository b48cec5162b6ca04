//! Clients: one stream on the loopback read through this library's `EventSource` and through others.
//!
//! `cargo run --release -p fanfare-bench --bin client [-- --quick]` prints Markdown tables.
//!
//! The program starts itself as the server, pinned to one CPU, and for each measurement as a client,
//! pinned to another.

use std::{env, process::ExitCode};

use fanfare_bench::client::{compare, reader, server};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["serve"] => server::run(),
        ["check", contender, stream, port] => reader::check(contender, stream, port),
        ["measure", contender, stream, port, milliseconds] => {
            reader::measure(contender, stream, port, milliseconds)
        }
        ["--quick"] => compare::run(compare::Plan::QUICK),
        [] => compare::run(compare::Plan::FULL),
        _ => Err("usage: client [--quick]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("client: {error}");
            ExitCode::FAILURE
        }
    }
}
