//! Figures, each with its name and its unit, and all that were found.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{scenario, system::System};
use crate::compare::Spread;

/// What a figure says. The name has the unit in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Figure {
    CpuUsPerDelivery,
    LatencyMsP50,
    LatencyMsP99,
    LastMsP50,
    LastMsP99,
    FirstMsP50,
    AnswerMsP50,
    AnswerMsP99,
    CpuUsPerEvent,
    LogCpuUsPerEvent,
    TakenPerSecond,
    PublishedEvents,
    PublishedPerSecond,
    MillionDeliveriesPerSecond,
    LostEvents,
    KibPerSubscriber,
    ConnectsPerSecond,
    ServerBusyPercent,
    LoadBusyPercent,
    LoopHeldMsP50,
    LoopHeldMsMost,
}

impl Figure {
    /// The head of its column.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::CpuUsPerDelivery => "server CPU per delivery, us",
            Self::LatencyMsP50 => "latency p50, ms",
            Self::LatencyMsP99 => "latency p99, ms",
            Self::LastMsP50 => "to the last, p50, ms",
            Self::LastMsP99 => "to the last, p99, ms",
            Self::FirstMsP50 => "to the first, p50, ms",
            Self::AnswerMsP50 => "answer p50, ms",
            Self::AnswerMsP99 => "answer p99, ms",
            Self::CpuUsPerEvent => "CPU of the other hub per event, us",
            Self::LogCpuUsPerEvent => "CPU of the log's server per event, us",
            Self::TakenPerSecond => "taken from the log a second",
            Self::PublishedEvents => "events published",
            Self::PublishedPerSecond => "published a second",
            Self::MillionDeliveriesPerSecond => "deliveries, million/s",
            Self::LostEvents => "lost",
            Self::KibPerSubscriber => "KiB per idle subscriber",
            Self::ConnectsPerSecond => "connects a second",
            Self::ServerBusyPercent => "server CPU, %",
            Self::LoadBusyPercent => "load busy, %",
            Self::LoopHeldMsP50 => "event loop held up, median, ms",
            Self::LoopHeldMsMost => "event loop held up, most, ms",
        }
    }

    /// Decimals that mean something.
    pub(super) fn digits(self) -> usize {
        match self {
            Self::CpuUsPerDelivery
            | Self::KibPerSubscriber
            | Self::MillionDeliveriesPerSecond
            | Self::CpuUsPerEvent
            | Self::LogCpuUsPerEvent
            | Self::AnswerMsP50
            | Self::AnswerMsP99
            | Self::LatencyMsP50
            | Self::LatencyMsP99 => 2,
            Self::FirstMsP50
            | Self::LastMsP50
            | Self::LastMsP99
            | Self::LoopHeldMsP50
            | Self::LoopHeldMsMost => 1,
            _ => 0,
        }
    }
}

/// What one run has given.
pub(super) type Figures = BTreeMap<Figure, f64>;

/// One run: a row of a scenario in a round.
#[derive(Debug, Serialize)]
pub(super) struct Sample {
    pub(super) round: usize,
    pub(super) scenario: scenario::Name,
    pub(super) row: String,
    #[serde(flatten, serialize_with = "outcome")]
    pub(super) outcome: Result<Figures, String>,
}

fn outcome<S: Serializer>(outcome: &Result<Figures, String>, to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(1))?;
    match outcome {
        Ok(figures) => map.serialize_entry("figures", figures)?,
        Err(reason) => map.serialize_entry("failed", reason)?,
    }
    map.end()
}

/// All runs.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Samples(pub(super) Vec<Sample>);

/// A row of a scenario.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a>(pub(super) scenario::Name, pub(super) &'a str);

impl Row<'static> {
    pub(super) fn of(scenario: scenario::Name, system: System) -> Self {
        Self(scenario, system.title())
    }
}

impl Samples {
    fn of(&self, row: Row<'_>) -> impl Iterator<Item = &Sample> {
        let Row(scenario, name) = row;
        self.0.iter().filter(move |sample| sample.scenario == scenario && sample.row == name)
    }

    /// By round.
    pub(super) fn values(&self, row: Row<'_>, figure: Figure) -> BTreeMap<usize, f64> {
        let value = |sample: &Sample| {
            let figures = sample.outcome.as_ref().ok()?;
            Some((sample.round, *figures.get(&figure)?))
        };
        self.of(row).filter_map(value).collect()
    }

    /// `None` where it was not measured.
    pub(super) fn spread(&self, row: Row<'_>, figure: Figure) -> Option<Spread> {
        spread(self.values(row, figure).into_values())
    }

    /// What comes of two figures, round by round.
    pub(super) fn compare(
        &self,
        (one, figure): (Row<'_>, Figure),
        (other, other_figure): (Row<'_>, Figure),
        compare: impl Fn(f64, f64) -> f64,
    ) -> Option<Spread> {
        let others = self.values(other, other_figure);
        let values = self.values(one, figure).into_iter();
        spread(values.filter_map(|(round, value)| Some(compare(value, *others.get(&round)?))))
    }

    /// Why it has failed, where it has in every round.
    pub(super) fn failure(&self, row: Row<'_>) -> Option<&str> {
        let mut failures = self.of(row).map(|sample| sample.outcome.as_ref().err());
        let first = failures.next()??;
        failures.all(|failure| failure.is_some()).then_some(first)
    }

    /// In how many rounds it has failed.
    pub(super) fn failures(&self, row: Row<'_>) -> usize {
        self.of(row).filter(|sample| sample.outcome.is_err()).count()
    }
}

/// `None` where there are no values.
pub(super) fn spread(values: impl Iterator<Item = f64>) -> Option<Spread> {
    let mut values = values.peekable();
    values.peek()?;
    Some(Spread::of(values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use scenario::Name;

    fn sample(round: usize, row: &str, outcome: Result<f64, &str>) -> Sample {
        let figures = outcome.map(|value| Figures::from([(Figure::LostEvents, value)]));
        let outcome = figures.map_err(str::to_owned);
        Sample { round, scenario: Name::Flood, row: row.to_owned(), outcome }
    }

    fn samples() -> Samples {
        Samples(vec![
            sample(1, "a", Ok(1.0)),
            sample(1, "b", Ok(2.0)),
            sample(2, "a", Ok(3.0)),
            sample(2, "b", Err("gone")),
            sample(3, "a", Ok(2.0)),
            sample(3, "b", Ok(8.0)),
            sample(1, "c", Err("missing")),
        ])
    }

    #[test]
    fn figures_are_compared_within_their_round() {
        let (a, b) = (Row(Name::Flood, "a"), Row(Name::Flood, "b"));
        let (samples, lost) = (samples(), Figure::LostEvents);
        let ratio = samples.compare((b, lost), (a, lost), |b, a| b / a);
        assert_eq!(ratio, Some(Spread { median: 3.0, min: 2.0, max: 4.0 }));
        assert_eq!(samples.spread(a, lost), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(samples.spread(Row(Name::Idle, "a"), lost), None);
    }

    #[test]
    fn a_row_has_failed_when_it_has_in_every_round() {
        let samples = samples();
        let failure = |row| samples.failure(Row(Name::Flood, row));
        assert_eq!([failure("a"), failure("b"), failure("c")], [None, None, Some("missing")]);
        assert_eq!(samples.failures(Row(Name::Flood, "b")), 1);
    }

    #[test]
    fn a_sample_is_written_with_its_figures_or_its_failure() {
        let json = |sample: &Sample| serde_json::to_string(sample).unwrap();
        assert_eq!(
            json(&sample(1, "a", Ok(1.5))),
            r#"{"round":1,"scenario":"flood","row":"a","figures":{"lost_events":1.5}}"#
        );
        assert!(json(&sample(1, "a", Err("gone"))).ends_with(r#""failed":"gone"}"#));
    }
}
