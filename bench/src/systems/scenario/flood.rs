//! One publisher that publishes the next event as soon as the one before is answered.

use super::{ALL, Bench, Case, Name, Scenario, figures_of, steady::floor_and_node};
use crate::{
    program::Outcome,
    systems::{
        figures::{Figure, Figures},
        load::Load,
        system::{IN_MEMORY, System},
    },
};

pub(super) const SUBSCRIBERS: u32 = 1_000;

pub(super) fn scenario() -> Scenario {
    Scenario {
        name: Name::Flood,
        title: "1,000 subscribers, one publisher as fast as it is answered",
        note: "fanfare's engine and durable-streams are given all 20,000 events. The publisher of the \
            others stops after 3 s, where that is sooner: some would take minutes. Lost events count \
            at each subscriber.",
        columns: &[
            Figure::MillionDeliveriesPerSecond,
            Figure::PublishedEvents,
            Figure::LostEvents,
            Figure::LatencyMsP99,
            Figure::LastMsP99,
            Figure::CpuUsPerDelivery,
            Figure::LoadBusyPercent,
        ],
        compared: &[Figure::MillionDeliveriesPerSecond],
        most_rounds: ALL,
        cases: Case::of_each(&IN_MEMORY, 5, measure),
    }
}

pub(super) fn on_node() -> Scenario {
    Scenario {
        name: Name::NodeFlood,
        note: "The publisher stops after 3 s. Where deliveries are many more than `published` times \
            subscribers a second, the rest was given behind it: what nobody is held up by piles up.",
        cases: Case::of_each(&floor_and_node(), 5, measure),
        ..scenario()
    }
}

fn measure(bench: &Bench<'_>, system: System) -> Outcome<Figures> {
    let plan = bench.plan;
    let time = if system.takes_whole_flood() { plan.whole_flood } else { plan.flood };
    let system = system.start(bench.tools)?;
    let load = Load::on(&system, SUBSCRIBERS).flood(&system, time).at_most(plan.flood_events);
    figures_of(&load.run(&bench.tools.fanfare)?)
}
