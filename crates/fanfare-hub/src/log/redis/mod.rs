//! A log in Redis, which several hubs share.
//!
//! Everything is done by scripts (`*.lua`), each of which Redis runs as a whole: what they keep is told in
//! `lib.lua`. A hub's own part is the tail, which asks what has happened since it asked last.

mod link;
mod reply;
mod script;
mod tail;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use fanfare_fanout::{Epoch, Position};
use fanfare_wire::ByteString;
use redis::{
    Client, ErrorKind, IntoConnectionInfo, ServerErrorKind, aio::ConnectionLike,
    io::tcp::TcpSettings,
};
use thiserror::Error;
use tokio::sync::mpsc;

use super::{
    Answer, AppendError, Appended, Batch, BoxError, Heard, Limits, Log, NewEvent, Page, Read,
    ReadError, Report, Retention, Size, Tail, Timestamp, TopicState,
    life::{Life, State},
};
use crate::{Selection, Selector, TopicName};
use link::{Connected, Link};
use reply::Reply;
use script::{Call, Scripts};

/// Batches that may wait for the reader of the tail.
const TAIL_BATCHES: usize = 64;
/// How a [`RedisLog`] is opened.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// What all its keys begin with: logs with different names do not know each other.
    pub name: String,
    /// What is kept. All hubs of a log are to be given the same.
    pub retention: Retention,
    /// Topics at most; a batch that needs more is refused.
    pub max_topics: usize,
    /// How long an answer is waited for.
    pub patience: Duration,
    /// Whose clock says how old events and idempotency keys are.
    pub clock: RedisClock,
}

/// A clock for a log in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RedisClock {
    /// That of Redis, which is the same for all hubs. What times are told does not count.
    #[default]
    Redis,
    /// Times are told, and those of all hubs agree.
    Told,
}

/// Why Redis cannot be used, or not now.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RedisError {
    /// The address is none.
    #[error("this is no address of Redis, such as redis://127.0.0.1:6379")]
    Address(#[source] redis::RedisError),
    /// Redis cannot be reached, or has refused what was asked.
    #[error("Redis does not answer as it should")]
    Redis(#[from] redis::RedisError),
    /// Redis has no memory left.
    #[error("Redis has no memory left (maxmemory): raise it, keep less, or DELETE topics")]
    Full(#[source] redis::RedisError),
    /// Redis has not answered in time.
    #[error("Redis has not answered within {} ms", .0.as_millis())]
    Late(Duration),
    /// Redis could not be reached a moment ago, and is not tried again yet.
    #[error("Redis is away")]
    Away,
    /// The answer is none that the scripts give.
    #[error("what Redis holds under this name is not a log of this version")]
    Reply,
    /// The log is another one than it was, or has lost events that it had.
    #[error("the log in Redis is not the one that it was: events that were acknowledged are gone")]
    Replaced,
    /// It would be one hub too many.
    #[error("too many hubs share the log already: what this one tells the others does not count")]
    Crowded,
    /// The log was closed here.
    #[error("it has been closed")]
    Closed,
}

impl RedisError {
    /// Whether it takes another connection to get any further: Redis cannot be reached, or what answers is not,
    /// or not yet, or no longer, the server that the log is on.
    fn is_loss(&self) -> bool {
        match self {
            Self::Late(_) | Self::Away => true,
            Self::Redis(error) => {
                error.is_io_error() || error.is_unrecoverable_error() || is_elsewhere(error)
            }
            _ => false,
        }
    }
}

fn is_elsewhere(error: &redis::RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly};
    match error.kind() {
        ErrorKind::AuthenticationFailed => true,
        ErrorKind::Server(kind) => {
            matches!(kind, BusyLoading | ClusterDown | MasterDown | Moved | ReadOnly)
        }
        _ => matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "UNBLOCKED")),
    }
}

/// A [`Log`] in Redis. Clones are the same.
///
/// How durable an append is when it is answered is Redis' own setting: with `appendfsync always` it is on the
/// disk, with `everysec` up to a second is lost in a crash, without a file everything is lost. If Redis comes
/// back without what it had, it is another log, with another epoch.
#[derive(Debug, Clone)]
pub struct RedisLog(Arc<Shared>);

struct Shared {
    link: Link,
    scripts: Scripts,
    options: RedisOptions,
    /// What names the log.
    seed: u64,
    /// The newest thing that is known of.
    newest: Mutex<Place>,
    nonce: (u64, AtomicU64),
    is_tail_taken: AtomicBool,
    /// The last answer was none, or the tail has lost its connection.
    is_away: AtomicBool,
    life: Life,
}

/// A place in the order of all that happens: several things may happen at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Place {
    position: u64,
    sub: u64,
}

/// What is known of topics, taken together.
#[derive(Debug)]
struct Survey {
    /// The position of the newest event of all, and how often events had been dropped, before the first of these
    /// topics was looked at.
    newest: u64,
    all_drops: u64,
    /// The newest event that was dropped.
    dropped: u64,
    drops: u64,
    events: u64,
    oldest: Option<u64>,
}

impl Survey {
    fn read(reply: &mut Reply) -> Result<Self, RedisError> {
        Ok(Self {
            newest: reply.number()?,
            all_drops: reply.number()?,
            dropped: reply.number()?,
            drops: reply.number()?,
            events: reply.number()?,
            oldest: reply.number_or_none()?,
        })
    }

    /// Together with more topics, which were looked at later.
    fn with(self, more: &Self) -> Self {
        Self {
            newest: self.newest,
            all_drops: self.all_drops,
            dropped: self.dropped.max(more.dropped),
            drops: self.drops.max(more.drops),
            events: self.events.saturating_add(more.events),
            oldest: self.oldest.into_iter().chain(more.oldest).min(),
        }
    }

    /// What is dropped while topics are looked at may be of one that was looked at before. So it is not counted yet,
    /// and noticed the next time.
    fn counted_drops(&self) -> u64 {
        self.drops.min(self.all_drops)
    }
}

impl RedisLog {
    /// Opens a log, which is made if there is none. `seed` is drawn at random.
    ///
    /// # Errors
    ///
    /// [`RedisError`] says what is wrong.
    pub async fn open(url: &str, seed: u64, options: RedisOptions) -> Result<Self, RedisError> {
        let patience = options.patience;
        // A connection whose other end has silently gone is to be given up.
        #[cfg(target_os = "linux")]
        let settings = TcpSettings::default().set_user_timeout(patience);
        #[cfg(not(target_os = "linux"))]
        let settings = TcpSettings::default();
        let address = url.into_connection_info().map_err(RedisError::Address)?;
        let client =
            Client::open(address.set_tcp_settings(settings)).map_err(RedisError::Address)?;
        let link = Link::open(client, patience).await?;
        let mut scripts = Scripts::new(&options.name, options.clock);
        let call = scripts.open(seed, None, Place::default(), "");
        let mut connection = link.get().await?.connection;
        let mut reply = call.invoke(&mut connection, patience).await?;
        let newest = Place { position: reply.number()?, sub: reply.number()? };
        // No other append of any hub has the same nonce.
        let nonce = (seed, AtomicU64::new(0));
        let seed = reply.number()?;
        scripts.expect(seed);
        Ok(Self(Arc::new(Shared {
            link,
            scripts,
            options,
            seed,
            newest: Mutex::new(newest),
            nonce,
            is_tail_taken: AtomicBool::new(false),
            is_away: AtomicBool::new(false),
            life: Life::new(),
        })))
    }

    /// Whether Redis has turned out to hold another log than it did.
    pub fn is_replaced(&self) -> bool {
        self.0.life.state() == State::Replaced
    }
}

impl Shared {
    fn newest(&self) -> MutexGuard<'_, Place> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a script, and takes note of how far the log is.
    async fn call(&self, call: Call<'_>) -> Result<Reply, RedisError> {
        let answer = self.ask(call).await;
        self.is_away.store(answer.as_ref().is_err_and(RedisError::is_loss), Ordering::Relaxed);
        answer
    }

    async fn ask(&self, call: Call<'_>) -> Result<Reply, RedisError> {
        let mut connected = self.link.get().await?;
        let answer = self.ask_on(&mut connected, call).await;
        if answer.as_ref().is_err_and(RedisError::is_loss) {
            self.link.give_up(&connected).await;
        }
        answer
    }

    async fn ask_on(&self, connected: &mut Connected, call: Call<'_>) -> Result<Reply, RedisError> {
        let (connection, known) = (&mut connected.connection, *self.newest());
        let mut reply = call.invoke(connection, self.options.patience).await?;
        let place = Place { position: reply.number()?, sub: reply.number()? };
        let is_same = reply.number_or_none().ok().flatten() == Some(self.seed);
        // What it says may only be newer than what was known before it was asked.
        if !is_same || place < known && !self.recognise(connection, known, "").await? {
            self.life.end(State::Replaced);
            return Err(RedisError::Replaced);
        }
        let mut newest = self.newest();
        *newest = place.max(*newest);
        drop(newest);
        Ok(reply)
    }

    /// Whether it is the log that it was, and has what was seen of it. If it has not, it is given another
    /// name, which tells all hubs.
    async fn recognise(
        &self,
        connection: &mut impl ConnectionLike,
        seen: Place,
        nonce: &str,
    ) -> Result<bool, RedisError> {
        let call = self.scripts.open(fastrand::u64(..), Some(self.seed), seen, nonce);
        let mut reply = call.invoke(connection, self.options.patience).await?;
        let (_, _, found) = (reply.number()?, reply.number()?, reply.number()?);
        Ok(found == self.seed)
    }

    /// Runs a script that changes something.
    async fn change(&self, call: Call<'_>) -> Result<Reply, AppendError> {
        self.check_open().map_err(unavailable)?;
        self.call(call).await.map_err(refused_by)
    }

    fn check_open(&self) -> Result<(), RedisError> {
        match self.life.state() {
            State::Open => Ok(()),
            State::Closed => Err(RedisError::Closed),
            State::Replaced => Err(RedisError::Replaced),
        }
    }

    fn nonce(&self) -> String {
        let (seed, next) = &self.nonce;
        format!("{seed:x}.{:x}", next.fetch_add(1, Ordering::Relaxed))
    }

    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        let nonce = self.nonce();
        let call = self.scripts.append(&batch, &self.options, &nonce);
        let mut reply = self.change(call).await?;
        let outcome = reply.text().map_err(unavailable)?;
        if &*outcome == "ended" {
            return Err(AppendError::Ended(reply.topic().map_err(unavailable)?));
        }
        if &*outcome == "full" {
            return Err(AppendError::too_many_topics(self.options.max_topics));
        }
        let last = reply.position().map_err(unavailable)?;
        Ok(Appended { last, is_repeated: &*outcome == "repeated" })
    }

    async fn read(&self, read: Read) -> Result<Page, ReadError> {
        let mut reply = self.call(self.scripts.read(&read)).await.map_err(unreadable)?;
        page(&mut reply).map_err(unreadable)
    }

    /// What is known of the topics of a selection, page by page.
    async fn survey(&self, selection: &Selection, after: Position) -> Result<Survey, RedisError> {
        let mut survey: Option<Survey> = None;
        let mut behind = None;
        loop {
            let call = self.scripts.survey(selection, after, behind.as_deref());
            let mut reply = self.call(call).await?;
            behind = Some(reply.text()?).filter(|name| !name.is_empty());
            let page = Survey::read(&mut reply)?;
            let whole = match survey {
                Some(before) => before.with(&page),
                None => page,
            };
            if behind.is_none() {
                return Ok(whole);
            }
            survey = Some(whole);
        }
    }

    async fn before_last(&self, selection: &Selection, count: u64) -> Result<Position, RedisError> {
        let Survey { newest, events, oldest, .. } = self.survey(selection, Position::START).await?;
        let Some(oldest) = oldest.filter(|_| count > 0) else { return Ok(Position(newest)) };
        let (mut left, mut before) = (count, ByteString::from(format!("{}-0", newest + 1)));
        // Asked for all that are kept, or more, there is nothing to count.
        while left < events {
            let mut reply = self.call(self.scripts.count_back(selection, &before, left)).await?;
            left = reply.number()?;
            before = reply.text()?;
            match reply.number_or_none()? {
                Some(last) if left == 0 => return Ok(Position(last.saturating_sub(1))),
                Some(last) if last > oldest => {}
                _ => break,
            }
        }
        Ok(Position(oldest.saturating_sub(1)))
    }

    async fn topics(
        &self,
        selection: &Selection,
        after: Option<&TopicName>,
        most: usize,
    ) -> Result<Vec<TopicState>, RedisError> {
        let mut found = vec![];
        let mut behind = after.map(|name| ByteString::from(name.as_str()));
        while found.len() < most {
            let call = self.scripts.topics(selection, behind.as_deref(), most - found.len());
            let mut reply = self.call(call).await?;
            behind = Some(reply.text()?).filter(|name| !name.is_empty());
            found.append(&mut topics(&mut reply)?);
            if behind.is_none() {
                break;
            }
        }
        Ok(found)
    }

    async fn exchange(&self, report: &Report, within: Duration) -> Result<Vec<Heard>, RedisError> {
        self.check_open()?;
        let mut reply = self.call(self.scripts.exchange(report, within)).await?;
        if reply.number()? == 0 {
            return Err(RedisError::Crowded);
        }
        heard(&mut reply)
    }

    async fn trim(&self, now: Timestamp) -> Result<(), AppendError> {
        let mut after = String::new();
        loop {
            let call = self.scripts.trim(now, &self.options.retention, &after);
            let mut reply = self.change(call).await?;
            let goes_on = reply.number().map_err(unavailable)? == 1;
            let last = reply.text().map_err(unavailable)?;
            if !goes_on {
                return Ok(());
            }
            if !last.is_empty() {
                after = last.to_string();
            }
        }
    }
}

fn page(reply: &mut Reply) -> Result<Page, RedisError> {
    let through = reply.position()?;
    let mut events = reply.values()?;
    let mut records = vec![];
    while !events.is_empty() {
        let position = events.position()?;
        records.push(events.record(position)?);
    }
    Ok(Page { records, through })
}

fn topics(reply: &mut Reply) -> Result<Vec<TopicState>, RedisError> {
    let mut values = reply.values()?;
    let mut topics = vec![];
    while !values.is_empty() {
        topics.push(TopicState {
            name: values.topic()?,
            events: values.number()?,
            bytes: values.number()?,
            oldest: values.number_or_none()?.map(Position),
            newest: values.position()?,
            ended: values.number_or_none()?.map(Position),
        });
    }
    Ok(topics)
}

fn heard(reply: &mut Reply) -> Result<Vec<Heard>, RedisError> {
    let mut values = reply.values()?;
    let mut heard = vec![];
    while !values.is_empty() {
        let mut one = values.values()?;
        let (hub, age) = (one.number()?, Duration::from_millis(one.number()?));
        heard.push(Heard { report: Report { hub, content: one.bytes()? }, age });
    }
    Ok(heard)
}

/// Without room nothing of a script is done, and nothing is wrong with the log.
fn refused_by(error: RedisError) -> AppendError {
    match error {
        RedisError::Redis(full) if full.code() == Some("OOM") => {
            AppendError::Full(RedisError::Full(full).into())
        }
        error => unavailable(error),
    }
}

fn unavailable(error: RedisError) -> AppendError {
    AppendError::Unavailable(BoxError::from(error))
}

fn unreadable(error: RedisError) -> ReadError {
    ReadError(BoxError::from(error))
}

impl Log for RedisLog {
    fn epoch(&self) -> Epoch {
        Epoch::from_seed(self.0.seed)
    }

    fn newest(&self) -> Position {
        Position(self.0.newest().position)
    }

    fn is_available(&self) -> Option<bool> {
        let is_away = self.0.is_away.load(Ordering::Relaxed);
        Some(!is_away && self.0.life.state() == State::Open)
    }

    fn replaced(&self) -> Answer<'_, ()> {
        self.0.life.replaced()
    }

    fn tail(&self) -> Option<Tail> {
        if self.0.is_tail_taken.swap(true, Ordering::Relaxed) {
            return None;
        }
        let (sender, receiver) = mpsc::channel(TAIL_BATCHES);
        let place = *self.0.newest();
        tokio::spawn(tail::run(self.0.clone(), sender, place));
        Some(receiver)
    }

    fn append(&self, batch: Batch) -> Answer<'_, Result<Appended, AppendError>> {
        Box::pin(self.0.append(batch))
    }

    fn read(&self, read: Read) -> Answer<'_, Result<Page, ReadError>> {
        Box::pin(self.0.read(read))
    }

    fn kept_after(&self, selection: &Selection) -> Answer<'_, Result<Position, ReadError>> {
        let selection = selection.clone();
        Box::pin(async move {
            let survey = self.0.survey(&selection, Position::START).await;
            survey.map(|survey| Position(survey.dropped)).map_err(unreadable)
        })
    }

    fn drops(&self, selection: &Selection, after: Position) -> Answer<'_, Result<u64, ReadError>> {
        let selection = selection.clone();
        Box::pin(async move {
            let survey = self.0.survey(&selection, after).await;
            survey.map(|survey| survey.counted_drops()).map_err(unreadable)
        })
    }

    fn before_last(
        &self,
        selection: &Selection,
        count: u64,
    ) -> Answer<'_, Result<Position, ReadError>> {
        let selection = selection.clone();
        Box::pin(async move { self.0.before_last(&selection, count).await.map_err(unreadable) })
    }

    fn topic(&self, name: &TopicName) -> Answer<'_, Result<Option<TopicState>, ReadError>> {
        let selection = Selection::from(name.clone());
        Box::pin(
            async move { Ok(self.0.topics(&selection, None, 1).await.map_err(unreadable)?.pop()) },
        )
    }

    fn topics(
        &self,
        selection: &Selection,
        after: Option<&TopicName>,
        most: usize,
    ) -> Answer<'_, Result<Vec<TopicState>, ReadError>> {
        let (selection, after) = (selection.clone(), after.cloned());
        Box::pin(async move {
            self.0.topics(&selection, after.as_ref(), most).await.map_err(unreadable)
        })
    }

    fn erase(&self, name: &TopicName) -> Answer<'_, Result<bool, AppendError>> {
        let erased = self.0.change(self.0.scripts.erase(name));
        Box::pin(async move { Ok(erased.await?.number().map_err(unavailable)? == 1) })
    }

    fn size(&self) -> Answer<'_, Result<Size, ReadError>> {
        let size = self.0.call(self.0.scripts.size());
        Box::pin(async move {
            let mut reply = size.await.map_err(unreadable)?;
            let mut next = || reply.number().map_err(unreadable);
            Ok(Size { events: next()?, bytes: next()?, topics: next()?, disk_bytes: None })
        })
    }

    fn exchange(
        &self,
        report: Report,
        within: Duration,
    ) -> Option<Answer<'_, Result<Vec<Heard>, ReadError>>> {
        Some(Box::pin(async move { self.0.exchange(&report, within).await.map_err(unreadable) }))
    }

    fn trim(&self, now: Timestamp) -> Answer<'_, Result<(), AppendError>> {
        Box::pin(self.0.trim(now))
    }

    fn close(&self) -> Answer<'_, Result<(), AppendError>> {
        self.0.life.end(State::Closed);
        Box::pin(async { Ok(()) })
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLog").field("seed", &self.seed).finish_non_exhaustive()
    }
}
