//! The one thread that writes.
//!
//! It takes what waits, makes one group of it, has the disk keep that, and only then lets it be seen:
//! first in the table of topics, then as the newest position, then through the tail and the answers.

use std::{
    io, mem,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    time::{Duration, Instant},
};

use fanfare_fanout::Position;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, mpsc::error::TrySendError, oneshot};

use super::{
    Durability, Shared,
    disk::{Disk, Group, Promise, is_full},
    format::{Given, key, read_given},
    group::{Staged, Staging, is_forgotten},
    store::Store,
    topics::{Topic, Topics},
};
use crate::{
    TopicName,
    log::{AppendError, Appended, Batch, BoxError, Committed, Timestamp},
};

/// Appends that become durable together, at most.
const GROUP_APPENDS: usize = 4096;
/// Their bytes of data, at most (but one append at least).
const GROUP_BYTES: usize = 8 * 1024 * 1024;
/// Idempotency keys that are forgotten at a time.
const FORGOTTEN_KEYS: usize = 1000;
/// Rows of the index in memory, and bytes of data that belong to them, before they are written down.
/// When the log is opened after a crash, about twice as much has to be read at most.
const UNSETTLED_ROWS: usize = 64 * 1024;
const UNSETTLED_BYTES: u64 = 32 * 1024 * 1024;
/// Topics that are written down at a time, at least.
const SETTLED_TOPICS: usize = 256;
/// Less than this is no room.
const NO_ROOM_BYTES: u64 = 1024 * 1024;
/// The writer waits for those who have just been answered for this part of the time a sync takes.
const WAIT_PART_OF_SYNC: u32 = 8;
const LONGEST_WAIT: Duration = Duration::from_millis(1);

type Reply<T> = oneshot::Sender<Result<T, AppendError>>;

/// What the writer is to do.
pub(super) enum Job {
    Append(Append),
    Erase(TopicName, Reply<bool>),
    /// Drops the oldest events of topics; tells whether all were as they were said to be.
    Drop(Vec<Dropping>, Reply<bool>),
    /// Forgets topics that have no events.
    Forget(Vec<TopicName>, Reply<()>),
    /// Forgets idempotency keys; tells whether there may be more to forget.
    ForgetKeys(Timestamp, Reply<bool>),
    /// Makes everything durable.
    Sync(Reply<()>),
    /// So many bytes of dropped events have been given back.
    Reclaimed(u64, Reply<()>),
    Close(Reply<()>),
}

pub(super) struct Append {
    pub(super) batch: Batch,
    pub(super) answer: Reply<Appended>,
    /// Its room in the queue.
    pub(super) _room: OwnedSemaphorePermit,
}

/// The oldest events of a topic, up to a position, which are to be dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dropping {
    pub(super) name: TopicName,
    pub(super) id: u64,
    pub(super) through: u64,
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// Position and time of the oldest that stays.
    pub(super) oldest: Option<(u64, u64)>,
}

pub(super) struct Writer {
    jobs: Receiver<Job>,
    /// Taken out of the queue, but to be done behind a group.
    carried: Option<Job>,
    disk: Box<dyn Disk>,
    store: Store,
    shared: Arc<Shared>,
    failure: Option<Arc<io::Error>>,
    /// When the first write was handed over that is not synced.
    unsynced_since: Option<Instant>,
    /// How many were answered last, and how long their sync took.
    answered: usize,
    sync_took: Duration,
    /// Rows and topics that are being written down.
    settling: Option<Settling>,
    /// Bytes of data that were appended since that was begun.
    unsettled_bytes: u64,
}

/// Rows and topics that are in memory only, and are being written down.
struct Settling {
    /// When all are, everything up to here is on the disk.
    until: u64,
    names: Vec<TopicName>,
}

impl Writer {
    pub(super) fn new(
        jobs: Receiver<Job>,
        disk: Box<dyn Disk>,
        store: Store,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            jobs,
            carried: None,
            disk,
            store,
            shared,
            failure: None,
            unsynced_since: None,
            answered: 0,
            sync_took: Duration::ZERO,
            settling: None,
            unsettled_bytes: 0,
        }
    }

    /// Works until it is told to close, or nobody can give it work any more.
    pub(super) fn run(mut self) {
        while let Some(job) = self.next() {
            if let Job::Close(reply) = job {
                let outcome = self.end();
                // Everything is let go of before it is said.
                drop(self);
                return answer(reply, outcome);
            }
            self.work(job);
        }
        // Nobody is there to hear of it.
        let _ = self.end();
    }

    fn end(&mut self) -> Result<(), AppendError> {
        *self.shared.tail() = None;
        self.settle_all()?;
        self.sync()
    }

    fn work(&mut self, job: Job) {
        match job {
            Job::Append(first) => self.append(first),
            Job::Erase(name, reply) => answer(reply, self.erase(&name)),
            Job::Drop(droppings, reply) => answer(reply, self.drop_oldest(droppings)),
            Job::Forget(names, reply) => answer(reply, self.forget(&names)),
            Job::ForgetKeys(now, reply) => answer(reply, self.forget_keys(now)),
            Job::Sync(reply) | Job::Close(reply) => answer(reply, self.sync()),
            Job::Reclaimed(bytes, reply) => answer(reply, self.note_reclaimed(bytes)),
        }
    }

    fn next(&mut self) -> Option<Job> {
        loop {
            let wait = self.until_sync();
            if wait == Some(Duration::ZERO) {
                // A failure is kept, and said to the next who wants something.
                drop(self.sync());
                continue;
            }
            if let Some(job) = self.carried.take() {
                return Some(job);
            }
            let Some(wait) = wait else { return self.jobs.recv().ok() };
            match self.jobs.recv_timeout(wait) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// How long what was handed over may still wait.
    fn until_sync(&self) -> Option<Duration> {
        let Durability::Interval(interval) = self.shared.options.durability else { return None };
        let since = self.unsynced_since.filter(|_| self.failure.is_none())?;
        Some(interval.saturating_sub(since.elapsed()))
    }

    fn append(&mut self, first: Append) {
        let mut appends = self.collect(first);
        let (outcomes, committed) = match self.refusal() {
            Some(refusal) => (refusal.to_all(appends.len()), vec![]),
            None => self.commit(&mut appends),
        };
        self.answered = appends.len();
        let waits = self.tell(committed);
        for (append, outcome) in appends.into_iter().zip(outcomes) {
            // It may have stopped waiting.
            let _ = append.answer.send(outcome);
        }
        if let Some(waits) = waits {
            self.tell_waiting(waits);
        }
    }

    /// What waits to be appended, from this one on.
    fn collect(&mut self, first: Append) -> Vec<Append> {
        let mut bytes = data_bytes(&first.batch);
        let mut appends = vec![first];
        let began = Instant::now();
        while appends.len() < GROUP_APPENDS && bytes < GROUP_BYTES {
            match self.next_append(appends.len(), began) {
                Some(append) => {
                    bytes += data_bytes(&append.batch);
                    appends.push(append);
                }
                None => break,
            }
        }
        appends
    }

    fn next_append(&mut self, taken: usize, began: Instant) -> Option<Append> {
        let job = match self.jobs.try_recv() {
            Ok(job) => job,
            Err(TryRecvError::Empty) if taken < self.answered => {
                // Those who were answered together come back together, if they come back.
                let wait = (self.sync_took / WAIT_PART_OF_SYNC).min(LONGEST_WAIT);
                self.jobs.recv_timeout(wait.checked_sub(began.elapsed())?).ok()?
            }
            Err(_) => return None,
        };
        match job {
            Job::Append(append) => Some(append),
            other => {
                self.carried = Some(other);
                None
            }
        }
    }

    /// Why nothing can be written.
    fn refusal(&mut self) -> Option<Refusal> {
        if let Err(refusal) = self.check() {
            return Some(refusal);
        }
        let reserve = self.shared.options.reserve_bytes;
        // If nobody can tell, the disk will.
        let free = self.disk.free_bytes().unwrap_or(u64::MAX);
        (free < reserve).then_some(Refusal::Low { free, reserve })
    }

    fn commit(
        &mut self,
        appends: &mut [Append],
    ) -> (Vec<Result<Appended, AppendError>>, Vec<Committed>) {
        let topics = self.shared.topics();
        let options = &self.shared.options;
        let mut staging =
            Staging::new(&self.store, &topics, &options.retention, options.max_topics);
        let mut append = |append: &mut Append| staging.append(mem::take(&mut append.batch));
        let outcomes = appends.iter_mut().map(&mut append).collect();
        let mut staged = staging.finish();
        drop(topics);
        self.settle(&mut staged);
        match self.write(staged) {
            Ok(committed) => (outcomes, committed),
            Err(refusal) => (refusal.to_all(appends.len()), vec![]),
        }
    }

    /// What is promised of a write before the next one is begun.
    fn promise(&self) -> Promise {
        match self.shared.options.durability {
            Durability::Sync => Promise::Synced,
            Durability::Interval(_) | Durability::None => Promise::Handed,
        }
    }

    /// Writes what is staged and makes it visible.
    fn write(&mut self, mut staged: Staged) -> Result<Vec<Committed>, Refusal> {
        staged.seal(&self.store);
        let Staged { group, is_due, counters, touched, rows, committed, .. } = staged;
        if is_due {
            self.hand(group)?;
        }
        // Without an event it may have told of a newer time.
        self.shared.publish(counters, touched, rows);
        Ok(committed)
    }

    fn hand(&mut self, group: Group) -> Result<(), Refusal> {
        let promise = self.promise();
        let began = Instant::now();
        self.disk.write(group, promise).map_err(|error| self.fail(error))?;
        match promise {
            Promise::Synced => {
                self.sync_took = began.elapsed();
                self.unsynced_since = None;
            }
            Promise::Handed => {
                self.unsynced_since.get_or_insert(began);
            }
        }
        Ok(())
    }

    /// Writes some of the rows and topics down that are in memory only, if there are enough of them.
    fn settle(&mut self, staged: &mut Staged) {
        let topics = self.shared.topics();
        self.unsettled_bytes += staged.rows.iter().map(|(_, row)| row.size).sum::<u64>();
        if self.settling.is_none() {
            let few = topics.row_count() < UNSETTLED_ROWS && self.unsettled_bytes < UNSETTLED_BYTES;
            if few {
                return;
            }
            self.settling = Some(Settling::of(&topics));
            self.unsettled_bytes = 0;
        }
        if let Some(settling) = &mut self.settling
            && settling.some(&self.store, &topics, staged)
        {
            self.settling = None;
        }
    }

    fn settle_all(&mut self) -> Result<(), Refusal> {
        self.check()?;
        let mut settling = Settling::of(&self.shared.topics());
        let mut is_done = false;
        while !is_done {
            let mut staged = self.stage();
            is_done = settling.some(&self.store, &self.shared.topics(), &mut staged);
            self.write(staged)?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), AppendError> {
        self.check()?;
        self.disk.sync().map_err(|error| self.fail(error))?;
        self.unsynced_since = None;
        Ok(())
    }

    /// From here on nothing is written.
    fn fail(&mut self, error: io::Error) -> Refusal {
        let error = Arc::new(self.reason(error));
        self.failure = Some(error.clone());
        Refusal::Failed(error)
    }

    /// fjall does not say why it has stopped to write when one of its own threads has failed.
    fn reason(&mut self, error: io::Error) -> io::Error {
        let is_cause_known = error.kind() != io::ErrorKind::Other;
        let is_full = self.disk.free_bytes().is_ok_and(|free| free < NO_ROOM_BYTES);
        if is_full && !is_cause_known {
            return io::Error::new(io::ErrorKind::StorageFull, error);
        }
        error
    }

    /// Gives the tail what has become durable; what it has no room for is given back.
    fn tell(&self, committed: Vec<Committed>) -> Option<Vec<Committed>> {
        if committed.is_empty() {
            return None;
        }
        let mut tail = self.shared.tail();
        match tail.as_ref()?.try_send(committed) {
            Ok(()) => None,
            Err(TrySendError::Full(committed)) => Some(committed),
            Err(TrySendError::Closed(_)) => {
                *tail = None;
                None
            }
        }
    }

    /// A reader of the tail that does not keep up holds up those who append.
    fn tell_waiting(&self, committed: Vec<Committed>) {
        let Some(tail) = self.shared.tail().clone() else { return };
        if tail.blocking_send(committed).is_err() {
            *self.shared.tail() = None;
        }
    }

    fn erase(&mut self, name: &TopicName) -> Result<bool, AppendError> {
        self.check()?;
        let Some(topic) = self.shared.topics().get(name).copied() else { return Ok(false) };
        let mut staged = self.stage();
        staged.counters.events -= topic.events;
        staged.counters.bytes -= topic.bytes;
        staged.counters.dead += topic.bytes;
        let erased = Topic {
            events: 0,
            bytes: 0,
            oldest: 0,
            oldest_time: 0,
            dropped: topic.newest.max(topic.dropped),
            ended: None,
            ..topic
        };
        staged.set(name.clone(), erased);
        staged.committed = vec![Committed::Erased(name.clone(), Position(staged.counters.newest))];
        let committed = self.write(staged)?;
        if let Some(waits) = self.tell(committed) {
            self.tell_waiting(waits);
        }
        Ok(true)
    }

    fn drop_oldest(&mut self, droppings: Vec<Dropping>) -> Result<bool, AppendError> {
        self.check()?;
        let mut staged = self.stage();
        let count = droppings.len();
        for dropping in droppings {
            let topic = self.shared.topics().get(&dropping.name).copied();
            let Some(topic) = topic.and_then(|topic| without(topic, &dropping)) else { continue };
            staged.counters.events -= dropping.events;
            staged.counters.bytes -= dropping.bytes;
            staged.counters.dead += dropping.bytes;
            staged.set(dropping.name, topic);
        }
        let are_all = staged.touched.len() == count;
        self.write(staged)?;
        Ok(are_all)
    }

    fn forget(&mut self, names: &[TopicName]) -> Result<(), AppendError> {
        self.check()?;
        let mut staged = self.stage();
        let topics = self.shared.topics();
        let is_empty = |name: &&TopicName| topics.get(name).is_some_and(|topic| topic.events == 0);
        let names: Vec<_> = names.iter().filter(is_empty).cloned().collect();
        for name in &names {
            let dropped = topics.get(name).map_or(0, |topic| topic.dropped);
            staged.counters.forgotten = staged.counters.forgotten.max(dropped);
            staged.group.remove(&self.store.state, key::topic(name.as_str()));
        }
        drop(topics);
        staged.is_record_due = true;
        self.write(staged)?;
        self.shared.forget(&names);
        Ok(())
    }

    fn forget_keys(&mut self, now: Timestamp) -> Result<bool, AppendError> {
        self.check()?;
        let mut staged = self.stage();
        let mut forgotten = 0;
        while forgotten < FORGOTTEN_KEYS && self.forget_key(&mut staged, now).map_err(unreadable)? {
            forgotten += 1;
        }
        if forgotten > 0 {
            staged.is_record_due = true;
            self.write(staged)?;
        }
        Ok(forgotten == FORGOTTEN_KEYS)
    }

    /// Forgets the oldest key, if it is due.
    fn forget_key(&self, staged: &mut Staged, now: Timestamp) -> Result<bool, BoxError> {
        let turn = staged.counters.first_turn;
        if turn == staged.counters.next_turn {
            return Ok(false);
        }
        let state = &self.store.state;
        let Some(name) = state.get(key::turn(turn))? else {
            staged.counters.first_turn += 1;
            return Ok(true);
        };
        let key = key::idempotency(&name);
        let given = state.get(&key)?.map(|given| read_given(&given)).transpose()?;
        // It may have been used again since, and then it has another turn.
        let given = given.filter(|given: &Given| given.turn == turn);
        let retention = &self.shared.options.retention;
        if given.is_some_and(|given| !is_forgotten(given, &staged.counters, now, retention)) {
            return Ok(false);
        }
        if given.is_some() {
            staged.group.remove(state, key);
        }
        staged.group.remove(state, key::turn(turn));
        staged.counters.first_turn += 1;
        Ok(true)
    }

    fn note_reclaimed(&mut self, bytes: u64) -> Result<(), AppendError> {
        self.check()?;
        let mut staged = self.stage();
        staged.counters.dead = staged.counters.dead.saturating_sub(bytes);
        staged.is_record_due = true;
        self.write(staged)?;
        Ok(())
    }

    fn check(&self) -> Result<(), Refusal> {
        self.failure.as_ref().map_or(Ok(()), |failure| Err(Refusal::Stopped(failure.clone())))
    }

    fn stage(&self) -> Staged {
        Staged::new(&self.store, self.shared.topics().counters)
    }
}

impl Settling {
    fn of(topics: &Topics) -> Self {
        Self { until: topics.counters.newest, names: topics.with_rows() }
    }

    /// Writes some of them down, more than come anew; tells whether that was all.
    fn some(&mut self, store: &Store, topics: &Topics, staged: &mut Staged) -> bool {
        let count = self.names.len().saturating_sub(staged.rows.len().max(SETTLED_TOPICS));
        for name in self.names.drain(count..) {
            let touched = staged.touched.get(&name).or_else(|| topics.get(&name));
            let Some(mut topic) = touched.copied() else { continue };
            let rows = topics.rows(topic.id);
            staged.index(store, topic.id, rows);
            topic.indexed = rows.last().map_or(topic.indexed, |row| row.position);
            staged.set(name, topic);
        }
        if count == 0 {
            staged.counters.settled = self.until;
            staged.is_record_due = true;
        }
        count == 0
    }
}

/// A topic without its oldest events; `None` if it is not as it was when they were looked for.
fn without(topic: Topic, dropping: &Dropping) -> Option<Topic> {
    let Dropping { id, through, events, bytes, oldest, .. } = *dropping;
    let is_same = topic.id == id && topic.dropped < through && events <= topic.events;
    let left = topic.events.checked_sub(events).filter(|_| is_same)?;
    let (oldest, oldest_time) = match oldest {
        Some(oldest) => oldest,
        None if left == 0 => (0, 0),
        // It has been appended to since.
        None => return None,
    };
    let bytes = topic.bytes.checked_sub(bytes)?;
    Some(Topic { events: left, bytes, oldest, oldest_time, dropped: through, ..topic })
}

impl Dropping {
    /// Nothing yet.
    pub(super) fn none(name: TopicName, id: u64) -> Self {
        Self { name, id, through: 0, events: 0, bytes: 0, oldest: None }
    }

    /// One event more.
    pub(super) fn take(&mut self, position: u64, size: u64) {
        self.through = position;
        self.events += 1;
        self.bytes += size;
    }
}

/// Why nothing was written.
#[derive(Debug, Clone)]
enum Refusal {
    /// It was tried.
    Failed(Arc<io::Error>),
    /// It has failed before.
    Stopped(Arc<io::Error>),
    Low {
        free: u64,
        reserve: u64,
    },
}

/// The log has failed before, and cannot say what is durable.
#[derive(Debug, Error)]
#[error("a write has failed before; the log has to be opened again")]
struct Stopped(#[source] Arc<io::Error>);

#[derive(Debug, Error)]
#[error(
    "{free} bytes are free on the disk, and {reserve} are kept in reserve (log.reserve): free some"
)]
struct Low {
    free: u64,
    reserve: u64,
}

impl Refusal {
    fn to_all<T>(&self, count: usize) -> Vec<Result<T, AppendError>> {
        (0..count).map(|_| Err(self.clone().into())).collect()
    }
}

impl From<Refusal> for AppendError {
    fn from(refusal: Refusal) -> Self {
        let by = |error: &io::Error| if is_full(error) { Self::Full } else { Self::Unavailable };
        match refusal {
            // Whatever the disk has said, some of it or all may have got there.
            Refusal::Failed(error) => Self::Unavailable(error.into()),
            Refusal::Stopped(error) => by(&error)(Stopped(error).into()),
            Refusal::Low { free, reserve } => Self::Full(Low { free, reserve }.into()),
        }
    }
}

fn answer<T>(reply: Reply<T>, outcome: Result<T, AppendError>) {
    // Nobody may wait for it any more.
    let _ = reply.send(outcome);
}

fn unreadable(error: BoxError) -> AppendError {
    AppendError::Unavailable(error)
}

fn data_bytes(batch: &Batch) -> usize {
    batch.events.iter().map(|event| event.data.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its events are 3, 5 and 8, of ten bytes each.
    fn topic() -> Topic {
        let rest = Topic { id: 1, oldest_time: 30, dropped: 2, ..Topic::default() };
        Topic { events: 3, bytes: 30, oldest: 3, newest: 8, ..rest }
    }

    fn dropping(positions: &[u64], oldest: Option<(u64, u64)>) -> Dropping {
        let mut dropping = Dropping::none(TopicName::new("a").unwrap(), 1);
        for &position in positions {
            dropping.take(position, 10);
        }
        Dropping { oldest, ..dropping }
    }

    #[test]
    fn the_oldest_events_are_dropped() {
        let left = without(topic(), &dropping(&[3, 5], Some((8, 80)))).unwrap();
        let expected = Topic { events: 1, bytes: 10, oldest: 8, oldest_time: 80, ..topic() };
        assert_eq!(left, Topic { dropped: 5, ..expected });
        let none = without(topic(), &dropping(&[3, 5, 8], None)).unwrap();
        assert_eq!((none.events, none.bytes, none.oldest, none.dropped), (0, 0, 0, 8));
    }

    #[test]
    fn a_topic_that_has_changed_is_left_alone() {
        let all = dropping(&[3, 5, 8], None);
        let appended = Topic { events: 4, bytes: 40, newest: 9, ..topic() };
        assert_eq!(without(appended, &all), None);
        let erased = Topic { events: 3, oldest: 11, newest: 13, dropped: 10, ..topic() };
        assert_eq!(without(erased, &all), None);
        assert_eq!(without(Topic { id: 2, ..topic() }, &all), None, "it was forgotten");
        assert_eq!(without(Topic { events: 2, ..topic() }, &all), None);
    }
}
