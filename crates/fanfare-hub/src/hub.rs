//! The hub: topics that are published to and followed.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use fanfare_fanout::{Bounds, Epoch, Gap, GapReason, Position};
use fanfare_wire::EventId;
use tokio::task::JoinHandle;

use crate::{
    Coding, Selection, TopicName,
    event::{Format, Representation},
    live::Live,
    log::{AppendError, Appended, Batch, Log, Read, ReadError, Tail, Timestamp},
    metrics::Metrics,
    own::OwnTopic,
    roster::Roster,
    stats::Reporter,
    subscription::{Followed, Observer, Parked, Request, Subscription, before_kept},
    via::{Courses, Via},
};

/// Tells the time. The hub reads no clock itself.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Topics, and the log that makes them durable. Clones are the same hub.
///
/// It knows no HTTP: [`http`](crate::http) does. Dropping all handles does not close the log;
/// [`close`](Self::close) does.
#[derive(Clone)]
pub struct Hub(Arc<Core>);

struct Core {
    log: Arc<dyn Log>,
    stats: Arc<OwnTopic>,
    roster: Arc<Roster>,
    observer: Arc<Observer>,
    health: Health,
    courses: Arc<Courses>,
    delivering: JoinHandle<()>,
    reporting: JoinHandle<()>,
    exchanging: JoinHandle<()>,
}

/// Whether what is tried works, told by outcomes that come in any order.
#[derive(Debug, Default)]
struct Health {
    failures: AtomicU64,
    /// Of those, so many came before an attempt that succeeded.
    overcome: AtomicU64,
}

/// Something that is tried: how many failures came before it.
#[derive(Debug, Clone, Copy)]
struct Attempt(u64);

impl Health {
    fn attempt(&self) -> Attempt {
        Attempt(self.failures.load(Ordering::Relaxed))
    }

    fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    fn succeeded(&self, attempt: Attempt) {
        self.overcome.fetch_max(attempt.0, Ordering::Relaxed);
    }

    fn is_good(&self) -> bool {
        self.overcome.load(Ordering::Relaxed) == self.failures.load(Ordering::Relaxed)
    }
}

/// Where a subscription begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum From {
    /// Behind the newest event: only what comes from now on.
    #[default]
    Latest,
    /// With the oldest event that is kept.
    Earliest,
    /// With this many of the newest events, or as many as are kept.
    Last(u64),
    /// Behind the event with this id.
    After(String),
}

/// What a subscriber is given.
#[derive(Debug)]
pub enum Subscribed {
    /// A stream of the wire's bytes.
    Stream(Subscription),
    /// The topics have ended, and nothing of them is left to give.
    Over,
}

impl Hub {
    /// A hub with this log. It delivers what becomes durable and publishes its own figures, on tasks
    /// of the tokio runtime that this is called on.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled.
    pub fn new(log: Arc<dyn Log>, window: Bounds, clock: Clock) -> Self {
        Self::with_name(String::new(), log, window, clock)
    }

    /// The same with a name, by which people know it among the hubs that share its log: `GET /topics` of each
    /// tells it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled.
    pub fn with_name(name: String, log: Arc<dyn Log>, window: Bounds, clock: Clock) -> Self {
        // Taken first: what becomes durable before the newest position is loaded is left out later,
        // and nothing between both is missed.
        let tail = log.tail();
        let live = Arc::new(Live::new(log.epoch(), log.newest(), window));
        let delivering = tokio::spawn(deliver(tail, live.clone()));
        let (stats, metrics) = (Arc::new(OwnTopic::stats()), Arc::new(Metrics::new()));
        let roster = Arc::new(Roster::new(name, clock(), live.clone(), metrics.clone()));
        let exchanging = tokio::spawn(roster.clone().keep(log.clone()));
        let reporter = Reporter {
            topic: stats.clone(),
            metrics: metrics.clone(),
            roster: roster.clone(),
            log: log.clone(),
            clock: clock.clone(),
        };
        let reporting = tokio::spawn(reporter.run());
        Self(Arc::new(Core {
            log,
            stats,
            roster,
            observer: Arc::new(Observer { metrics, live, clock }),
            health: Health::default(),
            courses: Arc::default(),
            delivering,
            reporting,
            exchanging,
        }))
    }

    /// The name of the log.
    pub fn epoch(&self) -> Epoch {
        self.0.log.epoch()
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.0.observer.clock)()
    }

    /// The log.
    pub fn log(&self) -> &dyn Log {
        &*self.0.log
    }

    /// What is counted.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.observer.metrics
    }

    /// What it is, and where it has its log from.
    pub(crate) fn via(&self) -> Via {
        Via::of(self.epoch()).then(&self.log().via())
    }

    /// The ways of topics between hubs.
    pub(crate) fn courses(&self) -> &Arc<Courses> {
        &self.0.courses
    }

    /// Who is told of what subscribers are given.
    pub(crate) fn observer(&self) -> &Arc<Observer> {
        &self.0.observer
    }

    /// A subscription that was parked, behind what it was given meanwhile.
    pub(crate) fn go_on(&self, parked: Parked, after: Position) -> Subscription {
        parked.go_on(self.0.log.clone(), after, self.observer().clone())
    }

    /// The wire's id of a position.
    pub fn id(&self, position: Position) -> EventId {
        self.epoch().id(position)
    }

    /// Appends a batch to the log, with the time of now. Its events are given to subscribers when the
    /// log has made them durable.
    ///
    /// # Errors
    ///
    /// The log's. Dropping the future leaves open whether the batch was appended.
    pub async fn publish(&self, batch: Batch) -> Result<Appended, AppendError> {
        let count = batch.events.len() as u64;
        let bytes: usize = batch.events.iter().map(|event| event.data.len()).sum();
        let (begun, attempt) = (Instant::now(), self.0.health.attempt());
        let outcome = self.0.log.append(Batch { time: self.now(), ..batch }).await;
        match outcome {
            Ok(_) => self.0.health.succeeded(attempt),
            Err(AppendError::Unavailable(_)) => self.0.health.failed(),
            // It does not concern all publishes, or not for long.
            Err(
                AppendError::Ended(_)
                | AppendError::Full(_)
                | AppendError::TooLarge(_)
                | AppendError::Elsewhere(_),
            ) => {}
        }
        let appended = outcome?;
        let metrics = &self.0.observer.metrics;
        metrics.append_seconds.observe(begun.elapsed());
        if !appended.is_repeated {
            metrics.published(count, bytes);
        }
        Ok(appended)
    }

    /// Whether the log works: it says so, or has taken something that was given to it after it failed last,
    /// if it ever did.
    pub fn is_log_available(&self) -> bool {
        self.0.log.is_available().unwrap_or_else(|| self.0.health.is_good())
    }

    /// Erases the events of a topic, and ends the streams of those who follow it by name and nothing
    /// else. Tells whether there was such a topic.
    ///
    /// # Errors
    ///
    /// The log's.
    pub async fn erase(&self, topic: &TopicName) -> Result<bool, AppendError> {
        let done = self.0.observer.live.when_erased(topic);
        let existed = self.0.log.erase(topic).await?;
        if existed {
            // Who follows from here on is not taken for one of those whose streams end.
            done.await;
        }
        Ok(existed)
    }

    /// How many follow this topic by its name.
    pub fn followers(&self, topic: &TopicName) -> usize {
        self.0.observer.live.followers(topic)
    }

    /// The topics that are followed by name.
    pub(crate) fn followed_topics(&self) -> impl Iterator<Item = TopicName> {
        self.0.observer.live.followed_topics().into_keys()
    }

    /// The hubs that share the log.
    pub(crate) fn roster(&self) -> &Roster {
        &self.0.roster
    }

    /// A subscription to whatever is selected.
    ///
    /// # Errors
    ///
    /// The log's.
    pub async fn subscribe(
        &self,
        selection: Selection,
        format: Format,
        from: From,
    ) -> Result<Subscribed, ReadError> {
        let representation = Representation { format, coding: Coding::Identity };
        self.subscribe_to(selection, representation, from).await
    }

    /// A subscription whose parts are to be put together by an [`Encoder`](crate::coding::Encoder).
    pub(crate) async fn subscribe_to(
        &self,
        selection: Selection,
        representation: Representation,
        from: From,
    ) -> Result<Subscribed, ReadError> {
        let (own, selection) = selection.split();
        let own = Vec::from_iter(self.0.stats.cursor(&own, representation.format, &from));
        let live = &self.0.observer.live;
        let followed = Followed::now(&*self.0.log, live, &selection, representation).await?;
        // First: what is dropped from here on is told, if it is missed.
        let drops = self.0.log.drops(&selection, Position::START).await?;
        let (after, gap) = self.resolve(&selection, from).await?;
        // Who has missed anything is told so first.
        if let Some(end) = followed.end
            && gap.is_none()
            && own.is_empty()
            && !self.has_any(&selection, after, end).await?
        {
            return Ok(Subscribed::Over);
        }
        let request = Request { selection, representation, after, drops, gap };
        let observer = self.observer().clone();
        let log = self.0.log.clone();
        Ok(Subscribed::Stream(Subscription::new(log, own, followed, request, observer)))
    }

    /// Whether anything is kept between two positions. The last event of a topic may be older than its
    /// end: other topics went on before that.
    async fn has_any(
        &self,
        selection: &Selection,
        after: Position,
        until: Position,
    ) -> Result<bool, ReadError> {
        if after >= until {
            return Ok(false);
        }
        let read = Read { selection: selection.clone(), after, until, max_events: 1, max_bytes: 0 };
        let page = self.0.log.read(read).await?;
        // Where it gave up looking, there may be more.
        Ok(!page.records.is_empty() || page.through < until)
    }

    /// Behind which position to begin, and what to tell about what is missing.
    async fn resolve(
        &self,
        selection: &Selection,
        from: From,
    ) -> Result<(Position, Option<Bytes>), ReadError> {
        if selection.is_empty() {
            return Ok((self.0.log.newest(), None));
        }
        let log = &*self.0.log;
        let id = match from {
            From::Latest => return Ok((log.newest(), None)),
            From::Earliest => {
                return Ok((before_kept(log, selection, Position::START).await?, None));
            }
            From::Last(count) => return Ok((log.before_last(selection, count).await?, None)),
            From::After(id) => id,
        };
        // Asked first: another hub may have given out newer ids than this one has heard of.
        let kept_after = log.kept_after(selection).await?;
        let known = match self.epoch().position(&id) {
            Some(asked) if log.comes_to(asked).await? => Some(asked),
            _ => None,
        };
        let (reason, asked) = match known {
            Some(asked) if asked >= kept_after => return Ok((asked, None)),
            Some(asked) => (GapReason::Expired, asked),
            None => (GapReason::Unknown, Position::START),
        };
        let after = before_kept(log, selection, asked).await?;
        self.0.observer.metrics.gaps.count(reason);
        Ok((after, Some(self.gap(reason, &id, after))))
    }

    fn gap(&self, reason: GapReason, requested: &str, resumed_from: Position) -> Bytes {
        let gap = Gap {
            reason,
            missed: None,
            requested: Some(requested).filter(|id| id.len() <= LONGEST_TOLD_ID),
            resumed_from: Some(self.id(resumed_from)),
        };
        gap.to_event().to_bytes()
    }

    /// Ends all streams.
    pub fn end_streams(&self) {
        self.0.observer.live.close();
        self.0.stats.close();
    }

    /// Makes everything durable and closes the log.
    ///
    /// # Errors
    ///
    /// The log's.
    pub async fn close(&self) -> Result<(), AppendError> {
        self.0.log.close().await
    }
}

/// A longer id of a client is not told back to it, in bytes.
const LONGEST_TOLD_ID: usize = 128;

async fn deliver(tail: Option<Tail>, live: Arc<Live>) {
    if let Some(mut tail) = tail {
        while let Some(committed) = tail.recv().await {
            live.deliver(committed);
        }
    }
    live.tell_no_more();
}

impl Drop for Core {
    fn drop(&mut self) {
        self.delivering.abort();
        self.reporting.abort();
        self.exchanging.abort();
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("epoch", &self.epoch()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_from_before_a_failure_that_is_told_after_it_overcomes_nothing() {
        let health = Health::default();
        let early = health.attempt();
        health.failed();
        assert!(!health.is_good());
        health.succeeded(early);
        assert!(!health.is_good());
        health.succeeded(health.attempt());
        assert!(health.is_good());
        health.succeeded(early);
        assert!(health.is_good());
    }
}
