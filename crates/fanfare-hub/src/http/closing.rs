//! The end of the hub's streams in a shutdown: one after the other, not all in the same instant.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// The average time between the ends of two streams, unless the grace period is too short for it.
const BETWEEN_ENDS: Duration = Duration::from_millis(25);

/// A longer period is none that a clock has to be able to tell.
const LONGEST_GRACE: Duration = Duration::from_hours(24);

/// Whether the shutdown has begun, and when streams end. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Closing(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    begun: OnceLock<Begun>,
    notify: Notify,
}

/// A shutdown that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    at: Instant,
    /// Streams end within this time.
    spread: Duration,
    /// What goes on by itself is ended after this time.
    patience: Duration,
}

impl Closing {
    /// From the second time on it does nothing.
    pub(crate) fn begin(&self, grace: Duration, streams: usize) {
        // The rest is for what still has to be written.
        let patience = grace.min(LONGEST_GRACE) / 5 * 4;
        let streams = u32::try_from(streams).unwrap_or(u32::MAX);
        let spread = patience.min(BETWEEN_ENDS.saturating_mul(streams));
        if self.0.begun.set(Begun { at: Instant::now(), spread, patience }).is_ok() {
            self.0.notify.notify_waiters();
        }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.0.begun.get().is_some()
    }

    /// Waits until the shutdown begins.
    pub(crate) fn begun(&self) -> impl Future<Output = Begun> + Send + use<> {
        let shared = self.0.clone();
        async move {
            loop {
                let notified = shared.notify.notified();
                if let Some(begun) = shared.begun.get() {
                    return *begun;
                }
                notified.await;
            }
        }
    }

    /// Waits until the shutdown has no more patience with what goes on by itself.
    pub(crate) async fn is_urgent(&self) {
        let Begun { at, patience, .. } = self.begun().await;
        sleep_until(at + patience).await;
    }
}

impl Begun {
    /// Now, for all.
    pub(crate) fn all_at_once() -> Self {
        Self { at: Instant::now(), spread: Duration::ZERO, patience: Duration::ZERO }
    }

    /// When a stream is to end: a random moment of its own.
    pub(crate) fn moment(&self) -> Instant {
        self.at + self.spread.mul_f64(fastrand::f64())
    }
}
