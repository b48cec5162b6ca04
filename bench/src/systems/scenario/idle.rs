//! What a subscriber costs that is given nothing.

use std::time::Duration;

use super::{Bench, Case, Name, Scenario};
use crate::{
    program::Outcome,
    systems::{
        figures::{Figure, Figures},
        load::{Load, Report},
        system::{IN_MEMORY, System},
    },
};

/// After this time the memory is read.
const SETTLED: Duration = Duration::from_millis(500);

pub(super) fn scenario() -> Scenario {
    Scenario {
        name: Name::Idle,
        title: "Idle subscribers",
        note: "Resident memory as a slope: between 2,000 and 18,000 subscribers of two servers that \
            were started afresh. Connects a second: those 18,000, 64 of them under way at a time, \
            until each was answered.",
        columns: &[Figure::KibPerSubscriber, Figure::ConnectsPerSecond],
        compared: &[Figure::ConnectsPerSecond],
        most_rounds: 2,
        cases: Case::of_each(&IN_MEMORY, 5, measure),
    }
}

fn measure(bench: &Bench<'_>, system: System) -> Outcome<Figures> {
    let (few, many) = (bench.plan.few_idle, bench.plan.many_idle);
    let with_few = connect(bench, system, few)?;
    let with_many = connect(bench, system, many)?;
    let slope = (memory(&with_many)? - memory(&with_few)?) / f64::from(many - few);
    Ok(Figures::from([
        (Figure::KibPerSubscriber, slope / 1024.0),
        (Figure::ConnectsPerSecond, with_many.connect.per_second),
    ]))
}

fn connect(bench: &Bench<'_>, system: System, subscribers: u32) -> Outcome<Report> {
    let system = system.start(bench.tools)?;
    Load::on(&system, subscribers).idle(SETTLED).run(&bench.tools.fanfare)
}

fn memory(report: &Report) -> Outcome<f64> {
    let usage = report.server.as_ref().ok_or("the server was not measured")?;
    Ok(usage.memory_connected)
}
