//! What a connection is doing, and for how long it may go on like that.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use http::Version;
use tokio::time::Instant;

use crate::metrics::Closing;

/// Wakes the task of a connection.
pub(super) type Waking = AtomicWaker;

/// How long a connection may take for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) header: Duration,
    pub(super) idle: Duration,
    pub(super) write: Duration,
}

/// Watches over one connection: told of what happens on it, it says until when something else has
/// to.
#[derive(Debug)]
pub(super) struct Watch {
    patience: Patience,
    waking: Arc<Waking>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The beginning of the connection, until its first request.
    new_since: Option<Instant>,
    version: Version,
    /// Requests whose answers are not complete.
    in_flight: usize,
    idle_since: Instant,
    /// The first byte of a head that is not complete.
    head_since: Option<Instant>,
    /// Something cannot be written, and nothing has been since.
    blocked_since: Option<Instant>,
    /// It has been told to end.
    leaving_since: Option<Instant>,
}

/// A request that is in flight until this is dropped.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Watch>);

impl Watch {
    /// A connection that begins at this moment.
    pub(super) fn new(begun: Instant, patience: Patience, waking: Arc<Waking>) -> Self {
        let state = State {
            new_since: Some(begun),
            version: Version::HTTP_11,
            in_flight: 0,
            idle_since: begun,
            head_since: None,
            blocked_since: None,
            leaving_since: None,
        };
        Self { patience, waking, state: Mutex::new(state) }
    }

    /// Bytes have come.
    pub(super) fn has_read(&self) {
        let mut state = self.state();
        // Over HTTP/2 bytes need not be a head's, and a head has no more time than its connection.
        let is_head = state.in_flight == 0 && state.version <= Version::HTTP_11;
        if is_head && state.head_since.is_none() {
            state.head_since = Some(Instant::now());
        }
    }

    /// The peer does not take what is written.
    pub(super) fn is_blocked(&self) {
        let mut state = self.state();
        if state.blocked_since.is_none() {
            state.blocked_since = Some(Instant::now());
        }
    }

    /// Whether something waits to be written.
    pub(super) fn has_unsent(&self) -> bool {
        self.state().blocked_since.is_some()
    }

    /// The peer has taken something.
    pub(super) fn has_written(&self) {
        self.state().blocked_since = None;
    }

    /// The head of a request is complete.
    pub(super) fn begin_request(self: &Arc<Self>, version: Version) -> InFlight {
        let mut state = self.state();
        state.new_since = None;
        state.head_since = None;
        state.version = version;
        state.in_flight += 1;
        drop(state);
        InFlight(self.clone())
    }

    fn end_request(&self) {
        let mut state = self.state();
        state.in_flight -= 1;
        let is_idle = state.in_flight == 0;
        if is_idle {
            state.idle_since = Instant::now();
        }
        drop(state);
        if is_idle {
            // It may have ended on another task: the connection has a deadline from now on.
            self.waking.wake();
        }
    }

    /// It has been told to end.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        if state.leaving_since.is_none() {
            state.leaving_since = Some(Instant::now());
        }
    }

    /// Until when something has to happen, and what the connection is cut off for otherwise.
    pub(super) fn deadline(&self) -> Option<(Instant, Closing)> {
        let state = self.state();
        let Patience { header, idle, write } = self.patience;
        let (since, patience, closing) = if let Some(since) = state.blocked_since {
            (since, write, Closing::Stalled)
        } else if state.in_flight > 0 {
            return None;
        } else if let Some(since) = state.leaving_since {
            (since, header, Closing::Idle)
        } else if let Some(since) = state.new_since.or(state.head_since) {
            (since, header, Closing::HeaderTime)
        } else {
            (state.idle_since, idle, Closing::Idle)
        };
        Some((since.checked_add(patience)?, closing))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.end_request();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        task::Wake,
    };

    use tokio::time::advance;

    use super::*;

    const HEADER: Duration = Duration::from_secs(1);
    const IDLE: Duration = Duration::from_secs(10);
    const WRITE: Duration = Duration::from_secs(5);

    fn watch() -> (Arc<Watch>, Instant) {
        let begun = Instant::now();
        let patience = Patience { header: HEADER, idle: IDLE, write: WRITE };
        (Arc::new(Watch::new(begun, patience, Arc::default())), begun)
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_has_the_time_of_a_head() {
        let (watch, begun) = watch();
        advance(HEADER / 2).await;
        watch.has_read();
        assert_eq!(watch.deadline(), Some((begun + HEADER, Closing::HeaderTime)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_has_all_the_time_while_its_answer_is_read() {
        let (watch, _) = watch();
        let first = watch.begin_request(Version::HTTP_11);
        let second = watch.begin_request(Version::HTTP_11);
        watch.has_read();
        drop(first);
        assert_eq!(watch.deadline(), None);
        watch.is_blocked();
        let blocked = Instant::now();
        advance(WRITE / 2).await;
        watch.is_blocked();
        assert_eq!(watch.deadline(), Some((blocked + WRITE, Closing::Stalled)));
        watch.has_written();
        assert_eq!(watch.deadline(), None);
        drop(second);
        assert_eq!(watch.deadline(), Some((Instant::now() + IDLE, Closing::Idle)));
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_it_is_idle_until_the_next_head_begins() {
        let (watch, _) = watch();
        drop(watch.begin_request(Version::HTTP_11));
        advance(IDLE / 2).await;
        watch.has_read();
        let head = Instant::now();
        advance(HEADER / 2).await;
        watch.has_read();
        assert_eq!(watch.deadline(), Some((head + HEADER, Closing::HeaderTime)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_last_request_wakes_the_connection() {
        let (watch, _) = watch();
        let woken = Arc::new(Woken::default());
        watch.waking.register(&woken.clone().into());
        let [first, second] = [0, 1].map(|_| watch.begin_request(Version::HTTP_2));
        drop(first);
        assert!(!woken.0.load(Ordering::SeqCst));
        drop(second);
        assert!(woken.0.load(Ordering::SeqCst), "it has a deadline now");
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn over_http_2_bytes_need_not_be_a_head() {
        let (watch, _) = watch();
        drop(watch.begin_request(Version::HTTP_2));
        let idle = Instant::now();
        advance(IDLE / 2).await;
        watch.has_read();
        assert_eq!(watch.deadline(), Some((idle + IDLE, Closing::Idle)));
        watch.leave();
        assert_eq!(watch.deadline(), Some((Instant::now() + HEADER, Closing::Idle)));
    }
}
