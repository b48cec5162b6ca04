//! The subscribers of one topic, on several hubs.

use super::{ALL, Bench, Case, Name, Scenario, figures_of};
use crate::{
    program::Outcome,
    systems::{
        cluster::Cluster,
        figures::{Figure, Figures},
        load::Load,
        system::System,
    },
};

const SUBSCRIBERS: u32 = 10_000;
const RATE: u32 = 2;
const LOG: System = System::HubRedisEverysec;

pub(super) fn scenario() -> Scenario {
    let case = |row, hubs| Case::new(LOG, row, 8, move |bench| measure(bench, hubs));
    Scenario {
        name: Name::Spread,
        title: "10,000 subscribers on three hubs, and on one",
        note: "2 events a second, published to one of the hubs; the log is in Redis (everysec). The CPU \
            is that of all hubs, without Redis. Of so few events p99 is the slowest.",
        columns: &[
            Figure::FirstMsP50,
            Figure::LastMsP50,
            Figure::LastMsP99,
            Figure::CpuUsPerDelivery,
            Figure::LoadBusyPercent,
            Figure::LostEvents,
        ],
        compared: &[Figure::LastMsP50, Figure::CpuUsPerDelivery],
        most_rounds: ALL,
        cases: vec![case("one hub", 1), case("three hubs", 3)],
    }
}

fn measure(bench: &Bench<'_>, hubs: usize) -> Outcome<Figures> {
    let plan = bench.plan;
    let cluster = Cluster::start(bench.tools, LOG, hubs)?;
    let (first, others) = cluster.hubs.split_first().ok_or("there is no hub")?;
    let load = Load::on(first, SUBSCRIBERS).rate(first, RATE, plan.steady);
    let load = others.iter().fold(load, Load::also_on);
    figures_of(&load.warm_up(plan.warm_up).anywhere().run(&bench.tools.fanfare)?)
}
