//! Retention: what is to be dropped is looked for beside everything else, and dropped by the writer
//! a little at a time, between the appends.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use fjall::{AbstractTree, Keyspace};
use tokio::sync::oneshot;

use super::{
    Shared,
    format::Head,
    queue::{Queue, closed},
    reader::Reader,
    reclaim::{Alive, Reclaiming},
    store::Store,
    topics::{Counters, is_beyond},
    writer::{Dropping, Job},
};
use crate::{
    TopicName,
    log::{AppendError, BoxError, Limits, Timestamp},
};

/// Topics that are looked at while the table is locked, and dropped from or forgotten at a time.
pub(super) const TOPICS_AT_A_TIME: usize = 256;
/// Events that are dropped at a time, or twice as many at most.
const EVENTS_AT_A_TIME: u64 = 4096;
/// How often it is looked whether memory has been written to the disk.
const LOOK: Duration = Duration::from_millis(10);

/// What the keeper is to do.
pub(super) enum Task {
    Trim(Timestamp, oneshot::Sender<Result<(), AppendError>>),
    Close(oneshot::Sender<()>),
}

pub(super) struct Keeper {
    store: Store,
    shared: Arc<Shared>,
    queue: Queue,
    reclaiming: Reclaiming,
    /// No event up to here is alive.
    none_until: u64,
    sweeping: Option<Sweeping>,
}

/// Place that is being given back.
struct Sweeping {
    thread: JoinHandle<()>,
    /// Dropping it wakes the thread.
    _stop: Sender<()>,
}

impl Keeper {
    pub(super) fn new(
        store: Store,
        shared: Arc<Shared>,
        queue: Queue,
        reclaiming: Reclaiming,
    ) -> Self {
        Self { store, shared, queue, reclaiming, none_until: 0, sweeping: None }
    }

    /// Works until it is told to close, or nobody can give it work any more.
    pub(super) fn run(mut self, tasks: &Receiver<Task>) {
        while let Ok(task) = tasks.recv() {
            match task {
                // Nobody may wait for it any more.
                Task::Trim(now, reply) => drop(reply.send(self.trim(now))),
                Task::Close(reply) => {
                    self.stop();
                    let _ = reply.send(());
                    return;
                }
            }
        }
        self.stop();
    }

    fn stop(mut self) {
        if let Some(Sweeping { thread, .. }) = self.sweeping.take() {
            let _ = thread.join();
        }
    }

    fn trim(&mut self, now: Timestamp) -> Result<(), AppendError> {
        self.trim_topics(now)?;
        self.trim_total(now)?;
        while self.ask(|reply| Job::ForgetKeys(now, reply))? {}
        self.forget_topics()?;
        self.reclaim()
    }

    fn trim_topics(&mut self, now: Timestamp) -> Result<(), AppendError> {
        if self.shared.options.retention.rules.is_empty() {
            return Ok(());
        }
        let mut cursor = None;
        loop {
            let (beyond, last) = self.beyond(cursor.as_ref(), now);
            self.trim_some(&beyond, now)?;
            match last {
                Some(last) => cursor = Some(last),
                None => return Ok(()),
            }
        }
    }

    /// Of the next topics, those beyond their limits; and the last that was looked at.
    fn beyond(
        &self,
        cursor: Option<&TopicName>,
        now: Timestamp,
    ) -> (Vec<(TopicName, Limits)>, Option<TopicName>) {
        let topics = self.shared.topics();
        let mut beyond = vec![];
        let mut last = None;
        for (name, topic) in topics.behind(cursor).take(TOPICS_AT_A_TIME) {
            let limits = self.shared.options.retention.limits_of(name);
            if topic.is_beyond(limits, now) {
                beyond.push((name.clone(), limits));
            }
            last = Some(name);
        }
        (beyond, last.cloned())
    }

    /// Trims these topics to their limits.
    fn trim_some(&self, topics: &[(TopicName, Limits)], now: Timestamp) -> Result<(), AppendError> {
        loop {
            let mut droppings = vec![];
            let mut events = 0;
            for (name, limits) in topics {
                let dropping = self.look_for(name, *limits, now).map_err(unreadable)?;
                events += dropping.as_ref().map_or(0, |dropping| dropping.events);
                droppings.extend(dropping);
                if events >= EVENTS_AT_A_TIME {
                    break;
                }
            }
            if droppings.is_empty() {
                return Ok(());
            }
            self.ask(|reply| Job::Drop(droppings, reply))?;
        }
    }

    /// The oldest events of a topic that are beyond its limits.
    fn look_for(
        &self,
        name: &TopicName,
        limits: Limits,
        now: Timestamp,
    ) -> Result<Option<Dropping>, BoxError> {
        let reader = Reader::new(&self.store, &self.shared);
        let topic = self.shared.topics().get(name).copied();
        let Some(topic) = topic.filter(|topic| topic.is_beyond(limits, now)) else {
            return Ok(None);
        };
        let mut dropping = Dropping::none(name.clone(), topic.id);
        for row in reader.rows(topic.id, topic.dropped) {
            let row = row?;
            let events = topic.events.saturating_sub(dropping.events);
            let bytes = topic.bytes.saturating_sub(dropping.bytes);
            let is_kept = !is_beyond(limits, now, events, bytes, Timestamp(row.time));
            if is_kept || dropping.events >= EVENTS_AT_A_TIME {
                dropping.oldest = Some((row.position, row.time));
                break;
            }
            dropping.take(row.position, row.size);
        }
        Ok(Some(dropping).filter(|dropping| dropping.events > 0))
    }

    /// Drops the oldest events of all, whatever their topics.
    fn trim_total(&mut self, now: Timestamp) -> Result<(), AppendError> {
        if self.shared.options.retention.total == Limits::default() {
            return Ok(());
        }
        loop {
            let (droppings, through) = self.look_for_oldest(now).map_err(unreadable)?;
            let Some(through) = through else { return Ok(()) };
            if droppings.is_empty() || self.ask(|reply| Job::Drop(droppings, reply))? {
                self.none_until = through;
            }
        }
    }

    /// The oldest events that are beyond the limits of all together, and up to where none is alive
    /// without them; `None` when the oldest that is alive may stay.
    fn look_for_oldest(&self, now: Timestamp) -> Result<(Vec<Dropping>, Option<u64>), BoxError> {
        let reader = Reader::new(&self.store, &self.shared);
        let Counters { mut events, mut bytes, .. } = self.shared.topics().counters;
        let limits = self.shared.options.retention.total;
        let mut droppings: HashMap<u64, Dropping> = HashMap::new();
        let mut through = None;
        for (looked_at, head) in (0..).zip(reader.heads(self.none_until)) {
            let head = head?;
            if let Some(name) = self.alive(&head) {
                let time = Timestamp(head.place.time);
                if looked_at >= EVENTS_AT_A_TIME || !is_beyond(limits, now, events, bytes, time) {
                    break;
                }
                let (id, size) = (head.place.topic, head.size() as u64);
                events = events.saturating_sub(1);
                bytes = bytes.saturating_sub(size);
                let none = || Dropping::none(name, id);
                droppings.entry(id).or_insert_with(none).take(head.position(), size);
            }
            through = Some(head.position());
        }
        for dropping in droppings.values_mut() {
            let oldest = reader.rows(dropping.id, dropping.through).next().transpose()?;
            dropping.oldest = oldest.map(|row| (row.position, row.time));
        }
        Ok((droppings.into_values().collect(), through))
    }

    /// The topic of an event that is alive.
    fn alive(&self, head: &Head) -> Option<TopicName> {
        let topics = self.shared.topics();
        let (name, topic) = topics.by_id(head.place.topic)?;
        (head.position() > topic.dropped).then(|| name.clone())
    }

    fn forget_topics(&self) -> Result<(), AppendError> {
        let mut cursor = None;
        loop {
            let topics = self.shared.topics();
            let empty = topics.behind(cursor.as_ref()).filter(|(_, topic)| topic.events == 0);
            let names: Vec<_> =
                empty.map(|(name, _)| name).take(TOPICS_AT_A_TIME).cloned().collect();
            drop(topics);
            let Some(last) = names.last() else { return Ok(()) };
            cursor = Some(last.clone());
            self.ask(|reply| Job::Forget(names, reply))?;
        }
    }

    /// Gives place back if there is enough of it, in a thread of its own.
    fn reclaim(&mut self) -> Result<(), AppendError> {
        let is_sweeping = self.sweeping.as_ref().is_some_and(|one| !one.thread.is_finished());
        let Counters { bytes, dead, .. } = self.shared.topics().counters;
        if is_sweeping || dead <= self.shared.options.slack_bytes {
            return Ok(());
        }
        let alive = Arc::new(Alive::of(&self.shared));
        // What is not durably dropped must stay on the disk.
        self.ask(Job::Sync)?;
        let sweep = Sweep {
            store: self.store.clone(),
            queue: self.queue.clone(),
            reclaiming: self.reclaiming.clone(),
            alive,
            bytes,
            dead,
            slack_bytes: self.shared.options.slack_bytes,
        };
        let (stop, stopped) = channel();
        let thread = thread::Builder::new().name("fanfare-log-sweep".to_owned());
        // Without a thread it is done another time.
        if let Ok(thread) = thread.spawn(move || sweep.run(&stopped)) {
            self.sweeping = Some(Sweeping { thread, _stop: stop });
        }
        Ok(())
    }

    /// Has the writer do something, and waits for it.
    fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, AppendError>>) -> Job,
    ) -> Result<T, AppendError> {
        if self.reclaiming.is_stopped() {
            return Err(closed());
        }
        ask(&self.queue, job)
    }
}

fn ask<T>(
    queue: &Queue,
    job: impl FnOnce(oneshot::Sender<Result<T, AppendError>>) -> Job,
) -> Result<T, AppendError> {
    let (reply, answer) = oneshot::channel();
    queue.send(job(reply))?;
    answer.blocking_recv().unwrap_or_else(|_| Err(closed()))
}

/// One time of giving place back.
struct Sweep {
    store: Store,
    queue: Queue,
    reclaiming: Reclaiming,
    alive: Arc<Alive>,
    bytes: u64,
    dead: u64,
    slack_bytes: u64,
}

impl Sweep {
    fn run(self, stop: &Receiver<()>) {
        self.reclaiming.begin(self.alive.clone());
        let reclaimed = self.sweep(stop);
        self.reclaiming.end();
        // What has gone wrong is tried again the next time.
        if let Ok(reclaimed) = reclaimed
            && ask(&self.queue, |reply| Job::Reclaimed(reclaimed, reply)).is_ok()
        {
            // fjall deletes the files of old tables with a flush, of whatever keyspace.
            let _ = flush(&self.store.state, stop);
        }
    }

    /// Tells how many bytes of data are gone.
    fn sweep(&self, stop: &Receiver<()>) -> Result<u64, BoxError> {
        let Store { events, index, .. } = &self.store;
        flush(events, stop)?;
        let before = events.disk_space();
        // The newest table is kept: it says how far the journals have been emptied.
        let until = self.alive.none_until.min(self.alive.newest.saturating_sub(1));
        events.tree.drop_range(..=until.to_be_bytes())?;
        let after = events.disk_space();
        let gone = share(self.bytes + self.dead, before - after.min(before), before);
        let left = self.dead.saturating_sub(gone);
        if left <= self.slack_bytes || left <= self.bytes {
            return Ok(gone);
        }
        flush(index, stop)?;
        events.major_compact()?;
        index.major_compact()?;
        Ok(self.dead)
    }
}

/// `part` of `whole`, of an amount.
fn share(amount: u64, part: u64, whole: u64) -> u64 {
    let share = u128::from(amount) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// Has what is in memory written to a table.
fn flush(keyspace: &Keyspace, stop: &Receiver<()>) -> Result<(), BoxError> {
    keyspace.rotate_memtable()?;
    while keyspace.sealed_memtable_count() > 0 {
        match stop.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => return Err(closed().into()),
        }
    }
    Ok(())
}

fn unreadable(error: BoxError) -> AppendError {
    AppendError::Unavailable(error)
}
