//! A log in a stream of NATS `JetStream`, which several hubs share.
//!
//! What is appended is published to the stream (`message.rs`), and every hub applies the whole stream in its
//! order (`tail.rs`, `replica.rs`). So all come to the same, and an append is answered when the hub that it came
//! to has applied it. What the replica knows of events are heads; bodies are read from the stream (`reading.rs`),
//! and where much comes that nobody follows, only what is followed is (`followed.rs`).
//! Events are dropped by a message that says so, and deleted from the stream afterwards (`trimming.rs`); there is room
//! for such messages where none is left for events (`room.rs`).

mod again;
mod error;
mod stream;

mod message;
mod subject;

mod replica;
mod tail;

mod followed;
mod reading;
mod room;
mod trimming;

mod exchange;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::{
    Client,
    jetstream::{
        self, Context,
        stream::{Info, Stream},
    },
};
use bytes::Bytes;
use fanfare_fanout::{Epoch, Position};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify, oneshot, oneshot::error::TryRecvError, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    Answer, AppendError, Appended, Batch, Heard, IdempotencyKey, Listening, Log, Page, Read,
    ReadError, Report, Retention, Size, Tail, Timestamp, TopicState,
    life::{Life, State},
    teller::Teller,
};
use crate::{Selection, TopicName};
use again::ask_again;
use error::{refused, unreadable};
use exchange::Reports;
use followed::Followed;
use message::{Head, MAX_EVENTS, MOST_HEADERS, Outgoing, What, hashed, position};
use replica::{Outcome, Replica};
use room::Room;
use stream::Connections;
use subject::Subjects;

pub use error::NatsError;

/// In what time a message comes that is in the stream.
const SOON: Duration = Duration::from_millis(100);
/// How often a batch is sent when other hubs are faster.
const ATTEMPTS: usize = 8;

/// How a [`NatsLog`] is opened.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// Names the stream: logs with different names do not know each other.
    pub name: String,
    /// What is kept. All hubs of a log are to be given the same.
    pub retention: Retention,
    /// Topics at most; a batch that needs more is refused.
    pub max_topics: usize,
    /// How long an answer is waited for.
    pub patience: Duration,
    /// On how many servers each event is kept.
    pub replicas: usize,
    /// Whether the servers keep it in memory instead of on their disks.
    pub is_in_memory: bool,
    /// Bytes a second of events that nobody [listens](Log::listen) to which are taken nevertheless. When more come,
    /// only their heads are, and what is listened to is asked for one by one. 0: it always is.
    pub max_unfollowed: u64,
    /// What the stream may hold, in bytes, with all that is written besides the events. Then appends are refused. The
    /// stream itself takes a little more, for what is said about what is dropped.
    pub max_bytes: Option<u64>,
}

/// A [`Log`] in NATS `JetStream`. Clones are the same.
///
/// An append is answered when the stream has it: with three replicas, when two servers have. If NATS comes back
/// without what it had, it is another log, with another epoch.
#[derive(Debug, Clone)]
pub struct NatsLog(Arc<Shared>);

struct Shared {
    client: Client,
    context: Context,
    stream: Stream,
    subjects: Subjects,
    options: NatsOptions,
    /// What names the log.
    seed: u64,
    connections: Arc<Connections>,
    replica: Mutex<Replica>,
    /// Changes when a message has been applied.
    applied: watch::Sender<()>,
    /// Something that is in the stream does not come.
    is_missed: Notify,
    /// Those who wait for what comes of their messages, by nonce.
    waiting: Mutex<HashMap<u64, Waiting>>,
    followed: Arc<Followed>,
    inquiries: Inquiries,
    room: Room,
    teller: Teller,
    reports: Reports,
    life: Life,
}

/// Who waits for what comes of a message.
#[derive(Debug)]
struct Waiting {
    outcome: oneshot::Sender<Outcome>,
    /// What it sent.
    body: Bytes,
}

/// How far the stream is, asked once for all who want to know at the same time.
#[derive(Debug, Default)]
struct Inquiries {
    begun: AtomicU64,
    /// Those who began before this one know by now.
    answered: AsyncMutex<u64>,
    /// The newest message there is, as far as is known.
    reach: AtomicU64,
}

impl NatsLog {
    /// Opens a log, which is made if there is none. `seed` is drawn at random. `url` is that of a server, or those
    /// of several of a cluster with commas between them.
    ///
    /// # Errors
    ///
    /// [`NatsError`] says what is wrong.
    pub async fn open(url: &str, seed: u64, options: NatsOptions) -> Result<Self, NatsError> {
        let (patience, connections) = (options.patience, Arc::new(Connections::default()));
        let connecting = stream::connect(url, patience, connections.clone());
        let client =
            timeout(patience, connecting).await.map_err(|_| NatsError::Late(patience))??;
        let context = jetstream::ContextBuilder::new().timeout(patience).ack_timeout(patience);
        let context = context.build(client.clone());
        let subjects = Subjects::new(&options.name);
        // It is in force when the server answers what is asked behind it.
        let reports = client.subscribe(subjects.reports()).await;
        let reports = reports.map_err(|error| NatsError::Nats(error.into()))?;
        let stream = stream::open(&context, &subjects, seed, &options).await?;
        stream::warn_of(&client.server_info().version, options.replicas);
        let room = Room::new(options.max_bytes);
        let followed = Arc::new(Followed::new(options.max_unfollowed));
        let found = stream.cached_info();
        let seed = stream::seed(&found.config).unwrap_or(seed);
        let shared = Arc::new(Shared {
            client,
            context,
            subjects,
            options,
            seed,
            connections,
            replica: Mutex::default(),
            applied: watch::Sender::new(()),
            is_missed: Notify::new(),
            waiting: Mutex::default(),
            followed,
            inquiries: Inquiries::default(),
            room,
            teller: Teller::default(),
            reports: Reports::default(),
            life: Life::new(),
            stream,
        });
        Box::pin(tail::catch_up(&shared)).await?;
        tokio::spawn(tail::run(shared.clone()));
        tokio::spawn(exchange::hear(shared.clone(), reports));
        Ok(Self(shared))
    }

    /// Whether NATS has turned out to hold another log than it did.
    pub fn is_replaced(&self) -> bool {
        self.0.life.state() == State::Replaced
    }
}

impl Shared {
    fn replica(&self) -> MutexGuard<'_, Replica> {
        self.replica.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing goes on any more, if nothing does.
    fn over(&self) -> Result<(), NatsError> {
        match self.life.state() {
            State::Open => Ok(()),
            State::Closed => Err(NatsError::Closed),
            State::Replaced => Err(NatsError::Replaced),
        }
    }

    /// Does something with what is known, when that is all that the stream has at this moment or later.
    async fn inquire<T>(&self, answer: impl Fn(&Replica) -> T) -> Result<T, NatsError> {
        let patience = self.options.patience;
        let inquiring = async {
            let mut applied = self.applied.subscribe();
            let until = self.reach().await?;
            loop {
                applied.mark_unchanged();
                {
                    let replica = self.replica();
                    if replica.applied >= until && replica.is_settled() {
                        return Ok(answer(&replica));
                    }
                }
                self.not_replaced()?;
                // It is there as long as this is.
                let _ = self.soon(applied.changed()).await;
            }
        };
        let outcome = timeout(patience, inquiring).await.unwrap_or(Err(NatsError::Late(patience)));
        self.take_note(outcome)
    }

    /// What has been decided on before this is read, and all else is told.
    async fn listen(&self, selection: &Selection) -> Result<Listening, NatsError> {
        let (following, judged) = self.followed.follow(selection);
        let mut applied = self.applied.subscribe();
        let waiting = async {
            loop {
                applied.mark_unchanged();
                {
                    let replica = self.replica();
                    // What was judged and has been deleted since is not applied, but it is judged no more.
                    if replica.applied >= judged.min(self.followed.judged()) {
                        return Ok(Position(replica.index.newest()));
                    }
                }
                self.over()?;
                // It is there as long as this is.
                let _ = applied.changed().await;
            }
        };
        let patience = self.options.patience;
        let after = timeout(patience, waiting).await.unwrap_or(Err(NatsError::Late(patience)))?;
        Ok(Listening { after, until_dropped: Some(Box::new(following)) })
    }

    /// Whether there is an event of this position, or a newer one. The server that leads may tell of it a little
    /// later than another one has told another hub.
    async fn comes_to(&self, position: u64) -> Result<bool, NatsError> {
        let begun = Instant::now();
        for failures in 0.. {
            if self.inquire(|replica| replica.index.newest() >= position).await? {
                return Ok(true);
            }
            if begun.elapsed() > self.options.patience {
                break;
            }
            sleep(stream::pause(failures)).await;
        }
        Ok(false)
    }

    /// Waits for what follows from a message that is in the stream. When it takes long, the message is looked for.
    async fn soon<T>(&self, waiting: impl Future<Output = T>) -> T {
        let mut waiting = pin!(waiting);
        loop {
            match timeout(SOON, &mut waiting).await {
                Ok(come) => return come,
                Err(_) => self.is_missed.notify_one(),
            }
        }
    }

    fn not_replaced(&self) -> Result<(), NatsError> {
        match self.over() {
            Err(NatsError::Replaced) => Err(NatsError::Replaced),
            _ => Ok(()),
        }
    }

    /// How far the stream is at this moment or later.
    async fn reach(&self) -> Result<u64, NatsError> {
        let mine = self.inquiries.begun.fetch_add(1, Ordering::Relaxed);
        let mut answered = self.inquiries.answered.lock().await;
        if *answered <= mine {
            let begun = self.inquiries.begun.load(Ordering::Relaxed);
            self.ask().await?;
            *answered = begun;
        }
        Ok(self.inquiries.reach.load(Ordering::Relaxed))
    }

    /// Asks how the stream is, and whether it is the one that it was.
    async fn ask(&self) -> Result<Info, NatsError> {
        let (known, begun) = (self.replica().applied, Instant::now());
        // Since when somebody who leads tells of less.
        let mut behind = None;
        for failures in 0.. {
            let info = self.ask_once().await?;
            let is_late = |since: Instant| since.elapsed() > self.options.patience;
            if !stream::is_led(&info) {
                behind = None;
                if is_late(begun) {
                    return Err(NatsError::Late(self.options.patience));
                }
            } else if info.state.last_sequence >= known {
                self.inquiries.reach.fetch_max(info.state.last_sequence, Ordering::Relaxed);
                self.room.is_told(info.state.bytes);
                return Ok(info);
            } else if is_late(*behind.get_or_insert_with(Instant::now)) {
                let told = info.state.last_sequence;
                tracing::error!(known, told, "the stream is shorter than it was");
                // Other hubs may not have seen what is gone.
                stream::rename(&self.context, &info, fastrand::u64(..)).await?;
                break;
            }
            // In a cluster one server may tell what another, which leads, is still about to store.
            sleep(stream::pause(failures)).await;
        }
        Err(self.lost(NatsError::Replaced))
    }

    async fn ask_once(&self) -> Result<Info, NatsError> {
        let request = || self.context.get_stream(self.subjects.stream());
        let found = ask_again(self.options.patience, request).await;
        let info = found.map_err(|error| self.lost(error))?.cached_info().clone();
        if stream::seed(&info.config) != Some(self.seed) {
            tracing::error!("the stream has another name: a hub has found it to be another one");
            return Err(self.lost(NatsError::Replaced));
        }
        Ok(info)
    }

    fn lost(&self, error: NatsError) -> NatsError {
        if matches!(error, NatsError::Replaced) {
            self.life.end(State::Replaced);
            // Who waits is told.
            self.applied.send_replace(());
        }
        error
    }

    /// Whether NATS answers.
    fn take_note<T>(&self, outcome: Result<T, NatsError>) -> Result<T, NatsError> {
        match &outcome {
            Ok(_) => self.connections.is_away.store(false, Ordering::Relaxed),
            Err(NatsError::Away | NatsError::Late(_) | NatsError::Nats(_)) => {
                self.connections.is_away.store(true, Ordering::Relaxed);
            }
            Err(_) => {}
        }
        outcome
    }

    /// Time that runs backwards is taken for the newest there was.
    fn head(&self, time: Timestamp, what: What) -> Head {
        let replica = self.replica();
        // What is known by other messages must be known when they are deleted.
        let (time, newest) = (time.max(replica.time).0, replica.index.newest());
        Head { nonce: fastrand::u64(..), time, newest, what }
    }

    /// Publishes a message, and waits for what comes of it.
    async fn send(&self, message: &Outgoing, id: Option<&str>) -> Result<Outcome, NatsError> {
        // The client would send it as soon as there is a connection again, when nobody waits for it any more.
        if self.connections.is_lost() {
            return Err(NatsError::Away);
        }
        let nonce = message.head.nonce;
        let (sender, outcome) = oneshot::channel();
        let waiting = Waiting { outcome: sender, body: message.body.clone() };
        self.waiting().insert(nonce, waiting);
        let forget = Forget { shared: self, nonce };
        let patience = self.options.patience;
        let sending = async {
            match self.publish(message, id).await? {
                Published::Before => Ok(None),
                Published::Now(sequence) => self.soon(self.come(sequence, outcome)).await.map(Some),
            }
        };
        let outcome = timeout(patience, sending).await.unwrap_or(Err(NatsError::Late(patience)));
        drop(forget);
        Ok(self.take_note(outcome)?.unwrap_or(Outcome::Stale))
    }

    /// What comes of a message of this hub, which may have been deleted before it comes.
    async fn come(
        &self,
        sequence: u64,
        mut outcome: oneshot::Receiver<Outcome>,
    ) -> Result<Outcome, NatsError> {
        let mut applied = self.applied.subscribe();
        // The end of the log alone drops who is to tell it.
        let over = || self.over().err().unwrap_or(NatsError::Closed);
        loop {
            // When a newer one is applied, this one is through.
            let is_through = self.replica().applied > sequence;
            match outcome.try_recv() {
                Ok(outcome) => return Ok(outcome),
                Err(TryRecvError::Closed) => return Err(over()),
                Err(TryRecvError::Empty) if is_through => return Ok(Outcome::Gone(sequence)),
                Err(TryRecvError::Empty) => {}
            }
            tokio::select! {
                // It is there as long as this is, and looked at anew.
                _ = applied.changed() => {}
                outcome = &mut outcome => return outcome.map_err(|_| over()),
            }
        }
    }

    async fn publish(&self, message: &Outgoing, id: Option<&str>) -> Result<Published, NatsError> {
        let most = self.client.server_info().max_payload;
        let (publish, of_headers, size) =
            message.to_publish(id).ok_or(NatsError::TooLarge { size: 0, most })?;
        if of_headers > MOST_HEADERS {
            return Err(NatsError::TooMany { size: of_headers, most: MOST_HEADERS });
        }
        if size > most {
            return Err(NatsError::TooLarge { size, most });
        }
        let answer = self.context.send_publish(message.subject.clone(), publish).await?.await?;
        let sequence = answer.sequence;
        Ok(if answer.duplicate { Published::Before } else { Published::Now(sequence) })
    }

    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        self.over().map_err(refused)?;
        if batch.events.len() > MAX_EVENTS {
            let what = format!("a batch has {MAX_EVENTS} events at most");
            return Err(AppendError::TooLarge(what.into()));
        }
        if self.check_topics(&batch).is_err() {
            // Another hub may have made room.
            self.inquire(|_| ()).await.map_err(refused)?;
            self.check_topics(&batch)?;
        }
        let retention = &self.options.retention;
        let mut answer = self.replica().answer(&batch, retention);
        if let Some(Outcome::Ended(_)) = answer {
            // Another hub may have erased the topic, and this one not have heard of it yet.
            let known = self.inquire(|replica| replica.answer(&batch, retention)).await;
            answer = known.map_err(refused)?;
        }
        let mut id = batch.idempotency_key.as_ref().map(|key| self.id(key, batch.time));
        for _ in 0..ATTEMPTS {
            if let Some(answer) = answer {
                return answered(answer);
            }
            self.check_room(&batch).await.map_err(refused)?;
            let known = self.replica().to_send(&batch, retention);
            let head = |what| self.head(batch.time, what);
            let message = Outgoing::batch(&self.subjects, &batch, known, head);
            let message = message.ok_or_else(unwritable).map_err(refused)?;
            let outcome = self.send(&message, id.take().as_deref()).await.map_err(refused)?;
            match outcome {
                Outcome::Stale => {}
                Outcome::Gone(sequence) => return Ok(self.appended_by(sequence, &batch)),
                outcome => return answered(outcome),
            }
            // Other hubs were faster, or the server has had this key: it may have been forgotten here, or been
            // refused. Then it is as new.
            let known = self.inquire(|replica| replica.answer(&batch, retention)).await;
            answer = known.map_err(refused)?;
        }
        Err(refused(NatsError::Conflict))
    }

    /// The answer to a batch that was appended by a message which was deleted again at once.
    fn appended_by(&self, sequence: u64, batch: &Batch) -> Appended {
        let last = batch.events.len().checked_sub(1).map(|index| position(sequence, index));
        let last = last.unwrap_or_else(|| self.replica().index.newest());
        Appended { last: Position(last), is_repeated: false }
    }

    fn check_topics(&self, batch: &Batch) -> Result<(), AppendError> {
        let replica = self.replica();
        let most = self.options.max_topics;
        let topics = batch.events.iter().map(|event| &event.topic).chain(&batch.ends);
        let new = topics.filter(|topic| !replica.index.knows(topic)).collect::<BTreeSet<_>>().len();
        if new > 0 && replica.index.size().topics + new as u64 > most as u64 {
            return Err(AppendError::too_many_topics(most));
        }
        Ok(())
    }

    /// By which the server recognises a repetition. It is another one when the window is over.
    fn id(&self, key: &IdempotencyKey, time: Timestamp) -> String {
        let window = self.options.retention.idempotency_window.as_millis().max(1);
        format!("{}.{}", hashed(key), u128::from(time.0) / window)
    }
}

fn unwritable() -> NatsError {
    NatsError::Nats("it cannot be written as a message".into())
}

fn answered(outcome: Outcome) -> Result<Appended, AppendError> {
    match outcome {
        Outcome::Appended(appended) => Ok(appended),
        Outcome::Ended(topic) => Err(AppendError::Ended(topic)),
        Outcome::Stale | Outcome::Gone(_) | Outcome::Done => Err(refused(NatsError::Conflict)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Published {
    /// With this sequence.
    Now(u64),
    /// The server has had a message with this id.
    Before,
}

/// Takes back that an outcome is waited for.
struct Forget<'a> {
    shared: &'a Shared,
    nonce: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.waiting().remove(&self.nonce);
    }
}

impl Log for NatsLog {
    fn epoch(&self) -> Epoch {
        Epoch::from_seed(self.0.seed)
    }

    fn newest(&self) -> Position {
        Position(self.0.replica().index.newest())
    }

    fn comes_to(&self, position: Position) -> Answer<'_, Result<bool, ReadError>> {
        Box::pin(async move { self.0.comes_to(position.0).await.map_err(unreadable) })
    }

    fn is_available(&self) -> Option<bool> {
        Some(!self.0.connections.is_away.load(Ordering::Relaxed))
    }

    fn replaced(&self) -> Answer<'_, ()> {
        self.0.life.replaced()
    }

    fn tail(&self) -> Option<Tail> {
        self.0.teller.tail()
    }

    fn listen(&self, selection: &Selection) -> Answer<'_, Result<Listening, ReadError>> {
        let selection = selection.clone();
        Box::pin(async move { self.0.listen(&selection).await.map_err(unreadable) })
    }

    fn append(&self, batch: Batch) -> Answer<'_, Result<Appended, AppendError>> {
        Box::pin(self.0.append(batch))
    }

    fn read(&self, read: Read) -> Answer<'_, Result<Page, ReadError>> {
        Box::pin(async move { self.0.read(read).await.map_err(unreadable) })
    }

    fn kept_after(&self, selection: &Selection) -> Answer<'_, Result<Position, ReadError>> {
        let selection = selection.clone();
        self.0.known(move |replica| replica.index.kept_after(&selection))
    }

    fn drops(&self, selection: &Selection, after: Position) -> Answer<'_, Result<u64, ReadError>> {
        let selection = selection.clone();
        self.0.known(move |replica| replica.index.drops(&selection, after))
    }

    fn before_last(
        &self,
        selection: &Selection,
        count: u64,
    ) -> Answer<'_, Result<Position, ReadError>> {
        let selection = selection.clone();
        self.0.known(move |replica| replica.index.before_last(&selection, count))
    }

    fn topic(&self, name: &TopicName) -> Answer<'_, Result<Option<TopicState>, ReadError>> {
        let name = name.clone();
        self.0.known(move |replica| replica.index.topic(&name))
    }

    fn topics(
        &self,
        selection: &Selection,
        after: Option<&TopicName>,
        most: usize,
    ) -> Answer<'_, Result<Vec<TopicState>, ReadError>> {
        let (selection, after) = (selection.clone(), after.cloned());
        self.0.known(move |replica| replica.index.topics(&selection, after.as_ref(), most))
    }

    fn erase(&self, name: &TopicName) -> Answer<'_, Result<bool, AppendError>> {
        let name = name.clone();
        Box::pin(async move { self.0.erase(&name).await.map_err(refused) })
    }

    fn size(&self) -> Answer<'_, Result<Size, ReadError>> {
        self.0.known(|replica| replica.index.size())
    }

    fn exchange(
        &self,
        report: Report,
        within: Duration,
    ) -> Option<Answer<'_, Result<Vec<Heard>, ReadError>>> {
        Some(Box::pin(async move { self.0.exchange(report, within).await.map_err(unreadable) }))
    }

    fn trim(&self, now: Timestamp) -> Answer<'_, Result<(), AppendError>> {
        Box::pin(async move { self.0.trim(now).await.map_err(refused) })
    }

    fn close(&self) -> Answer<'_, Result<(), AppendError>> {
        self.0.life.end(State::Closed);
        Box::pin(async { Ok(()) })
    }
}

impl Shared {
    /// What is known when all that is there has been applied.
    fn known<'a, T: Send + 'a>(
        &'a self,
        answer: impl Fn(&Replica) -> T + Send + Sync + 'a,
    ) -> Answer<'a, Result<T, ReadError>> {
        Box::pin(async move { self.inquire(answer).await.map_err(unreadable) })
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsLog").field("seed", &self.seed).finish_non_exhaustive()
    }
}
