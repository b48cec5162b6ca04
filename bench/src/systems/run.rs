//! Rounds, in each of which everything takes its turn.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use super::{
    Options, Suite,
    figures::{Sample, Samples},
    launch,
    machine::Machine,
    plan::Plan,
    report::Report,
    scenario::{Bench, Case, Scenario},
    tools::{self, Tools},
};
use crate::{host, program::Outcome};

pub(super) fn run(suite: Suite, options: &Options, now: SystemTime) -> Outcome {
    if host::cpu_count() < 2 {
        return Err("it needs two CPUs: one for the server and one for the load".into());
    }
    let plan = plan(options);
    let scenarios = chosen(suite, options);
    let folder = results(options);
    // Before the work, so that nothing is measured in vain.
    fs::create_dir_all(&folder)?;
    launch::remove_leftovers();
    let tools = Tools::install(&scenarios)?;
    let machine = Machine::here(&tools, now);
    let samples = measure(Bench { tools: &tools, plan }, &scenarios);
    let report =
        Report { suite, machine: &machine, plan, scenarios: &scenarios, samples: &samples };
    println!("{report}");
    let name = suite.name();
    fs::write(folder.join(name).with_extension("md"), report.to_string())?;
    fs::write(folder.join(name).with_extension("json"), report.to_json()?)?;
    eprintln!("{name}: written to {}", folder.display());
    Ok(())
}

fn plan(options: &Options) -> Plan {
    let plan = if options.quick { Plan::QUICK } else { Plan::FULL };
    Plan { rounds: options.rounds.map_or(plan.rounds, Into::into), ..plan }
}

/// What is not for quoting does not go where it would be quoted from.
fn results(options: &Options) -> PathBuf {
    let usual = || {
        let is_whole = !options.quick && options.systems.is_empty() && options.scenarios.is_empty();
        if is_whole {
            tools::root().join("bench/results")
        } else {
            tools::target().join("bench-results")
        }
    };
    options.results.clone().unwrap_or_else(usual)
}

fn chosen(suite: Suite, options: &Options) -> Vec<Scenario> {
    let mut scenarios = suite.scenarios();
    scenarios.retain(|scenario| options.has_scenario(scenario.name));
    for scenario in &mut scenarios {
        scenario.cases.retain(|case| options.has_system(case.system));
    }
    scenarios.retain(|scenario| !scenario.cases.is_empty());
    scenarios
}

fn measure(bench: Bench<'_>, scenarios: &[Scenario]) -> Samples {
    let mut samples = Samples::default();
    let mut progress = Progress::new(bench.plan.rounds, scenarios);
    for round in 1..=bench.plan.rounds {
        for scenario in scenarios.iter().filter(|one| round <= one.most_rounds) {
            // Another one begins each time.
            let mut cases: Vec<_> = scenario.cases.iter().collect();
            let first = (round - 1) % cases.len();
            cases.rotate_left(first);
            for case in cases {
                progress.begin(round, scenario, case);
                let outcome = (case.measure)(&bench).map_err(|error| error.to_string());
                if let Err(reason) = &outcome {
                    eprintln!("{} has failed: {reason}", case.row);
                }
                progress.end(case);
                let (scenario, row) = (scenario.name, case.row.clone());
                samples.0.push(Sample { round, scenario, row, outcome });
            }
        }
    }
    samples
}

/// Tells how far it is.
struct Progress {
    rounds: usize,
    start: Instant,
    /// Seconds, as they were expected.
    done: u32,
    all: u32,
}

impl Progress {
    fn new(rounds: usize, scenarios: &[Scenario]) -> Self {
        let seconds = |scenario: &Scenario| {
            let round: u32 = scenario.cases.iter().map(|case| case.seconds).sum();
            round * u32::try_from(scenario.rounds(rounds)).unwrap_or(u32::MAX)
        };
        let all = scenarios.iter().map(seconds).sum();
        Self { rounds, start: Instant::now(), done: 0, all }
    }

    fn begin(&self, round: usize, scenario: &Scenario, case: &Case) {
        let (rounds, rest) = (self.rounds, in_words(self.rest()));
        eprintln!("round {round} of {rounds}, {}: {}; {rest} to go", scenario.title, case.row);
    }

    fn end(&mut self, case: &Case) {
        self.done += case.seconds;
    }

    /// By how long it has taken until now.
    fn rest(&self) -> Duration {
        let left = f64::from(self.all - self.done);
        let expected = Duration::from_secs_f64(left);
        if self.done == 0 {
            return expected;
        }
        expected.mul_f64(self.start.elapsed().as_secs_f64() / f64::from(self.done))
    }
}

fn in_words(rest: Duration) -> String {
    match rest.as_secs() {
        seconds @ ..90 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}
