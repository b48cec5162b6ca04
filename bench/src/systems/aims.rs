//! What is to be reached, and whether it is.

use super::{
    figures::{Figure, Row, Samples, spread},
    report::cell,
    scenario::{ALONE, FLOODED, MANY_TOPICS, Name, ONE_THREAD, ONE_TOPIC, SYNC, TWO_THREADS},
    system::System,
};
use crate::compare::Spread;

/// A line of the last table.
#[derive(Debug)]
pub(super) struct Aim {
    pub(super) what: &'static str,
    pub(super) bound: Bound,
    /// `None` where something for it is missing.
    pub(super) measured: Option<Spread>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    AtMost(f64, &'static str),
    AtLeast(f64, &'static str),
    /// Nothing is asked of it.
    Reported(&'static str),
}

impl Aim {
    pub(super) fn bound(&self) -> String {
        match self.bound {
            Bound::AtMost(bound, unit) => format!("at most {bound} {unit}"),
            Bound::AtLeast(bound, unit) => format!("at least {bound} {unit}"),
            Bound::Reported(_) => "reported".into(),
        }
    }

    pub(super) fn measured(&self) -> String {
        let (Bound::AtMost(_, unit) | Bound::AtLeast(_, unit) | Bound::Reported(unit)) = self.bound;
        let in_words = |measured| format!("{} {unit}", cell(measured, 2));
        self.measured.map_or("not measured".into(), in_words)
    }

    /// By the median.
    pub(super) fn verdict(&self) -> String {
        let Some(Spread { median, .. }) = self.measured else { return "-".into() };
        match self.bound {
            Bound::Reported(_) => "-".into(),
            Bound::AtMost(bound, _) if median <= bound => "met".into(),
            Bound::AtLeast(bound, _) if median >= bound => "met".into(),
            Bound::AtMost(bound, unit) if bound == 0.0 => {
                format!("missed by {:.2} {unit}", median - bound)
            }
            Bound::AtMost(bound, _) | Bound::AtLeast(bound, _) => {
                format!("missed by {:.0} %", (median / bound - 1.0).abs() * 100.0)
            }
        }
    }
}

pub(super) fn all(samples: &Samples) -> Vec<Aim> {
    use Bound::{AtLeast, AtMost, Reported};
    use Figure::{
        ConnectsPerSecond, CpuUsPerDelivery, KibPerSubscriber, LastMsP99, LatencyMsP99, LostEvents,
        MillionDeliveriesPerSecond,
    };
    use System::{Axum, DurableStreams, Floor, Hub, Library};

    let of = |name, system: System, figure| samples.spread(Row::of(name, system), figure);
    let ratio = |name, one, other, figure| {
        let side = |system| (Row::of(name, system), figure);
        samples.compare(side(one), side(other), |one, other| one / other)
    };
    let cases = |name, one, other, figure, compare: fn(f64, f64) -> f64| {
        samples.compare((Row(name, one), figure), (Row(name, other), figure), compare)
    };
    let aim = |what, bound, measured| Aim { what, bound, measured };
    vec![
        aim(
            "CPU per delivery, 1,000 subscribers: engine to floor",
            AtMost(1.10, "x"),
            ratio(Name::Steady, Hub, Floor, CpuUsPerDelivery),
        ),
        aim(
            "CPU per delivery, 10,000 subscribers: engine to floor",
            AtMost(1.10, "x"),
            ratio(Name::Many, Hub, Floor, CpuUsPerDelivery),
        ),
        aim(
            "Flood, deliveries a second: engine to durable-streams in memory",
            AtLeast(2.0, "x"),
            ratio(Name::Flood, Hub, DurableStreams, MillionDeliveriesPerSecond),
        ),
        aim("Flood, lost: engine", AtMost(0.0, "events"), of(Name::Flood, Hub, LostEvents)),
        aim(
            "Flood, to the last subscriber, p99: engine",
            AtMost(25.0, "ms"),
            of(Name::Flood, Hub, LastMsP99),
        ),
        aim(
            "To the last of 1,000 subscribers, p99, 20 events/s: engine to floor",
            AtMost(1.15, "x"),
            ratio(Name::Steady, Hub, Floor, LastMsP99),
        ),
        aim(
            "Memory of an idle subscriber: engine",
            AtMost(0.5, "KiB"),
            of(Name::Idle, Hub, KibPerSubscriber),
        ),
        aim(
            "Connects a second: engine to floor",
            AtLeast(0.8, "x"),
            ratio(Name::Idle, Hub, Floor, ConnectsPerSecond),
        ),
        aim(
            "Latency p99 of a synced publish, above memory and one sync (p99)",
            AtMost(0.0, "ms"),
            above_a_sync(samples),
        ),
        aim(
            "Latency p99 of a small topic beside a flooded one, above alone",
            AtMost(5.0, "ms"),
            cases(Name::Fairness, FLOODED, ALONE, LatencyMsP99, |flooded, alone| flooded - alone),
        ),
        aim(
            "CPU per delivery, 10,000 topics to one topic, as many publishes",
            AtMost(1.3, "x"),
            cases(Name::Topics, MANY_TOPICS, ONE_TOPIC, CpuUsPerDelivery, |many, one| many / one),
        ),
        aim(
            "Flood, deliveries a second: two engine threads to one, the load on the same CPUs",
            Reported("x"),
            cases(Name::Cores, TWO_THREADS, ONE_THREAD, MillionDeliveriesPerSecond, |two, one| {
                two / one
            }),
        ),
        aim(
            "CPU per delivery, 1,000 subscribers: the library to axum's Sse",
            AtMost(0.8, "x"),
            ratio(Name::Steady, Library, Axum, CpuUsPerDelivery),
        ),
        aim(
            "Flood, deliveries a second: the library to axum's Sse, published to over HTTP",
            Reported("x"),
            ratio(Name::Flood, Library, Axum, MillionDeliveriesPerSecond),
        ),
        aim(
            "Memory of an idle subscriber: the library to axum's Sse",
            AtMost(1.0, "x"),
            ratio(Name::Idle, Library, Axum, KibPerSubscriber),
        ),
    ]
}

/// How much longer a synced publish takes than one in memory, and a sync.
fn above_a_sync(samples: &Samples) -> Option<Spread> {
    let values = |row| samples.values(Row(Name::Durable, row), Figure::LatencyMsP99);
    let (memory, sync) = (values(System::Hub.title()), values(SYNC));
    let synced = values(System::HubSync.title()).into_iter();
    spread(
        synced.filter_map(|(round, synced)| Some(synced - memory.get(&round)? - sync.get(&round)?)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aim(bound: Bound, median: Option<f64>) -> Aim {
        let measured = median.map(|median| Spread { median, min: median, max: median });
        Aim { what: "", bound, measured }
    }

    #[test]
    fn an_aim_is_met_or_says_by_how_much_it_is_missed() {
        let verdict = |bound, median| aim(bound, median).verdict();
        assert_eq!(verdict(Bound::AtMost(1.1, "x"), Some(1.1)), "met");
        assert_eq!(verdict(Bound::AtMost(1.0, "x"), Some(1.5)), "missed by 50 %");
        assert_eq!(verdict(Bound::AtLeast(2.0, "x"), Some(1.0)), "missed by 50 %");
        assert_eq!(verdict(Bound::AtMost(0.0, "events"), Some(7.0)), "missed by 7.00 events");
        assert_eq!(verdict(Bound::Reported("x"), Some(7.0)), "-");
        assert_eq!(aim(Bound::AtMost(1.0, "x"), None).measured(), "not measured");
    }
}
