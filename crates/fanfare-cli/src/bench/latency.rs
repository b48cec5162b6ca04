//! How long events take to their subscribers, and to the first and the last of them.

use std::collections::VecDeque;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{check::Lanes, payload::Mark};

/// A minute, in nanoseconds. What takes longer counts as that.
const LONGEST: u64 = 60_000_000_000;
/// Decimal digits that are right.
const DIGITS: u8 = 3;
/// Events of a lane that can be under way to some subscribers still. Of older ones the last
/// subscriber is not waited for.
const MOST_UNDER_WAY: usize = 1 << 20;

/// Times in nanoseconds.
#[derive(Debug, Clone)]
pub(super) struct Times(Histogram<u64>);

/// What is told of times, in nanoseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Quantiles {
    pub(super) p50: u64,
    pub(super) p99: u64,
    #[serde(rename = "p99.9")]
    pub(super) p999: u64,
    pub(super) max: u64,
}

impl Times {
    pub(super) fn new() -> Self {
        let bounded = Histogram::new_with_bounds(1, LONGEST, DIGITS);
        // These bounds make sense, which is all that it asks for.
        Self(bounded.unwrap_or_else(|_| unreachable!()))
    }

    pub(super) fn record(&mut self, time: u64) {
        self.0.saturating_record(time);
    }

    pub(super) fn add(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    /// `None` where there were none.
    pub(super) fn quantiles(&self) -> Option<Quantiles> {
        let at = |quantile| self.0.value_at_quantile(quantile);
        (!self.0.is_empty()).then(|| Quantiles {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: self.0.max(),
        })
    }
}

/// Of all deliveries that are measured.
#[derive(Debug)]
pub(super) struct Latency {
    lanes: Lanes,
    pub(super) each: Times,
    pub(super) first: Times,
    pub(super) last: Times,
    under_way: Vec<UnderWay>,
}

/// Events of a lane that not all subscribers have.
#[derive(Debug, Default)]
struct UnderWay {
    first: u64,
    /// By event from `first` on: how many subscribers have it.
    given: VecDeque<u32>,
}

impl Latency {
    pub(super) fn new(lanes: Lanes) -> Self {
        let mut under_way = vec![];
        under_way.resize_with(lanes.count(), UnderWay::default);
        let [each, first, last] = [(); 3].map(|()| Times::new());
        Self { lanes, each, first, last, under_way }
    }

    /// A subscriber has been given the event for the first time.
    pub(super) fn take(&mut self, mark: &Mark, now: u64, is_measured: bool) {
        let time = now.saturating_sub(mark.sent);
        let lane = self.lanes.of(mark.topic, mark.publisher);
        let all = self.lanes.subscribers_of(mark.topic);
        let given = self.under_way[lane].give(mark.number, all);
        if is_measured {
            self.each.record(time);
            if given == Some(1) {
                self.first.record(time);
            }
            if given == Some(all) {
                self.last.record(time);
            }
        }
    }
}

impl UnderWay {
    /// How many of all subscribers have it now, as far as that is known.
    fn give(&mut self, number: u64, all: u32) -> Option<u32> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        // A server that makes numbers up does not make this program large.
        if at >= 2 * MOST_UNDER_WAY {
            return None;
        }
        if at >= self.given.len() {
            self.given.resize(at + 1, 0);
        }
        self.given[at] += 1;
        let given = self.given[at];
        while self.given.front() == Some(&all) || self.given.len() > MOST_UNDER_WAY {
            self.given.pop_front();
            self.first += 1;
        }
        Some(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_subscriber_have_times_of_their_own() {
        let lanes = Lanes { subscribers: 3, topics: 1, publishers: 1, is_by_topic: true };
        let mut latency = Latency::new(lanes);
        let mark = |number| Mark { topic: 0, publisher: 0, number, sent: 1000 };
        for (number, now) in [(1, 1010), (0, 1020), (0, 1030), (0, 1040), (1, 1050), (1, 1060)] {
            latency.take(&mark(number), now, true);
        }
        latency.take(&mark(2), 9999, false);
        let each = latency.each.quantiles().unwrap();
        assert_eq!((each.p50, each.max), (30, 60));
        let first = latency.first.quantiles().unwrap();
        assert_eq!((first.p50, first.max), (10, 20));
        let last = latency.last.quantiles().unwrap();
        assert_eq!((last.p50, last.max), (40, 60));
        assert!(latency.under_way[0].given.len() == 1);
    }

    #[test]
    fn without_any_there_are_no_quantiles() {
        assert!(Times::new().quantiles().is_none());
    }
}
