//! Starts server and load, run after run, and prints what came out.

use std::{fmt::Display, fs, time::Instant};

use crate::{
    compare::{Spread, take_turns},
    host,
    program::{Outcome, Program},
    table::Table,
};

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    rounds: usize,
    seconds: u32,
}

impl Plan {
    /// For figures to quote.
    pub const FULL: Self = Self { rounds: 3, seconds: 4 };
    /// To see that it runs.
    pub const QUICK: Self = Self { rounds: 1, seconds: 2 };
}

/// How the server process is told what to be, and what the tables call it. The first is what the
/// others are compared with.
const CONTENDERS: [(&str, &str); 4] = [
    ("axum", "axum::response::sse over tokio::sync::broadcast"),
    ("fanfare", "fanfare attached to the same axum::serve, same bytes"),
    ("fanfare-hyper", "fanfare attached to plain hyper with writev(false), same bytes"),
    ("fanfare-ids", "fanfare on axum::serve, with ids to resume from"),
];
const SUBSCRIBERS: u32 = 1000;
const SUBSCRIBERS_FOR_MEMORY: u32 = 5000;
const EVENTS_PER_SECOND: u32 = 20;

/// Runs the comparison and prints its tables.
///
/// # Errors
///
/// When a process cannot be started, or ends too soon.
pub fn run(plan: Plan) -> Outcome {
    println!("# Fan-out on hyper\n");
    println!(
        "{} ({} CPUs), {}; {}.",
        host::cpu_model(),
        host::cpu_count(),
        host::rustc_version(),
        ["axum", "hyper", "tokio"].map(host::package).join(", ")
    );
    println!(
        "Server on CPU 0, load on CPU 1, loopback, TCP_NODELAY, keep-alive comments on in both, events of 100 bytes; medians of {} rounds (min - max), ratios round by round.\n",
        plan.rounds
    );
    steady(plan)?;
    flood(plan)?;
    memory(plan)
}

/// Server CPU per delivery at a steady rate.
fn steady(plan: Plan) -> Outcome {
    println!("## {SUBSCRIBERS} subscribers, {EVENTS_PER_SECOND} events a second\n");
    let rounds = rounds(plan, |contender| {
        let mut run = Run::start(contender, SUBSCRIBERS)?;
        run.publish(EVENTS_PER_SECOND, 1)?;
        let (published, cpu_nanoseconds) = run.publish(EVENTS_PER_SECOND, plan.seconds)?;
        run.wait_for_all(published)?;
        Ok(cpu_nanoseconds / (published * f64::from(SUBSCRIBERS)) / 1000.0)
    })?;
    print("server CPU per delivery, us", 2, "ratio (target: at most 0.8)", &rounds);
    Ok(())
}

/// Deliveries per second when the publisher does nothing else.
fn flood(plan: Plan) -> Outcome {
    println!("## {SUBSCRIBERS} subscribers, the publisher as fast as it can\n");
    let rounds = rounds(plan, |contender| {
        let mut run = Run::start(contender, SUBSCRIBERS)?;
        let before = run.delivered()?;
        let start = Instant::now();
        run.publish("max", plan.seconds)?;
        let delivered = run.delivered()? - before;
        Ok(delivered / start.elapsed().as_secs_f64() / 1e6)
    })?;
    print("deliveries, million/s", 2, "ratio (target: at least 5)", &rounds);
    Ok(())
}

/// Resident memory per connection that has been delivered to.
fn memory(plan: Plan) -> Outcome {
    println!("## Memory, {SUBSCRIBERS_FOR_MEMORY} subscribers\n");
    let rounds = rounds(plan, |contender| {
        let server = Server::start(contender)?;
        let before = server.resident_bytes()?;
        let mut run = Run {
            load: Load::start(&server, SUBSCRIBERS_FOR_MEMORY)?,
            server,
            subscribers: SUBSCRIBERS_FOR_MEMORY,
        };
        let (published, _) = run.publish(2, 2)?;
        run.wait_for_all(published)?;
        let per_connection =
            (run.server.resident_bytes()? - before) / f64::from(SUBSCRIBERS_FOR_MEMORY);
        Ok(per_connection / 1024.0)
    })?;
    print("resident memory per connection, KiB", 1, "ratio (target: at most 1)", &rounds);
    Ok(())
}

type Rounds = Vec<[f64; CONTENDERS.len()]>;

fn rounds(plan: Plan, measure: impl Fn(&str) -> Outcome<f64>) -> Outcome<Rounds> {
    take_turns(plan.rounds, CONTENDERS.map(|(word, _)| word), measure)
}

fn print(figure: &str, digits: usize, ratio: &str, rounds: &Rounds) {
    let mut table = Table::new(&["server", figure, ratio]);
    for (at, (_, name)) in CONTENDERS.iter().enumerate() {
        let figures = Spread::of(rounds.iter().map(|round| round[at]));
        let ratios = Spread::of(rounds.iter().map(|round| round[at] / round[0]));
        table.push([(*name).to_owned(), format!("{figures:.digits$}"), format!("{ratios:.2}")]);
    }
    println!("{table}");
}

/// A server with its subscribers.
struct Run {
    load: Load,
    server: Server,
    subscribers: u32,
}

impl Run {
    fn start(contender: &str, subscribers: u32) -> Outcome<Self> {
        let server = Server::start(contender)?;
        Ok(Self { load: Load::start(&server, subscribers)?, server, subscribers })
    }

    /// Publishes, and returns the number of events and the server's CPU time in nanoseconds.
    fn publish(&mut self, rate: impl Display, seconds: u32) -> Outcome<(f64, f64)> {
        let answer = self.server.0.ask(&format!("publish {rate} {seconds}"))?;
        let numbers: Vec<f64> =
            answer.split(' ').skip(1).map_while(|word| word.parse().ok()).collect();
        match numbers[..] {
            [published, cpu] => Ok((published, cpu)),
            _ => Err(format!("the server answered {answer:?}").into()),
        }
    }

    fn delivered(&mut self) -> Outcome<f64> {
        let answer = self.load.0.ask("count")?;
        Ok(answer.trim_start_matches("delivered ").parse()?)
    }

    /// Makes sure that every subscriber has been delivered to.
    fn wait_for_all(&mut self, published: f64) -> Outcome {
        let start = Instant::now();
        while self.delivered()? < published * f64::from(self.subscribers) {
            if start.elapsed().as_secs() > 10 {
                return Err("deliveries are missing".into());
            }
        }
        Ok(())
    }
}

struct Server(Program);

impl Server {
    fn start(contender: &str) -> Outcome<Self> {
        Ok(Self(Program::start(&["serve", contender])?))
    }

    fn resident_bytes(&self) -> Outcome<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no VmRSS")?;
        Ok(kibibytes.trim().parse::<f64>()? * 1024.0)
    }
}

struct Load(Program);

impl Load {
    /// Returns once every subscriber's stream is open.
    fn start(server: &Server, subscribers: u32) -> Outcome<Self> {
        let port = server.0.greeting().trim_start_matches("port ");
        Ok(Self(Program::start(&["load", port, &subscribers.to_string()])?))
    }
}
