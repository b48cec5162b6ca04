//! What it takes to put an event into a log that hubs share.

use super::{ALL, Bench, Case, Name, Scenario, figures_of};
use crate::{
    program::Outcome,
    systems::{
        cluster::Cluster,
        figures::{Figure, Figures},
        load::Load,
        system::{SHARED, System},
    },
};

pub(super) fn scenario(name: Name, title: &'static str, publishers: u32) -> Scenario {
    let systems = [&[System::HubSync], SHARED].concat();
    Scenario {
        name,
        title,
        note: "Each publisher waits for its answer before it sends the next event; one hub, one \
            subscriber. `always` syncs before it answers, as the embedded log does; `everysec` does not.",
        columns: &[
            Figure::AnswerMsP50,
            Figure::AnswerMsP99,
            Figure::PublishedPerSecond,
            Figure::LatencyMsP50,
            Figure::LatencyMsP99,
        ],
        compared: &[Figure::AnswerMsP50, Figure::PublishedPerSecond],
        most_rounds: ALL,
        cases: Case::of_each(&systems, 4, move |bench, system| measure(bench, system, publishers)),
    }
}

fn measure(bench: &Bench<'_>, system: System, publishers: u32) -> Outcome<Figures> {
    let plan = bench.plan;
    let cluster = Cluster::start(bench.tools, system, 1)?;
    let hub = cluster.hub(0)?;
    let load = Load::on(hub, 1).publishers(publishers).flood(hub, plan.publish);
    figures_of(&load.warm_up(plan.warm_up).anywhere().run(&bench.tools.fanfare)?)
}
