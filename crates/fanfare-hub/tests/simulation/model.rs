use std::collections::{BTreeMap, BTreeSet};

use fanfare_fanout::{Epoch, Position};
use fanfare_hub::{
    From, Selection, Selector, TopicName,
    log::{Batch, IdempotencyKey, Limits, Record, Retention, Timestamp},
};

/// The obvious hub.
#[derive(Debug)]
pub(crate) struct Model {
    epoch: Epoch,
    retention: Retention,
    trims_at_once: bool,
    /// Every event that there ever was: that of position 1 first.
    history: Vec<Record>,
    /// The positions that are kept.
    kept: BTreeSet<u64>,
    /// When the others were dropped.
    dropped: BTreeMap<u64, Moment>,
    /// Now, and when a topic was forgotten last.
    moment: Moment,
    forgot: Moment,
    topics: BTreeMap<TopicName, Known>,
    /// The newest event that was dropped of topics that are forgotten.
    forgotten: u64,
    time: Timestamp,
    /// Those that were used, with time and answer.
    keys: Vec<(IdempotencyKey, Timestamp, u64)>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    newest: u64,
    dropped: u64,
    ended: Option<u64>,
}

/// How often anything has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Moment(u64);

/// The answer to a publish.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Appended(u64),
    Repeated(u64),
    Ended(TopicName),
}

/// Why there is a gap where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Expired,
    Unknown,
}

/// What a subscription begins with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Nothing is left to give.
    Over,
    /// Behind this position, with a gap that is told first.
    Behind(u64, Option<Missing>),
}

impl Model {
    pub(crate) fn new(epoch: Epoch, retention: Retention, trims_at_once: bool) -> Self {
        Self {
            epoch,
            retention,
            trims_at_once,
            history: vec![],
            kept: BTreeSet::new(),
            dropped: BTreeMap::new(),
            moment: Moment(0),
            forgot: Moment(0),
            topics: BTreeMap::new(),
            forgotten: 0,
            time: Timestamp(0),
            keys: vec![],
        }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn newest(&self) -> u64 {
        self.history.len() as u64
    }

    pub(crate) fn moment(&self) -> Moment {
        self.moment
    }

    pub(crate) fn append(&mut self, batch: &Batch, now: Timestamp) -> Answer {
        self.moment.0 += 1;
        self.time = self.time.max(now);
        if let Some(last) = batch.idempotency_key.as_ref().and_then(|key| self.given(key)) {
            return Answer::Repeated(last);
        }
        let mut names = batch.events.iter().map(|event| &event.topic).chain(&batch.ends);
        if let Some(ended) = names.find(|name| self.has_ended(name)) {
            return Answer::Ended(ended.clone());
        }
        for event in &batch.events {
            let position = self.newest() + 1;
            self.topic(&event.topic).newest = position;
            self.kept.insert(position);
            let (position, time) = (Position(position), self.time);
            self.history.push(Record { position, time, event: event.clone() });
            if self.trims_at_once {
                self.trim_topic(&event.topic, self.time);
            }
        }
        for name in &batch.ends {
            self.topic(name).ended = Some(self.history.len() as u64);
        }
        if self.trims_at_once {
            self.drop_beyond(self.retention.total, self.time, |_| true);
        }
        if let Some(key) = &batch.idempotency_key {
            self.keys.push((key.clone(), self.time, self.newest()));
        }
        Answer::Appended(self.newest())
    }

    /// The answer of then, if the key is known.
    fn given(&self, key: &IdempotencyKey) -> Option<u64> {
        let mut known = self.keys.iter().rev().take(self.retention.max_idempotency_keys);
        let (_, time, last) = known.find(|(other, ..)| other == key)?;
        (!time.is_older(self.retention.idempotency_window, self.time)).then_some(*last)
    }

    /// A topic that is new may be one that is forgotten.
    fn topic(&mut self, name: &TopicName) -> &mut Known {
        let dropped = self.forgotten;
        self.topics.entry(name.clone()).or_insert(Known { dropped, ..Known::default() })
    }

    pub(crate) fn has_ended(&self, name: &TopicName) -> bool {
        self.topics.get(name).is_some_and(|topic| topic.ended.is_some())
    }

    pub(crate) fn erase(&mut self, name: &TopicName) -> bool {
        self.moment.0 += 1;
        let Some(topic) = self.topics.get_mut(name) else { return false };
        topic.ended = None;
        topic.dropped = topic.newest.max(topic.dropped);
        let history = &self.history;
        let of = |position: &u64| record(history, *position).event.topic == *name;
        let erased: Vec<u64> = self.kept.iter().copied().filter(of).collect();
        for position in erased {
            self.drop(position);
        }
        true
    }

    fn drop(&mut self, position: u64) {
        self.kept.remove(&position);
        self.dropped.insert(position, self.moment);
    }

    pub(crate) fn trim(&mut self, now: Timestamp) {
        self.moment.0 += 1;
        let names: Vec<_> = self.topics.keys().cloned().collect();
        for name in &names {
            self.trim_topic(name, now);
        }
        self.drop_beyond(self.retention.total, now, |_| true);
        let window = self.retention.idempotency_window;
        self.keys.retain(|(_, time, _)| !time.is_older(window, now));
        for name in names {
            if !self.kept.iter().any(|&one| record(&self.history, one).event.topic == name) {
                let dropped = self.topics.remove(&name).map_or(0, |topic| topic.dropped);
                self.forgotten = self.forgotten.max(dropped);
                self.forgot = self.moment;
            }
        }
    }

    fn trim_topic(&mut self, name: &TopicName, now: Timestamp) {
        let limits = self.retention.limits_of(name);
        self.drop_beyond(limits, now, |record| record.event.topic == *name);
    }

    /// Drops the oldest of the events that `of` tells, one after the other, until the rest may stay.
    fn drop_beyond(&mut self, limits: Limits, now: Timestamp, of: impl Fn(&Record) -> bool) {
        let mut kept: Vec<u64> = self.kept.iter().copied().collect();
        kept.retain(|&position| of(record(&self.history, position)));
        let size = |position: &u64| record(&self.history, *position).event.data.len() as u64;
        let mut bytes: u64 = kept.iter().map(size).sum();
        for (index, position) in kept.iter().enumerate() {
            let oldest = record(&self.history, *position).clone();
            let is_beyond =
                limits.max_events.is_some_and(|most| (kept.len() - index) as u64 > most)
                    || limits.max_bytes.is_some_and(|most| bytes > most)
                    || limits.max_age.is_some_and(|age| oldest.time.is_older(age, now));
            if !is_beyond {
                return;
            }
            bytes -= oldest.event.data.len() as u64;
            self.drop(*position);
            if let Some(topic) = self.topics.get_mut(&oldest.event.topic) {
                topic.dropped = topic.dropped.max(*position);
            }
        }
    }

    /// Behind which position nothing of the selection has been dropped.
    pub(crate) fn kept_after(&self, selection: &Selection) -> u64 {
        let selected = self.topics.iter().filter(|(name, _)| selection.matches(name));
        let dropped = selected.map(|(_, topic)| topic.dropped).max().unwrap_or(0);
        let knows_all = names(selection)
            .is_some_and(|names| names.into_iter().all(|name| self.topics.contains_key(name)));
        if knows_all { dropped } else { dropped.max(self.forgotten) }
    }

    /// The first moment behind `told` at which something behind a place was dropped, so that a gap tells
    /// of it. What was dropped of topics that are forgotten may have been of the selection.
    pub(crate) fn missing(
        &self,
        selection: &Selection,
        place: u64,
        told: Moment,
    ) -> Option<Moment> {
        let behind = self.behind(selection, place);
        let moments = behind.filter_map(|record| self.dropped.get(&record.position.0).copied());
        let forgot = (self.forgotten > place).then_some(self.forgot);
        moments.chain(forgot).filter(|&moment| moment > told).min()
    }

    /// All that there ever was of the selection behind a position.
    pub(crate) fn behind(
        &self,
        selection: &Selection,
        place: u64,
    ) -> impl Iterator<Item = &Record> {
        let behind = self.history.get(usize::try_from(place).unwrap()..).unwrap_or_default();
        behind.iter().filter(|record| selection.matches(&record.event.topic))
    }

    /// The first event of the selection behind a place that must be given, or told to be missing; what
    /// was dropped up to the moment `told` has been.
    pub(crate) fn first(&self, selection: &Selection, place: u64, told: Moment) -> Option<&Record> {
        let is_told = |record: &Record| {
            self.dropped.get(&record.position.0).is_some_and(|&moment| moment <= told)
        };
        self.behind(selection, place).find(|record| !is_told(record))
    }

    /// Whether anything behind a place is left to give.
    fn has_any(&self, selection: &Selection, place: u64) -> bool {
        self.behind(selection, place).any(|record| self.is_kept(record))
    }

    pub(crate) fn is_kept(&self, record: &Record) -> bool {
        self.kept.contains(&record.position.0)
    }

    /// Where it goes on behind a place of which not all is kept: before the oldest event that is, or
    /// behind the newest that is not.
    fn before_kept(&self, selection: &Selection, place: u64) -> u64 {
        let oldest = self.behind(selection, place).find(|record| self.is_kept(record));
        let kept_after = self.kept_after(selection);
        oldest.map_or(kept_after, |oldest| kept_after.min(oldest.position.0 - 1))
    }

    /// What a subscription must begin with.
    pub(crate) fn start(&self, selection: &Selection, from: &From) -> Start {
        let kept_after = self.kept_after(selection);
        let (place, missing) = match from {
            From::Latest => (self.newest(), None),
            From::Earliest => (self.before_kept(selection, 0), None),
            From::Last(count) => (self.before_last(selection, *count), None),
            From::After(id) => match self.epoch.position(id) {
                Some(Position(asked)) if asked <= self.newest() => {
                    if asked < kept_after {
                        (self.before_kept(selection, asked), Some(Missing::Expired))
                    } else {
                        (asked, None)
                    }
                }
                _ => (self.before_kept(selection, 0), Some(Missing::Unknown)),
            },
        };
        match self.ended(selection) {
            Some(_) if missing.is_none() && !self.has_any(selection, place) => Start::Over,
            _ => Start::Behind(place, missing),
        }
    }

    /// Where all that is selected has ended.
    pub(crate) fn ended(&self, selection: &Selection) -> Option<u64> {
        let ends = names(selection)?.into_iter().map(|name| self.topics.get(name)?.ended);
        ends.collect::<Option<Vec<u64>>>()?.into_iter().max()
    }

    fn before_last(&self, selection: &Selection, count: u64) -> u64 {
        let newest =
            self.kept.iter().rev().filter(|&&position| {
                selection.matches(&record(&self.history, position).event.topic)
            });
        let newest = newest.take(usize::try_from(count).unwrap());
        newest.last().map_or(self.newest(), |oldest| oldest - 1)
    }
}

fn record(history: &[Record], position: u64) -> &Record {
    &history[usize::try_from(position - 1).unwrap()]
}

/// The topics, if all are selected by name.
pub(crate) fn names(selection: &Selection) -> Option<Vec<&TopicName>> {
    let names = selection.selectors().iter().map(|selector| match selector {
        Selector::Topic(name) => Some(name),
        Selector::Prefix(_) => None,
    });
    names.collect()
}
