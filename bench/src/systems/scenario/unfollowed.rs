//! What a hub does for topics that nobody follows there.

use super::{ALL, Bench, Case, Name, Scenario};
use crate::{
    program::Outcome,
    systems::{
        batches::{Follower, publish},
        cluster::Cluster,
        figures::{Figure, Figures},
        system::System,
    },
};

const BATCH: usize = 100;
const LOG: System = System::HubRedisEverysec;
/// Its only event comes last.
const END: &str = "end";

pub(super) fn scenario() -> Scenario {
    Scenario {
        name: Name::Unfollowed,
        title: "A topic that nobody follows",
        note: "One hub is given 100,000 events in batches of 100; the CPU is that of another hub on the \
            same log (Redis, everysec), until it has seen the last of them.",
        columns: &[Figure::CpuUsPerEvent],
        compared: &[Figure::CpuUsPerEvent],
        most_rounds: ALL,
        cases: vec![
            Case::new(LOG, "a subscriber follows the topic there", 4, |bench| {
                measure(bench, "topic=bench&topic=end", bench.plan.backlog + 1)
            }),
            Case::new(LOG, "nobody follows it there", 4, |bench| measure(bench, "topic=end", 1)),
        ],
    }
}

fn measure(bench: &Bench<'_>, query: &str, expected: usize) -> Outcome<Figures> {
    let events = bench.plan.backlog;
    let cluster = Cluster::start(bench.tools, LOG, 2)?;
    let (one, other) = (cluster.hub(0)?, cluster.hub(1)?);
    let follower = Follower::begin(other, query, expected)?;
    let before = other.server.cpu_seconds()?;
    publish(one, "bench", events, BATCH)?;
    publish(one, END, 1, 1)?;
    follower.end()?;
    let taken = other.server.cpu_seconds()? - before;
    let events = u32::try_from(events).map(f64::from)?;
    Ok(Figures::from([(Figure::CpuUsPerEvent, taken / events * 1e6)]))
}
