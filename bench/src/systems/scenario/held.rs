//! How long one event to many holds up the event loop, and with it every other request.

use std::{io::Read, time::Duration};

use super::{ALL, Bench, Case, Name, Scenario};
use crate::{
    compare::Spread,
    program::Outcome,
    systems::{
        figures::{Figure, Figures},
        launch::wait,
        load::Load,
        system::{ON_NODE, Running, System, answer},
    },
};

const SUBSCRIBERS: u32 = 5_000;
const EVENTS: usize = 20;
const EVENT_BYTES: usize = 100;
const LONGEST_CONNECT: Duration = Duration::from_secs(20);
/// For all to connect, and to be given all events.
const TIME: Duration = Duration::from_secs(40);

pub(super) fn scenario() -> Scenario {
    Scenario {
        name: Name::NodeHeld,
        title: "The event loop, while one event goes to 5,000 subscribers",
        note: "How late a timer of 1 ms is at most, in the 300 ms behind a publish; 20 of them. The server \
            has one CPU for all its threads.",
        columns: &[Figure::LoopHeldMsP50, Figure::LoopHeldMsMost],
        compared: &[Figure::LoopHeldMsP50],
        most_rounds: ALL,
        cases: Case::of_each(&ON_NODE, 12, measure),
    }
}

fn measure(bench: &Bench<'_>, system: System) -> Outcome<Figures> {
    let system = system.start(bench.tools)?;
    let load = Load::on(&system, SUBSCRIBERS).idle(TIME);
    let _connected = load.begin(&bench.tools.fanfare)?;
    let is_connected = || (system.server.open_files() >= SUBSCRIBERS as usize).then_some(());
    wait(LONGEST_CONNECT, is_connected).ok_or("the subscribers do not connect")?;
    let held = (0..EVENTS).map(|_| held_ms(&system)).collect::<Outcome<Vec<_>>>()?;
    let held = Spread::of(held.into_iter());
    Ok(Figures::from([(Figure::LoopHeldMsP50, held.median), (Figure::LoopHeldMsMost, held.max)]))
}

/// The server publishes, watches its own event loop, and tells.
fn held_ms(system: &Running) -> Outcome<f64> {
    let event = "x".repeat(EVENT_BYTES);
    let mut told = String::new();
    answer(system.server.port(), "POST /watched", "text/plain", &event, "200")?
        .read_to_string(&mut told)?;
    let (_, body) = told.split_once("\r\n\r\n").ok_or("the answer has no body")?;
    Ok(body.parse()?)
}
