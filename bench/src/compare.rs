//! Measures several ways to do the same work side by side.
//!
//! Three guards against a machine that does other things too: the contenders take turns within
//! each round, and each round begins with another one; a measurement is the median of many short
//! passes, so that an interrupted pass does not count; and two contenders are compared round by
//! round, so that what slows a whole round down falls out of their ratio.

use std::{fmt, time::Duration};

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How often each contender is measured.
    pub rounds: usize,
    /// A measurement repeats its pass until this much time has been measured.
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
    /// One time per round.
    pub rounds: Vec<Duration>,
}

/// Where a number lay over all rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle one.
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

    fn measure(&mut self, at_least: Duration) -> Duration {
        let mut passes = Vec::new();
        let mut total = Duration::ZERO;
        while total < at_least {
            let time = (self.pass)();
            total += time;
            passes.push(time);
        }
        passes.sort_unstable();
        passes[passes.len() / 2]
    }
}

impl fmt::Debug for Contender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contender").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Measures all `contenders`, after a round that only warms up.
pub fn compare<const N: usize>(plan: Plan, mut contenders: [Contender<'_>; N]) -> [Measured; N] {
    let mut measured = contenders.each_mut().map(|contender| {
        contender.measure(plan.measurement);
        Measured { name: contender.name.clone(), rounds: Vec::new() }
    });
    for round in 0..plan.rounds {
        for turn in 0..N {
            let at = (round + turn) % N;
            measured[at].rounds.push(contenders[at].measure(plan.measurement));
        }
    }
    measured
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
        Self { median: values[values.len() / 2], min, max }
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
