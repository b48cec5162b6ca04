//! How much is measured.

use std::time::Duration;

/// Sizes and times of all scenarios.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) rounds: usize,
    /// What goes before a measurement, so that caches and allocators have settled.
    pub(super) warm_up: Duration,
    /// How long a steady rate is kept.
    pub(super) steady: Duration,
    /// The events of a flood.
    pub(super) flood_events: u64,
    /// After this time a flood's publisher stops, if that is sooner.
    pub(super) flood: Duration,
    /// That of those who are to be given all events.
    pub(super) whole_flood: Duration,
    /// How long is published into a log that hubs share.
    pub(super) publish: Duration,
    /// What is in such a log for a hub that has not been told of it, in events.
    pub(super) backlog: usize,
    /// Between these numbers of idle subscribers lies the slope of the memory.
    pub(super) few_idle: u32,
    pub(super) many_idle: u32,
}

impl Plan {
    /// For figures to quote: about a quarter of an hour.
    pub(super) const FULL: Self = Self {
        rounds: 3,
        warm_up: Duration::from_millis(500),
        steady: Duration::from_secs(3),
        flood_events: 20_000,
        flood: Duration::from_secs(3),
        whole_flood: Duration::from_secs(30),
        publish: Duration::from_millis(1500),
        backlog: 100_000,
        few_idle: 2_000,
        many_idle: 18_000,
    };

    /// To see that it runs.
    pub(super) const QUICK: Self = Self {
        rounds: 1,
        warm_up: Duration::from_millis(200),
        steady: Duration::from_secs(1),
        flood_events: 2_000,
        flood: Duration::from_secs(1),
        whole_flood: Duration::from_secs(3),
        publish: Duration::from_millis(500),
        backlog: 20_000,
        ..Self::FULL
    };
}
