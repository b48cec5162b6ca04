//! The results as Markdown for people, and as JSON with every single figure.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::{
    Suite,
    aims::{self, Aim},
    figures::{Figure, Row, Samples},
    machine::Machine,
    plan::Plan,
    scenario::Scenario,
};
use crate::{compare::Spread, table::Table};

pub(super) struct Report<'a> {
    pub(super) suite: Suite,
    pub(super) machine: &'a Machine,
    pub(super) plan: Plan,
    pub(super) scenarios: &'a [Scenario],
    pub(super) samples: &'a Samples,
}

#[derive(Serialize)]
struct Json<'a> {
    machine: &'a Machine,
    rounds: usize,
    samples: &'a Samples,
}

impl Report<'_> {
    /// A line for each sample: what has changed since is seen in a diff.
    pub(super) fn to_json(&self) -> serde_json::Result<String> {
        let Self { machine, plan, samples, .. } = self;
        let json = Json { machine, rounds: plan.rounds, samples };
        let json = serde_json::to_string(&json)?;
        Ok(json.replace("{\"round\"", "\n{\"round\"") + "\n")
    }

    fn machine(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Machine { date, cpu, cpus, memory_gib, kernel, commit, versions } = self.machine;
        writeln!(
            f,
            "{date}, commit {commit}. {cpu} ({cpus} CPUs), {memory_gib} GiB, Linux {kernel}.\n{}.\n",
            versions.join(", ")
        )
    }

    fn method(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} \
             Medians of rounds (smallest to largest), in which all take their turn; ratios round by \
             round, to the first row. \
             bench/README.md tells how each is configured, and \
             {}.json has every single figure.\n",
            self.suite.method(),
            self.suite.name()
        )
    }

    fn scenario(&self, f: &mut Formatter<'_>, scenario: &Scenario) -> fmt::Result {
        let rounds = match scenario.rounds(self.plan.rounds) {
            1 => "One round.".to_owned(),
            rounds => format!("{rounds} rounds."),
        };
        writeln!(f, "## {}\n\n{} {rounds}\n", scenario.title, scenario.note)?;
        let mut head = vec!["system"];
        for &column in scenario.columns {
            head.push(column.title());
            if scenario.compared.contains(&column) {
                head.push("ratio");
            }
        }
        let mut table = Table::new(&head);
        for case in &scenario.cases {
            table.push(self.row(scenario, &case.row));
        }
        writeln!(f, "{table}")?;
        scenario.cases.iter().try_for_each(|case| self.failure(f, scenario, &case.row))
    }

    fn row(&self, scenario: &Scenario, name: &str) -> Vec<String> {
        let row = Row(scenario.name, name);
        let has_failed = self.samples.failure(row).is_some();
        let mut cells = vec![name.to_owned()];
        for &column in scenario.columns {
            cells.push(if has_failed { "failed".into() } else { self.value(row, column) });
            if scenario.compared.contains(&column) {
                cells.push(self.ratio(scenario, row, column));
            }
        }
        cells
    }

    fn value(&self, row: Row<'_>, figure: Figure) -> String {
        let digits = figure.digits();
        let spread = self.samples.spread(row, figure);
        spread.map_or("-".into(), |spread| cell(spread, digits))
    }

    fn ratio(&self, scenario: &Scenario, row: Row<'_>, figure: Figure) -> String {
        let Some(first) = scenario.cases.first() else { return "-".into() };
        let first = Row(scenario.name, &first.row);
        let ratio =
            self.samples.compare((row, figure), (first, figure), |value, first| value / first);
        ratio.map_or("-".into(), |ratio| cell(ratio, 2))
    }

    fn failure(&self, f: &mut Formatter<'_>, scenario: &Scenario, name: &str) -> fmt::Result {
        let row = Row(scenario.name, name);
        if let Some(reason) = self.samples.failure(row) {
            return writeln!(f, "{name} has failed: {reason}\n");
        }
        match self.samples.failures(row) {
            0 => Ok(()),
            rounds => {
                let all = scenario.rounds(self.plan.rounds);
                writeln!(f, "{name} has failed in {rounds} of {all} rounds.\n")
            }
        }
    }

    fn aims(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "## Aims\n")?;
        let mut table = Table::new(&["what", "aim", "measured", "by the median"]);
        for aim in aims::all(self.samples) {
            let Aim { what, .. } = aim;
            table.push([what.to_owned(), aim.bound(), aim.measured(), aim.verdict()]);
        }
        write!(f, "{table}")
    }
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}\n", self.suite.title())?;
        self.machine(f)?;
        self.method(f)?;
        self.scenarios.iter().try_for_each(|scenario| self.scenario(f, scenario))?;
        match self.suite {
            Suite::Systems => self.aims(f),
            Suite::Cluster | Suite::Node => Ok(()),
        }
    }
}

/// A median with its spread, where there is one.
pub(super) fn cell(Spread { median, min, max }: Spread, digits: usize) -> String {
    let [median, min, max] = [median, min, max].map(|value| format!("{value:.digits$}"));
    if min == max { median } else { format!("{median} ({min} to {max})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_told_where_there_is_one() {
        assert_eq!(cell(Spread { median: 2.0, min: -1.5, max: 2.26 }, 1), "2.0 (-1.5 to 2.3)");
        assert_eq!(cell(Spread { median: 2.0, min: 1.99, max: 2.01 }, 1), "2.0");
    }
}
