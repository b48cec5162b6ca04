//! What is known of the topics, in memory.
//!
//! Every topic that has events is in it, at about 250 bytes each; how many there can be is an option
//! of the log. The writer alone changes it, after what it says is on the disk.
//!
//! The newest rows of the index are here too, until there are enough of them to be written down
//! together.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
};

use fanfare_fanout::Position;

use super::format::Row;
use crate::{
    Selection, TopicName,
    log::{Limits, Timestamp, TopicState, by_name},
};

/// What is known of a topic. Positions and times are those of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Topic {
    /// The number that stands for it, and for no other that there ever was.
    pub(super) id: u64,
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// Nought if there are no events, as its time is.
    pub(super) oldest: u64,
    pub(super) oldest_time: u64,
    /// The newest that there was.
    pub(super) newest: u64,
    /// The newest that was dropped; what is behind it is alive.
    pub(super) dropped: u64,
    /// The newest whose row is in the index on the disk; the rows behind it are in memory.
    pub(super) indexed: u64,
    pub(super) ended: Option<u64>,
}

impl Topic {
    /// One event more.
    pub(super) fn count(&mut self, position: u64, time: u64, size: u64) {
        if self.events == 0 {
            self.oldest = position;
            self.oldest_time = time;
        }
        self.events += 1;
        self.bytes += size;
        self.newest = position;
    }

    /// Whether it is beyond its limits now.
    pub(super) fn is_beyond(&self, limits: Limits, now: Timestamp) -> bool {
        is_beyond(limits, now, self.events, self.bytes, Timestamp(self.oldest_time))
    }

    fn state(&self, name: &TopicName) -> TopicState {
        TopicState {
            name: name.clone(),
            events: self.events,
            bytes: self.bytes,
            oldest: Some(Position(self.oldest)).filter(|_| self.events > 0),
            newest: Position(self.newest),
            ended: self.ended.map(Position),
        }
    }
}

/// Whether that many events, of which the oldest is of this time, are more than the limits allow.
pub(super) fn is_beyond(
    limits: Limits,
    now: Timestamp,
    events: u64,
    bytes: u64,
    oldest: Timestamp,
) -> bool {
    events > 0
        && (limits.max_events.is_some_and(|most| events > most)
            || limits.max_bytes.is_some_and(|most| bytes > most)
            || limits.max_age.is_some_and(|most| oldest.is_older(most, now)))
}

/// What is known of the log as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counters {
    /// The newest position.
    pub(super) newest: u64,
    /// The newest time.
    pub(super) time: u64,
    /// Events that are alive, and their bytes of data.
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// Bytes of data that were dropped, and are still on the disk; an estimate.
    pub(super) dead: u64,
    /// The newest event that a topic had dropped that is forgotten.
    pub(super) forgotten: u64,
    /// What the next topic is known by.
    pub(super) next_topic: u64,
    /// The idempotency keys that are known: from this one to before that one.
    pub(super) first_turn: u64,
    pub(super) next_turn: u64,
    /// What the topics and the index say on the disk is complete up to here.
    pub(super) settled: u64,
}

/// All topics.
#[derive(Debug, Default)]
pub(super) struct Topics {
    pub(super) counters: Counters,
    by_name: BTreeMap<TopicName, Topic>,
    names: HashMap<u64, TopicName>,
    /// Rows of the index that are not on the disk yet, by topic.
    rows: HashMap<u64, Vec<Row>>,
    row_count: usize,
    drops: Drops,
}

/// How often events were dropped since the log was opened.
#[derive(Debug, Default)]
struct Drops {
    count: u64,
    /// How often when it was last one of a topic, by its number.
    of: HashMap<u64, u64>,
    /// How often when it was last one of a topic that is forgotten.
    of_forgotten: u64,
}

impl Drops {
    /// One of this topic.
    fn count(&mut self, topic: u64) {
        self.count += 1;
        self.of.insert(topic, self.count);
    }

    /// A topic that is new may be one that is forgotten.
    fn begin(&mut self, topic: u64) {
        if self.of_forgotten > 0 {
            self.of.insert(topic, self.of_forgotten);
        }
    }

    fn forget(&mut self, topic: u64) {
        let drops = self.of.remove(&topic).unwrap_or_default();
        self.of_forgotten = self.of_forgotten.max(drops);
    }

    fn of(&self, topic: u64) -> u64 {
        self.of.get(&topic).copied().unwrap_or_default()
    }
}

impl Topics {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn get(&self, name: &TopicName) -> Option<&Topic> {
        self.by_name.get(name)
    }

    pub(super) fn by_id(&self, id: u64) -> Option<(&TopicName, &Topic)> {
        self.by_name.get_key_value(self.names.get(&id)?)
    }

    pub(super) fn insert(&mut self, name: TopicName, topic: Topic) {
        match self.by_name.get_mut(&name) {
            Some(known) => {
                if topic.dropped > known.dropped {
                    self.drops.count(topic.id);
                }
                *known = topic;
            }
            None => {
                self.drops.begin(topic.id);
                self.names.insert(topic.id, name.clone());
                self.by_name.insert(name, topic);
            }
        }
    }

    pub(super) fn remove(&mut self, name: &TopicName) {
        if let Some(topic) = self.by_name.remove(name) {
            self.names.remove(&topic.id);
            self.drops.forget(topic.id);
            self.remove_rows(topic.id, u64::MAX);
        }
    }

    /// How many rows of the index are in memory.
    pub(super) fn row_count(&self) -> usize {
        self.row_count
    }

    pub(super) fn push_row(&mut self, topic: u64, row: Row) {
        self.rows.entry(topic).or_default().push(row);
        self.row_count += 1;
    }

    /// The rows of a topic that are in memory.
    pub(super) fn rows(&self, topic: u64) -> &[Row] {
        self.rows.get(&topic).map_or(&[], Vec::as_slice)
    }

    /// Removes the rows up to a position from memory.
    pub(super) fn remove_rows(&mut self, topic: u64, until: u64) {
        let Some(rows) = self.rows.get_mut(&topic) else { return };
        let count = rows.partition_point(|row| row.position <= until);
        self.row_count -= count;
        if count == rows.len() {
            self.rows.remove(&topic);
        } else {
            rows.drain(..count);
        }
    }

    /// The topics that have rows in memory.
    pub(super) fn with_rows(&self) -> Vec<TopicName> {
        self.rows.keys().filter_map(|id| self.names.get(id)).cloned().collect()
    }

    /// All of them behind a name, by name.
    pub(super) fn behind(
        &self,
        name: Option<&TopicName>,
    ) -> impl Iterator<Item = (&TopicName, &Topic)> {
        let start = name.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_name.range::<TopicName, _>((start, Bound::Unbounded))
    }

    pub(super) fn selected<'a>(
        &'a self,
        selection: &'a Selection,
    ) -> impl Iterator<Item = (&'a TopicName, &'a Topic)> {
        by_name::selected(&self.by_name, selection)
    }

    /// The position behind which no event of the selection has been dropped.
    pub(super) fn kept_after(&self, selection: &Selection) -> Position {
        let dropped = self.selected(selection).map(|(_, topic)| topic.dropped).max();
        let knows_all = by_name::has_all(&self.by_name, selection);
        let forgotten = if knows_all { 0 } else { self.counters.forgotten };
        Position(dropped.unwrap_or_default().max(forgotten))
    }

    /// How often events were dropped when it was last one of a topic of the selection that has dropped
    /// any behind a position.
    pub(super) fn drops(&self, selection: &Selection, after: u64) -> u64 {
        let of_topics = self.selected(selection).filter(|(_, topic)| topic.dropped > after);
        let drops = of_topics.map(|(_, topic)| self.drops.of(topic.id)).max().unwrap_or_default();
        if self.counters.forgotten <= after || by_name::has_all(&self.by_name, selection) {
            return drops;
        }
        drops.max(self.drops.of_forgotten)
    }

    pub(super) fn state(&self, name: &TopicName) -> Option<TopicState> {
        self.by_name.get(name).map(|topic| topic.state(name))
    }

    pub(super) fn states(
        &self,
        selection: &Selection,
        after: Option<&TopicName>,
        most: usize,
    ) -> Vec<TopicState> {
        let page = by_name::page(&self.by_name, selection, after, most);
        page.into_iter().map(|(name, topic)| topic.state(name)).collect()
    }
}
