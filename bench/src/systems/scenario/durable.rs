//! What it costs to answer a publisher only when the disk has confirmed its event.

use std::{fs::File, io::Write, time::Instant};

use super::{ALL, Case, Name, PER_MILLISECOND, Scenario, steady};
use crate::{
    program::Outcome,
    systems::{
        figures::{Figure, Figures},
        launch,
        system::System,
    },
};

/// The row of the disk itself.
pub(in crate::systems) const SYNC: &str = "the disk alone: one sync";
const SYNCED_BYTES: [u8; 300] = [b'.'; 300];
/// What is measured of the disk, for which a p99 makes sense.
const SYNCS: usize = 200;

pub(super) fn scenario() -> Scenario {
    let systems = [System::Hub, System::HubSync, System::DurableStreams, System::DurableStreamsWal];
    let mut cases =
        Case::of_each(&systems, 5, |bench, system| steady::measure(bench, system, 1_000, 20));
    cases.push(Case::new(System::HubSync, SYNC, 1, |_| syncs()));
    Scenario {
        name: Name::Durable,
        title: "Durable: 1,000 subscribers, 20 events a second",
        note: "In memory and on the disk. The disk alone: 300 bytes are written at the end of a file \
            of the same folder, and synced (`fdatasync`); its time stands below latency and answer.",
        columns: &[
            Figure::LatencyMsP50,
            Figure::LatencyMsP99,
            Figure::AnswerMsP99,
            Figure::LastMsP99,
            Figure::CpuUsPerDelivery,
            Figure::LostEvents,
        ],
        compared: &[],
        most_rounds: ALL,
        cases,
    }
}

fn syncs() -> Outcome<Figures> {
    let folder = tempfile::tempdir_in(launch::runs()?)?;
    let mut file = File::create(folder.path().join("synced"))?;
    let mut times = vec![];
    for _ in 0..SYNCS {
        let begin = Instant::now();
        file.write_all(&SYNCED_BYTES)?;
        file.sync_data()?;
        times.push(begin.elapsed().as_secs_f64() * 1e9 / PER_MILLISECOND);
    }
    times.sort_unstable_by(f64::total_cmp);
    let (p50, p99) = (times[SYNCS / 2], times[SYNCS * 99 / 100]);
    Ok(Figures::from([
        (Figure::LatencyMsP50, p50),
        (Figure::LatencyMsP99, p99),
        (Figure::AnswerMsP99, p99),
    ]))
}
