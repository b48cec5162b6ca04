//! Waiting for conditions, never for time.

use std::time::Duration;

use tokio::time::{interval, timeout};

/// Longer than anything takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(30);

/// The future's output, or a panic that says what did not come.
#[track_caller]
pub(crate) fn within<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let at = std::panic::Location::caller();
    async move {
        let outcome = timeout(PATIENCE, future).await;
        outcome.unwrap_or_else(|_| panic!("waited too long for {what} at {at}"))
    }
}

/// Waits until the condition holds, which nothing announces.
#[track_caller]
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    within(what, async move {
        let mut looks = interval(Duration::from_millis(1));
        while !condition() {
            looks.tick().await;
        }
    })
}
