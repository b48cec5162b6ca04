//! What makes topics durable, and orders them.
//!
//! A [`Log`] knows neither HTTP nor subscribers, and logs do not know each other. Time is told to it.

mod by_name;
mod embedded;
mod index;
mod keys;
mod life;
mod memory;
mod nats;
mod redis;
mod retention;
mod teller;

use std::{
    any::Any,
    error,
    future::{pending, ready},
    pin::Pin,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use fanfare_fanout::{Epoch, Position};
use fanfare_wire::{ByteString, EventName};
use thiserror::Error;

use crate::{Selection, TopicName, Via};

pub use embedded::{Disk, Durability, EmbeddedLog, Group, OpenError, Opened, Options, Promise};
pub use memory::MemoryLog;
pub use nats::{NatsError, NatsLog, NatsOptions};
pub use redis::{RedisClock, RedisError, RedisLog, RedisOptions};
pub use retention::{Limits, Retention, Rule};

/// The answer of a log, which may have to wait for a disk or a network.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        // Later than any calendar goes.
        Self::UNIX_EPOCH.checked_add(Duration::from_millis(time.0)).unwrap_or(Self::UNIX_EPOCH)
    }
}

impl Timestamp {
    /// Whether it lies more than `age` before `now`.
    pub fn is_older(self, age: Duration, now: Self) -> bool {
        u128::from(now.0.saturating_sub(self.0)) > age.as_millis()
    }
}

/// An event to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Where it belongs.
    pub topic: TopicName,
    /// Its name; `None`: a `message`.
    pub name: Option<EventName>,
    /// The reconnection time that it carries.
    pub retry: Option<Duration>,
    /// Its data.
    pub data: ByteString,
}

/// An event in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place.
    pub position: Position,
    /// When it was appended.
    pub time: Timestamp,
    /// What was appended.
    pub event: NewEvent,
}

/// What is appended together: all of it, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// The events, in their order. They get positions one behind the other.
    pub events: Vec<NewEvent>,
    /// Topics that end behind the events.
    pub ends: Vec<TopicName>,
    /// When it is appended. Time that runs backwards is taken for the newest time there was.
    pub time: Timestamp,
    /// Under which the answer is kept for a repetition.
    pub idempotency_key: Option<IdempotencyKey>,
}

/// What makes a repeated publish recognisable, with the scope that the caller puts into it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(pub ByteString);

/// What an append has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The position of the newest event of the batch; that of the newest event in the log if it has
    /// none.
    pub last: Position,
    /// The key had been used: this is the answer of then, and nothing was appended now.
    pub is_repeated: bool,
}

/// Why nothing was appended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A topic of the batch has ended.
    #[error("the topic {0} has ended")]
    Ended(TopicName),
    /// There is no room for it, and it was not tried. The source says of what, and what to do. Events may be
    /// appended again when there is; only a log whose disk has refused a write, which was
    /// [`Unavailable`](Self::Unavailable), needs to be opened again.
    #[error("the log has no room")]
    Full(#[source] BoxError),
    /// It is more than the log takes at once, however often it is tried.
    #[error("the batch is too large for the log")]
    TooLarge(#[source] BoxError),
    /// This log is another hub's, to which events are published: there.
    #[error("events are published to {0}")]
    Elsewhere(String),
    /// The log cannot say that it is durable. What follows is refused until the log works again.
    #[error("the log does not work")]
    Unavailable(#[source] BoxError),
}

impl AppendError {
    /// There would be more topics than there may be.
    fn too_many_topics(most: usize) -> Self {
        let why =
            format!("there are at most {most} topics (log.max_topics): raise that, or DELETE some");
        Self::Full(why.into())
    }
}

/// The log cannot be read.
#[derive(Debug, Error)]
#[error("the log cannot be read")]
pub struct ReadError(#[source] pub BoxError);

/// Any error beneath a log.
pub type BoxError = Box<dyn error::Error + Send + Sync>;

/// What to read.
#[derive(Debug, Clone)]
pub struct Read {
    /// Of these topics,
    pub selection: Selection,
    /// what lies behind this position,
    pub after: Position,
    /// and not behind this one,
    pub until: Position,
    /// events at most,
    pub max_events: usize,
    /// and bytes of data at most, but one event at least.
    pub max_bytes: usize,
}

/// What has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The events, by position.
    pub records: Vec<Record>,
    /// Everything that was asked for has been read up to here; read on from it. It is more than
    /// before, unless it was the end.
    pub through: Position,
}

/// What is known of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicState {
    /// Its name.
    pub name: TopicName,
    /// How many events are kept.
    pub events: u64,
    /// How many bytes of data these have.
    pub bytes: u64,
    /// The oldest event that is kept.
    pub oldest: Option<Position>,
    /// The newest event that there was.
    pub newest: Position,
    /// Its end, if it has ended: the position of the newest event then.
    pub ended: Option<Position>,
}

/// How much a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Events that are kept.
    pub events: u64,
    /// Bytes of data that these have.
    pub bytes: u64,
    /// Topics that are known.
    pub topics: u64,
    /// Bytes on the disk, with all that the log writes besides; `None` for a log without one.
    pub disk_bytes: Option<u64>,
}

/// What a hub tells the others that share its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which hub tells it: a number drawn at random when it starts.
    pub hub: u64,
    /// What it tells; a log does not look at it.
    pub content: Bytes,
}

/// What another hub has told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Its newest report.
    pub report: Report,
    /// How long ago it told that.
    pub age: Duration,
}

/// What has become durable, in the order of positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// An event.
    Event(Record),
    /// The end of a topic.
    End(TopicName),
    /// The events of a topic were erased, up to this position.
    Erased(TopicName, Position),
    /// Something up to this position is not told: it came and was dropped while the log was away, or was
    /// not listened to. What is kept can be read.
    Skipped(Position),
    /// The same, and topics may have ended or been erased up to there.
    Missed(Position),
}

/// From where on the tail tells of what is followed; it does until this is dropped.
#[derive(Debug, Default)]
pub struct Listening {
    /// What lies behind this position is told. There has been an event of it, so that a read comes to it.
    pub after: Position,
    /// Ends it when it is dropped.
    pub until_dropped: Option<Box<dyn Any + Send + Sync>>,
}

/// What has become durable, as it does. Given once; ends when the log is closed.
///
/// It has a bound: a reader that does not keep up holds up those who append.
pub type Tail = tokio::sync::mpsc::Receiver<Vec<Committed>>;

/// An ordered log of events in topics.
///
/// The contract:
///
/// - **Order.** Positions rise with each event, over all topics. The events of a batch have
///   neighbouring positions.
/// - **Durability.** An append is answered when the batch is as durable as the log was set up to make
///   it; an error means that nothing of it will ever be read, except [`AppendError::Unavailable`],
///   after which it may turn up when the log works again, once, at a position above all that were
///   given out.
/// - **Visibility.** What is read or given by the tail has been durable before. Whoever got an answer
///   reads what was appended.
/// - **Concurrency.** All methods may be called at once. Appends that wait together become durable
///   together.
/// - **Idempotency.** A batch with a key that was used within the log's window is not appended; its
///   answer is that of the first.
/// - **Retention.** [`trim`](Log::trim) drops the oldest events of topics that are beyond their
///   limits, then the oldest of all that are beyond the limits of the whole, and forgets topics that
///   have none left. An append may drop what is beyond the limits then, but need not.
///   [`kept_after`](Log::kept_after) tells what is complete.
/// - **Cancellation.** A dropped future of an append leaves open whether it happened.
pub trait Log: Send + Sync + 'static {
    /// The name of the log: another one means other positions.
    fn epoch(&self) -> Epoch;

    /// The position of the newest event that is durable, as far as it is known here: it is that of the last
    /// answer of any kind, or newer.
    fn newest(&self) -> Position;

    /// Whether there is an event of this position, or a newer one. Where another hub may have been told of it
    /// sooner, it is waited for.
    fn comes_to(&self, position: Position) -> Answer<'_, Result<bool, ReadError>> {
        Box::pin(ready(Ok(position <= self.newest())))
    }

    /// Whether it can be reached; `None` where that is known only by what comes of appends.
    fn is_available(&self) -> Option<bool> {
        None
    }

    /// Waits until the log turns out to be another one than it was, or to have lost what it had: positions are no
    /// longer the same events. Only a log that hubs share can be replaced.
    fn replaced(&self) -> Answer<'_, ()> {
        Box::pin(pending())
    }

    /// The hubs that the log comes from, the nearest first; none where it is this hub's own.
    fn via(&self) -> Via {
        Via::default()
    }

    /// Takes the tail: what becomes durable from now on. `None` when it has been taken.
    ///
    /// A log may leave out what nobody [listens](Log::listen) to, without a word.
    fn tail(&self) -> Option<Tail>;

    /// Has the tail tell of what is selected. Who is told of everything anyway need not ask.
    fn listen(&self, _selection: &Selection) -> Answer<'_, Result<Listening, ReadError>> {
        Box::pin(ready(Ok(Listening::default())))
    }

    /// Appends a batch, all or nothing.
    fn append(&self, batch: Batch) -> Answer<'_, Result<Appended, AppendError>>;

    /// Reads a page. It holds back nobody, and is not a snapshot: what is trimmed meanwhile is
    /// left out.
    fn read(&self, read: Read) -> Answer<'_, Result<Page, ReadError>>;

    /// The position behind which no event of the selection has been dropped.
    ///
    /// What topics had dropped that are forgotten counts for each prefix, for each topic that is not
    /// known, and for each that came later: it may have been theirs.
    fn kept_after(&self, selection: &Selection) -> Answer<'_, Result<Position, ReadError>>;

    /// A number that rises when an event of the selection is dropped. Topics that have dropped nothing
    /// behind `after` are left out, so it is above what was answered before, for this place or one
    /// further in front, exactly if something behind this one was dropped since. It is good for as
    /// long as the log is open.
    ///
    /// Topics that are forgotten count as they do for [`kept_after`](Log::kept_after).
    fn drops(&self, selection: &Selection, after: Position) -> Answer<'_, Result<u64, ReadError>>;

    /// The position behind which the newest `count` events of the selection lie, or as many as are
    /// kept; the newest position if that is none. That all are asked for costs no more than
    /// [`kept_after`](Log::kept_after) does.
    fn before_last(
        &self,
        selection: &Selection,
        count: u64,
    ) -> Answer<'_, Result<Position, ReadError>>;

    /// What is known of a topic; `None` if it has no event and has not had one lately.
    fn topic(&self, name: &TopicName) -> Answer<'_, Result<Option<TopicState>, ReadError>>;

    /// The topics of the selection whose names lie behind `after`, by name, at most this many.
    fn topics(
        &self,
        selection: &Selection,
        after: Option<&TopicName>,
        most: usize,
    ) -> Answer<'_, Result<Vec<TopicState>, ReadError>>;

    /// Erases the events of a topic, and its end. Events that are appended later belong to it again.
    /// Tells whether there was such a topic.
    fn erase(&self, name: &TopicName) -> Answer<'_, Result<bool, AppendError>>;

    /// How much it holds.
    fn size(&self) -> Answer<'_, Result<Size, ReadError>>;

    /// Tells the other hubs that share the log a report, in the place of this hub's last one, and answers what
    /// they have told within this time: the newest report of each, without one's own. `None`: nobody shares it.
    ///
    /// Reports are no part of what is kept: they are gone after a while, may come late, and may be lost. All who
    /// share a log give the same time. It bounds how many may share it, and refuses those who are too many.
    fn exchange(
        &self,
        _report: Report,
        _within: Duration,
    ) -> Option<Answer<'_, Result<Vec<Heard>, ReadError>>> {
        None
    }

    /// Drops what is beyond the limits now, and forgets old idempotency keys.
    fn trim(&self, now: Timestamp) -> Answer<'_, Result<(), AppendError>>;

    /// Makes everything durable and lets go of it. Appends are refused from then on, and reads may
    /// be.
    fn close(&self) -> Answer<'_, Result<(), AppendError>>;
}
