//! What is to be written together: appends that wait at the same time.

use std::collections::{HashMap, HashSet};

use fanfare_fanout::Position;

use super::{
    disk::Group,
    format::{
        Bundle, Content, Given, Place, Row, counters_value, given_value, index_key, index_value,
        key, read_given, topic_value,
    },
    store::Store,
    topics::{Counters, Topic, Topics},
};
use crate::{
    TopicName,
    log::{
        AppendError, Appended, Batch, BoxError, Committed, IdempotencyKey, NewEvent, Record,
        Retention, Timestamp,
    },
};

/// A bundle is closed when it has reached this size: a single event of it can be read at little cost.
const BUNDLE_BYTES: usize = 16 * 1024;
/// The most data that one event can have. fjall takes four times as much.
const MAX_EVENT_BYTES: usize = 1024 * 1024 * 1024;
/// Rows that lie under one key of the index.
const INDEX_ROWS: usize = 1024;

/// What is to be written, and what becomes visible when it is.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) group: Group,
    /// There is something to be written.
    pub(super) is_due: bool,
    /// What has been changed cannot be found out from the events.
    pub(super) is_record_due: bool,
    pub(super) counters: Counters,
    pub(super) touched: HashMap<TopicName, Topic>,
    /// By topic.
    pub(super) rows: Vec<(u64, Row)>,
    pub(super) committed: Vec<Committed>,
    /// The touched topics that have to be written down; the others can be found out.
    records: HashSet<TopicName>,
}

impl Staged {
    pub(super) fn new(store: &Store, counters: Counters) -> Self {
        Self {
            group: Group::new(&store.database),
            is_due: false,
            is_record_due: false,
            counters,
            touched: HashMap::new(),
            rows: vec![],
            committed: vec![],
            records: HashSet::new(),
        }
    }

    /// Changes a topic in a way that must be written down.
    pub(super) fn set(&mut self, name: TopicName, topic: Topic) {
        self.records.insert(name.clone());
        self.touched.insert(name, topic);
        self.is_record_due = true;
    }

    /// Puts rows of a topic, which may be none, into the index on the disk.
    pub(super) fn index(&mut self, store: &Store, topic: u64, rows: &[Row]) {
        for rows in rows.chunks(INDEX_ROWS) {
            let key = index_key(topic, rows[rows.len() - 1].position);
            self.group.insert(&store.index, key, index_value(rows));
        }
    }

    /// Has the counters written down, and the topics that were set, if that is due.
    pub(super) fn seal(&mut self, store: &Store) {
        if !self.is_record_due {
            return;
        }
        let newest = self.counters.newest;
        for name in &self.records {
            if let Some(topic) = self.touched.get(name) {
                let value = topic_value(topic, newest);
                self.group.insert(&store.state, key::topic(name.as_str()), value);
            }
        }
        self.group.insert(&store.state, key::COUNTERS, counters_value(&self.counters));
        self.is_due = true;
    }
}

/// Batches that have been checked, and the entries that they make. Nothing of it is visible.
pub(super) struct Staging<'a> {
    store: &'a Store,
    topics: &'a Topics,
    retention: &'a Retention,
    max_topics: usize,
    keys: HashMap<IdempotencyKey, u64>,
    new_topics: usize,
    bundle: Bundle,
    /// How many rows are not of this bundle.
    bundled: usize,
    staged: Staged,
}

impl<'a> Staging<'a> {
    pub(super) fn new(
        store: &'a Store,
        topics: &'a Topics,
        retention: &'a Retention,
        max_topics: usize,
    ) -> Self {
        Self {
            store,
            topics,
            retention,
            max_topics,
            keys: HashMap::new(),
            new_topics: 0,
            bundle: Bundle::default(),
            bundled: 0,
            staged: Staged::new(store, topics.counters),
        }
    }

    /// Takes a batch in, or nothing of it.
    pub(super) fn append(&mut self, batch: Batch) -> Result<Appended, AppendError> {
        let counters = &mut self.staged.counters;
        counters.time = counters.time.max(batch.time.0);
        if let Some(key) = &batch.idempotency_key
            && let Some(last) = self.given(key)?
        {
            return Ok(Appended { last: Position(last), is_repeated: true });
        }
        self.check(&batch)?;
        for event in batch.events {
            self.push(event);
        }
        for name in batch.ends {
            self.end(name);
        }
        if let Some(key) = batch.idempotency_key {
            self.give(key);
        }
        Ok(Appended { last: Position(self.staged.counters.newest), is_repeated: false })
    }

    /// What was answered for a key, if it is known.
    fn given(&self, key: &IdempotencyKey) -> Result<Option<u64>, AppendError> {
        if let Some(&last) = self.keys.get(key) {
            return Ok(Some(last));
        }
        check_key(key)?;
        let stored = self.store.state.get(key::idempotency(key.0.as_bytes()));
        let Some(value) = stored.map_err(unreadable)? else { return Ok(None) };
        let given = read_given(&value).map_err(unreadable)?;
        let counters = &self.staged.counters;
        let is_known = !is_forgotten(given, counters, Timestamp(counters.time), self.retention);
        Ok(is_known.then_some(given.last))
    }

    fn check(&self, batch: &Batch) -> Result<(), AppendError> {
        if batch.events.iter().any(|event| event.data.len() > MAX_EVENT_BYTES) {
            return Err(full(format!("an event has at most {MAX_EVENT_BYTES} bytes")));
        }
        let mut new = HashSet::new();
        for name in batch.events.iter().map(|event| &event.topic).chain(&batch.ends) {
            match self.topic(name) {
                Some(Topic { ended: Some(_), .. }) => return Err(AppendError::Ended(name.clone())),
                Some(_) => {}
                None => {
                    new.insert(name);
                }
            }
        }
        if !new.is_empty() && self.topics.len() + self.new_topics + new.len() > self.max_topics {
            return Err(AppendError::too_many_topics(self.max_topics));
        }
        Ok(())
    }

    fn topic(&self, name: &TopicName) -> Option<&Topic> {
        self.staged.touched.get(name).or_else(|| self.topics.get(name))
    }

    fn touch(&mut self, name: &TopicName) -> &mut Topic {
        if !self.staged.touched.contains_key(name) {
            let known = self.topics.get(name).copied();
            let topic = known.unwrap_or_else(|| self.create(name));
            self.staged.touched.insert(name.clone(), topic);
        }
        self.staged.touched.entry(name.clone()).or_default()
    }

    fn create(&mut self, name: &TopicName) -> Topic {
        let counters = &mut self.staged.counters;
        self.new_topics += 1;
        counters.next_topic += 1;
        self.staged.records.insert(name.clone());
        self.staged.is_record_due = true;
        // It may be one that is forgotten.
        Topic { id: counters.next_topic - 1, dropped: counters.forgotten, ..Topic::default() }
    }

    fn push(&mut self, event: NewEvent) {
        let size = event.data.len() as u64;
        let counters = &mut self.staged.counters;
        counters.newest += 1;
        counters.events += 1;
        counters.bytes += size;
        let (position, time) = (counters.newest, counters.time);
        let topic = self.touch(&event.topic);
        topic.count(position, time, size);
        let topic = topic.id;
        self.bundle.push(Place { position, time, topic }, Content::of(&event));
        self.staged.rows.push((topic, Row { bundle: 0, position, time, size }));
        if self.bundle.bytes() >= BUNDLE_BYTES {
            self.seal_bundle();
        }
        let record = Record { position: Position(position), time: Timestamp(time), event };
        self.staged.committed.push(Committed::Event(record));
    }

    fn end(&mut self, name: TopicName) {
        let newest = self.staged.counters.newest;
        self.touch(&name).ended = Some(newest);
        self.staged.records.insert(name.clone());
        self.staged.committed.push(Committed::End(name));
        self.staged.is_record_due = true;
    }

    /// Remembers what is answered for a key.
    fn give(&mut self, key: IdempotencyKey) {
        let Counters { newest: last, time, next_turn: turn, .. } = self.staged.counters;
        let (group, state) = (&mut self.staged.group, &self.store.state);
        let stored = key::idempotency(key.0.as_bytes());
        group.insert(state, stored, given_value(Given { turn, time, last }));
        group.insert(state, key::turn(turn), key.0.as_bytes().as_ref());
        self.keys.insert(key, last);
        self.staged.counters.next_turn += 1;
        self.staged.is_record_due = true;
    }

    fn seal_bundle(&mut self) {
        let Some((bundle, value)) = self.bundle.seal() else { return };
        self.staged.group.insert(&self.store.events, bundle.to_be_bytes(), value);
        for (_, row) in &mut self.staged.rows[self.bundled..] {
            row.bundle = bundle;
        }
        self.bundled = self.staged.rows.len();
        self.staged.is_due = true;
    }

    pub(super) fn finish(mut self) -> Staged {
        self.seal_bundle();
        self.staged
    }
}

/// Whether a key is beyond the window, or beyond the number that is kept.
pub(super) fn is_forgotten(
    given: Given,
    counters: &Counters,
    now: Timestamp,
    retention: &Retention,
) -> bool {
    let most = u64::try_from(retention.max_idempotency_keys).unwrap_or(u64::MAX);
    let first = counters.next_turn.saturating_sub(most).max(counters.first_turn);
    given.turn < first || Timestamp(given.time).is_older(retention.idempotency_window, now)
}

fn check_key(key: &IdempotencyKey) -> Result<(), AppendError> {
    let most = key::MAX_IDEMPOTENCY_KEY_BYTES;
    if key.0.len() > most {
        return Err(full(format!("an idempotency key has at most {most} bytes")));
    }
    Ok(())
}

fn full(why: String) -> AppendError {
    AppendError::Full(why.into())
}

fn unreadable(error: impl Into<BoxError>) -> AppendError {
    AppendError::Unavailable(error.into())
}
