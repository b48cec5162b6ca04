//! How fast a hub takes from the log what another has put there.

use std::time::Instant;

use super::{ALL, Bench, Case, Name, Scenario};
use crate::{
    program::Outcome,
    systems::{
        batches::{Follower, publish},
        cluster::Cluster,
        figures::{Figure, Figures},
        system::{SHARED, System},
    },
};

const BATCH: usize = 1000;
const TOPIC: &str = "bench";

pub(super) fn scenario() -> Scenario {
    Scenario {
        name: Name::Drink,
        title: "A hub that takes a backlog from the log",
        note: "One hub is given 100,000 events in batches of 1,000, one after the other, while another \
            stands still (`SIGSTOP`); then that one goes on, and gives them to a subscriber, who decodes \
            them. Nothing else runs meanwhile. The CPU is that of the log's server, while it gives the \
            backlog to that hub.",
        columns: &[Figure::PublishedPerSecond, Figure::TakenPerSecond, Figure::LogCpuUsPerEvent],
        compared: &[Figure::TakenPerSecond],
        most_rounds: ALL,
        cases: Case::of_each(SHARED, 5, measure),
    }
}

fn measure(bench: &Bench<'_>, system: System) -> Outcome<Figures> {
    let events = bench.plan.backlog;
    let cluster = Cluster::start(bench.tools, system, 2)?;
    let (one, other) = (cluster.hub(0)?, cluster.hub(1)?);
    let follower = Follower::begin(other, &format!("topic={TOPIC}"), events)?;
    other.server.stop()?;
    let begin = Instant::now();
    publish(one, TOPIC, events, BATCH)?;
    let published = begin.elapsed();
    let log_before = cluster.log_cpu_seconds()?;
    let begin = Instant::now();
    other.server.go_on()?;
    let taken = follower.end()? - begin;
    let log_taken = cluster.log_cpu_seconds()? - log_before;
    let events = u32::try_from(events).map(f64::from)?;
    Ok(Figures::from([
        (Figure::PublishedPerSecond, events / published.as_secs_f64()),
        (Figure::TakenPerSecond, events / taken.as_secs_f64()),
        (Figure::LogCpuUsPerEvent, log_taken / events * 1e6),
    ]))
}
