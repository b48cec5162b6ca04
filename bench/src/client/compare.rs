//! Starts server and clients, run after run, and prints what came out.

use std::fmt;

use crate::{
    compare::{Spread, take_turns},
    host,
    program::{Outcome, Program},
    table::Table,
};

use super::{
    contenders::{CONTENDERS, Side},
    streams::{STREAMS, Stream},
};

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    rounds: usize,
    milliseconds: u32,
}

impl Plan {
    /// For figures to quote.
    pub const FULL: Self = Self { rounds: 5, milliseconds: 1000 };
    /// To see that it runs.
    pub const QUICK: Self = Self { rounds: 3, milliseconds: 200 };
}

const METHOD: &str = "\
Server on CPU 0, one client at a time on CPU 1, loopback. Each measurement is a process of its own,
in which one task on one thread reads for a while before the clock starts. Every number is the median
of all rounds, with the smallest and the largest in parentheses; MB are 10^6 bytes of the event
stream; CPU is that of the client's process, in the kernel too; memory is the most that was resident,
with the certificates of TLS in fanfare's transports, and no TLS in the peers' ones. The ratios are
fanfare's on reqwest to the line's in the same round, above 1 where fanfare is better. The body alone
is what would be left if events could be read for nothing.";

const SUMMARY_NOTE: &str = "\
fanfare to the better of the peers in each round. The targets are for events a second. Where the
server keeps to a rate, all clients keep up, and the kernel's work to wake them outweighs theirs.";

/// What one run of a client has shown.
#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    /// Events per second.
    speed: f64,
    /// Seconds of CPU time per event.
    cpu: f64,
    /// Bytes that were resident at most.
    memory: f64,
}

type Round = [Figures; CONTENDERS.len()];

/// Runs the comparison and prints its tables.
///
/// # Errors
///
/// When a process cannot be started, ends too soon, or finds other events than the server sends.
pub fn run(plan: Plan) -> Outcome {
    print_header(plan);
    let server = Program::start(&["serve"])?;
    let port = server.greeting().trim_start_matches("port ");
    let mut summary = Table::new(&["stream", "client", "events/s", "CPU", "target", "reached"]);
    for stream in &STREAMS {
        let found = check(stream, port)?;
        let rounds = take_turns(plan.rounds, CONTENDERS.map(|one| one.word), |one| {
            measure(one, stream, port, plan)
        })?;
        println!("## {}\n\nEach client has been checked to give {found}.\n", stream.title);
        print_table(stream, &rounds);
        summarise(stream, &rounds, &mut summary);
    }
    println!("## Summary\n\n{SUMMARY_NOTE}\n\n{summary}");
    Ok(())
}

fn print_header(plan: Plan) {
    println!("# Clients\n");
    println!(
        "{} ({} CPUs), {}; {}.\n",
        host::cpu_model(),
        host::cpu_count(),
        host::rustc_version(),
        ["hyper", "reqwest", "tokio"].map(host::package).join(", ")
    );
    println!("{METHOD}\n\n{} rounds of {} ms for each client.\n", plan.rounds, plan.milliseconds);
}

/// Makes sure that every client gives the stream's events, and tells how many there were.
fn check(stream: &Stream, port: &str) -> Outcome<String> {
    let clients = CONTENDERS.iter().filter(|one| one.side != Side::Nobody);
    let mut found = Vec::new();
    for one in clients {
        found.push(Program::start(&["check", one.word, stream.word, port])?.greeting().to_owned());
    }
    match found.pop() {
        Some(last) if found.iter().all(|other| *other == last) => Ok(last),
        last => Err(format!("clients give different events: {found:?} {last:?}").into()),
    }
}

fn measure(contender: &str, stream: &Stream, port: &str, plan: Plan) -> Outcome<Figures> {
    let milliseconds = plan.milliseconds.to_string();
    let run = Program::start(&["measure", contender, stream.word, port, &milliseconds])?;
    let numbers: Vec<f64> =
        run.greeting().split(' ').map_while(|number| number.parse().ok()).collect();
    match numbers[..] {
        [events, wall_nanoseconds, cpu_nanoseconds, peak_kibibytes] => Ok(Figures {
            speed: events / wall_nanoseconds * 1e9,
            cpu: cpu_nanoseconds / events / 1e9,
            memory: peak_kibibytes * 1024.0,
        }),
        _ => Err(format!("{contender} printed {:?}", run.greeting()).into()),
    }
}

fn print_table(stream: &Stream, rounds: &[Round]) {
    let mut table = Table::new(&[
        "client",
        "events, million/s",
        "MB/s",
        "CPU an event, ns",
        "memory, MiB",
        "ratio, events/s",
        "ratio, CPU",
    ]);
    for (at, one) in CONTENDERS.iter().enumerate() {
        let spread =
            |of: fn(&Figures) -> f64| Spread::of(rounds.iter().map(|round| of(&round[at])));
        let speed = spread(|figures| figures.speed / 1e6);
        let megabytes = speed.median * stream.bytes_an_event();
        let cpu = spread(|figures| figures.cpu * 1e9);
        let memory = spread(|figures| figures.memory / 1024.0 / 1024.0);
        let better = |of: fn(Figures, Figures) -> f64| {
            Spread::of(rounds.iter().map(|round| of(round[0], round[at])))
        };
        table.push([
            one.name(),
            format!("{speed:.2}"),
            format!("{megabytes:.0}"),
            format!("{cpu:.0}"),
            format!("{:.1}", memory.median),
            format!("{:.2}", better(faster)),
            format!("{:.2}", better(leaner)),
        ]);
    }
    println!("{table}");
}

/// How many times as many events a second.
fn faster(one: Figures, other: Figures) -> f64 {
    one.speed / other.speed
}

/// How many times less CPU an event.
fn leaner(one: Figures, other: Figures) -> f64 {
    other.cpu / one.cpu
}

fn summarise(stream: &Stream, rounds: &[Round], summary: &mut Table) {
    for at in of_side(Side::Fanfare) {
        let [speed, cpu] = [faster, leaner].map(|better| to_better_peer(rounds, at, better));
        let [target, reached] = match stream.target {
            Some(target) if speed.median >= target => [format!("{target:.1}"), "yes".to_owned()],
            Some(target) => [format!("{target:.1}"), "NO".to_owned()],
            None => [String::new(), String::new()],
        };
        summary.push([
            stream.title.to_owned(),
            CONTENDERS[at].name(),
            speed.to_string(),
            cpu.to_string(),
            target,
            reached,
        ]);
    }
}

fn of_side(side: Side) -> impl Iterator<Item = usize> {
    (0..CONTENDERS.len()).filter(move |&at| CONTENDERS[at].side == side)
}

fn to_better_peer(rounds: &[Round], at: usize, better: fn(Figures, Figures) -> f64) -> Spread {
    Spread::of(rounds.iter().map(|round| {
        of_side(Side::Peer).map(|peer| better(round[at], round[peer])).fold(f64::MAX, f64::min)
    }))
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { speed, cpu, .. } = self;
        write!(f, "{:.2} million/s, {:.0} ns", speed / 1e6, cpu * 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(speeds: [f64; CONTENDERS.len()]) -> Round {
        speeds.map(|speed| Figures { speed, cpu: 1.0 / speed, memory: 0.0 })
    }

    #[test]
    fn the_better_peer_is_another_one_each_round() {
        let rounds =
            [round([6.0, 1.0, 2.0, 3.0, 9.0]), round([8.0, 1.0, 2.0, 1.0, 9.0]), round([3.0; 5])];
        for better in [faster, leaner] {
            let expected = Spread { median: 2.0, min: 1.0, max: 4.0 };
            assert_eq!(to_better_peer(&rounds, 0, better), expected);
        }
    }
}
