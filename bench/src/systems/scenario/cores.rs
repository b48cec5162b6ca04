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

pub(in crate::systems) const ONE: &str = "1 engine thread on a CPU, the load on the other";
pub(in crate::systems) const TWO: &str = "2 engine threads and the load, on both CPUs";

pub(super) fn scenario() -> Scenario {
    Scenario {
        name: Name::Cores,
        title: "A flood with one engine thread and with two",
        note: "1,000 subscribers, one publisher as fast as it is answered. There is no third CPU for \
            the load: it takes its share of both, so that two threads cannot reach twice as much. What \
            they would reach with the load elsewhere is what CPU per delivery says.",
        columns: &[
            Figure::MillionDeliveriesPerSecond,
            Figure::CpuUsPerDelivery,
            Figure::LastMsP99,
            Figure::LostEvents,
            Figure::LoadBusyPercent,
        ],
        compared: &[Figure::MillionDeliveriesPerSecond, Figure::CpuUsPerDelivery],
        cases: vec![
            Case::new(System::Hub, ONE, 6, |bench| measure(bench, 1, pinned::SERVER, pinned::LOAD)),
            Case::new(System::Hub, TWO, 6, |bench| measure(bench, 2, pinned::BOTH, pinned::BOTH)),
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
