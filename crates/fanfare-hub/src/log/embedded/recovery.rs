//! Opening: what was left is made whole, and it is said what that took.

use std::{
    collections::HashMap,
    fmt, fs, io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use fanfare_fanout::{Epoch, Position};

use super::{
    Durability, OpenError, Options,
    disk::{Group, Promise},
    format::{
        Damaged, Head, Heads, Place, Row, VERSION, counters_value, key, read_counters,
        read_position, read_signature, read_topic, signature,
    },
    journal,
    lock::{Folder, Left},
    reclaim::Reclaiming,
    store::Store,
    topics::{Counters, Topic, Topics},
};
use crate::{TopicName, log::BoxError};

/// What was found when a log was opened, and what was done about it. It displays as sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// There was no log; this is a new one.
    pub is_new: bool,
    /// The log had not been closed: its journals were looked through and written once more, so that what
    /// is read is surely on the disk.
    pub was_open: bool,
    /// The creation of a log had not been finished, and was begun again.
    pub was_unfinished: bool,
    /// So many bytes of a write that had not been finished were cut off. Nobody had been told that
    /// they are durable.
    pub cut_bytes: u64,
    /// Topics that are known.
    pub topics: usize,
    /// Events that are kept.
    pub events: u64,
    /// The newest position.
    pub newest: Position,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.was_unfinished {
            f.write_str("The creation of a log had not been finished, and was begun again. ")?;
        }
        if self.was_open {
            f.write_str("The log had not been closed: its journals were written once more. ")?;
        }
        if self.cut_bytes > 0 {
            let bytes = self.cut_bytes;
            write!(f, "{bytes} bytes of a write that had not been finished were cut off. ")?;
        }
        let Self { topics, events, newest, took, .. } = self;
        let what = if self.is_new { "created" } else { "opened" };
        write!(f, "The log was {what} in {took:.1?}: {events} events in {topics} topics, ")?;
        write!(f, "the newest position is {newest}.")
    }
}

/// A log that is ready.
pub(super) struct Recovered {
    pub(super) store: Store,
    pub(super) topics: Topics,
    pub(super) epoch: Epoch,
    pub(super) opened: Opened,
}

pub(super) fn open(
    path: &Path,
    seed: u64,
    options: &Options,
    reclaiming: &Reclaiming,
) -> Result<Recovered, OpenError> {
    let began = Instant::now();
    let folder = Arc::new(Folder::claim(path)?);
    let left = folder.left().map_err(|error| failed(path, error))?;
    let is_new = matches!(left, Left::Absent | Left::Unfinished);
    let cut_bytes = prepare(&folder, left).map_err(|error| cannot(path, error))?;
    let open = Store::open(folder.clone(), options.cache_bytes, reclaiming);
    let store = open.map_err(|error| cannot(path, error))?;
    if is_new {
        create(&store, seed).map_err(|error| failed(path, error))?;
    }
    folder.mark_open(options.durability).map_err(|error| failed(path, error))?;
    let (topics, epoch) = load(&store, path)?;
    let opened = Opened {
        is_new,
        was_open: matches!(left, Left::Open(_)),
        was_unfinished: left == Left::Unfinished,
        cut_bytes,
        topics: topics.len(),
        events: topics.counters.events,
        newest: Position(topics.counters.newest),
        took: began.elapsed(),
    };
    Ok(Recovered { store, topics, epoch, opened })
}

/// Makes what was left fit to be opened. Gives the bytes that were cut off.
fn prepare(folder: &Folder, left: Left) -> Result<u64, BoxError> {
    let database = folder.database();
    match left {
        Left::Closed => journal::mend(&database, journal::Left::Closed),
        Left::Open(Durability::Sync) => journal::mend(&database, journal::Left::SyncedEach),
        Left::Open(_) => journal::mend(&database, journal::Left::Handed),
        Left::Absent | Left::Unfinished => {
            if database.try_exists()? {
                fs::remove_dir_all(database)?;
            }
            folder.mark_creating()?;
            Ok(0)
        }
    }
}

fn create(store: &Store, seed: u64) -> io::Result<()> {
    let mut group = Group::new(&store.database);
    group.insert(&store.state, key::FORMAT, signature());
    group.insert(&store.state, key::SEED, seed.to_be_bytes());
    group.insert(&store.state, key::COUNTERS, counters_value(&Counters::default()));
    group.commit(Promise::Synced)
}

fn load(store: &Store, path: &Path) -> Result<(Topics, Epoch), OpenError> {
    let get = |key: [u8; 2]| store.state.get(key).map_err(|error| cannot(path, error));
    let signature = get(key::FORMAT)?.unwrap_or_default();
    let found = read_signature(&signature).map_err(|error| cannot(path, error))?;
    if found != VERSION {
        return Err(OpenError::Version { path: path.to_owned(), found });
    }
    let seed = get(key::SEED)?.unwrap_or_default();
    let seed = read_seed(&seed).map_err(|error| cannot(path, error))?;
    let counters = get(key::COUNTERS)?.unwrap_or_default();
    let counters = read_counters(&counters).map_err(|error| cannot(path, error))?;
    let topics = load_topics(store, counters).map_err(|error| cannot(path, error))?;
    check(store, &topics).map_err(|error| cannot(path, error))?;
    Ok((topics, Epoch::from_seed(seed)))
}

fn read_seed(value: &[u8]) -> Result<u64, Damaged> {
    value.try_into().map(u64::from_be_bytes).map_err(|_| Damaged("the seed of the epoch"))
}

/// The topics and counters as they were written down, and what the newest events add.
fn load_topics(store: &Store, counters: Counters) -> Result<Topics, BoxError> {
    let mut replay = Replay { topics: Topics::default(), counted: HashMap::new() };
    replay.topics.counters = counters;
    for entry in store.state.prefix(key::TOPIC) {
        let (key, value) = entry.into_inner()?;
        let name = TopicName::new(str::from_utf8(&key[key::TOPIC.len()..])?)?;
        let (topic, counted) = read_topic(&value)?;
        replay.counted.insert(topic.id, counted);
        replay.topics.insert(name, topic);
    }
    let unsettled = counters.settled.saturating_add(1).to_be_bytes();
    for entry in store.events.range(unsettled..) {
        let (key, bundle) = entry.into_inner()?;
        let key = read_position(&key)?;
        for head in Heads::read(&bundle)? {
            replay.add(key, &head?)?;
        }
    }
    Ok(replay.topics)
}

struct Replay {
    topics: Topics,
    /// Up to where the events of a topic were counted when it was written down.
    counted: HashMap<u64, u64>,
}

impl Replay {
    fn add(&mut self, bundle: u64, head: &Head) -> Result<(), Damaged> {
        let Place { position, time, topic: id } = head.place;
        let size = head.size() as u64;
        let counters = &mut self.topics.counters;
        let is_new = position > counters.newest;
        if is_new {
            counters.newest = position;
            counters.time = counters.time.max(time);
            counters.events += 1;
            counters.bytes += size;
        }
        let Some((name, mut topic)) =
            self.topics.by_id(id).map(|(name, topic)| (name.clone(), *topic))
        else {
            // A topic that is forgotten had no events; a new one was written down with its first.
            return if is_new { Err(Damaged("what is known of the topics")) } else { Ok(()) };
        };
        if self.counted.get(&id).is_none_or(|&counted| position > counted) {
            topic.count(position, time, size);
        }
        if position > topic.indexed.max(topic.dropped) {
            self.topics.push_row(id, Row { bundle, position, time, size });
        }
        self.topics.insert(name, topic);
        Ok(())
    }
}

/// Whether what is known of the topics agrees with the rest.
fn check(store: &Store, topics: &Topics) -> Result<(), BoxError> {
    let all = || topics.behind(None).map(|(_, topic)| topic);
    let sum = |of: fn(&Topic) -> u64| all().try_fold(0, |sum, topic| of(topic).checked_add(sum));
    let counters = &topics.counters;
    let is_sum = sum(|topic| topic.events) == Some(counters.events)
        && sum(|topic| topic.bytes) == Some(counters.bytes);
    if !is_sum || !all().all(|topic| is_sound(topic, counters)) {
        return Err(Damaged("what is known of the topics").into());
    }
    let last = store.events.last_key_value().map(fjall::Guard::key).transpose()?;
    let last = last.map(|key| read_position(&key)).transpose()?.unwrap_or_default();
    let newest = all().filter(|topic| topic.events > 0).map(|topic| topic.newest).max();
    if last > counters.newest || last < newest.unwrap_or_default() {
        return Err(Damaged("the end of the events").into());
    }
    Ok(())
}

fn is_sound(topic: &Topic, counters: &Counters) -> bool {
    let is_in_order = topic.dropped < topic.oldest && topic.oldest <= topic.newest;
    (topic.events == 0 || is_in_order)
        && topic.newest.max(topic.dropped) <= counters.newest
        && topic.id < counters.next_topic
}

fn failed(path: &Path, error: io::Error) -> OpenError {
    OpenError::Folder { path: path.to_owned(), error }
}

fn cannot(path: &Path, error: impl Into<BoxError>) -> OpenError {
    OpenError::Unreadable { path: path.to_owned(), error: error.into() }
}
