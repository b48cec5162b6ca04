//! How fast addresses publish: a bucket of tokens for each.

use std::{collections::HashMap, mem, net::IpAddr, time::Duration};

use tokio::time::Instant;

use super::Rate;

/// The buckets of the addresses that published lately.
///
/// A bucket is kept as the moment at which it is full again; how much is missing now follows from it.
/// Buckets lie in two halves. When the young half is full it becomes the old one, whose buckets are
/// forgotten; one that is used in time moves back.
#[derive(Debug)]
pub(super) struct Rates {
    /// The time in which one token comes in.
    interval: Duration,
    /// The time in which an empty bucket becomes full.
    filling: Duration,
    max_young: usize,
    young: HashMap<IpAddr, Instant>,
    old: HashMap<IpAddr, Instant>,
}

impl Rates {
    pub(super) fn new(rate: Rate, most: usize) -> Self {
        let interval = Duration::from_secs(1) / rate.per_second.get();
        Self {
            interval,
            filling: interval.saturating_mul(rate.burst.get()),
            max_young: most.div_ceil(2).max(1),
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// Takes a token, or tells when there will be one.
    pub(super) fn take(&mut self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let (interval, filling) = (self.interval, self.filling);
        let full = self.full_at(address, now);
        let missing = full.saturating_duration_since(now) + interval;
        let too_much = missing.saturating_sub(filling);
        if !too_much.is_zero() {
            return Err(too_much);
        }
        *full = now + missing;
        Ok(())
    }

    /// Takes tokens, also those that are not there, and tells how long it takes to make up for them.
    pub(super) fn charge(&mut self, address: IpAddr, tokens: u32, now: Instant) -> Duration {
        let (cost, filling) = (self.interval.saturating_mul(tokens), self.filling);
        let full = self.full_at(address, now);
        let missing = full.saturating_duration_since(now).saturating_add(cost);
        // Beyond what a clock can tell, nothing changes.
        *full = now.checked_add(missing).unwrap_or(*full);
        missing.saturating_sub(filling)
    }

    fn full_at(&mut self, address: IpAddr, now: Instant) -> &mut Instant {
        if !self.young.contains_key(&address) {
            let known = self.old.remove(&address);
            if self.young.len() >= self.max_young {
                self.old = mem::take(&mut self.young);
            }
            self.young.insert(address, known.unwrap_or(now));
        }
        self.young.entry(address).or_insert(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(per_second: u32, burst: u32, most: usize) -> Rates {
        let rate =
            Rate { per_second: per_second.try_into().unwrap(), burst: burst.try_into().unwrap() };
        Rates::new(rate, most)
    }

    fn address(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    #[test]
    fn a_burst_is_let_in_and_then_the_rate() {
        let mut rates = rates(10, 3, 100);
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(rates.take(address(1), start), Ok(()));
        }
        assert_eq!(rates.take(address(1), start), Err(Duration::from_millis(100)));
        assert_eq!(rates.take(address(2), start), Ok(()), "another has a bucket of its own");
        let later = start + Duration::from_millis(100);
        assert_eq!(rates.take(address(1), later), Ok(()));
        assert!(rates.take(address(1), later).is_err());
        let much_later = start + Duration::from_mins(1);
        for _ in 0..3 {
            assert_eq!(rates.take(address(1), much_later), Ok(()));
        }
        assert!(rates.take(address(1), much_later).is_err(), "a bucket is full at its burst");
    }

    #[test]
    fn a_debt_is_made_up_for() {
        let mut rates = rates(10, 5, 100);
        let start = Instant::now();
        assert_eq!(rates.take(address(1), start), Ok(()));
        assert_eq!(rates.charge(address(1), 4, start), Duration::ZERO);
        assert_eq!(rates.charge(address(1), 10, start), Duration::from_secs(1));
        assert_eq!(rates.take(address(1), start), Err(Duration::from_millis(1100)));
        assert_eq!(rates.take(address(1), start + Duration::from_millis(1100)), Ok(()));
        rates.charge(address(2), u32::MAX, start);
        assert!(rates.take(address(2), start).is_err());
    }

    #[test]
    fn the_table_is_bounded_and_forgets_who_was_silent() {
        let mut rates = rates(1, 1, 10);
        let start = Instant::now();
        assert!(rates.take(address(0), start).is_ok());
        for number in 1..=200 {
            let _ = rates.take(address(number), start);
            assert!(rates.take(address(0), start).is_err(), "who publishes is remembered");
            assert!(rates.young.len() + rates.old.len() <= 10);
        }
        assert!(rates.take(address(1), start).is_ok(), "who was silent begins anew");
    }
}
