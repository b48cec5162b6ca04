//! The client's process: reads one stream as one contender, and prints what it found.

use std::{
    fs,
    hint::black_box,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use cpu_time::ProcessTime;
use tokio::runtime;

use crate::{
    program::{HOST, Outcome, pin_to},
    workload::Message,
};

use super::{
    contenders::{OnEvent, follow},
    streams::Stream,
};

/// How often a check reads the stream, so that it sees the seam too.
const PASSES: usize = 2;

/// How many events are read between two looks at the clock.
const EVENTS_A_LOOK: u64 = 256;

/// Reads the stream and prints `N events, M bytes of data`, after making sure that each is the right
/// one.
///
/// # Errors
///
/// When it is not, or the stream breaks.
pub fn check(contender: &str, stream: &str, port: &str) -> Outcome {
    let expected = Stream::called(stream).ok_or("no such stream")?.events();
    let mut checker = Checker { expected, events: 0, data_bytes: 0 };
    read(contender, stream, port, move |id: &str, data: &str| checker.see(id, data))
}

/// Reads the stream for so long and prints `EVENTS NANOSECONDS CPU_NANOSECONDS PEAK_KIB`: the CPU
/// time and the largest resident memory of the whole process.
///
/// # Errors
///
/// When the stream breaks.
pub fn measure(contender: &str, stream: &str, port: &str, milliseconds: &str) -> Outcome {
    pin_to(1)?;
    let mut meter = Meter::new(Duration::from_millis(milliseconds.parse()?));
    read(contender, stream, port, move |id: &str, data: &str| meter.see(id, data))
}

/// Reads on a task: what `block_on` itself polls waits for a look at the sockets between any two
/// chunks, which would hide what the clients cost.
fn read(contender: &str, stream: &str, port: &str, on_event: impl OnEvent) -> Outcome {
    let url = format!("http://{HOST}:{port}/{stream}");
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let task = runtime.spawn(follow(contender.to_owned(), url, on_event));
    println!("{}", runtime.block_on(task)??);
    Ok(())
}

struct Checker {
    expected: Vec<Message>,
    events: usize,
    data_bytes: usize,
}

impl Checker {
    fn see(&mut self, id: &str, data: &str) -> ControlFlow<Outcome<String>> {
        let expected = &self.expected[self.events % self.expected.len()];
        if (Some(id), data) != (expected.id.as_deref(), &expected.data) {
            let wrong = format!("got the event {id:?} {data:?} instead of {expected:?}");
            return ControlFlow::Break(Err(wrong.into()));
        }
        self.events += 1;
        self.data_bytes += data.len();
        if self.events < PASSES * self.expected.len() {
            return ControlFlow::Continue(());
        }
        let Self { events, data_bytes, .. } = self;
        ControlFlow::Break(Ok(format!("{events} events, {data_bytes} bytes of data")))
    }
}

/// Counts events for a time, after a quarter of that time to warm up.
struct Meter {
    length: Duration,
    phase: Phase,
    start: (Instant, ProcessTime),
    events: u64,
}

enum Phase {
    Connecting,
    WarmingUp,
    Measuring,
}

impl Meter {
    fn new(length: Duration) -> Self {
        let start = (Instant::now(), ProcessTime::now());
        Self { length, phase: Phase::Connecting, start, events: 0 }
    }

    fn see(&mut self, id: &str, data: &str) -> ControlFlow<Outcome<String>> {
        black_box((id, data));
        self.events += 1;
        if self.events.is_multiple_of(EVENTS_A_LOOK) {
            return self.look();
        }
        ControlFlow::Continue(())
    }

    fn look(&mut self) -> ControlFlow<Outcome<String>> {
        let elapsed = self.start.0.elapsed();
        match self.phase {
            Phase::Connecting => self.begin(Phase::WarmingUp),
            Phase::WarmingUp if elapsed >= self.length / 4 => self.begin(Phase::Measuring),
            Phase::Measuring if elapsed >= self.length => {
                return ControlFlow::Break(self.found(elapsed));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn begin(&mut self, phase: Phase) {
        self.phase = phase;
        self.events = 0;
        self.start = (Instant::now(), ProcessTime::now());
    }

    fn found(&self, elapsed: Duration) -> Outcome<String> {
        let [wall, cpu] = [elapsed, self.start.1.elapsed()].map(|time| time.as_nanos());
        Ok(format!("{} {wall} {cpu} {}", self.events, peak_kibibytes()?))
    }
}

fn peak_kibibytes() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no VmHWM")?;
    Ok(kibibytes.parse()?)
}

#[cfg(test)]
mod tests {
    use std::mem;

    use super::*;

    fn checker() -> Checker {
        let event = |number: u32| Message {
            name: None,
            id: Some(number.to_string()),
            data: format!("data {number}"),
        };
        Checker { expected: [1, 2, 3].map(event).into(), events: 0, data_bytes: 0 }
    }

    #[test]
    fn a_check_ends_when_all_events_have_come_twice() {
        let mut checker = checker();
        let mut seen = [1, 2, 3, 1, 2, 3]
            .map(|number| checker.see(&number.to_string(), &format!("data {number}")));
        let last = mem::replace(&mut seen[5], ControlFlow::Continue(()));
        assert!(seen.iter().all(ControlFlow::is_continue));
        assert!(
            matches!(last, ControlFlow::Break(Ok(found)) if found == "6 events, 36 bytes of data")
        );
    }

    #[test]
    fn a_check_finds_what_is_missing_or_wrong() {
        for (id, data) in [("2", "data 2"), ("1", "data 2"), ("", "data 1")] {
            let seen = checker().see(id, data);
            assert!(matches!(seen, ControlFlow::Break(Err(_))), "{id} {data}");
        }
    }
}
