//! The cost of a delivery, at a rate that leaves nobody behind.

use super::{ALL, Bench, Case, Name, Scenario, figures_of};
use crate::{
    program::Outcome,
    systems::{
        figures::{Figure, Figures},
        load::Load,
        system::{IN_MEMORY, ON_NODE, System},
    },
};

const COLUMNS: &[Figure] = &[
    Figure::CpuUsPerDelivery,
    Figure::LastMsP50,
    Figure::LastMsP99,
    Figure::LatencyMsP99,
    Figure::LostEvents,
];
const COMPARED: &[Figure] = &[Figure::CpuUsPerDelivery, Figure::LastMsP99];

pub(super) fn scenario() -> Scenario {
    Scenario {
        name: Name::Steady,
        title: "1,000 subscribers, 20 events a second",
        note: "20,000 deliveries a second. The last: the time until all subscribers have an event; of \
            60 events, p99 is the slowest.",
        columns: COLUMNS,
        compared: COMPARED,
        most_rounds: ALL,
        cases: Case::of_each(&IN_MEMORY, 5, |bench, system| measure(bench, system, 1_000, 20)),
    }
}

pub(super) fn with_many() -> Scenario {
    Scenario {
        name: Name::Many,
        title: "10,000 subscribers, 2 events a second",
        note: "20,000 deliveries a second. There are few events, so that p99 is the slowest of them.",
        columns: COLUMNS,
        compared: COMPARED,
        most_rounds: 2,
        cases: Case::of_each(&IN_MEMORY, 6, |bench, system| measure(bench, system, 10_000, 2)),
    }
}

pub(super) fn on_node() -> Scenario {
    Scenario {
        name: Name::NodeSteady,
        cases: Case::of_each(&floor_and_node(), 5, |bench, system| {
            measure(bench, system, 1_000, 20)
        }),
        ..scenario()
    }
}

pub(super) fn on_node_with_many() -> Scenario {
    Scenario {
        name: Name::NodeMany,
        title: "5,000 subscribers, 4 events a second",
        most_rounds: ALL,
        cases: Case::of_each(&floor_and_node(), 6, |bench, system| {
            measure(bench, system, 5_000, 4)
        }),
        ..with_many()
    }
}

pub(super) fn floor_and_node() -> Vec<System> {
    [&[System::Floor], &ON_NODE[..]].concat()
}

pub(super) fn measure(
    bench: &Bench<'_>,
    system: System,
    subscribers: u32,
    rate: u32,
) -> Outcome<Figures> {
    let system = system.start(bench.tools)?;
    let load = Load::on(&system, subscribers)
        .rate(&system, rate, bench.plan.steady)
        .warm_up(bench.plan.warm_up);
    figures_of(&load.run(&bench.tools.fanfare)?)
}
