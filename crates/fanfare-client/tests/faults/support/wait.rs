//! Waiting for conditions, never for time.

use std::{
    fmt::Debug,
    panic::Location,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use fanfare_client::EventSource;
use futures_util::StreamExt;
use tokio::{
    select,
    time::{interval, timeout},
};

/// Longer than anything takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(20);

/// The future's output, or a panic that says what did not come.
#[track_caller]
pub(crate) fn within<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let at = Location::caller();
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

/// Drives the source, which has nothing to give, until the future is ready.
#[track_caller]
pub(crate) fn silent_until<T>(
    source: &mut EventSource,
    future: impl Future<Output = T>,
) -> impl Future<Output = T> {
    let at = Location::caller();
    async move {
        select! {
            biased;
            item = source.next() => panic!("{item:?} instead of silence at {at}"),
            output = future => output,
        }
    }
}

/// Polls once.
pub(crate) fn now_or_never<T>(future: impl Future<Output = T>) -> Option<T> {
    let future: Pin<&mut _> = pin!(future);
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// What the future gives at the first poll.
#[track_caller]
pub(crate) fn at_once<T: Debug>(future: impl Future<Output = T>) -> T {
    now_or_never(future).expect("it should not have waited")
}
