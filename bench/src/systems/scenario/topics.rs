//! Many topics that nobody shares.

use super::{Bench, Case, Name, Scenario, figures_of, steady};
use crate::{
    program::Outcome,
    systems::{
        figures::{Figure, Figures},
        load::Load,
        system::System,
    },
};

pub(in crate::systems) const ONE: &str = "1 topic, 1 subscriber, 5,000 publishes a second";
pub(in crate::systems) const MANY: &str =
    "10,000 topics, a subscriber each, 5,000 publishes a second";
const SHARED: &str = "1 topic, 1,000 subscribers, 5 publishes a second";

const RATE: u32 = 5_000;

pub(super) fn scenario() -> Scenario {
    Scenario {
        name: Name::Topics,
        title: "10,000 topics with a subscriber each",
        note: "The hub with its engine; 5,000 deliveries a second in each row. Where a topic has one \
            subscriber, each delivery has the cost of a publish over HTTP in it, so the single topic is \
            published to as often.",
        columns: &[
            Figure::CpuUsPerDelivery,
            Figure::PublishedPerSecond,
            Figure::LatencyMsP50,
            Figure::LatencyMsP99,
            Figure::LostEvents,
        ],
        compared: &[Figure::CpuUsPerDelivery],
        most_rounds: 2,
        cases: vec![
            Case::new(System::Hub, ONE, 5, |bench| measure(bench, 1)),
            Case::new(System::Hub, MANY, 6, |bench| measure(bench, 10_000)),
            Case::new(System::Hub, SHARED, 5, |bench| {
                steady::measure(bench, System::Hub, 1_000, 5)
            }),
        ],
    }
}

fn measure(bench: &Bench<'_>, topics: u32) -> Outcome<Figures> {
    let plan = bench.plan;
    let hub = System::Hub.start(bench.tools)?;
    let load = Load::on(&hub, topics).topics(topics).rate(&hub, RATE, plan.steady);
    figures_of(&load.warm_up(plan.warm_up).run(&bench.tools.fanfare)?)
}
