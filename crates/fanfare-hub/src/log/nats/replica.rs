//! What follows from the messages of the stream, in their order.
//!
//! Every hub applies all of them, and comes to the same. A message may be deleted only when what is left leads to
//! the same: a [`Kept`] takes the place of the messages whose events it drops.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use fanfare_fanout::Position;

use super::message::{
    BatchHead, Body, Forgotten, Incoming, Kept, UsedKey, What, Why, hashed, place, position,
};
use crate::{
    TopicName,
    log::{
        Appended, Batch, Committed, IdempotencyKey, Record, Retention, Timestamp,
        index::{self, Index, Restored},
        keys::Keys,
    },
};

/// What is known of an event.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) topic: TopicName,
    pub(super) time: Timestamp,
    size: u64,
}

impl index::Entry for Known {
    fn topic(&self) -> &TopicName {
        &self.topic
    }

    fn time(&self) -> Timestamp {
        self.time
    }

    fn size(&self) -> u64 {
        self.size
    }
}

#[derive(Debug, Default)]
pub(super) struct Replica {
    pub(super) index: Index<Known>,
    pub(super) keys: Keys<Used>,
    pub(super) time: Timestamp,
    /// The newest message that is applied, and by what it is known.
    pub(super) applied: u64,
    pub(super) nonce: Option<u64>,
    /// Messages are missing in front of what is applied, and what is known of that comes up to here.
    pub(super) settled_at: u64,
    /// The newest message about what is kept of each topic.
    pub(super) kept: HashMap<TopicName, u64>,
    pub(super) garbage: Garbage,
}

/// What a key was used for: a message, and the answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    pub(super) sequence: u64,
    last: u64,
    time: Timestamp,
}

/// Messages that are not needed any more, and what keeps them from being deleted.
#[derive(Debug, Default)]
pub(super) struct Garbage {
    /// Those of a topic in front of these.
    events: BTreeMap<TopicName, u64>,
    /// What was kept of a topic, in front of these.
    kept: BTreeMap<TopicName, u64>,
    /// What was forgotten, in front of this.
    forgotten: u64,
    /// Topics that are forgotten. What was kept of them has to be there as long as messages for several topics
    /// have events of them, or an end.
    pub(super) gone: BTreeMap<TopicName, Gone>,
    /// Those that were refused. Their senders have to see that before others delete them.
    refused: Vec<Refused>,
    /// Those for several topics that have nothing left.
    unused: BTreeMap<u64, Several>,
    /// Those that have something left.
    several: BTreeMap<u64, Several>,
    /// How many messages for several topics there are for one of them, and how many of these end it.
    in_several: Counts,
    ended_in_several: Counts,
    /// Which one has ended it.
    ended_by: HashMap<TopicName, u64>,
}

#[derive(Debug, Clone, Copy)]
struct Refused {
    sequence: u64,
    is_own: bool,
    since: Instant,
}

/// A topic that is forgotten: its newest event, and the message that said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone {
    pub(super) newest: u64,
    sequence: u64,
}

/// A message for several topics, which may end some, and how many of its events and ends are left.
#[derive(Debug)]
struct Several {
    left: usize,
    topics: Vec<TopicName>,
    ends: Vec<TopicName>,
}

#[derive(Debug, Default)]
struct Counts(HashMap<TopicName, usize>);

impl Counts {
    fn add(&mut self, names: &[TopicName]) {
        for name in names {
            *self.0.entry(name.clone()).or_default() += 1;
        }
    }

    fn remove(&mut self, names: &[TopicName]) {
        for name in names {
            if let Some(count) = self.0.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(name);
                }
            }
        }
    }

    fn has(&self, name: &TopicName) -> bool {
        self.0.contains_key(name)
    }
}

/// What came of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Appended(Appended),
    /// Nothing: a topic has ended.
    Ended(TopicName),
    /// Nothing: it was sent too soon to know all.
    Stale,
    /// It was taken, and others have deleted it before it came.
    Gone(u64),
    Done,
}

/// What came of a message, and what is to be told of it.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) outcome: Outcome,
    pub(super) committed: Vec<Committed>,
}

impl Applied {
    /// Something was appended.
    pub(super) fn is_new(&self) -> bool {
        matches!(self.outcome, Outcome::Appended(Appended { is_repeated: false, .. }))
    }
}

impl Replica {
    pub(super) fn is_settled(&self) -> bool {
        self.applied >= self.settled_at
    }

    /// Applies the next message.
    pub(super) fn apply(
        &mut self,
        message: &Incoming,
        retention: &Retention,
        is_own: bool,
    ) -> Applied {
        let Incoming { sequence, head, .. } = message;
        let sequence = *sequence;
        (self.applied, self.nonce) = (sequence, Some(head.nonce));
        self.time = self.time.max(Timestamp(head.time));
        self.index.advance(head.newest);
        let applied = match &head.what {
            What::Batch(batch) => self.append(message, batch, retention),
            What::Kept(kept) => self.keep(sequence, kept),
            What::Forgotten(forgotten) => self.forget(sequence, forgotten),
        };
        if applied.outcome != Outcome::Done && !applied.is_new() {
            self.garbage.refused.push(Refused { sequence, is_own, since: Instant::now() });
        }
        applied
    }

    fn append(&mut self, message: &Incoming, batch: &BatchHead, retention: &Retention) -> Applied {
        self.keys.trim(self.time, retention);
        if let Some(used) = &batch.key {
            self.keys.forget_while(|earlier| earlier.sequence < used.keys_from);
        }
        let key = batch.key.as_ref().map(|used| IdempotencyKey(used.hash.as_str().into()));
        if let Some(refused) = self.refusal(message, batch, key.as_ref()) {
            return Applied { outcome: refused, committed: vec![] };
        }
        self.index.advance_forgotten(batch.forgotten);
        for name in batch.begins.iter().filter_map(|name| TopicName::new(name).ok()) {
            if self.index.oldest_of(&name).is_none() && !self.index.has_ended(&name) {
                self.index.forget(&name);
            }
        }
        for (index, &(topic, size)) in batch.events.iter().enumerate() {
            let known = Known { topic: message.topics[topic].clone(), time: self.time, size };
            self.index.push(message.position(index).0, known);
        }
        for &topic in &batch.ends {
            self.index.end(&message.topics[topic]);
        }
        self.garbage.add(message, batch);
        let last = self.index.newest();
        if let Some(key) = key {
            let used = Used { sequence: message.sequence, last, time: self.time };
            self.keys.insert(key, self.time, used);
            self.keys.trim(self.time, retention);
        }
        let appended = Appended { last: Position(last), is_repeated: false };
        Applied { outcome: Outcome::Appended(appended), committed: self.told(message, batch) }
    }

    fn refusal(
        &self,
        message: &Incoming,
        batch: &BatchHead,
        key: Option<&IdempotencyKey>,
    ) -> Option<Outcome> {
        if let Some(repeated) = key.and_then(|key| self.repeated(key)) {
            return Some(Outcome::Appended(repeated));
        }
        let topics = batch.events.iter().map(|(topic, _)| topic).chain(&batch.ends);
        let mut topics = topics.map(|&topic| &message.topics[topic]);
        if let Some(ended) = topics.clone().find(|topic| self.index.has_ended(topic)) {
            return Some(Outcome::Ended(ended.clone()));
        }
        // Its sender could not say what it may have dropped.
        let is_stale = batch.forgotten < self.index.forgotten();
        (is_stale && topics.any(|topic| !self.index.knows(topic))).then_some(Outcome::Stale)
    }

    /// What a sender of a batch has to say of what it knows.
    pub(super) fn to_send(&self, batch: &Batch, retention: &Retention) -> BatchHead {
        let key = batch.idempotency_key.as_ref().map(|key| UsedKey {
            hash: hashed(key),
            keys_from: self.keys_from(batch.time, retention),
        });
        let topics = batch.events.iter().map(|event| &event.topic).chain(&batch.ends);
        let begins: BTreeSet<_> = topics.filter(|topic| !self.index.knows(topic)).collect();
        let begins = begins.into_iter().map(|topic| topic.as_str().to_owned()).collect();
        BatchHead { key, forgotten: self.index.forgotten(), begins, ..BatchHead::default() }
    }

    /// Topics that have ended, and have no event left, with the newest that they had.
    pub(super) fn ended_and_empty(&self, most: usize) -> Vec<(TopicName, u64)> {
        let ended = self.index.empty().take(most).filter(|(name, _)| self.index.has_ended(name));
        ended.map(|(name, newest)| (name.clone(), newest)).collect()
    }

    /// What is to be said when the events of a topic are dropped through this one, and the newest message about
    /// what is kept of it. `None` if it is not known, or not for certain.
    pub(super) fn to_keep(&self, name: &TopicName, through: u64, why: Why) -> Option<(Kept, u64)> {
        let known = self.index.to_restore(name, through).filter(|_| self.is_settled())?;
        let ended = known.ended.filter(|_| why == Why::Beyond);
        let restored = Restored { ended, ..known };
        let kept = Kept { topic: name.as_str().to_owned(), restored, why };
        Some((kept, self.kept.get(name).copied().unwrap_or_default()))
    }

    /// Whether a topic has what would be dropped through this event.
    pub(super) fn holds(&self, name: &TopicName, through: u64, why: Why) -> bool {
        match self.index.oldest_of(name) {
            Some(oldest) => why == Why::Beyond && oldest <= through,
            None => why == Why::Over && self.index.has_ended(name),
        }
    }

    /// What the newest message about what is kept of a topic is by now.
    pub(super) fn learn_kept(&mut self, name: &TopicName, newest: Option<u64>) {
        match newest {
            Some(newest) if newest <= self.applied => self.kept.insert(name.clone(), newest),
            // It will come.
            Some(_) => None,
            None => self.kept.remove(name),
        };
    }

    /// The message that used the oldest key that is known at this time.
    pub(super) fn keys_from(&self, now: Timestamp, retention: &Retention) -> u64 {
        let left = self.keys.oldest_left(self.time.max(now), retention);
        left.map_or(self.applied + 1, |used| used.sequence)
    }

    /// The answer that was given for a key.
    fn repeated(&self, key: &IdempotencyKey) -> Option<Appended> {
        let used = self.keys.answer(key)?;
        Some(Appended { last: Position(used.last), is_repeated: true })
    }

    /// What the answer to a batch would be at this time, as far as is known: it need not be sent then.
    pub(super) fn answer(&self, batch: &Batch, retention: &Retention) -> Option<Outcome> {
        if let Some(key) = &batch.idempotency_key {
            let (key, now) = (IdempotencyKey(hashed(key).into()), self.time.max(batch.time));
            let used = self.keys.answer(&key);
            let window = retention.idempotency_window;
            if used.is_some_and(|used| !used.time.is_older(window, now)) {
                return self.repeated(&key).map(Outcome::Appended);
            }
        }
        let mut topics = batch.events.iter().map(|event| &event.topic).chain(&batch.ends);
        topics.find(|topic| self.index.has_ended(topic)).cloned().map(Outcome::Ended)
    }

    /// Events of which the body was left out are not told.
    fn told(&self, message: &Incoming, batch: &BatchHead) -> Vec<Committed> {
        let bodies = Body::read(&message.body).filter(|it| it.len() == batch.events.len());
        let bodies = bodies.into_iter().flatten().zip(&batch.events).enumerate();
        let events = bodies.filter_map(|(index, (body, &(topic, _)))| {
            let event = body.event(message.topics[topic].clone())?;
            let record = Record { position: message.position(index), time: self.time, event };
            Some(Committed::Event(record))
        });
        let ends = batch.ends.iter().map(|&topic| Committed::End(message.topics[topic].clone()));
        events.chain(ends).collect()
    }

    fn keep(&mut self, sequence: u64, kept: &Kept) -> Applied {
        let stale = Applied { outcome: Outcome::Stale, committed: vec![] };
        let Ok(name) = TopicName::new(&kept.topic) else { return stale };
        let is_erased = kept.why == Why::Erased;
        let newest = self.index.newest_of(&name);
        if kept.why != Why::Beyond && newest > Some(kept.restored.newest_ever()) {
            return stale;
        }
        let mut dropped = self.index.drop_through(&name, kept.restored.dropped);
        let mut committed = vec![];
        if is_erased {
            dropped.extend(self.index.drop_through(&name, u64::MAX));
            self.index.erase(&name);
            committed.push(Committed::Erased(name.clone(), Position(self.index.newest())));
        }
        if kept.why == Why::Over {
            self.index.begin_anew(&name);
        }
        self.index.restore(&name, &kept.restored);
        let is_end_known_without = kept.why != Why::Beyond || kept.restored.ended.is_some();
        self.garbage.release(&name, &dropped, is_end_known_without);
        let through = if kept.why == Why::Beyond {
            // The message of the newest one may hold others that are kept.
            let (newest, _) = place(kept.restored.dropped);
            let oldest = self.index.oldest_of(&name).map_or(u64::MAX, |oldest| place(oldest).0);
            oldest.min(newest + 1)
        } else {
            sequence
        };
        self.kept.insert(name.clone(), sequence);
        self.garbage.gone.remove(&name);
        self.garbage.kept.insert(name.clone(), sequence);
        self.garbage.events.insert(name, through);
        Applied { outcome: Outcome::Done, committed }
    }

    fn forget(&mut self, sequence: u64, forgotten: &Forgotten) -> Applied {
        self.keys.forget_while(|used| used.sequence < forgotten.keys_from);
        for (name, newest) in &forgotten.topics {
            let Ok(name) = TopicName::new(name) else { continue };
            // Where it was said before, messages for several topics may have brought something back.
            let dropped = self.index.drop_through(&name, *newest);
            self.garbage.release(&name, &dropped, false);
            let is_newer = self.index.newest_of(&name) > Some(*newest);
            if is_newer || !self.index.knows(&name) {
                continue;
            }
            self.index.forget(&name);
            self.garbage.release(&name, &[], true);
            self.garbage.kept.remove(&name);
            self.garbage.gone.insert(name.clone(), Gone { newest: *newest, sequence });
            self.garbage.events.insert(name, sequence);
        }
        self.index.advance_forgotten(forgotten.dropped);
        let is_told =
            |name: &TopicName| forgotten.topics.iter().any(|(told, _)| told == name.as_str());
        if self.garbage.gone.keys().all(is_told) {
            self.garbage.forgotten = sequence;
        }
        Applied { outcome: Outcome::Done, committed: vec![] }
    }
}

impl Replica {
    /// What may be deleted by now, of so many topics at most. A key is known as long as the message that used it.
    /// What was refused of others waits for a time, and all else for that.
    pub(super) fn clearable(&self, most: usize, grace: Duration) -> Clearable {
        let garbage = &self.garbage;
        let is_ripe = |refused: &&Refused| refused.is_own || refused.since.elapsed() > grace;
        let ripe = garbage.refused.iter().filter(is_ripe).map(|refused| refused.sequence);
        // The newest message stays.
        let is_old = |sequence: &u64| *sequence < self.applied;
        if !garbage.refused.iter().all(|refused| is_ripe(&refused)) {
            return Clearable { messages: ripe.filter(is_old).collect(), ..Clearable::default() };
        }
        let oldest_key = self.keys.oldest().map_or(u64::MAX, |used| used.sequence);
        let unused = garbage.unused.keys().filter(|&&sequence| sequence < oldest_key);
        let messages = ripe.chain(unused.copied());
        let events = garbage.events.iter().filter(|(_, until)| **until <= oldest_key).take(most);
        let events: Vec<_> = events.map(|(name, until)| (name.clone(), *until)).collect();
        let has_events = |name: &TopicName| {
            garbage.events.contains_key(name)
                && events.binary_search_by(|(one, _)| one.cmp(name)).is_err()
        };
        // What has brought an ended topic back has to be there as long as its end.
        let kept = garbage.kept.iter();
        let kept =
            kept.filter(|(name, _)| !has_events(name) && !garbage.ended_in_several.has(name));
        let kept = kept.take(most);
        let gone = garbage.gone.iter();
        let gone = gone.filter(|(name, _)| !has_events(name) && !garbage.in_several.has(name));
        let gone: Vec<_> = gone.take(most).map(|(name, gone)| (name.clone(), *gone)).collect();
        Clearable {
            messages: messages.filter(is_old).collect(),
            kept: kept.map(|(name, until)| (name.clone(), *until)).collect(),
            forgotten: Some(garbage.forgotten).filter(|until| *until > 0),
            events,
            gone,
        }
    }
}

/// Messages that may be deleted, as in [`Garbage`].
#[derive(Debug, Clone, Default)]
pub(super) struct Clearable {
    pub(super) messages: Vec<u64>,
    pub(super) events: Vec<(TopicName, u64)>,
    pub(super) kept: Vec<(TopicName, u64)>,
    pub(super) gone: Vec<(TopicName, Gone)>,
    pub(super) forgotten: Option<u64>,
}

impl Gone {
    /// What was kept of it is not needed in front of this message.
    pub(super) fn until(self) -> u64 {
        self.sequence
    }
}

impl Replica {
    /// These messages have been deleted.
    pub(super) fn cleared(&mut self, cleared: &Clearable) {
        for (name, gone) in &cleared.gone {
            if self.kept.get(name).is_some_and(|sequence| *sequence < gone.sequence) {
                self.kept.remove(name);
            }
        }
        self.garbage.cleared(cleared);
    }
}

impl Garbage {
    fn cleared(&mut self, cleared: &Clearable) {
        let messages: BTreeSet<_> = cleared.messages.iter().collect();
        self.refused.retain(|refused| !messages.contains(&refused.sequence));
        for sequence in messages {
            if let Some(Several { topics, ends, .. }) = self.unused.remove(sequence) {
                self.in_several.remove(&topics);
                self.ended_in_several.remove(&ends);
            }
        }
        remove(&mut self.events, &cleared.events);
        remove(&mut self.kept, &cleared.kept);
        remove(&mut self.gone, &cleared.gone);
        if cleared.forgotten == Some(self.forgotten) {
            self.forgotten = 0;
        }
    }

    fn add(&mut self, message: &Incoming, batch: &BatchHead) {
        let Incoming { sequence, topics, .. } = message;
        if let [_] = **topics {
            return;
        }
        let ends: Vec<_> = batch.ends.iter().map(|&topic| topics[topic].clone()).collect();
        self.ended_by.extend(ends.iter().map(|name| (name.clone(), *sequence)));
        self.in_several.add(topics);
        self.ended_in_several.add(&ends);
        let left = batch.events.len() + ends.len();
        let list = if left == 0 { &mut self.unused } else { &mut self.several };
        list.insert(*sequence, Several { left, topics: topics.clone(), ends });
    }

    /// These events are dropped, and perhaps the end of their topic is known without its message.
    fn release(&mut self, name: &TopicName, dropped: &[u64], is_end_known_without: bool) {
        let end = if is_end_known_without { self.ended_by.remove(name) } else { None };
        for sequence in dropped.iter().map(|&position| place(position).0).chain(end) {
            let Some(several) = self.several.get_mut(&sequence) else { continue };
            several.left -= 1;
            if several.left == 0
                && let Some(several) = self.several.remove(&sequence)
            {
                self.unused.insert(sequence, several);
            }
        }
    }
}

/// Takes out what has not changed since.
fn remove<T: PartialEq>(garbage: &mut BTreeMap<TopicName, T>, cleared: &[(TopicName, T)]) {
    for (name, then) in cleared {
        if garbage.get(name) == Some(then) {
            garbage.remove(name);
        }
    }
}

/// The place in front of all events of a message.
pub(super) fn before(sequence: u64) -> Position {
    Position(position(sequence, 0).saturating_sub(1))
}
