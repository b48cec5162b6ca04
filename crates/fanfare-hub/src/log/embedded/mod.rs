//! A log in a folder of this machine, on fjall.
//!
//! The way of an event: it waits in the queue (`queue.rs`) until the one writer (`writer.rs`) takes all
//! that waits, checks it (`group.rs`), bundles it (`format.rs`), has the disk (`disk.rs`) keep it with
//! one sync, and then lets it be seen in the table of topics (`topics.rs`), by readers (`reader.rs`), by
//! the tail and by those who wait. The keeper (`keeper.rs`) looks for what is beyond the limits and has
//! the writer drop it; place on the disk is given back in the background (`reclaim.rs`). When the
//! folder (`lock.rs`) is opened, the journals are mended (`journal.rs`), and what is known of the topics
//! is completed from the newest events (`recovery.rs`).
//!
//! There are three threads: the writer, the keeper, and one more while place is given back. Reads run
//! where tokio runs what blocks.

mod disk;
mod format;
mod group;
mod journal;
mod keeper;
mod lock;
mod queue;
mod reader;
mod reclaim;
mod recovery;
mod store;
mod topics;
mod writer;

use std::{
    collections::HashMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use fanfare_fanout::{Epoch, Position};
use thiserror::Error;
use tokio::sync::{Semaphore, oneshot};

use self::{
    disk::RealDisk,
    format::Row,
    keeper::{Keeper, Task},
    queue::{Queue, closed},
    reader::Reader,
    reclaim::Reclaiming,
    recovery::Recovered,
    store::Store,
    topics::{Counters, Topic, Topics},
    writer::{Job, Writer},
};
use super::{
    Answer, AppendError, Appended, Batch, BoxError, Committed, Log, Page, Read, ReadError,
    Retention, Size, Tail, Timestamp, TopicState,
};
use crate::{Selection, TopicName};

pub use disk::{Disk, Group, Promise};
pub use recovery::Opened;

/// Groups of appends that may wait for the reader of the tail.
const TAIL_GROUPS: usize = 64;
/// Reads that go on at once; more of them wait.
const READERS: u32 = 16;

/// When an append is answered, and what a crash can then still lose.
///
/// The end of the process, `kill -9` too, never loses what was answered. This is about the end of the
/// machine: loss of power, or a crash of the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When the disk has confirmed it (`fdatasync`): nothing that was answered is lost. All appends
    /// that wait share one confirmation.
    #[default]
    Sync,
    /// When the operating system has it; the disk confirms it this much later at most. What was
    /// answered within the interval, and while the disk is confirming, may be lost: always the
    /// newest, never something in between.
    Interval(Duration),
    /// When the operating system has it, which writes it when it likes (Linux: within half a minute).
    /// All of that may be lost: the newest, never something in between.
    None,
}

/// How a log is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// When an append is answered.
    pub durability: Durability,
    /// How much is kept.
    pub retention: Retention,
    /// Appends are refused as [`AppendError::Full`] while less than this is free on the disk, and
    /// accepted again when there is more. The rest is for what the log does besides.
    pub reserve_bytes: u64,
    /// Topics at most; each takes about 250 bytes of memory. An append that would make another is
    /// refused as [`AppendError::Full`].
    pub max_topics: usize,
    /// Bytes of dropped events that may stay on the disk before it is made to shrink. Beyond that,
    /// no more than there are bytes of events that are alive.
    pub slack_bytes: u64,
    /// Memory for what was read from the disk lately.
    pub cache_bytes: u64,
}

impl Default for Options {
    /// Synced, everything kept, a reserve of 256 MiB, a million topics, a slack of 64 MiB, 64 MiB of
    /// cache.
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            durability: Durability::Sync,
            retention: Retention::default(),
            reserve_bytes: 256 * MIB,
            max_topics: 1_000_000,
            slack_bytes: 64 * MIB,
            cache_bytes: 64 * MIB,
        }
    }
}

/// Why a log was not opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A hub has it open, maybe this one.
    #[error(
        "the folder {} is in use by another hub{}",
        path.display(),
        by.map(|id| format!(" (process {id})")).unwrap_or_default()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process that has it open, if it says so.
        by: Option<u32>,
    },
    /// The folder, or a file in it, cannot be used.
    #[error("the folder {} cannot be used", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// The log was written by another version of this program.
    #[error(
        "the log in {} has the format {found}; this version reads and writes the format {}",
        path.display(),
        format::VERSION
    )]
    Version {
        /// The folder.
        path: PathBuf,
        /// The version of the format there.
        found: u16,
    },
    /// What is there is damaged, or no log.
    #[error("the log in {} cannot be read", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        error: BoxError,
    },
}

/// A [`Log`] in a folder of this machine. It reads on the tokio runtime that it is asked on.
///
/// Dropping it without [`close`](Log::close) loses nothing, but the next opening takes it for a
/// crash, and the folder may still be in use for a moment.
///
/// After a write or a sync has failed, nothing is written until the log is opened again; what was
/// answered before is read as ever. Below [`reserve_bytes`](Options::reserve_bytes) appends are
/// refused before the disk refuses them, and accepted again when there is room.
///
/// ```
/// use fanfare_hub::{
///     TopicName,
///     log::{Batch, EmbeddedLog, Log, NewEvent, Options},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let seed = 7;
/// let topic = TopicName::new("news")?;
/// let event = NewEvent { topic, name: None, retry: None, data: "hello".into() };
/// let batch = Batch { events: vec![event], ..Batch::default() };
///
/// let (log, opened) = EmbeddedLog::open(&folder, seed, Options::default())?;
/// assert!(opened.is_new);
/// let appended = log.append(batch).await?;
/// log.close().await?;
///
/// let (log, opened) = EmbeddedLog::open(&folder, seed, Options::default())?;
/// assert_eq!((opened.events, log.newest()), (1, appended.last));
/// # Ok(())
/// # }
/// ```
pub struct EmbeddedLog {
    epoch: Epoch,
    shared: Arc<Shared>,
    queue: Queue,
    keeper: mpsc::Sender<Task>,
    reclaiming: Reclaiming,
    reading: Arc<Semaphore>,
    /// `None` when it has been closed.
    store: Mutex<Option<Store>>,
}

/// What the threads of a log share.
struct Shared {
    options: Options,
    newest: AtomicU64,
    /// The writer alone changes it. It is never locked while the disk is waited for, but by those
    /// who only look.
    topics: RwLock<Topics>,
    tail: Mutex<Option<TailSender>>,
    is_tail_taken: Mutex<bool>,
}

type TailSender = tokio::sync::mpsc::Sender<Vec<Committed>>;

impl EmbeddedLog {
    /// Opens the log in a folder, or creates it, and makes whole what a crash has left. It reads from
    /// the disk meanwhile.
    ///
    /// A new log is given the epoch of `seed`, which the caller draws at random; one that exists keeps
    /// its own.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says why not.
    pub fn open(
        path: impl AsRef<Path>,
        seed: u64,
        options: Options,
    ) -> Result<(Self, Opened), OpenError> {
        Self::open_with_disk(path, seed, options, |disk| disk)
    }

    /// Like [`open`](Self::open), with something between the log and its disk: a disk that fails.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says why not.
    pub fn open_with_disk(
        path: impl AsRef<Path>,
        seed: u64,
        options: Options,
        between: impl FnOnce(Box<dyn Disk>) -> Box<dyn Disk>,
    ) -> Result<(Self, Opened), OpenError> {
        let reclaiming = Reclaiming::default();
        let recovered = recovery::open(path.as_ref(), seed, &options, &reclaiming)?;
        let Recovered { store, topics, epoch, opened } = recovered;
        let disk = RealDisk::of(&store);
        let shared = Arc::new(Shared::new(options, topics));
        let (queue, jobs) = Queue::new();
        let writer = Writer::new(jobs, between(Box::new(disk)), store.clone(), shared.clone());
        let (keeper, tasks) = mpsc::channel();
        let keeping = Keeper::new(store.clone(), shared.clone(), queue.clone(), reclaiming.clone());
        let failed = |error| OpenError::Folder { path: path.as_ref().to_owned(), error };
        spawn("fanfare-log-writer", || writer.run()).map_err(failed)?;
        spawn("fanfare-log-keeper", move || keeping.run(&tasks)).map_err(failed)?;
        let reading = Arc::new(Semaphore::new(READERS as usize));
        let store = Mutex::new(Some(store));
        Ok((Self { epoch, shared, queue, keeper, reclaiming, reading, store }, opened))
    }

    /// How many bytes the log takes on the disk, with its journals. `None` when it has been closed.
    pub fn disk_bytes(&self) -> Option<u64> {
        self.store().and_then(|store| store.database.disk_space().ok())
    }

    fn store(&self) -> Option<Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has something read where waiting for a disk holds up nobody.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Reader<'_>) -> Result<T, BoxError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let turn = self.reading.clone().acquire_owned().await.map_err(|_| gone())?;
        let store = self.store().ok_or_else(gone)?;
        let shared = self.shared.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let found = look(&Reader::new(&store, &shared));
            drop(store);
            drop(turn);
            found
        });
        let found = looking.await.map_err(|error| ReadError(error.into()))?;
        found.map_err(ReadError)
    }

    async fn size(&self) -> Result<Size, ReadError> {
        let store = self.store().ok_or_else(gone)?;
        // It may have to wait for a sync.
        let disk = tokio::task::spawn_blocking(move || store.database.disk_space().ok());
        let disk_bytes = disk.await.map_err(|error| ReadError(error.into()))?;
        let topics = self.shared.topics();
        let Counters { events, bytes, .. } = topics.counters;
        Ok(Size { events, bytes, topics: topics.len() as u64, disk_bytes })
    }

    async fn trim(&self, now: Timestamp) -> Result<(), AppendError> {
        let (reply, answer) = oneshot::channel();
        self.keeper.send(Task::Trim(now, reply)).map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn close(&self) -> Result<(), AppendError> {
        self.reclaiming.stop();
        let (reply, answer) = oneshot::channel();
        if self.keeper.send(Task::Close(reply)).is_ok() {
            let _ = answer.await;
        }
        let outcome = self.queue.ask(Job::Close).await;
        let reads = self.reading.acquire_many(READERS).await;
        self.reading.close();
        drop(reads);
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It has been closed before.
        let Some(store) = store else { return Ok(()) };
        let is_durable = outcome.is_ok();
        let closing = tokio::task::spawn_blocking(move || let_go(store, is_durable));
        let closed = closing.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        outcome.and(closed.map_err(|error| AppendError::Unavailable(error.into())))
    }
}

fn let_go(store: Store, is_durable: bool) -> io::Result<()> {
    let folder = store.folder.clone();
    drop(store);
    if is_durable { folder.mark_closed() } else { Ok(()) }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

fn gone() -> ReadError {
    ReadError("the log has been closed".into())
}

impl Shared {
    fn new(options: Options, topics: Topics) -> Self {
        Self {
            options,
            newest: AtomicU64::new(topics.counters.newest),
            topics: RwLock::new(topics),
            tail: Mutex::new(None),
            is_tail_taken: Mutex::new(false),
        }
    }

    /// Everything up to here is durable, and can be read.
    fn newest(&self) -> Position {
        Position(self.newest.load(Ordering::Acquire))
    }

    fn topics(&self) -> RwLockReadGuard<'_, Topics> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets be seen what has become durable.
    fn publish(
        &self,
        counters: Counters,
        touched: HashMap<TopicName, Topic>,
        rows: Vec<(u64, Row)>,
    ) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.counters = counters;
        for (name, topic) in touched {
            topics.remove_rows(topic.id, topic.indexed.max(topic.dropped));
            topics.insert(name, topic);
        }
        for (topic, row) in rows {
            topics.push_row(topic, row);
        }
        drop(topics);
        self.newest.store(counters.newest, Ordering::Release);
    }

    fn forget(&self, names: &[TopicName]) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            topics.remove(name);
        }
    }

    fn tail(&self) -> MutexGuard<'_, Option<TailSender>> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_tail(&self) -> Option<Tail> {
        let mut is_taken = self.is_tail_taken.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *is_taken, true) {
            return None;
        }
        let (sender, tail) = tokio::sync::mpsc::channel(TAIL_GROUPS);
        *self.tail() = Some(sender);
        Some(tail)
    }
}

impl Log for EmbeddedLog {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn newest(&self) -> Position {
        self.shared.newest()
    }

    fn tail(&self) -> Option<Tail> {
        self.shared.take_tail()
    }

    fn append(&self, batch: Batch) -> Answer<'_, Result<Appended, AppendError>> {
        Box::pin(self.queue.append(batch))
    }

    fn read(&self, read: Read) -> Answer<'_, Result<Page, ReadError>> {
        Box::pin(self.look(move |reader| reader.read(&read)))
    }

    fn kept_after(&self, selection: &Selection) -> Answer<'_, Result<Position, ReadError>> {
        let kept_after = self.shared.topics().kept_after(selection);
        Box::pin(async move { Ok(kept_after) })
    }

    fn drops(&self, selection: &Selection, after: Position) -> Answer<'_, Result<u64, ReadError>> {
        let drops = self.shared.topics().drops(selection, after.0);
        Box::pin(async move { Ok(drops) })
    }

    fn before_last(
        &self,
        selection: &Selection,
        count: u64,
    ) -> Answer<'_, Result<Position, ReadError>> {
        let selection = selection.clone();
        Box::pin(self.look(move |reader| reader.before_last(&selection, count).map(Position)))
    }

    fn topic(&self, name: &TopicName) -> Answer<'_, Result<Option<TopicState>, ReadError>> {
        let topic = self.shared.topics().state(name);
        Box::pin(async move { Ok(topic) })
    }

    fn topics(
        &self,
        selection: &Selection,
        after: Option<&TopicName>,
        most: usize,
    ) -> Answer<'_, Result<Vec<TopicState>, ReadError>> {
        let topics = self.shared.topics().states(selection, after, most);
        Box::pin(async move { Ok(topics) })
    }

    fn erase(&self, name: &TopicName) -> Answer<'_, Result<bool, AppendError>> {
        let name = name.clone();
        Box::pin(self.queue.ask(|reply| Job::Erase(name, reply)))
    }

    fn size(&self) -> Answer<'_, Result<Size, ReadError>> {
        Box::pin(self.size())
    }

    fn trim(&self, now: Timestamp) -> Answer<'_, Result<(), AppendError>> {
        Box::pin(self.trim(now))
    }

    fn close(&self) -> Answer<'_, Result<(), AppendError>> {
        Box::pin(self.close())
    }
}

impl fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let newest = self.newest();
        f.debug_struct("EmbeddedLog")
            .field("epoch", &self.epoch)
            .field("newest", &newest)
            .finish_non_exhaustive()
    }
}
