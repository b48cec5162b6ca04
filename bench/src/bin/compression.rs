//! Compression: events compressed once for all subscribers, against a compressor for each.
//!
//! `cargo run --release -p fanfare-bench --bin compression [-- --quick]` prints Markdown tables.

#![expect(clippy::print_stdout, reason = "tables are what this program is for")]

use std::{env, io, process::ExitCode, time::Duration};

use fanfare_bench::{
    compare::{Contender, Measured, Plan, compare},
    compression::{Compressor, Way, events},
    host,
    table::Table,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const FULL: Plan = Plan { rounds: 7, measurement: Duration::from_millis(200) };
const QUICK: Plan = Plan { rounds: 3, measurement: Duration::from_millis(50) };

const SUBSCRIBERS: u32 = 1000;

const METHOD: &str = "\
Bytes are those of all blocks, over those of the events as they are. Times are of one thread, the
medians of all rounds with the smallest and the largest, and what an event costs for one subscriber
and for a thousand, without the system calls that send it. \"once\" is what the hub does: the event is
a block of its own, given to all. \"each\" is what a proxy such as nginx does, with a compressor for
every connection, flushed behind every event: it learns from the events before, at a price. The memory
is what Rust's allocator has given; zstd's compressor takes some 700 KiB more, which it gets from C.";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let plan = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => FULL,
        ["--quick"] => QUICK,
        _ => {
            println!("usage: compression [--quick]");
            return ExitCode::FAILURE;
        }
    };
    println!("# Compressed once, and for each connection\n");
    println!("- {}, {} threads", host::cpu_model(), host::cpu_count());
    println!("- {}, release profile, the system's allocator, which counts", host::rustc_version());
    println!("- {}", ["flate2", "brotli", "zstd"].map(host::package).join(", "));
    println!("- {} rounds of at least {:?} each\n\n{METHOD}\n", plan.rounds, plan.measurement);
    for (title, events) in events() {
        let bytes = events.iter().map(Vec::len).sum::<usize>();
        match table(plan, &events) {
            Ok(table) => println!("## {title}: {} bytes each\n\n{table}", bytes / events.len()),
            Err(error) => {
                eprintln!("compression: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn table(plan: Plan, events: &[Vec<u8>]) -> io::Result<Table> {
    let memory = Way::ALL.map(|way| way.memory(events, || ALLOCATOR.current_usage()));
    let measured = compare(plan, Way::ALL.map(|way| contender(way, events)));
    let header = ["coding", "bytes", "µs an event", "µs for 1,000 subscribers", "KiB a subscriber"];
    let mut table = Table::new(&header);
    for ((way, measured), memory) in Way::ALL.into_iter().zip(&measured).zip(memory) {
        table.push(row(way, measured, memory?, events)?);
    }
    Ok(table)
}

fn contender(way: Way, events: &[Vec<u8>]) -> Contender<'_> {
    Contender::new(way.to_string(), move || {
        // It has worked before.
        Compressor::new(way).and_then(|mut one| one.time(events)).unwrap_or(Duration::MAX)
    })
}

fn row(
    way: Way,
    measured: &Measured,
    memory: usize,
    events: &[Vec<u8>],
) -> io::Result<[String; 5]> {
    let mut compressor = Compressor::new(way)?;
    let (mut plain, mut coded) = (0, 0);
    for event in events {
        plain += event.len();
        coded += compressor.compress(event)?;
    }
    let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
    let time = measured.seconds().scaled(1e6 / f64::from(count));
    let all = way.for_subscribers(time.median, SUBSCRIBERS);
    Ok([
        way.to_string(),
        format!("{:.0} %", 100.0 * ratio(coded, plain)),
        format!("{time:.1}"),
        format!("{all:.0}"),
        format!("{:.0}", ratio(memory, 1024)),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "they are far below 2^52")]
fn ratio(one: usize, other: usize) -> f64 {
    one as f64 / other as f64
}
