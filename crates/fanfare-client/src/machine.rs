//! The reconnection machine: everything that an event source decides, without I/O and clock.
//!
//! [`Machine::step`] says what is to be done; the answers to that come in as
//! [`answered`](Machine::answered), [`received`](Machine::received), [`ended`](Machine::ended) and
//! [`failed`](Machine::failed). [`EventSource`](crate::EventSource) is the loop
//! that does it on tokio; this is for other runtimes, and for tests under a virtual clock.
//!
//! ```
//! use std::time::Instant;
//! use fanfare_client::{EventSource, Item, machine::{Machine, Step}};
//! use http::{HeaderMap, StatusCode};
//!
//! let now = Instant::now();
//! let settings = EventSource::builder("http://localhost/sse").settings()?;
//! let mut machine = Machine::new(settings, 0);
//! assert!(matches!(machine.step(now), Step::Send(request) if request.uri() == "http://localhost/sse"));
//!
//! let mut headers = HeaderMap::new();
//! headers.insert("content-type", "text/event-stream".parse()?);
//! machine.answered(StatusCode::OK, headers, now);
//! assert!(matches!(machine.step(now), Step::Give(Ok(Item::Opened(_)))));
//!
//! machine.received("data: a\n\n".into(), now);
//! assert!(matches!(machine.step(now), Step::Give(Ok(Item::Event(event))) if event.data() == "a"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{
    fmt,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use fanfare_wire::{ByteString, Decoder, Event, Item as WireItem};
use fastrand::Rng;
use http::{HeaderMap, Request, StatusCode};
use url::Url;

use crate::{
    Error, Policy, ReadyState, RedirectError, Settings,
    error::BoxError,
    policy::Loss,
    request::{Ask, is_redirect},
    response,
};

/// What an event source gives to the program.
#[derive(Debug)]
#[non_exhaustive]
pub enum Item {
    /// The server has answered with an event stream.
    Opened(Opened),
    /// An event.
    Event(Event),
    /// A comment; only if [asked for](crate::Builder::comments).
    Comment(ByteString),
    /// The server has set the reconnection time; only if [asked for](crate::Builder::retries).
    Retry(Duration),
    /// The stream is lost. It is asked for again after the delay.
    Reconnecting {
        /// Why it was lost.
        reason: Error,
        /// How long it waits.
        delay: Duration,
    },
}

/// The answer that brings an event stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Where it came from: the URL that was asked, or where redirects led.
    pub url: Url,
    /// The answer's headers.
    pub headers: HeaderMap,
}

/// What is to be done next.
#[derive(Debug)]
pub enum Step {
    /// Give this to the program, and ask again. An error that [is final](Error::is_final) is
    /// followed by [`Closed`](Self::Closed).
    Give(Result<Item, Error>),
    /// Send this, instead of anything sent or read before, and ask again.
    Send(Request<Bytes>),
    /// The answer is awaited, until then.
    AwaitAnswer(Option<Instant>),
    /// Bytes of the body are awaited, until then.
    AwaitBytes(Option<Instant>),
    /// Nothing is to be done until then. What was sent or read before is over.
    AwaitTime(Option<Instant>),
    /// The end. What was sent or read before is over.
    Closed,
}

/// Decides what one event source does.
///
/// A call that is not what the newest [`Step`] awaits changes nothing, so one that comes late does no
/// harm.
pub struct Machine {
    settings: Settings,
    random: Rng,
    state: State,
    decoder: Decoder,
    /// What has been received and not been read.
    chunk: Bytes,
    /// To be given before anything else happens.
    news: Option<Result<Item, Error>>,
    /// Why the connection ends behind `chunk`.
    ending: Option<Error>,
    failures: Failures,
}

#[derive(Debug)]
enum State {
    /// The request is sent then; `None` is a time that does not come.
    Waiting {
        until: Option<Instant>,
    },
    Connecting {
        ask: Box<Ask>,
        redirects: u32,
        deadline: Option<Instant>,
        is_sent: bool,
    },
    Open {
        since: Instant,
        last_byte: Instant,
        gave_event: bool,
    },
    Closed,
}

/// Failures in a row.
#[derive(Debug, Default)]
struct Failures {
    number: u32,
    first: Option<Instant>,
}

impl Machine {
    /// A machine whose first request is due at once. `seed` decides the jitter.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let mut decoder = Decoder::new().with_max_event_bytes(settings.max_event_bytes);
        if settings.gives_comments {
            decoder = decoder.with_comments();
        }
        if let Some(id) = &settings.last_event_id {
            decoder = decoder.with_last_event_id(id.clone());
        }
        let ask = Box::new(settings.ask.clone());
        Self {
            settings,
            random: Rng::with_seed(seed),
            state: State::Connecting { ask, redirects: 0, deadline: None, is_sent: false },
            decoder,
            chunk: Bytes::new(),
            news: None,
            ending: None,
            failures: Failures::default(),
        }
    }

    /// What to do now. Ask again after each call and whenever the time that it names has come; tell
    /// before of what has come meanwhile, or it counts as late.
    pub fn step(&mut self, now: Instant) -> Step {
        loop {
            if let Some(item) = self.give() {
                return Step::Give(item);
            }
            if let Some(reason) = self.ending.take() {
                self.lose(reason, now);
            } else if let Some(step) = self.wait(now) {
                return step;
            }
        }
    }

    /// What is there to be given. Needs no time, so that a busy stream does not ask for it.
    pub(crate) fn give(&mut self) -> Option<Result<Item, Error>> {
        self.news.take().or_else(|| self.read())
    }

    /// The next of what has been received.
    fn read(&mut self) -> Option<Result<Item, Error>> {
        while !self.chunk.is_empty() {
            match self.decoder.decode(&mut self.chunk) {
                Ok(Some(WireItem::Event(event))) => {
                    if let State::Open { gave_event, .. } = &mut self.state {
                        *gave_event = true;
                    }
                    return Some(Ok(Item::Event(event)));
                }
                Ok(Some(WireItem::Comment(text))) => return Some(Ok(Item::Comment(text))),
                Ok(Some(WireItem::Retry(time))) if self.settings.gives_retries => {
                    return Some(Ok(Item::Retry(time)));
                }
                Ok(_) => {}
                Err(too_large) => return Some(Err(too_large.into())),
            }
        }
        None
    }

    /// What is awaited; `None` when the time has changed the state.
    fn wait(&mut self, now: Instant) -> Option<Step> {
        let is_over = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        match &mut self.state {
            State::Closed => Some(Step::Closed),
            State::Waiting { until } if !is_over(*until) => Some(Step::AwaitTime(*until)),
            State::Waiting { .. } => {
                self.connect();
                None
            }
            State::Connecting { is_sent: false, .. } => self.send(now),
            State::Connecting { deadline, .. } if !is_over(*deadline) => {
                Some(Step::AwaitAnswer(*deadline))
            }
            State::Connecting { .. } => {
                let timeout = self.settings.connect_timeout.unwrap_or_default();
                self.lose(Error::ConnectTimeout(timeout), now);
                None
            }
            State::Open { last_byte, .. } => {
                let deadline =
                    self.settings.idle_timeout.and_then(|idle| last_byte.checked_add(idle));
                if !is_over(deadline) {
                    return Some(Step::AwaitBytes(deadline));
                }
                self.lose(Error::Idle(self.settings.idle_timeout.unwrap_or_default()), now);
                None
            }
        }
    }

    /// Begins anew with the URL that the program asked for.
    fn connect(&mut self) {
        let ask = Box::new(self.settings.ask.clone());
        self.state = State::Connecting { ask, redirects: 0, deadline: None, is_sent: false };
    }

    fn send(&mut self, now: Instant) -> Option<Step> {
        let State::Connecting { ask, deadline, is_sent, .. } = &mut self.state else { return None };
        *deadline = self.settings.connect_timeout.and_then(|timeout| now.checked_add(timeout));
        *is_sent = true;
        match ask.to_request(self.decoder.last_event_id()) {
            Ok(request) => Some(Step::Send(request)),
            Err(error) => {
                self.close_with(error);
                None
            }
        }
    }

    /// The answer's head has come.
    pub fn answered(&mut self, status: StatusCode, headers: HeaderMap, now: Instant) {
        let State::Connecting { ask, redirects, is_sent: true, .. } = &self.state else { return };
        if is_redirect(status) {
            match self.redirected(ask, *redirects, status, &headers) {
                Ok(state) => self.state = state,
                Err(error) => self.close_with(error.into()),
            }
            return;
        }
        if let Err(error) = response::check(status, &headers) {
            self.lose(error, now);
            return;
        }
        let url = ask.url.clone();
        self.decoder.restart();
        self.state = State::Open { since: now, last_byte: now, gave_event: false };
        self.news = Some(Ok(Item::Opened(Opened { url, headers })));
    }

    fn redirected(
        &self,
        ask: &Ask,
        redirects: u32,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<State, RedirectError> {
        let most = self.settings.max_redirects;
        if redirects >= most {
            return Err(RedirectError::TooMany(most));
        }
        let ask = Box::new(ask.redirected(status, headers)?);
        Ok(State::Connecting { ask, redirects: redirects + 1, deadline: None, is_sent: false })
    }

    /// Bytes of the body have come.
    pub fn received(&mut self, chunk: Bytes, now: Instant) {
        let State::Open { last_byte, .. } = &mut self.state else { return };
        *last_byte = now;
        if self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            let mut joined = BytesMut::from(&self.chunk[..]);
            joined.extend_from_slice(&chunk);
            self.chunk = joined.freeze();
        }
    }

    /// The body has come to its end.
    pub fn ended(&mut self) {
        self.break_off(Error::Ended);
    }

    /// The request could not be sent, or its answer broke off.
    pub fn failed(&mut self, error: BoxError) {
        self.break_off(Error::Connection(error));
    }

    fn break_off(&mut self, reason: Error) {
        if matches!(self.state, State::Connecting { is_sent: true, .. } | State::Open { .. }) {
            self.ending.get_or_insert(reason);
        }
    }

    /// Gives up the connection, if there is one, and asks again at once.
    pub fn reconnect(&mut self) {
        if !matches!(self.state, State::Closed) {
            self.forget();
            self.connect();
        }
    }

    /// Ends everything at once.
    pub fn close(&mut self) {
        self.forget();
        self.state = State::Closed;
    }

    /// What has been received and not been given is asked for again with the next connection.
    fn forget(&mut self) {
        self.chunk = Bytes::new();
        self.news = None;
        self.ending = None;
    }

    fn lose(&mut self, reason: Error, now: Instant) {
        let loss = self.count(now);
        if !self.settings.policy.is_worth_a_try(&reason) {
            return self.close_with(reason);
        }
        if !self.settings.is_repeatable() {
            return self.close_with(Error::NotRepeatable(Box::new(reason)));
        }
        match self.settings.policy.delay(loss, &reason, self.random.f64()) {
            Some(delay) => {
                self.state = State::Waiting { until: now.checked_add(delay) };
                self.news = Some(Ok(Item::Reconnecting { reason, delay }));
            }
            None => {
                let failures = loss.failures;
                self.close_with(Error::GaveUp { failures, last: Box::new(reason) });
            }
        }
    }

    fn count(&mut self, now: Instant) -> Loss {
        let has_held = match self.state {
            State::Open { since, gave_event, .. } => {
                gave_event || Policy::has_held(now.saturating_duration_since(since))
            }
            _ => false,
        };
        if has_held {
            self.failures = Failures::default();
        } else {
            self.failures.number = self.failures.number.saturating_add(1);
            self.failures.first.get_or_insert(now);
        }
        let first = self.failures.first.unwrap_or(now);
        let asked = self.decoder.reconnection_time();
        Loss {
            failures: self.failures.number,
            elapsed: now.saturating_duration_since(first),
            reconnection_time: asked.unwrap_or(self.settings.reconnection_time),
            is_asked_for: asked.is_some(),
        }
    }

    fn close_with(&mut self, error: Error) {
        self.close();
        self.news = Some(Err(error));
    }

    /// As an `EventSource` of a browser has it.
    pub fn ready_state(&self) -> ReadyState {
        match self.state {
            State::Waiting { .. } | State::Connecting { .. } => ReadyState::Connecting,
            State::Open { .. } => ReadyState::Open,
            State::Closed => ReadyState::Closed,
        }
    }

    /// The id to resume behind: that of the last event given, or a later one that came without an
    /// event. Empty when there is none.
    pub fn last_event_id(&self) -> &str {
        self.decoder.last_event_id()
    }

    /// How long the delay after a connection that has held is.
    pub fn reconnection_time(&self) -> Duration {
        self.decoder.reconnection_time().unwrap_or(self.settings.reconnection_time)
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("url", &self.settings.ask.url.as_str())
            .field("state", &self.state)
            .field("last_event_id", &self.last_event_id())
            .finish_non_exhaustive()
    }
}
