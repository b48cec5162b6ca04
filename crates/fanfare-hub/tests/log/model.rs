use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use fanfare_fanout::Position;
use fanfare_hub::{
    Selection, TopicName,
    log::{
        AppendError, Batch, IdempotencyKey, Limits, Log, Read, Record, Retention, Timestamp,
        TopicState,
    },
};
use proptest::{collection::vec, option, prelude::*, test_runner::Config};

use crate::{
    servers::{Nats, Redis},
    subject::*,
};

const TOPICS: [&str; 6] = ["a", "a/b", "a/c", "b", "$own", "ü"];
const SELECTIONS: [&[&str]; 8] = [
    &["a"],
    &["a/b", "b"],
    &["a/*"],
    &["a*"],
    &["*"],
    &["*", "$own"],
    &["$*", "ü"],
    &["none", "b*"],
];

#[derive(Debug, Clone)]
enum Operation {
    /// Events as topic and bytes, topics that end, a key, and how much later it is.
    Append(Vec<(usize, usize)>, Option<usize>, Option<u8>, u64),
    Erase(usize),
    Trim(u64),
    /// Selection, after, until, events and bytes.
    Read(usize, u64, u64, usize, usize),
    BeforeLast(usize, u64),
    /// Closes and opens it, where that keeps anything.
    Reopen,
}

fn turns(hubs: usize) -> impl Strategy<Value = Turns> {
    let topic = || 0..TOPICS.len();
    let append = (
        vec((topic(), 0..12_usize), 0..6),
        option::weighted(0.1, topic()),
        option::weighted(0.4, 0..4_u8),
        0..20_u64,
    );
    let read = (0..SELECTIONS.len(), 0..40_u64, 0..60_u64, 0..8_usize, 0..60_usize);
    let operation = prop_oneof![
        8 => append.prop_map(|(events, end, key, later)| Operation::Append(events, end, key, later)),
        1 => topic().prop_map(Operation::Erase),
        3 => (0..60_u64).prop_map(Operation::Trim),
        4 => read.prop_map(|(what, after, until, events, bytes)| {
            Operation::Read(what, after, until, events, bytes)
        }),
        2 => (0..SELECTIONS.len(), 0..10_u64)
            .prop_map(|(what, count)| Operation::BeforeLast(what, count)),
        1 => Just(Operation::Reopen),
    ];
    vec((0..hubs, operation), 1..60)
}

fn limits() -> impl Strategy<Value = Limits> {
    (option::of(0..6_u64), option::of(0..40_u64), option::of(0..40_u64)).prop_map(
        |(max_events, max_bytes, age)| Limits {
            max_events,
            max_bytes,
            max_age: age.map(Duration::from_millis),
        },
    )
}

fn retention() -> impl Strategy<Value = Retention> {
    (limits(), limits(), limits(), 0..40_u64, 1..4_usize).prop_map(
        |(one, other, total, window, keys)| Retention {
            rules: vec![rule("a/*", one), rule("$own", other), rule("b", Limits::default())],
            total,
            idempotency_window: Duration::from_millis(window),
            max_idempotency_keys: keys,
        },
    )
}

/// The obvious log: lists, and everything looked for from the beginning.
#[derive(Debug)]
struct Model {
    retention: Retention,
    /// Whether the time of a batch that is not appended counts.
    is_told_by_refused: bool,
    newest: u64,
    time: u64,
    kept: Vec<Record>,
    topics: BTreeMap<TopicName, Known>,
    forgotten: u64,
    /// Those that were used, as key, time and answer.
    keys: Vec<(IdempotencyKey, u64, u64)>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    newest: u64,
    dropped: u64,
    ended: Option<u64>,
}

impl Model {
    fn new(retention: Retention) -> Self {
        Self {
            retention,
            is_told_by_refused: true,
            newest: 0,
            time: 0,
            kept: vec![],
            topics: BTreeMap::new(),
            forgotten: 0,
            keys: vec![],
        }
    }

    fn topic(&mut self, name: &TopicName) -> &mut Known {
        let dropped = self.forgotten;
        self.topics.entry(name.clone()).or_insert(Known { dropped, ..Known::default() })
    }

    /// The answer, and whether it is one of before; or the topic that has ended.
    fn append(&mut self, batch: &Batch) -> Result<(u64, bool), TopicName> {
        let now = self.time.max(batch.time.0);
        if self.is_told_by_refused {
            self.time = now;
        }
        if let Some(key) = &batch.idempotency_key
            && let Some(last) = self.given(key, now)
        {
            return Ok((last, true));
        }
        let mut names = batch.events.iter().map(|event| &event.topic).chain(&batch.ends);
        let has_ended =
            |name: &&TopicName| self.topics.get(*name).is_some_and(|one| one.ended.is_some());
        if let Some(ended) = names.find(has_ended) {
            return Err(ended.clone());
        }
        self.time = now;
        for event in &batch.events {
            self.newest += 1;
            let (position, time) = (Position(self.newest), Timestamp(self.time));
            self.topic(&event.topic).newest = position.0;
            self.kept.push(Record { position, time, event: event.clone() });
        }
        for name in &batch.ends {
            self.topic(name).ended = Some(self.newest);
        }
        if let Some(key) = &batch.idempotency_key {
            self.keys.push((key.clone(), self.time, self.newest));
        }
        Ok((self.newest, false))
    }

    fn given(&self, key: &IdempotencyKey, now: u64) -> Option<u64> {
        let newest = self.keys.iter().rev().take(self.retention.max_idempotency_keys);
        let (_, time, last) = newest.clone().find(|(other, ..)| other == key)?;
        let is_old = Timestamp(*time).is_older(self.retention.idempotency_window, Timestamp(now));
        (!is_old).then_some(*last)
    }

    /// What is left when the topics are trimmed, and then all together.
    fn trimmed(&self, now: u64) -> Vec<Record> {
        let mut kept = self.kept.clone();
        self.trim_topics(&mut kept, now);
        drop_beyond(&mut kept, self.retention.total, now, |_| true);
        kept
    }

    /// What is left when that is done in any order.
    fn must_keep(&self, now: u64) -> Vec<Record> {
        let (mut of_topics, mut of_all) = (self.kept.clone(), self.kept.clone());
        self.trim_topics(&mut of_topics, now);
        drop_beyond(&mut of_all, self.retention.total, now, |_| true);
        of_topics.retain(|record| of_all.contains(record));
        of_topics
    }

    fn trim_topics(&self, kept: &mut Vec<Record>, now: u64) {
        for name in self.topics.keys() {
            let limits = self.retention.limits_of(name);
            drop_beyond(kept, limits, now, |record| record.event.topic == *name);
        }
    }

    /// Takes note of what was dropped.
    fn keep(&mut self, kept: Vec<Record>) {
        let left: BTreeSet<Position> = kept.iter().map(|record| record.position).collect();
        for record in std::mem::replace(&mut self.kept, kept) {
            if !left.contains(&record.position) {
                let topic = self.topics.get_mut(&record.event.topic).unwrap();
                topic.dropped = topic.dropped.max(record.position.0);
            }
        }
    }

    fn erase(&mut self, name: &TopicName) -> bool {
        let Some(topic) = self.topics.get_mut(name) else { return false };
        topic.dropped = topic.newest.max(topic.dropped);
        topic.ended = None;
        self.kept.retain(|record| record.event.topic != *name);
        true
    }

    fn forget(&mut self, now: u64) {
        let window = self.retention.idempotency_window;
        self.keys.retain(|(_, time, _)| !Timestamp(*time).is_older(window, Timestamp(now)));
        let with_events: BTreeSet<TopicName> =
            self.kept.iter().map(|record| record.event.topic.clone()).collect();
        for (name, topic) in &self.topics {
            if !with_events.contains(name) {
                self.forgotten = self.forgotten.max(topic.dropped);
            }
        }
        self.topics.retain(|name, _| with_events.contains(name));
    }

    fn selected(&self, selection: &Selection) -> Vec<Record> {
        let selected = self.kept.iter().filter(|record| selection.matches(&record.event.topic));
        selected.cloned().collect()
    }

    fn kept_after(&self, selection: &Selection) -> u64 {
        let selected = self.topics.iter().filter(|(name, _)| selection.matches(name));
        let dropped = selected.map(|(_, topic)| topic.dropped).max().unwrap_or(0);
        let knows_all = selection.selectors().iter().all(|selector| {
            TopicName::new(&selector.to_string()).is_ok_and(|name| self.topics.contains_key(&name))
        });
        dropped.max(if knows_all { 0 } else { self.forgotten })
    }

    fn page(&self, read: &Read) -> Vec<Record> {
        let mut page: Vec<Record> = vec![];
        let mut bytes = 0;
        for record in self.selected(&read.selection) {
            if record.position <= read.after || record.position > read.until {
                continue;
            }
            bytes += record.event.data.len();
            if page.len() >= read.max_events.max(1) || (!page.is_empty() && bytes > read.max_bytes)
            {
                break;
            }
            page.push(record);
        }
        page
    }

    fn before_last(&self, selection: &Selection, count: u64) -> u64 {
        let selected = self.selected(selection);
        let count = usize::try_from(count).unwrap().min(selected.len());
        match selected[selected.len() - count..].first() {
            Some(first) => first.position.0 - 1,
            None => self.newest,
        }
    }
}

fn drop_beyond(kept: &mut Vec<Record>, limits: Limits, now: u64, of: impl Fn(&Record) -> bool) {
    loop {
        let events = kept.iter().filter(|record| of(record)).count() as u64;
        let bytes: usize =
            kept.iter().filter(|record| of(record)).map(|record| record.event.data.len()).sum();
        let Some(oldest) = kept.iter().position(&of) else { return };
        let is_old = |age| kept[oldest].time.is_older(age, Timestamp(now));
        let is_beyond = limits.max_events.is_some_and(|most| events > most)
            || limits.max_bytes.is_some_and(|most| bytes as u64 > most)
            || limits.max_age.is_some_and(is_old);
        if !is_beyond {
            return;
        }
        kept.remove(oldest);
    }
}

/// A log beside its model.
struct Compared {
    /// Of the hub whose turn it is.
    log: Arc<dyn Log>,
    model: Model,
}

impl Compared {
    async fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Append(events, end, key, later) => {
                self.append(events, *end, *key, *later).await;
            }
            Operation::Erase(name) => {
                let name = topic(TOPICS[*name]);
                let was_there = self.log.erase(&name).await.unwrap();
                assert_eq!(was_there, self.model.erase(&name));
            }
            Operation::Trim(later) => self.trim(*later).await,
            Operation::Read(what, after, until, max_events, max_bytes) => {
                let read = Read {
                    selection: select(SELECTIONS[*what]),
                    after: Position(*after),
                    until: Position(*until),
                    max_events: *max_events,
                    max_bytes: *max_bytes,
                };
                self.read(read).await;
            }
            Operation::BeforeLast(what, count) => {
                let selection = select(SELECTIONS[*what]);
                let before = self.log.before_last(&selection, *count).await.unwrap();
                assert_eq!(before.0, self.model.before_last(&selection, *count));
            }
            Operation::Reopen => {}
        }
    }

    async fn append(
        &mut self,
        events: &[(usize, usize)],
        end: Option<usize>,
        key: Option<u8>,
        later: u64,
    ) {
        let batch = Batch {
            events: events
                .iter()
                .map(|(name, size)| event(TOPICS[*name], &"x".repeat(*size)))
                .collect(),
            ends: end.map(|name| topic(TOPICS[name])).into_iter().collect(),
            // Now and then it runs backwards.
            time: Timestamp((self.model.time + later).saturating_sub(5)),
            idempotency_key: key.map(|key| IdempotencyKey(format!("k{key}").into())),
        };
        let expected = self.model.append(&batch);
        match (self.log.append(batch).await, expected) {
            (Ok(appended), Ok((last, is_repeated))) => {
                assert_eq!((appended.last.0, appended.is_repeated), (last, is_repeated));
            }
            (Err(AppendError::Ended(name)), Err(ended)) => assert_eq!(name, ended),
            (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
        }
        // An append may drop what is beyond the limits, but it need not.
        let kept = self.log.events(all()).await;
        for record in self.model.must_keep(self.model.time) {
            assert!(kept.contains(&record), "{record:?} is missing");
        }
        assert!(kept.iter().all(|record| self.model.kept.contains(record)));
        self.model.keep(kept);
    }

    async fn trim(&mut self, later: u64) {
        let now = self.model.time + later;
        self.log.trim(Timestamp(now)).await.unwrap();
        self.model.keep(self.model.trimmed(now));
        self.model.forget(now);
    }

    async fn read(&self, read: Read) {
        let page = self.log.page(read.clone()).await;
        let expected = self.model.page(&read);
        assert_eq!(page.records, expected, "{read:?}");
        let until = read.until.0.min(self.model.newest);
        let whole = Read { max_events: usize::MAX, max_bytes: usize::MAX, ..read.clone() };
        let next = self.model.page(&whole).get(expected.len()).map(|record| record.position.0);
        match next {
            None => assert_eq!(page.through.0, until),
            Some(next) => {
                let last = expected.last().map_or(read.after, |record| record.position);
                assert!(page.through >= last && page.through.0 < next);
            }
        }
    }

    /// Everything that can be asked without changing it.
    async fn compare(&self) {
        let Self { log, model } = self;
        assert_eq!(log.events(all()).await, model.kept);
        assert_eq!(log.newest(), Position(model.newest));
        for selectors in SELECTIONS {
            let selection = select(selectors);
            let kept_after = log.kept(selection.clone()).await;
            assert_eq!(kept_after, model.kept_after(&selection), "{selectors:?}");
            let before_all = log.before_last(&selection, u64::MAX).await.unwrap().0;
            assert_eq!(before_all, model.before_last(&selection, u64::MAX), "{selectors:?}");
        }
        let topics = log.topics(&all(), None, usize::MAX).await.unwrap();
        assert!(topics.iter().map(|topic| &topic.name).eq(model.topics.keys()));
        for state in topics {
            let known = &model.topics[&state.name];
            let events = model.selected(&state.name.clone().into());
            assert_eq!(state.events, events.len() as u64);
            let bytes: usize = events.iter().map(|record| record.event.data.len()).sum();
            assert_eq!(state.bytes, bytes as u64);
            assert_eq!(state.oldest, events.first().map(|record| record.position));
            assert_eq!(state.newest, Position(known.newest));
            assert_eq!(state.ended, known.ended.map(Position));
        }
    }
}

/// What is done, and by which hub.
type Turns = Vec<(usize, Operation)>;

fn run(cases: u32, hubs: usize, test: impl Fn(Retention, Turns)) {
    let mut runner = proptest::test_runner::TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&(retention(), turns(hubs)), |(retention, turns)| {
        test(retention, turns);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

#[test]
fn the_memory_log_does_as_the_model() {
    run(200, 1, |retention, turns| {
        block_on(async {
            let (log, model) = (Memory.open(retention.clone()).await, Model::new(retention));
            let mut compared = Compared { log, model };
            for (_, operation) in &turns {
                compared.apply(operation).await;
                compared.compare().await;
            }
        });
    });
}

/// A log that is closed and opened again now and then.
async fn compare(subject: impl Subject, retention: Retention, turns: Turns) {
    let model = Model::new(retention.clone());
    compare_with::<1>(model, subject, retention, turns).await;
}

/// The same log, seen by several hubs.
async fn compare_with<const HUBS: usize>(
    model: Model,
    subject: impl Subject,
    retention: Retention,
    turns: Turns,
) {
    let mut logs = vec![];
    for _ in 0..HUBS {
        logs.push(subject.open(retention.clone()).await);
    }
    let mut compared = Compared { log: logs[0].clone(), model };
    for (hub, operation) in &turns {
        if let Operation::Reopen = operation {
            logs[*hub].close().await.unwrap();
            logs[*hub] = subject.open(retention.clone()).await;
        }
        compared.log = logs[*hub].clone();
        compared.apply(operation).await;
        for log in &logs {
            compared.log = log.clone();
            compared.compare().await;
        }
    }
}

#[test]
fn the_embedded_log_does_as_the_model() {
    run(12, 1, |retention, turns| {
        let subject = Embedded::with(fanfare_hub::log::Durability::None);
        block_on(compare(subject, retention, turns));
    });
}

#[test]
fn the_log_in_redis_does_as_the_model() {
    run(40, 2, |retention, turns| {
        let model = Model::new(retention.clone());
        block_on(compare_with::<2>(model, Redis::new(), retention, turns));
    });
}

#[test]
fn the_log_in_nats_does_as_the_model() {
    run(40, 2, |retention, turns| {
        let model = Model { is_told_by_refused: false, ..Model::new(retention.clone()) };
        let subject = if fastrand::bool() { Nats::new() } else { Nats::by_heads() };
        block_on(compare_with::<2>(model, subject, retention, turns));
    });
}

/// Does something without knowing what comes of it.
async fn do_at_once(log: &dyn Log, operation: &Operation, now: u64) {
    match operation {
        Operation::Append(events, end, key, later) => {
            let events = events.iter().map(|(name, size)| event(TOPICS[*name], &"x".repeat(*size)));
            let batch = Batch {
                events: events.collect(),
                ends: end.map(|name| topic(TOPICS[name])).into_iter().collect(),
                time: Timestamp(now + later),
                idempotency_key: key.map(|key| IdempotencyKey(format!("k{key}").into())),
            };
            let appended = log.append(batch).await;
            assert!(matches!(appended, Ok(_) | Err(AppendError::Ended(_))), "{appended:?}");
        }
        Operation::Erase(name) => drop(log.erase(&topic(TOPICS[*name])).await.unwrap()),
        Operation::Trim(later) => log.trim(Timestamp(now + later)).await.unwrap(),
        _ => {}
    }
}

/// Hubs that do something at once come to the same, and so does one that reads all of it later.
#[test]
fn hubs_that_race_come_to_the_same() {
    run(40, 2, |retention, turns| {
        block_on(async {
            let subject = Nats::by_heads();
            let hubs =
                [subject.hub(1, retention.clone()).await, subject.hub(2, retention.clone()).await];
            for (turn, together) in turns.chunks(4).enumerate() {
                let doing = together
                    .iter()
                    .map(|(hub, operation)| do_at_once(&hubs[*hub], operation, 10 * turn as u64));
                within(futures_util::future::join_all(doing)).await;
            }
            let later = subject.hub(3, retention).await;
            let known = [seen(&hubs[0]).await, seen(&hubs[1]).await, seen(&later).await];
            assert_eq!(known[0], known[1]);
            assert_eq!(known[0], known[2], "opened later");
        });
    });
}

/// All that a hub gives.
async fn seen(log: &dyn Log) -> (Vec<Record>, Vec<TopicState>, Vec<u64>) {
    let topics = log.topics(&all(), None, usize::MAX).await.unwrap();
    let mut kept = vec![];
    for selectors in SELECTIONS {
        kept.push(log.kept(select(selectors)).await);
    }
    let mut events = log.events(all()).await;
    for record in &mut events {
        // One with a later time, which was in front of it, may have been deleted.
        record.time = Timestamp(0);
    }
    (events, topics, kept)
}
