//! When to ask again after a connection was lost, and when to give up.

use std::{fmt, sync::Arc, time::Duration};

use http::StatusCode;

use crate::Error;

/// How long after the opening a connection counts as one that has held.
const HELD: Duration = Duration::from_secs(10);

/// The delay that doubles when the reconnection time is shorter.
const SHORTEST_DOUBLED: Duration = Duration::from_millis(100);

/// Which errors are worth another try, how long to wait before it, and when to stop trying.
///
/// A failure is a connection that could not be made, was refused with an answer that is worth
/// another try, or ended within 10 s without an event. After the *n*th failure in a row the delay is
/// drawn at random between a floor and the reconnection time doubled *n* times, at most the
/// [cap](Self::with_cap). The floor is what the server asked for: its newest `retry`, or a
/// `Retry-After`. The first delay after a connection that has held, under
/// [`standard`](Self::standard), is the reconnection time itself.
///
/// ```
/// use std::time::Duration;
/// use fanfare_client::Policy;
///
/// let patient = Policy::resilient().with_cap(Duration::from_secs(300));
/// let quick = Policy::resilient().with_max_attempts(3).with_max_elapsed(Duration::from_secs(20));
/// # let _ = (patient, quick);
/// ```
#[derive(Clone)]
pub struct Policy {
    is_worth_a_try: Arc<dyn Fn(&Error) -> bool + Send + Sync>,
    waits_less: bool,
    cap: Duration,
    max_attempts: Option<u32>,
    max_elapsed: Option<Duration>,
}

/// What is known when a connection was lost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loss {
    /// Failures in a row, this one too if it is one.
    pub(crate) failures: u32,
    /// Since the first of them.
    pub(crate) elapsed: Duration,
    pub(crate) reconnection_time: Duration,
    /// The server has set the reconnection time.
    pub(crate) is_asked_for: bool,
}

impl Policy {
    /// What the standard asks for: a stream that ended and a connection that failed are tried again
    /// for ever, never sooner than after the reconnection time; any answer other than 200 with the
    /// right type is the end. The cap is 60 s.
    ///
    /// Standard: [9.2.3 Processing model](https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model).
    pub fn standard() -> Self {
        Self {
            is_worth_a_try: Arc::new(Error::is_network),
            waits_less: false,
            cap: Duration::from_mins(1),
            max_attempts: None,
            max_elapsed: None,
        }
    }

    /// For programs that have to hold out: statuses that pass (408, 425, 429 and 5xx) are tried
    /// again too, after the time of their `Retry-After`, and delays are spread over their whole range
    /// (full jitter), so that many clients do not come back together. The cap is 60 s.
    pub fn resilient() -> Self {
        let is_worth_a_try = |error: &Error| match error {
            Error::Status { status, .. } => may_pass(*status),
            error => error.is_network(),
        };
        Self { is_worth_a_try: Arc::new(is_worth_a_try), waits_less: true, ..Self::standard() }
    }

    /// For streams that are read once: nothing is tried again.
    pub fn never() -> Self {
        Self { is_worth_a_try: Arc::new(|_| false), ..Self::standard() }
    }

    /// The same policy with another answer to the question which errors are worth another try.
    ///
    /// ```
    /// use fanfare_client::{Error, Policy};
    ///
    /// // The server answers 404 until the job begins.
    /// let policy = Policy::standard().retry_when(|error| {
    ///     error.is_network() || matches!(error, Error::Status { status, .. } if *status == 404)
    /// });
    /// # let _ = policy;
    /// ```
    pub fn retry_when(self, answer: impl Fn(&Error) -> bool + Send + Sync + 'static) -> Self {
        Self { is_worth_a_try: Arc::new(answer), ..self }
    }

    /// The same policy with another limit for the delay that doubles (60 s otherwise). What the
    /// server asks for may be longer.
    pub fn with_cap(self, cap: Duration) -> Self {
        Self { cap, ..self }
    }

    /// The same policy, giving up after this many failures in a row.
    pub fn with_max_attempts(self, attempts: u32) -> Self {
        Self { max_attempts: Some(attempts), ..self }
    }

    /// The same policy, giving up when another try would begin later than this after the first
    /// failure in a row.
    pub fn with_max_elapsed(self, elapsed: Duration) -> Self {
        Self { max_elapsed: Some(elapsed), ..self }
    }

    pub(crate) fn is_worth_a_try(&self, error: &Error) -> bool {
        (self.is_worth_a_try)(error)
    }

    /// The delay before the next try; `None`: give up.
    pub(crate) fn delay(&self, loss: Loss, error: &Error, random: f64) -> Option<Duration> {
        let has_failed = loss.failures > 0;
        if has_failed && self.max_attempts.is_some_and(|most| loss.failures >= most) {
            return None;
        }
        let waits_less = self.waits_less && !loss.is_asked_for;
        let floor = if waits_less { Duration::ZERO } else { loss.reconnection_time };
        let floor = floor.max(error.retry_after().unwrap_or_default());
        let spread = self.ceiling(loss).saturating_sub(floor);
        let delay = floor.saturating_add(spread.mul_f64(random.clamp(0.0, 1.0)));
        let is_too_late = has_failed
            && self.max_elapsed.is_some_and(|most| loss.elapsed.saturating_add(delay) > most);
        (!is_too_late).then_some(delay)
    }

    fn ceiling(&self, loss: Loss) -> Duration {
        if loss.failures == 0 {
            return loss.reconnection_time;
        }
        let doubled = loss.reconnection_time.max(SHORTEST_DOUBLED);
        doubled.saturating_mul(1_u32.checked_shl(loss.failures).unwrap_or(u32::MAX)).min(self.cap)
    }

    /// Whether a connection that gave no event has held all the same.
    pub(crate) fn has_held(open_for: Duration) -> bool {
        open_for >= HELD
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::standard()
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("cap", &self.cap)
            .field("max_attempts", &self.max_attempts)
            .field("max_elapsed", &self.max_elapsed)
            .finish_non_exhaustive()
    }
}

/// Statuses that say "not now".
fn may_pass(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
    ) || status.is_server_error()
}
