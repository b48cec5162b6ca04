//! A log in memory: nothing outlives the process, and everything is fast.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use fanfare_fanout::{Epoch, Position};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::{
    Answer, AppendError, Appended, Batch, Committed, IdempotencyKey, Limits, Log, NewEvent, Page,
    Read, ReadError, Record, Retention, Size, Tail, Timestamp, TopicState, by_name,
};
use crate::{Selection, Selector, TopicName};

/// Batches that may wait for the reader of the tail.
const TAIL_BATCHES: usize = 64;
/// Records that one read looks at.
const MAX_LOOKED_AT: usize = 10_000;

/// A [`Log`] in memory.
#[derive(Debug)]
pub struct MemoryLog {
    epoch: Epoch,
    retention: Retention,
    /// Held over an append and what the tail is told of it, so that the tail is in order.
    writer: AsyncMutex<Writer>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct Writer {
    is_closed: bool,
}

#[derive(Debug, Default)]
struct State {
    newest: u64,
    time: Timestamp,
    records: BTreeMap<u64, Record>,
    bytes: u64,
    topics: BTreeMap<TopicName, Topic>,
    /// The newest event of topics that are forgotten.
    forgotten: u64,
    /// How often events were dropped, and how often when it was last one of a topic that is forgotten.
    drops: u64,
    forgotten_drops: u64,
    keys: Keys,
    tail: TailState,
}

#[derive(Debug, Default)]
enum TailState {
    #[default]
    Untaken,
    Taken(mpsc::Sender<Vec<Committed>>),
    /// Nobody reads it any more.
    Gone,
}

#[derive(Debug, Default)]
struct Topic {
    positions: VecDeque<u64>,
    bytes: u64,
    newest: u64,
    /// The newest event that was dropped.
    dropped: u64,
    /// How often events were dropped when it was last one of this topic.
    drops: u64,
    ended: Option<u64>,
}

#[derive(Debug, Default)]
struct Keys {
    answers: HashMap<IdempotencyKey, u64>,
    order: VecDeque<(Timestamp, IdempotencyKey)>,
}

impl MemoryLog {
    /// An empty log.
    pub fn new(epoch: Epoch, retention: Retention) -> Self {
        Self { epoch, retention, writer: AsyncMutex::default(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and tells the tail of it, in one order.
    async fn write<T>(
        &self,
        change: impl FnOnce(&mut State) -> Result<(T, Vec<Committed>), AppendError>,
    ) -> Result<T, AppendError> {
        let writer = self.writer.lock().await;
        if writer.is_closed {
            return Err(AppendError::Unavailable("it has been closed".into()));
        }
        let (outcome, committed) = change(&mut self.state())?;
        let tail = match &self.state().tail {
            TailState::Taken(tail) if !committed.is_empty() => tail.clone(),
            _ => return Ok(outcome),
        };
        if tail.send(committed).await.is_err() {
            self.state().tail = TailState::Gone;
        }
        Ok(outcome)
    }
}

impl Log for MemoryLog {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn newest(&self) -> Position {
        Position(self.state().newest)
    }

    fn tail(&self) -> Option<Tail> {
        let tail = &mut self.state().tail;
        if !matches!(tail, TailState::Untaken) {
            return None;
        }
        let (sender, receiver) = mpsc::channel(TAIL_BATCHES);
        *tail = TailState::Taken(sender);
        Some(receiver)
    }

    fn append(&self, batch: Batch) -> Answer<'_, Result<Appended, AppendError>> {
        Box::pin(self.write(|state| state.append(batch, &self.retention)))
    }

    fn read(&self, read: Read) -> Answer<'_, Result<Page, ReadError>> {
        Box::pin(async move { Ok(self.state().read(&read)) })
    }

    fn kept_after(&self, selection: &Selection) -> Answer<'_, Result<Position, ReadError>> {
        let kept_after = self.state().kept_after(selection);
        Box::pin(async move { Ok(kept_after) })
    }

    fn drops(&self, selection: &Selection, after: Position) -> Answer<'_, Result<u64, ReadError>> {
        let drops = self.state().drops(selection, after.0);
        Box::pin(async move { Ok(drops) })
    }

    fn before_last(
        &self,
        selection: &Selection,
        count: u64,
    ) -> Answer<'_, Result<Position, ReadError>> {
        let before = self.state().before_last(selection, count);
        Box::pin(async move { Ok(before) })
    }

    fn topic(&self, name: &TopicName) -> Answer<'_, Result<Option<TopicState>, ReadError>> {
        let topic = self.state().topics.get(name).map(|topic| topic.state(name));
        Box::pin(async move { Ok(topic) })
    }

    fn topics(
        &self,
        selection: &Selection,
        after: Option<&TopicName>,
        most: usize,
    ) -> Answer<'_, Result<Vec<TopicState>, ReadError>> {
        let state = self.state();
        let page = by_name::page(&state.topics, selection, after, most);
        let topics = page.into_iter().map(|(name, topic)| topic.state(name)).collect();
        Box::pin(async move { Ok(topics) })
    }

    fn erase(&self, name: &TopicName) -> Answer<'_, Result<bool, AppendError>> {
        let name = name.clone();
        Box::pin(self.write(move |state| Ok(state.erase(name))))
    }

    fn size(&self) -> Answer<'_, Result<Size, ReadError>> {
        let size = self.state().size();
        Box::pin(async move { Ok(size) })
    }

    fn trim(&self, now: Timestamp) -> Answer<'_, Result<(), AppendError>> {
        Box::pin(self.write(move |state| {
            state.trim(now, &self.retention);
            Ok(((), vec![]))
        }))
    }

    fn close(&self) -> Answer<'_, Result<(), AppendError>> {
        Box::pin(async {
            self.writer.lock().await.is_closed = true;
            self.state().tail = TailState::Gone;
            Ok(())
        })
    }
}

impl State {
    fn append(
        &mut self,
        batch: Batch,
        retention: &Retention,
    ) -> Result<(Appended, Vec<Committed>), AppendError> {
        self.time = self.time.max(batch.time);
        self.keys.trim(self.time, retention);
        if let Some(key) = &batch.idempotency_key
            && let Some(&last) = self.keys.answers.get(key)
        {
            return Ok((Appended { last: Position(last), is_repeated: true }, vec![]));
        }
        let mut topics = batch.events.iter().map(|event| &event.topic).chain(&batch.ends);
        if let Some(ended) = topics.find(|topic| self.has_ended(topic)) {
            return Err(AppendError::Ended(ended.clone()));
        }
        let mut committed = vec![];
        for event in batch.events {
            let record = self.push(event);
            self.trim_topic(&record.event.topic, self.time, retention);
            committed.push(Committed::Event(record));
        }
        for name in batch.ends {
            let newest = self.newest;
            self.topic(name.clone()).ended = Some(newest);
            committed.push(Committed::End(name));
        }
        if let Some(key) = batch.idempotency_key {
            self.keys.answers.insert(key.clone(), self.newest);
            self.keys.order.push_back((self.time, key));
        }
        self.trim_total(self.time, retention);
        self.keys.trim(self.time, retention);
        Ok((Appended { last: Position(self.newest), is_repeated: false }, committed))
    }

    fn size(&self) -> Size {
        Size {
            events: self.records.len() as u64,
            bytes: self.bytes,
            topics: self.topics.len() as u64,
            disk_bytes: None,
        }
    }

    fn has_ended(&self, name: &TopicName) -> bool {
        self.topics.get(name).is_some_and(|topic| topic.ended.is_some())
    }

    /// A new one may be one that is forgotten, and then it has dropped events.
    fn topic(&mut self, name: TopicName) -> &mut Topic {
        let (dropped, drops) = (self.forgotten, self.forgotten_drops);
        self.topics.entry(name).or_insert_with(|| Topic { dropped, drops, ..Topic::default() })
    }

    fn push(&mut self, event: NewEvent) -> Record {
        self.newest += 1;
        let size = size_of_data(&event);
        let newest = self.newest;
        let topic = self.topic(event.topic.clone());
        topic.positions.push_back(newest);
        topic.bytes += size;
        topic.newest = newest;
        self.bytes += size;
        let record = Record { position: Position(self.newest), time: self.time, event };
        self.records.insert(self.newest, record.clone());
        record
    }

    fn read(&self, read: &Read) -> Page {
        let until = read.until.0.min(self.newest);
        let mut page = Page { records: vec![], through: Position(read.after.0.min(until)) };
        let mut bytes = 0;
        for (looked_at, record) in self.candidates(read, until).enumerate() {
            let is_wanted = read.selection.matches(&record.event.topic);
            let size = if is_wanted { record.event.data.len() } else { 0 };
            let is_full = page.records.len() >= read.max_events.max(1)
                || (!page.records.is_empty() && bytes + size > read.max_bytes);
            if looked_at >= MAX_LOOKED_AT || (is_wanted && is_full) {
                return page;
            }
            page.through = record.position;
            if is_wanted {
                bytes += size;
                page.records.push(record.clone());
            }
        }
        page.through = Position(until.max(read.after.0.min(until)));
        page
    }

    /// Records that may be wanted, by position.
    fn candidates<'a>(
        &'a self,
        read: &'a Read,
        until: u64,
    ) -> Box<dyn Iterator<Item = &'a Record> + 'a> {
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
                Box::new(positions.filter_map(|position| self.records.get(position)))
            }
            _ => Box::new(self.records.range(after + 1..=until).map(|(_, record)| record)),
        }
    }

    fn selected<'a>(&'a self, selection: &'a Selection) -> impl Iterator<Item = &'a Topic> {
        by_name::selected(&self.topics, selection).map(|(_, topic)| topic)
    }

    fn kept_after(&self, selection: &Selection) -> Position {
        let dropped = self.selected(selection).map(|topic| topic.dropped).max();
        let forgotten = if by_name::has_all(&self.topics, selection) { 0 } else { self.forgotten };
        Position(dropped.unwrap_or_default().max(forgotten))
    }

    fn drops(&self, selection: &Selection, after: u64) -> u64 {
        let of_topics = self.selected(selection).filter(|topic| topic.dropped > after);
        let drops = of_topics.map(|topic| topic.drops).max().unwrap_or_default();
        if self.forgotten <= after || by_name::has_all(&self.topics, selection) {
            return drops;
        }
        drops.max(self.forgotten_drops)
    }

    fn before_last(&self, selection: &Selection, count: u64) -> Position {
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

    fn erase(&mut self, name: TopicName) -> (bool, Vec<Committed>) {
        let Some(topic) = self.topics.get_mut(&name) else { return (false, vec![]) };
        topic.ended = None;
        topic.dropped = topic.newest.max(topic.dropped);
        if !topic.positions.is_empty() {
            self.drops += 1;
            topic.drops = self.drops;
        }
        self.bytes -= topic.bytes;
        topic.bytes = 0;
        for position in topic.positions.drain(..) {
            self.records.remove(&position);
        }
        (true, vec![Committed::Erased(name, Position(self.newest))])
    }

    fn trim(&mut self, now: Timestamp, retention: &Retention) {
        let names: Vec<TopicName> = self.topics.keys().cloned().collect();
        for name in &names {
            self.trim_topic(name, now, retention);
        }
        self.trim_total(now, retention);
        self.keys.trim(now, retention);
        let (forgotten, drops) = (&mut self.forgotten, &mut self.forgotten_drops);
        self.topics.retain(|_, topic| {
            let is_empty = topic.positions.is_empty();
            if is_empty {
                *forgotten = topic.dropped.max(*forgotten);
                *drops = topic.drops.max(*drops);
            }
            !is_empty
        });
    }

    fn trim_topic(&mut self, name: &TopicName, now: Timestamp, retention: &Retention) {
        let limits = retention.limits_of(name);
        let is_beyond = |state: &Self, topic: &Topic| {
            let (oldest, events) = (topic.positions.front(), topic.positions.len());
            state.is_beyond(limits, now, oldest, events, topic.bytes)
        };
        while self.topics.get(name).is_some_and(|topic| is_beyond(self, topic)) {
            self.drop_oldest_of(name);
        }
    }

    fn trim_total(&mut self, now: Timestamp, retention: &Retention) {
        while let Some((oldest, record)) = self.records.first_key_value()
            && self.is_beyond(retention.total, now, Some(oldest), self.records.len(), self.bytes)
        {
            let name = record.event.topic.clone();
            self.drop_oldest_of(&name);
        }
    }

    fn is_beyond(
        &self,
        limits: Limits,
        now: Timestamp,
        oldest: Option<&u64>,
        events: usize,
        bytes: u64,
    ) -> bool {
        let Some(oldest) = oldest.and_then(|oldest| self.records.get(oldest)) else { return false };
        limits.max_events.is_some_and(|most| events as u64 > most)
            || limits.max_bytes.is_some_and(|most| bytes > most)
            || limits.max_age.is_some_and(|most| oldest.time.is_older(most, now))
    }

    fn drop_oldest_of(&mut self, name: &TopicName) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        let Some(position) = topic.positions.pop_front() else { return };
        topic.dropped = position;
        self.drops += 1;
        topic.drops = self.drops;
        if let Some(record) = self.records.remove(&position) {
            let size = size_of_data(&record.event);
            topic.bytes -= size;
            self.bytes -= size;
        }
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

impl Keys {
    fn trim(&mut self, now: Timestamp, retention: &Retention) {
        while let Some((time, _)) = self.order.front()
            && (self.order.len() > retention.max_idempotency_keys
                || time.is_older(retention.idempotency_window, now))
            && let Some((_, key)) = self.order.pop_front()
        {
            self.answers.remove(&key);
        }
    }
}

fn size_of_data(event: &NewEvent) -> u64 {
    event.data.len() as u64
}
