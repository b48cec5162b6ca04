//! Waiting for what has to come.

use std::{panic, time::Duration};

use tokio::time::timeout;

/// Longer than anything takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(30);

/// The future's output, or a panic that says what did not come.
#[track_caller]
pub(crate) fn within<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let at = panic::Location::caller();
    async move {
        let outcome = timeout(PATIENCE, future).await;
        outcome.unwrap_or_else(|_| panic!("waited too long for {what} at {at}"))
    }
}
