//! Random schedules of publishers, subscribers, cuts, trims and restarts, beside a model that says
//! what each subscriber must be given: order, no loss, no duplicate, and a gap exactly when due.
//!
//! A failure prints the seed of its schedule and its last steps. `FANFARE_SEED=N` runs that schedule
//! alone, `FANFARE_SOAK=1` thousands of them.

#![cfg(test)]

/// What compressed bodies mean.
#[path = "../decoding/mod.rs"]
mod decoding;
/// Streams in each coding.
mod follow;
/// The obvious hub: lists, and everything looked for from the beginning.
mod model;
/// What happens, out of one seed.
mod schedule;
/// The hub under test, and what a restart leaves of its log.
mod site;
/// A client that compares what it is given with what the model says.
mod subscriber;
/// The steps so far, for whoever reads a failure.
mod trace;

use std::env;

use crate::{
    schedule::Schedule,
    site::{Embedded, Memory, Site},
};

/// How many schedules, and of how many steps.
struct Extent {
    schedules: u64,
    steps: usize,
}

fn run(name: &'static str, short: &Extent, long: &Extent, site: impl Fn(u64) -> Box<dyn Site>) {
    let is_soak = env::var_os("FANFARE_SOAK").is_some();
    let extent = if is_soak { long } else { short };
    let only = env::var("FANFARE_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seeds = only.map_or(0..extent.schedules, |seed: u64| seed..seed + 1);
    let mut done = schedule::Done::default();
    for seed in seeds {
        done += Schedule::run(name, seed, extent.steps, site(seed));
        if is_soak && (seed + 1).is_multiple_of(extent.schedules / 10) {
            println!("{name}: {} schedules, {done}", seed + 1);
        }
    }
    println!("{name}: {done}");
    assert!(only.is_some() || done.is_everything(), "a schedule has to do all of it: {done}");
}

#[test]
fn a_hub_with_the_memory_log_does_as_the_model() {
    let short = Extent { schedules: 200, steps: 100 };
    let long = Extent { schedules: 20_000, steps: 200 };
    run("memory", &short, &long, |seed| Box::new(Memory::new(seed)));
}

#[test]
fn a_hub_that_compresses_does_as_the_model() {
    let short = Extent { schedules: 60, steps: 100 };
    let long = Extent { schedules: 5000, steps: 200 };
    run("compressed", &short, &long, |seed| Box::new(Memory::compressed(seed)));
}

#[test]
fn a_hub_with_the_embedded_log_does_as_the_model() {
    let short = Extent { schedules: 20, steps: 100 };
    let long = Extent { schedules: 500, steps: 200 };
    run("embedded", &short, &long, |_| Box::new(Embedded::new()));
}
