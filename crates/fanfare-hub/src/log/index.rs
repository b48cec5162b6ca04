//! What is known of the events that are kept: by position, and by topic.

use std::collections::{BTreeMap, VecDeque};

use fanfare_fanout::Position;
use serde::{Deserialize, Serialize};

use super::{Limits, Read, Retention, Size, Timestamp, TopicState, by_name};
use crate::{Selection, Selector, TopicName};

/// Entries that one read looks at.
const MAX_LOOKED_AT: usize = 10_000;

/// An event that is kept, or what is known of it.
pub(super) trait Entry {
    fn topic(&self) -> &TopicName;
    fn time(&self) -> Timestamp;
    /// Of its data, in bytes.
    fn size(&self) -> u64;
}

/// Events that are kept, and topics that are known.
#[derive(Debug)]
pub(super) struct Index<E> {
    newest: u64,
    entries: BTreeMap<u64, E>,
    bytes: u64,
    topics: BTreeMap<TopicName, Topic>,
    /// The newest event of topics that are forgotten.
    forgotten: u64,
    /// How often events were dropped, and how often when it was last one of a topic that is forgotten.
    drops: u64,
    forgotten_drops: u64,
}

#[derive(Debug, Default)]
pub(super) struct Topic {
    positions: VecDeque<u64>,
    bytes: u64,
    newest: u64,
    /// The newest event that was dropped.
    dropped: u64,
    /// How often events were dropped when it was last one of this topic.
    drops: u64,
    ended: Option<u64>,
}

/// What stays known of a topic whose events are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Restored {
    /// The newest event that is dropped.
    pub(super) dropped: u64,
    /// The newest event that there was.
    pub(super) newest: u64,
    pub(super) ended: Option<u64>,
}

impl Restored {
    /// The newest event that there may have been, also before the topic was forgotten and began anew.
    pub(super) fn newest_ever(&self) -> u64 {
        self.newest.max(self.dropped)
    }
}

/// How far each of some topics is beyond its limits: what is not newer is to be dropped.
pub(super) type Beyond = BTreeMap<TopicName, u64>;

impl<E> Default for Index<E> {
    fn default() -> Self {
        Self {
            newest: 0,
            entries: BTreeMap::new(),
            bytes: 0,
            topics: BTreeMap::new(),
            forgotten: 0,
            drops: 0,
            forgotten_drops: 0,
        }
    }
}

impl<E: Entry> Index<E> {
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// There were events up to here, though they may be gone.
    pub(super) fn advance(&mut self, newest: u64) {
        self.newest = self.newest.max(newest);
    }

    pub(super) fn entry(&self, position: u64) -> Option<&E> {
        self.entries.get(&position)
    }

    pub(super) fn knows(&self, name: &TopicName) -> bool {
        self.topics.contains_key(name)
    }

    pub(super) fn has_ended(&self, name: &TopicName) -> bool {
        self.topics.get(name).is_some_and(|topic| topic.ended.is_some())
    }

    pub(super) fn size(&self) -> Size {
        Size {
            events: self.entries.len() as u64,
            bytes: self.bytes,
            topics: self.topics.len() as u64,
            disk_bytes: None,
        }
    }

    /// Adds the newest event.
    pub(super) fn push(&mut self, position: u64, entry: E) {
        self.advance(position);
        let size = entry.size();
        let topic = self.topic_mut(entry.topic());
        topic.positions.push_back(position);
        topic.bytes += size;
        topic.newest = position;
        self.bytes += size;
        self.entries.insert(position, entry);
    }

    pub(super) fn end(&mut self, name: &TopicName) {
        let newest = self.newest;
        self.topic_mut(name).ended = Some(newest);
    }

    /// A new one may be one that is forgotten, and then it has dropped events.
    fn topic_mut(&mut self, name: &TopicName) -> &mut Topic {
        if !self.topics.contains_key(name) {
            let (dropped, drops) = (self.forgotten, self.forgotten_drops);
            self.topics.insert(name.clone(), Topic { dropped, drops, ..Topic::default() });
        }
        self.topics.entry(name.clone()).or_default()
    }

    /// Drops the events of a topic that are not newer than this one, and gives their positions.
    pub(super) fn drop_through(&mut self, name: &TopicName, through: u64) -> Vec<u64> {
        let mut dropped = vec![];
        let Some(topic) = self.topics.get_mut(name) else { return dropped };
        while let Some(position) = topic.positions.pop_front_if(|oldest| *oldest <= through) {
            topic.dropped = position;
            self.drops += 1;
            topic.drops = self.drops;
            if let Some(entry) = self.entries.remove(&position) {
                topic.bytes -= entry.size();
                self.bytes -= entry.size();
            }
            dropped.push(position);
        }
        dropped
    }

    /// What was dropped of a topic, by somebody else, and what is known of it besides.
    pub(super) fn restore(&mut self, name: &TopicName, restored: &Restored) {
        self.advance(restored.newest);
        let topic = self.topic_mut(name);
        let is_empty = topic.positions.is_empty();
        topic.newest = if is_empty { restored.newest } else { topic.newest.max(restored.newest) };
        topic.ended = topic.ended.or(restored.ended);
        let is_more = topic.dropped < restored.dropped;
        topic.dropped = restored.dropped;
        if is_more {
            self.drops += 1;
            let drops = self.drops;
            self.topic_mut(name).drops = drops;
        }
    }

    /// What there is to restore of a topic when its events are dropped through this one.
    pub(super) fn to_restore(&self, name: &TopicName, through: u64) -> Option<Restored> {
        let topic = self.topics.get(name)?;
        let dropped = topic.dropped.max(through.min(topic.newest));
        Some(Restored { dropped, newest: topic.newest, ended: topic.ended })
    }

    pub(super) fn oldest_of(&self, name: &TopicName) -> Option<u64> {
        self.topics.get(name)?.positions.front().copied()
    }

    pub(super) fn newest_of(&self, name: &TopicName) -> Option<u64> {
        Some(self.topics.get(name)?.newest)
    }

    /// Drops the events of a topic, and its end. Tells whether there is such a topic.
    pub(super) fn erase(&mut self, name: &TopicName) -> bool {
        self.drop_through(name, u64::MAX);
        let Some(topic) = self.topics.get_mut(name) else { return false };
        topic.ended = None;
        topic.dropped = topic.newest.max(topic.dropped);
        true
    }

    /// A topic has not ended any more.
    pub(super) fn begin_anew(&mut self, name: &TopicName) {
        if let Some(topic) = self.topics.get_mut(name) {
            topic.ended = None;
        }
    }

    /// Topics that have no event left, with the newest that they may have had, also before they were forgotten.
    pub(super) fn empty(&self) -> impl Iterator<Item = (&TopicName, u64)> {
        let empty = self.topics.iter().filter(|(_, topic)| topic.positions.is_empty());
        empty.map(|(name, topic)| (name, topic.newest.max(topic.dropped)))
    }

    /// The newest event that is dropped of topics that are forgotten, when these are too.
    pub(super) fn forgotten_with<'a>(&self, names: impl IntoIterator<Item = &'a TopicName>) -> u64 {
        let dropped = names.into_iter().filter_map(|name| Some(self.topics.get(name)?.dropped));
        dropped.fold(self.forgotten, u64::max)
    }

    /// The newest event that was dropped of topics that are forgotten.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Topics were forgotten that had dropped events up to here.
    pub(super) fn advance_forgotten(&mut self, dropped: u64) {
        if self.forgotten < dropped {
            self.forgotten = dropped;
            self.drops += 1;
            self.forgotten_drops = self.drops;
        }
    }

    pub(super) fn forget(&mut self, name: &TopicName) {
        let Some(topic) = self.topics.remove(name) else { return };
        self.forgotten = topic.dropped.max(self.forgotten);
        self.forgotten_drops = topic.drops.max(self.forgotten_drops);
    }

    /// What is beyond the limits: first of topics, then of all together.
    pub(super) fn beyond(&self, now: Timestamp, retention: &Retention) -> Beyond {
        let of_topics = self.topics.keys().filter_map(|name| {
            let through = self.beyond_of(name, now, retention)?;
            Some((name.clone(), through))
        });
        let mut beyond = of_topics.collect();
        self.beyond_total(&mut beyond, now, retention.total);
        beyond
    }

    /// How far a topic is beyond its own limits.
    pub(super) fn beyond_of(
        &self,
        name: &TopicName,
        now: Timestamp,
        retention: &Retention,
    ) -> Option<u64> {
        let (topic, limits) = (self.topics.get(name)?, retention.limits_of(name));
        let mut left = Left { events: topic.positions.len() as u64, bytes: topic.bytes };
        let beyond = topic.positions.iter().take_while(|position| {
            self.entries.get(position).is_some_and(|entry| left.drop_if_beyond(entry, limits, now))
        });
        beyond.last().copied()
    }

    /// How far each topic is beyond the limits of the whole, when what is given already is dropped.
    pub(super) fn beyond_total(&self, beyond: &mut Beyond, now: Timestamp, limits: Limits) {
        let mut left = Left { events: self.entries.len() as u64, bytes: self.bytes };
        for (name, &through) in &*beyond {
            let positions = self.topics.get(name).into_iter().flat_map(|topic| &topic.positions);
            for position in positions.take_while(|position| **position <= through) {
                left.drop(self.entries.get(position));
            }
        }
        for (&position, entry) in &self.entries {
            if beyond.get(entry.topic()).is_some_and(|&through| position <= through) {
                continue;
            }
            if !left.drop_if_beyond(entry, limits, now) {
                return;
            }
            beyond.insert(entry.topic().clone(), position);
        }
    }

    /// The positions that a read is to give, and how far it has read with them.
    pub(super) fn page(&self, read: &Read) -> (Vec<u64>, Position) {
        let until = read.until.0.min(self.newest);
        let (mut page, mut bytes) = (vec![], 0);
        let mut through = read.after.0.min(until);
        for (looked_at, (position, entry)) in self.candidates(read, until).enumerate() {
            let is_wanted = read.selection.matches(entry.topic());
            let size = if is_wanted { entry.size() } else { 0 };
            let is_full = page.len() >= read.max_events.max(1)
                || (!page.is_empty() && bytes + size > read.max_bytes as u64);
            if looked_at >= MAX_LOOKED_AT || (is_wanted && is_full) {
                return (page, Position(through));
            }
            through = position;
            if is_wanted {
                bytes += size;
                page.push(position);
            }
        }
        (page, Position(until))
    }

    /// Entries that may be wanted, by position.
    fn candidates<'a>(
        &'a self,
        read: &'a Read,
        until: u64,
    ) -> Box<dyn Iterator<Item = (u64, &'a E)> + 'a> {
        let after = read.after.0;
        if after >= until {
            return Box::new([].into_iter());
        }
        match read.selection.selectors() {
            [Selector::Topic(name)] => {
                let positions = self.topics.get(name).map(|topic| &topic.positions);
                let positions = positions.into_iter().flat_map(move |positions| {
                    positions.range(positions.partition_point(|&position| position <= after)..)
                });
                let positions = positions.take_while(move |&&position| position <= until);
                Box::new(positions.filter_map(|&position| Some((position, self.entry(position)?))))
            }
            _ => Box::new(
                self.entries.range(after + 1..=until).map(|(&position, entry)| (position, entry)),
            ),
        }
    }

    fn selected<'a>(&'a self, selection: &'a Selection) -> impl Iterator<Item = &'a Topic> {
        by_name::selected(&self.topics, selection).map(|(_, topic)| topic)
    }

    pub(super) fn kept_after(&self, selection: &Selection) -> Position {
        let dropped = self.selected(selection).map(|topic| topic.dropped).max();
        let forgotten = if by_name::has_all(&self.topics, selection) { 0 } else { self.forgotten };
        Position(dropped.unwrap_or_default().max(forgotten))
    }

    pub(super) fn drops(&self, selection: &Selection, after: Position) -> u64 {
        let of_topics = self.selected(selection).filter(|topic| topic.dropped > after.0);
        let drops = of_topics.map(|topic| topic.drops).max().unwrap_or_default();
        if self.forgotten <= after.0 || by_name::has_all(&self.topics, selection) {
            return drops;
        }
        drops.max(self.forgotten_drops)
    }

    pub(super) fn before_last(&self, selection: &Selection, count: u64) -> Position {
        if count == u64::MAX {
            let oldest = self.selected(selection).filter_map(|topic| topic.positions.front()).min();
            return Position(oldest.map_or(self.newest, |oldest| oldest - 1));
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let newest =
            self.selected(selection).flat_map(|topic| topic.positions.iter().rev().take(count));
        let mut newest: Vec<u64> = newest.copied().collect();
        newest.sort_unstable_by(|one, other| other.cmp(one));
        newest.truncate(count);
        Position(newest.last().map_or(self.newest, |oldest| oldest - 1))
    }

    pub(super) fn topic(&self, name: &TopicName) -> Option<TopicState> {
        self.topics.get(name).map(|topic| topic.state(name))
    }

    pub(super) fn topics(
        &self,
        selection: &Selection,
        after: Option<&TopicName>,
        most: usize,
    ) -> Vec<TopicState> {
        let page = by_name::page(&self.topics, selection, after, most);
        page.into_iter().map(|(name, topic)| topic.state(name)).collect()
    }
}

impl Topic {
    fn state(&self, name: &TopicName) -> TopicState {
        TopicState {
            name: name.clone(),
            events: self.positions.len() as u64,
            bytes: self.bytes,
            oldest: self.positions.front().copied().map(Position),
            newest: Position(self.newest),
            ended: self.ended.map(Position),
        }
    }
}

/// What is left when the oldest events are dropped one by one.
struct Left {
    events: u64,
    bytes: u64,
}

impl Left {
    /// Drops the oldest event if there is too much; tells whether there was.
    fn drop_if_beyond(&mut self, oldest: &impl Entry, limits: Limits, now: Timestamp) -> bool {
        let is_beyond = limits.max_events.is_some_and(|most| self.events > most)
            || limits.max_bytes.is_some_and(|most| self.bytes > most)
            || limits.max_age.is_some_and(|most| oldest.time().is_older(most, now));
        if is_beyond {
            self.drop(Some(oldest));
        }
        is_beyond
    }

    fn drop(&mut self, entry: Option<&impl Entry>) {
        self.events -= 1;
        self.bytes -= entry.map_or(0, Entry::size);
    }
}
