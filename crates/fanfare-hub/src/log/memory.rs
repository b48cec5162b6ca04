//! A log in memory: nothing outlives the process, and everything is fast.

use std::sync::{Mutex, MutexGuard, PoisonError};

use fanfare_fanout::{Epoch, Position};
use tokio::sync::Mutex as AsyncMutex;

use super::{
    Answer, AppendError, Appended, Batch, Committed, Log, NewEvent, Page, Read, ReadError, Record,
    Retention, Size, Tail, Timestamp, TopicState,
    index::{Beyond, Entry, Index},
    keys::Keys,
    teller::Teller,
};
use crate::{Selection, TopicName};

/// A [`Log`] in memory.
#[derive(Debug)]
pub struct MemoryLog {
    epoch: Epoch,
    retention: Retention,
    /// Held over an append and what the tail is told of it, so that the tail is in order.
    writer: AsyncMutex<Writer>,
    state: Mutex<State>,
    teller: Teller,
}

#[derive(Debug, Default)]
struct Writer {
    is_closed: bool,
}

#[derive(Debug, Default)]
struct State {
    index: Index<Record>,
    time: Timestamp,
    keys: Keys<u64>,
}

impl Entry for Record {
    fn topic(&self) -> &TopicName {
        &self.event.topic
    }

    fn time(&self) -> Timestamp {
        self.time
    }

    fn size(&self) -> u64 {
        self.event.data.len() as u64
    }
}

impl MemoryLog {
    /// An empty log.
    pub fn new(epoch: Epoch, retention: Retention) -> Self {
        let (writer, state, teller) = Default::default();
        Self { epoch, retention, writer, state, teller }
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
        self.teller.tell(committed).await;
        Ok(outcome)
    }
}

impl Log for MemoryLog {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn newest(&self) -> Position {
        Position(self.state().index.newest())
    }

    fn tail(&self) -> Option<Tail> {
        self.teller.tail()
    }

    fn append(&self, batch: Batch) -> Answer<'_, Result<Appended, AppendError>> {
        Box::pin(self.write(|state| state.append(batch, &self.retention)))
    }

    fn read(&self, read: Read) -> Answer<'_, Result<Page, ReadError>> {
        Box::pin(async move { Ok(self.state().read(&read)) })
    }

    fn kept_after(&self, selection: &Selection) -> Answer<'_, Result<Position, ReadError>> {
        let kept_after = self.state().index.kept_after(selection);
        Box::pin(async move { Ok(kept_after) })
    }

    fn drops(&self, selection: &Selection, after: Position) -> Answer<'_, Result<u64, ReadError>> {
        let drops = self.state().index.drops(selection, after);
        Box::pin(async move { Ok(drops) })
    }

    fn before_last(
        &self,
        selection: &Selection,
        count: u64,
    ) -> Answer<'_, Result<Position, ReadError>> {
        let before = self.state().index.before_last(selection, count);
        Box::pin(async move { Ok(before) })
    }

    fn topic(&self, name: &TopicName) -> Answer<'_, Result<Option<TopicState>, ReadError>> {
        let topic = self.state().index.topic(name);
        Box::pin(async move { Ok(topic) })
    }

    fn topics(
        &self,
        selection: &Selection,
        after: Option<&TopicName>,
        most: usize,
    ) -> Answer<'_, Result<Vec<TopicState>, ReadError>> {
        let topics = self.state().index.topics(selection, after, most);
        Box::pin(async move { Ok(topics) })
    }

    fn erase(&self, name: &TopicName) -> Answer<'_, Result<bool, AppendError>> {
        let name = name.clone();
        Box::pin(self.write(move |state| Ok(state.erase(name))))
    }

    fn size(&self) -> Answer<'_, Result<Size, ReadError>> {
        let size = self.state().index.size();
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
            self.teller.end();
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
            && let Some(last) = self.keys.answer(key)
        {
            return Ok((Appended { last: Position(last), is_repeated: true }, vec![]));
        }
        let mut topics = batch.events.iter().map(|event| &event.topic).chain(&batch.ends);
        if let Some(ended) = topics.find(|topic| self.index.has_ended(topic)) {
            return Err(AppendError::Ended(ended.clone()));
        }
        let mut committed = vec![];
        for event in batch.events {
            committed.push(Committed::Event(self.push(event, retention)));
        }
        for name in batch.ends {
            self.index.end(&name);
            committed.push(Committed::End(name));
        }
        let last = self.index.newest();
        if let Some(key) = batch.idempotency_key {
            self.keys.insert(key, self.time, last);
        }
        let mut beyond = Beyond::new();
        self.index.beyond_total(&mut beyond, self.time, retention.total);
        self.drop_beyond(&beyond);
        self.keys.trim(self.time, retention);
        Ok((Appended { last: Position(last), is_repeated: false }, committed))
    }

    fn push(&mut self, event: NewEvent, retention: &Retention) -> Record {
        let position = self.index.newest() + 1;
        let record = Record { position: Position(position), time: self.time, event };
        self.index.push(position, record.clone());
        let name = &record.event.topic;
        if let Some(through) = self.index.beyond_of(name, self.time, retention) {
            self.index.drop_through(name, through);
        }
        record
    }

    fn read(&self, read: &Read) -> Page {
        let (positions, through) = self.index.page(read);
        let records = positions.into_iter().filter_map(|position| self.index.entry(position));
        Page { records: records.cloned().collect(), through }
    }

    fn erase(&mut self, name: TopicName) -> (bool, Vec<Committed>) {
        if !self.index.erase(&name) {
            return (false, vec![]);
        }
        (true, vec![Committed::Erased(name, Position(self.index.newest()))])
    }

    fn trim(&mut self, now: Timestamp, retention: &Retention) {
        self.drop_beyond(&self.index.beyond(now, retention));
        self.keys.trim(now, retention);
        let empty: Vec<TopicName> = self.index.empty().map(|(name, _)| name.clone()).collect();
        for name in &empty {
            self.index.forget(name);
        }
    }

    fn drop_beyond(&mut self, beyond: &Beyond) {
        for (name, &through) in beyond {
            self.index.drop_through(name, through);
        }
    }
}
