//! Waiting for conditions, never for time.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use fanfare::{Client, TrySendError};
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

/// Polls once.
pub(crate) fn now_or_never<F: Future + ?Sized>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// The future, polled once and found to wait.
#[track_caller]
pub(crate) fn pending<F: Future>(future: F) -> Pin<Box<F>> {
    let mut future = Box::pin(future);
    assert!(now_or_never(future.as_mut()).is_none(), "it should have waited");
    future
}

/// Has the stream to a peer that does not read stand still: what was sent fills every buffer on
/// the way, and then the queue.
pub(crate) async fn stall(client: &Client) {
    let more_than_sockets_hold = "x".repeat(32 << 20);
    for _ in 0..2 {
        within("room", client.comment(&more_than_sockets_hold)).await.unwrap();
    }
    assert!(matches!(client.try_send("more"), Err(TrySendError::Full(_))));
}
