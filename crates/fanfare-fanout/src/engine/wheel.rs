//! When to look at which client.

use std::{
    mem,
    time::{Duration, Instant},
};

/// Slots of the wheel, of one tick each. What is due later is looked at too early, and put in again.
const SLOTS: u64 = 64;

/// Clients by when they are to be looked at. Who is to be looked at sooner than before is put in
/// again; the entry that was there is told apart by its tick, and left out when its time comes.
#[derive(Debug)]
pub(super) struct Wheel {
    begun: Instant,
    tick: Duration,
    /// All before this tick have been taken out.
    next: u64,
    slots: Vec<Vec<Entry>>,
    len: usize,
}

/// A client in the wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: u32,
    /// When it is looked at.
    pub(super) tick: u64,
}

impl Wheel {
    /// `tick` is how precise it is.
    pub(super) fn new(begun: Instant, tick: Duration) -> Self {
        let slots = (0..SLOTS).map(|_| vec![]).collect();
        Self { begun, tick: tick.max(Duration::from_millis(1)), next: 1, slots, len: 0 }
    }

    /// The tick that a moment lies in.
    pub(super) fn tick(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.begun).as_nanos();
        u64::try_from(since / self.tick.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The first tick by which a time has passed since a tick.
    pub(super) fn after(&self, tick: u64, time: Duration) -> u64 {
        let ticks = time.as_nanos().div_ceil(self.tick.as_nanos());
        tick.saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX))
    }

    /// Has a client looked at in this tick, or before if that is far; tells when.
    pub(super) fn insert(&mut self, key: u32, due: u64) -> u64 {
        let tick = due.clamp(self.next, self.next + SLOTS - 1);
        self.slots[slot(tick)].push(Entry { key, tick });
        self.len += 1;
        tick
    }

    /// Takes out whoever is to be looked at by now.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Entry> {
        let mut due = vec![];
        let now = self.tick(now);
        // After a long sleep of the machine each slot is emptied once.
        let last = now.min(self.next + SLOTS - 1);
        for tick in self.next..=last {
            // Its memory is given back: a burst of clients may come once.
            let mut slot = mem::take(&mut self.slots[slot(tick)]);
            self.len -= slot.len();
            due.append(&mut slot);
        }
        self.next = self.next.max(now.saturating_add(1));
        due
    }

    /// How long nobody has to be looked at; `None` if there is nobody.
    pub(super) fn idle(&self, now: Instant) -> Option<Duration> {
        if self.len == 0 {
            return None;
        }
        let ticks = self.next..self.next + SLOTS;
        let due = ticks.into_iter().find(|tick| !self.slots[slot(*tick)].is_empty())?;
        let due = self.tick.saturating_mul(u32::try_from(due).unwrap_or(u32::MAX));
        Some((self.begun + due).saturating_duration_since(now))
    }
}

fn slot(tick: u64) -> usize {
    // Less than SLOTS.
    usize::try_from(tick % SLOTS).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(10);

    fn taken(wheel: &mut Wheel, now: Instant) -> Vec<u32> {
        wheel.take(now).into_iter().map(|entry| entry.key).collect()
    }

    #[test]
    fn each_is_looked_at_in_its_tick_or_early_when_that_is_far() {
        let begun = Instant::now();
        let mut wheel = Wheel::new(begun, TICK);
        wheel.insert(1, 1);
        wheel.insert(2, 3);
        wheel.insert(3, 1000);
        assert_eq!(wheel.idle(begun), Some(TICK));
        assert_eq!(taken(&mut wheel, begun), [0; 0]);
        assert_eq!(taken(&mut wheel, begun + TICK), [1]);
        assert_eq!(taken(&mut wheel, begun + TICK * 3), [2]);
        assert_eq!(taken(&mut wheel, begun + TICK * 63), [0; 0]);
        assert_eq!(taken(&mut wheel, begun + TICK * 64), [3], "at the far end of the wheel");
        assert_eq!(wheel.idle(begun), None);
    }

    #[test]
    fn what_is_due_already_comes_with_the_next_tick() {
        let begun = Instant::now();
        let mut wheel = Wheel::new(begun, TICK);
        assert_eq!(taken(&mut wheel, begun + TICK * 1000), [0; 0]);
        wheel.insert(1, 7);
        assert_eq!(wheel.idle(begun + TICK * 1000), Some(TICK));
        assert_eq!(taken(&mut wheel, begun + TICK * 5000), [1]);
    }

    #[test]
    fn times_are_rounded_up() {
        let wheel = Wheel::new(Instant::now(), TICK);
        assert_eq!(wheel.after(5, TICK), 6);
        assert_eq!(wheel.after(5, TICK + Duration::from_nanos(1)), 7);
        assert_eq!(wheel.after(5, Duration::MAX), u64::MAX);
    }
}
