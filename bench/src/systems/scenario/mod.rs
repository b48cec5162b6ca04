//! What is done to the systems: a table each, with a row for each system or case.

mod cores;
mod drink;
mod durable;
mod fairness;
mod flood;
mod held;
mod idle;
mod publish;
mod spread;
mod steady;
mod topics;
mod unfollowed;

use clap::ValueEnum;
use serde::Serialize;

use super::{
    figures::{Figure, Figures},
    load::{Latencies, Report, Wrong},
    plan::Plan,
    system::System,
    tools::Tools,
};
use crate::program::Outcome;

pub(super) use cores::{ONE_ON_BOTH as ONE_THREAD, TWO_ON_BOTH as TWO_THREADS};
pub(super) use durable::SYNC;
pub(super) use fairness::{ALONE, FLOODED};
pub(super) use topics::{MANY as MANY_TOPICS, ONE as ONE_TOPIC};

/// What a scenario is called on the command line, and in the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Name {
    /// 1,000 subscribers, 20 events a second
    Steady,
    /// 10,000 subscribers, 2 events a second
    Many,
    /// 1,000 subscribers, the publisher as fast as it is answered
    Flood,
    /// The memory of idle subscribers, and how fast they connect
    Idle,
    /// Events that are synced to the disk
    Durable,
    /// A small topic beside a large one that is flooded
    Fairness,
    /// 10,000 topics with a subscriber each
    Topics,
    /// A flood with two engine threads
    Cores,
    /// Publishing into a log that hubs share, or not: one publisher
    #[value(name = "publish-1")]
    #[serde(rename = "publish-1")]
    Publish1,
    /// The same with 16
    #[value(name = "publish-16")]
    #[serde(rename = "publish-16")]
    Publish16,
    /// The same with 64
    #[value(name = "publish-64")]
    #[serde(rename = "publish-64")]
    Publish64,
    /// 10,000 subscribers on three hubs, and on one
    Spread,
    /// How fast a hub takes events from the log that another has put there
    Drink,
    /// What a topic costs that nobody follows
    Unfollowed,
    /// Packages for node: 1,000 subscribers, 20 events a second
    NodeSteady,
    /// The same with 5,000, and 4 events a second
    NodeMany,
    /// The same with a publisher as fast as it is answered
    NodeFlood,
    /// How long one event to 5,000 subscribers holds up the event loop
    NodeHeld,
}

/// The rounds of a scenario that takes part in all.
const ALL: usize = usize::MAX;

/// A table to be.
pub(super) struct Scenario {
    pub(super) name: Name,
    pub(super) title: &'static str,
    /// What a reader has to know.
    pub(super) note: &'static str,
    pub(super) columns: &'static [Figure],
    /// Columns behind which stands the ratio to the first row.
    pub(super) compared: &'static [Figure],
    /// So many rounds are enough: what takes long, and is much the same in each.
    pub(super) most_rounds: usize,
    pub(super) cases: Vec<Case>,
}

/// A row to be.
pub(super) struct Case {
    /// The one that has to be chosen for it.
    pub(super) system: System,
    pub(super) row: String,
    /// How long it takes, roughly, in seconds.
    pub(super) seconds: u32,
    pub(super) measure: Measure,
}

type Measure = Box<dyn Fn(&Bench<'_>) -> Outcome<Figures>>;

/// What a case is measured with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bench<'a> {
    pub(super) tools: &'a Tools,
    pub(super) plan: Plan,
}

impl Scenario {
    /// How often it is measured, if there are so many rounds.
    pub(super) fn rounds(&self, rounds: usize) -> usize {
        rounds.min(self.most_rounds)
    }
}

impl Case {
    fn new(
        system: System,
        row: &str,
        seconds: u32,
        measure: impl Fn(&Bench<'_>) -> Outcome<Figures> + 'static,
    ) -> Self {
        Self { system, row: row.to_owned(), seconds, measure: Box::new(measure) }
    }

    /// A row for each of several systems.
    fn of_each(
        systems: &[System],
        seconds: u32,
        measure: impl Fn(&Bench<'_>, System) -> Outcome<Figures> + Copy + 'static,
    ) -> Vec<Self> {
        let case = |&system: &System| {
            Self::new(system, system.title(), seconds, move |bench| measure(bench, system))
        };
        systems.iter().map(case).collect()
    }
}

/// Those that set systems side by side, in the order of the tables.
pub(super) fn of_systems() -> Vec<Scenario> {
    vec![
        steady::scenario(),
        steady::with_many(),
        flood::scenario(),
        idle::scenario(),
        durable::scenario(),
        fairness::scenario(),
        topics::scenario(),
        cores::scenario(),
    ]
}

/// Those of hubs that share a log.
pub(super) fn of_clusters() -> Vec<Scenario> {
    vec![
        publish::scenario(Name::Publish1, "Publishing: one publisher", 1),
        publish::scenario(Name::Publish16, "Publishing: 16 publishers", 16),
        publish::scenario(Name::Publish64, "Publishing: 64 publishers", 64),
        spread::scenario(),
        drink::scenario(),
        unfollowed::scenario(),
    ]
}

/// Those of packages for node.
pub(super) fn of_node() -> Vec<Scenario> {
    vec![steady::on_node(), steady::on_node_with_many(), flood::on_node(), held::scenario()]
}

const PER_MILLISECOND: f64 = 1e6;

/// What most scenarios want of a report.
fn figures_of(report: &Report) -> Outcome<Figures> {
    if let Some(wrong) = report.wrong.as_ref().and_then(Wrong::beside_losses) {
        return Err(wrong.into());
    }
    let published = report.published.as_ref().ok_or("nothing was published")?;
    let delivered = report.delivered.as_ref().ok_or("nothing was delivered")?;
    let usage = report.server.as_ref().ok_or("the server was not measured")?;
    if delivered.events() <= 0.0 {
        return Err("no event was delivered".into());
    }
    let mut figures = Figures::from([
        (Figure::CpuUsPerDelivery, usage.cpu_seconds / delivered.events() * 1e6),
        (Figure::PublishedEvents, published.events),
        (Figure::PublishedPerSecond, published.per_second),
        (Figure::MillionDeliveriesPerSecond, delivered.per_second() / 1e6),
        (Figure::LostEvents, report.wrong.as_ref().map_or(0.0, |wrong| wrong.lost)),
        (Figure::ServerBusyPercent, usage.cpu_seconds / delivered.seconds() * 100.0),
        (Figure::LoadBusyPercent, report.busy.unwrap_or_default() * 100.0),
    ]);
    let mut add = |figure, nanoseconds: Option<f64>| {
        figures.extend(nanoseconds.map(|time| (figure, time / PER_MILLISECOND)));
    };
    let Latencies { subscriber: each, first_subscriber: first, last_subscriber: last, answer } =
        report.latency;
    add(Figure::LatencyMsP50, each.map(|times| times.p50));
    add(Figure::LatencyMsP99, each.map(|times| times.p99));
    add(Figure::FirstMsP50, first.map(|times| times.p50));
    add(Figure::LastMsP50, last.map(|times| times.p50));
    add(Figure::LastMsP99, last.map(|times| times.p99));
    add(Figure::AnswerMsP50, answer.map(|times| times.p50));
    add(Figure::AnswerMsP99, answer.map(|times| times.p99));
    Ok(figures)
}
