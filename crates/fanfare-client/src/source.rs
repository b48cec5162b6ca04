//! The event source: the loop that does what the machine says.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::{FusedStream, Stream};
use http::Response;
use http_body::Body;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    BoxError, BuildError, Builder, Error, Item, Settings, Transport,
    machine::{Machine, Step},
    transport::{AnswerBody, Sending},
};

/// How often one poll looks for an item in vain before it lets other tasks run.
pub(crate) const MAX_IN_VAIN: usize = 128;

/// What `readyState` of a browser's `EventSource` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadyState {
    /// There is no stream yet, or it was lost and is asked for again.
    Connecting,
    /// Events are coming.
    Open,
    /// It has ended for good.
    Closed,
}

/// A stream of the events of a URL, that reconnects as its [`Policy`](crate::Policy) says.
///
/// It gives [`Item`]s and [`Error`]s. An error that [is final](Error::is_final) is the last item;
/// the only other one tells of an event that was left out because of its size. It does nothing
/// unless it is polled, on a tokio runtime with time (and I/O, as its transport needs) enabled: a
/// program that stops polling stops reading, and the server notices by back-pressure.
///
/// Dropping it, or [`close`](Self::close), ends it at once, whatever it is waiting for. Dropping a
/// future of its `next` loses nothing.
///
/// ```no_run
/// # async fn follow() -> Result<(), Box<dyn std::error::Error>> {
/// use fanfare_client::{EventSource, Item};
/// use futures_util::StreamExt;
///
/// let mut source = EventSource::new("https://example.com/events")?;
/// while let Some(item) = source.next().await {
///     match item? {
///         Item::Event(event) => println!("{}: {}", event.name(), event.data()),
///         Item::Reconnecting { reason, delay } => eprintln!("{reason}: again in {delay:?}"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct EventSource {
    machine: Machine,
    transport: Arc<dyn Transport>,
    exchange: Exchange,
    timer: Timer,
    is_terminated: bool,
}

/// What goes on with the server.
enum Exchange {
    None,
    Sending(Sending),
    Reading(AnswerBody),
}

/// What has come of it.
enum Outcome {
    Answer(Response<AnswerBody>),
    Bytes(Bytes),
    End,
    Failure(BoxError),
}

/// Wakes at a time. Set anew only when the time that is wanted is sooner than what is set, so that a
/// deadline which every byte puts off costs nothing.
#[derive(Default)]
struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl EventSource {
    /// An event source with the default settings, which are the standard's.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when `url` is no URL for it.
    pub fn new(url: &str) -> Result<Self, BuildError> {
        Self::builder(url).build()
    }

    /// Settings for an event source: GET, [`Policy::standard`](crate::Policy::standard), a
    /// reconnection time of 3 s, 60 s for an answer to come, no idle timeout, 20 redirects, 16 MiB
    /// an event.
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    pub(crate) fn from_parts(settings: Settings, transport: Arc<dyn Transport>) -> Self {
        Self {
            machine: Machine::new(settings, fastrand::u64(..)),
            transport,
            exchange: Exchange::None,
            timer: Timer::default(),
            is_terminated: false,
        }
    }

    /// Whether it is connecting, open or closed.
    pub fn ready_state(&self) -> ReadyState {
        self.machine.ready_state()
    }

    /// The id to resume behind: that of the last event that was given, or a later one that came
    /// without an event. Empty when there is none. What a program keeps to go on after a restart,
    /// with [`Builder::last_event_id`].
    pub fn last_event_id(&self) -> &str {
        self.machine.last_event_id()
    }

    /// How long it waits after a connection that has held: what the server has set, or the
    /// [setting](Builder::reconnection_time).
    pub fn reconnection_time(&self) -> Duration {
        self.machine.reconnection_time()
    }

    /// Gives up the connection, if there is one, and asks again at once, also instead of waiting.
    pub fn reconnect(&mut self) {
        self.exchange = Exchange::None;
        self.machine.reconnect();
    }

    /// Ends it at once: `next` gives `None` from now on.
    pub fn close(&mut self) {
        self.exchange = Exchange::None;
        self.machine.close();
    }

    /// A connection that was given up ends before the program is told.
    fn settle(&mut self, item: Result<Item, Error>) -> Result<Item, Error> {
        let is_over = match &item {
            Ok(item) => matches!(item, Item::Reconnecting { .. }),
            Err(error) => error.is_final(),
        };
        if is_over {
            self.exchange = Exchange::None;
        }
        item
    }

    fn tell(&mut self, outcome: Outcome) {
        let now = Instant::now().into_std();
        match outcome {
            Outcome::Answer(answer) => {
                let (head, body) = answer.into_parts();
                self.machine.answered(head.status, head.headers, now);
                self.exchange = match self.machine.ready_state() {
                    ReadyState::Open => Exchange::Reading(body),
                    ReadyState::Connecting | ReadyState::Closed => Exchange::None,
                };
            }
            Outcome::Bytes(chunk) => self.machine.received(chunk, now),
            Outcome::End => {
                self.exchange = Exchange::None;
                self.machine.ended();
            }
            Outcome::Failure(error) => {
                self.exchange = Exchange::None;
                self.machine.failed(error);
            }
        }
    }
}

impl Stream for EventSource {
    type Item = Result<Item, Error>;

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Item, Error>>> {
        let this = self.get_mut();
        for _ in 0..MAX_IN_VAIN {
            if let Some(item) = this.machine.give() {
                return Poll::Ready(Some(this.settle(item)));
            }
            // Before the time is looked at: what came while nobody polled did not come late.
            if let Poll::Ready(outcome) = this.exchange.poll(context) {
                this.tell(outcome);
                continue;
            }
            match this.machine.step(Instant::now().into_std()) {
                Step::Give(item) => return Poll::Ready(Some(this.settle(item))),
                Step::Send(request) => {
                    this.exchange = Exchange::Sending(this.transport.send(request));
                }
                Step::AwaitAnswer(until) | Step::AwaitBytes(until) => {
                    ready!(this.timer.poll(context, until));
                }
                Step::AwaitTime(until) => {
                    this.exchange = Exchange::None;
                    ready!(this.timer.poll(context, until));
                }
                Step::Closed => {
                    this.exchange = Exchange::None;
                    this.is_terminated = true;
                    return Poll::Ready(None);
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Exchange {
    /// `Pending` also while there is none.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        match self {
            Self::None => Poll::Pending,
            Self::Sending(answer) => {
                let answer = ready!(answer.as_mut().poll(context));
                Poll::Ready(answer.map_or_else(Outcome::Failure, Outcome::Answer))
            }
            Self::Reading(body) => loop {
                match ready!(Pin::new(&mut *body).poll_frame(context)) {
                    None => return Poll::Ready(Outcome::End),
                    Some(Err(error)) => return Poll::Ready(Outcome::Failure(error)),
                    Some(Ok(frame)) => {
                        if let Ok(chunk) = frame.into_data() {
                            return Poll::Ready(Outcome::Bytes(chunk));
                        }
                    }
                }
            },
        }
    }
}

impl Timer {
    fn poll(&mut self, context: &mut Context<'_>, until: Option<std::time::Instant>) -> Poll<()> {
        let Some(until) = until.map(Instant::from_std) else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if sleep.deadline() > until {
            sleep.as_mut().reset(until);
        }
        loop {
            ready!(sleep.as_mut().poll(context));
            if sleep.deadline() >= until {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(until);
        }
    }
}

impl FusedStream for EventSource {
    fn is_terminated(&self) -> bool {
        self.is_terminated
    }
}

impl fmt::Debug for EventSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSource").field("machine", &self.machine).finish_non_exhaustive()
    }
}
