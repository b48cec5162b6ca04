//! Whether a large topic that is flooded holds up a small one.

use std::time::Duration;

use super::{ALL, Bench, Case, Name, Scenario, figures_of};
use crate::{
    program::Outcome,
    systems::{
        figures::{Figure, Figures},
        launch::wait,
        load::{Begun, Load},
        system::{Running, System},
    },
};

pub(in crate::systems) const ALONE: &str = "fanfare hub, engine: the small topic alone";
pub(in crate::systems) const FLOODED: &str = "fanfare hub, engine: beside the flooded one";

const SMALL: u32 = 10;
const LARGE: u32 = 10_000;
/// Enough that the 99th percentile is not one event, which the machine may have held up.
const RATE: u32 = 100;
/// For the small topic to connect, and to end, while the flood goes on.
const MARGIN: Duration = Duration::from_secs(5);
const LONGEST_CONNECT: Duration = Duration::from_secs(20);

pub(super) fn scenario() -> Scenario {
    Scenario {
        name: Name::Fairness,
        title: "A topic of 10 subscribers, and a flooded one of 10,000",
        note: "100 events a second to the small topic; one publisher as fast as it is answered to the \
            large one. Both loads are on one CPU, where the flood's gives way to the other.",
        columns: &[
            Figure::LatencyMsP50,
            Figure::LatencyMsP99,
            Figure::ServerBusyPercent,
            Figure::LostEvents,
        ],
        compared: &[],
        most_rounds: ALL,
        cases: vec![
            Case::new(System::Hub, ALONE, 5, |bench| {
                let hub = System::Hub.start(bench.tools)?;
                measure(bench, &hub)
            }),
            Case::new(System::Hub, FLOODED, 7, |bench| {
                let hub = System::Hub.start(bench.tools)?;
                let mut flood = flood(bench, &hub)?;
                let figures = measure(bench, &hub)?;
                if !flood.is_under_way() {
                    return Err("the flood has ended too soon".into());
                }
                Ok(figures)
            }),
        ],
    }
}

fn measure(bench: &Bench<'_>, hub: &Running) -> Outcome<Figures> {
    let plan = bench.plan;
    let load = Load::on(hub, SMALL).rate(hub, RATE, plan.steady).warm_up(plan.warm_up);
    figures_of(&load.run(&bench.tools.fanfare)?)
}

/// Floods, and returns once all of its subscribers are connected.
fn flood(bench: &Bench<'_>, hub: &Running) -> Outcome<Begun> {
    let time = bench.plan.warm_up + bench.plan.steady + MARGIN;
    let load = Load::on(hub, LARGE).flood(hub, time).of_topic("large").giving_way();
    let mut flood = load.begin(&bench.tools.fanfare)?;
    let connected = wait(LONGEST_CONNECT, || {
        let is_connected = hub.server.open_files() >= LARGE as usize;
        (is_connected || !flood.is_under_way()).then_some(is_connected)
    });
    if connected == Some(true) { Ok(flood) } else { Err("the flood has not begun".into()) }
}
