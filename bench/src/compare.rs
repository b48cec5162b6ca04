//! Measures several ways to do the same work side by side.
//!
//! Three guards against a machine that does other things too: the contenders take short turns, so
//! that whatever the machine does meanwhile hits them alike; a round counts the fastest pass of
//! each, since interruptions only ever add time; and two contenders are compared round by round, so
//! that what slows a whole round down falls out of their ratio. A turn is many passes, so that
//! caches and allocator have settled for its contender before it ends.

use std::{fmt, time::Duration};

use crate::program::Outcome;

/// How many turns a round gives each contender.
const TURNS: u32 = 5;

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How often each contender is measured.
    pub rounds: usize,
    /// A round repeats each contender's pass for at least this long in all.
    pub measurement: Duration,
}

/// One of several ways to do the same work.
pub struct Contender<'a> {
    name: String,
    pass: Box<dyn FnMut() -> Duration + 'a>,
}

/// What a contender's passes took.
#[derive(Debug)]
pub struct Measured {
    /// Whose times they are.
    pub name: String,
    /// The fastest pass of each round.
    pub rounds: Vec<Duration>,
}

/// Where a number lay over all rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle one, or what lies between the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl<'a> Contender<'a> {
    /// A contender whose `pass` does the whole work once and says how long that took.
    pub fn new(name: impl Into<String>, pass: impl FnMut() -> Duration + 'a) -> Self {
        Self { name: name.into(), pass: Box::new(pass) }
    }

    /// The fastest of as many passes as it takes to measure `at_least` this long.
    fn fastest_pass(&mut self, at_least: Duration) -> Duration {
        let mut fastest = Duration::MAX;
        let mut total = Duration::ZERO;
        while total < at_least {
            let time = (self.pass)();
            fastest = fastest.min(time);
            total += time;
        }
        fastest
    }
}

impl fmt::Debug for Contender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contender").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Measures all `contenders`, after a round that only warms up.
pub fn compare<const N: usize>(plan: Plan, mut contenders: [Contender<'_>; N]) -> [Measured; N] {
    measure(&mut contenders, 0, plan.measurement);
    let mut measured =
        contenders.each_ref().map(|one| Measured { name: one.name.clone(), rounds: Vec::new() });
    for round in 0..plan.rounds {
        let fastest = measure(&mut contenders, round, plan.measurement);
        for (one, time) in measured.iter_mut().zip(fastest) {
            one.rounds.push(time);
        }
    }
    measured
}

/// One round: the fastest pass of each contender. The one at `first` (counted around) begins.
fn measure<const N: usize>(
    contenders: &mut [Contender<'_>; N],
    first: usize,
    at_least: Duration,
) -> [Duration; N] {
    let mut fastest = [Duration::MAX; N];
    for _ in 0..TURNS {
        for at in (0..N).map(|turn| (first + turn) % N) {
            fastest[at] = fastest[at].min(contenders[at].fastest_pass(at_least / TURNS));
        }
    }
    fastest
}

/// Calls `measure` for all `names` once a round, beginning with another one each time, and tells of
/// the progress.
///
/// # Errors
///
/// The first of `measure`.
pub fn take_turns<const N: usize, T: Copy + Default + fmt::Display>(
    rounds: usize,
    names: [&str; N],
    mut measure: impl FnMut(&str) -> Outcome<T>,
) -> Outcome<Vec<[T; N]>> {
    let round_of = |round| {
        let mut figures = [T::default(); N];
        for at in (0..N).map(|turn| (round + turn) % N) {
            figures[at] = measure(names[at])?;
            eprintln!("round {} of {rounds}: {} {:.2}", round + 1, names[at], figures[at]);
        }
        Ok(figures)
    };
    (0..rounds).map(round_of).collect()
}

/// The one that took the least time.
pub fn fastest(measured: &[Measured]) -> &Measured {
    measured[1..].iter().fold(&measured[0], |best, other| {
        if other.seconds().median < best.seconds().median { other } else { best }
    })
}

impl Measured {
    /// What a pass took.
    pub fn seconds(&self) -> Spread {
        Spread::of(self.rounds.iter().map(Duration::as_secs_f64))
    }

    /// `amount` (bytes, events) per second.
    pub fn per_second(&self, amount: f64) -> Spread {
        Spread::of(self.rounds.iter().map(|pass| amount / pass.as_secs_f64()))
    }

    /// How many times as fast as `other` this one was in the same round.
    pub fn ratio_to(&self, other: &Self) -> Spread {
        let pairs = self.rounds.iter().zip(&other.rounds);
        Spread::of(pairs.map(|(own, other)| other.as_secs_f64() / own.as_secs_f64()))
    }
}

impl Spread {
    /// Of at least one value.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        let (min, max) = (values[0], values[values.len() - 1]);
        let median = values[(values.len() - 1) / 2].midpoint(values[values.len() / 2]);
        Self { median, min, max }
    }

    /// In another unit.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let Self { median, min, max } = self;
        Self { median: median * factor, min: min * factor, max: max * factor }
    }
}

/// `2.04 (1.98-2.11)`: median, smallest and largest, with the formatter's precision.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precision = f.precision().unwrap_or(2);
        let Self { median, min, max } = self;
        write!(f, "{median:.precision$} ({min:.precision$}-{max:.precision$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(milliseconds: &[u64]) -> Measured {
        let rounds = milliseconds.iter().copied().map(Duration::from_millis).collect();
        Measured { name: String::new(), rounds }
    }

    #[test]
    fn a_ratio_pairs_the_times_of_the_same_round() {
        let slowed_once = measured(&[10, 40, 10]);
        let other = measured(&[20, 80, 30]);
        let ratio = slowed_once.ratio_to(&other);
        assert_eq!(ratio, Spread { median: 2.0, min: 2.0, max: 3.0 });
    }

    #[test]
    fn the_fastest_pass_of_a_round_counts() {
        let plan = Plan { rounds: 2, measurement: Duration::from_millis(70) };
        let mut milliseconds = [4, 2, 8].into_iter().cycle();
        let varying = Contender::new("varying", || {
            Duration::from_millis(milliseconds.next().unwrap_or_default())
        });
        let [measured] = compare(plan, [varying]);
        assert_eq!(measured.rounds, [Duration::from_millis(2); 2]);
    }

    #[test]
    fn another_one_begins_each_round() {
        let mut order = String::new();
        let rounds = take_turns(2, ["a", "b"], |name| {
            order.push_str(name);
            Ok(order.len())
        });
        assert_eq!(rounds.unwrap(), [[1, 2], [4, 3]]);
        assert_eq!(order, "abba");
    }

    #[test]
    fn every_contender_is_measured_in_every_round() {
        let plan = Plan { rounds: 4, measurement: Duration::from_millis(3) };
        let contender =
            |millis: u64| Contender::new(millis.to_string(), move || Duration::from_millis(millis));
        let measured = compare(plan, [contender(2), contender(1), contender(5)]);
        let all = |millis| vec![Duration::from_millis(millis); 4];
        assert_eq!(fastest(&measured).name, "1");
        assert_eq!(measured.map(|one| one.rounds), [all(2), all(1), all(5)]);
    }
}
