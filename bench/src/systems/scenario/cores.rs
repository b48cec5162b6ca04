//! What a second CPU brings.

use super::{Bench, Case, Name, Scenario, figures_of, flood::SUBSCRIBERS};
use crate::{
    program::Outcome,
    systems::{
        figures::{Figure, Figures},
        load::Load,
        pinned::{self, Cpus},
        system::{self, System},
    },
};

const APART: &str = "1 engine thread on a CPU, the load on the other";
pub(in crate::systems) const ONE_ON_BOTH: &str = "1 engine thread and the load, on both CPUs";
pub(in crate::systems) const TWO_ON_BOTH: &str = "2 engine threads and the load, on both CPUs";

pub(super) fn scenario() -> Scenario {
    Scenario {
        name: Name::Cores,
        title: "A flood with one engine thread and with two",
        note: "1,000 subscribers, one publisher as fast as it is answered. There is no third CPU for \
            the load: it takes its share of both, and where it is near 100 % busy, it is what is \
            measured. CPU per delivery is less, the further behind subscribers are: more events go at \
            once.",
        columns: &[
            Figure::MillionDeliveriesPerSecond,
            Figure::CpuUsPerDelivery,
            Figure::LastMsP99,
            Figure::LostEvents,
            Figure::ServerBusyPercent,
            Figure::LoadBusyPercent,
        ],
        compared: &[Figure::MillionDeliveriesPerSecond],
        most_rounds: 2,
        cases: vec![
            Case::new(System::Hub, APART, 4, |bench| {
                measure(bench, 1, pinned::SERVER, pinned::LOAD)
            }),
            Case::new(System::Hub, ONE_ON_BOTH, 4, |bench| {
                measure(bench, 1, pinned::BOTH, pinned::BOTH)
            }),
            Case::new(System::Hub, TWO_ON_BOTH, 4, |bench| {
                measure(bench, 2, pinned::BOTH, pinned::BOTH)
            }),
        ],
    }
}

fn measure(bench: &Bench<'_>, threads: u32, server: Cpus, load: Cpus) -> Outcome<Figures> {
    let plan = bench.plan;
    let threads = format!("--set=server.engine_threads={threads}");
    let hub = system::hub(bench.tools, server, &["--memory", &threads])?;
    let flood =
        Load::on(&hub, SUBSCRIBERS).flood(&hub, plan.whole_flood).at_most(plan.flood_events);
    figures_of(&flood.running_on(load).run(&bench.tools.fanfare)?)
}
