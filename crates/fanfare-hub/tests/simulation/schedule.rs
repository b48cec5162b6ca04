use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    ops::{AddAssign, Range},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use fanfare_fanout::{Bounds, Epoch, Position};
use fanfare_hub::{
    Format, From, Hub, Selection, Selector, TopicName,
    log::{
        AppendError, Appended, Batch, IdempotencyKey, Limits, Log, NewEvent, Retention, Rule,
        Timestamp,
    },
};
use fanfare_wire::EventName;
use fastrand::Rng;
use futures_util::future::{join, join_all};
use tokio::task::yield_now;

use crate::{
    follow::follow,
    model::{Answer, Model, Start, names},
    site::{End, Site},
    subscriber::{Connection, Given, Subscriber},
    trace::Trace,
};

const TOPICS: [&str; 6] = ["a", "a/b", "a/c", "b", "b/x", "ü"];
const SELECTIONS: [&[&str]; 11] = [
    &["a"],
    &["b"],
    &["a", "b"],
    &["a/b", "a/c", "ü"],
    &["a/*"],
    &["a*", "b"],
    &["*"],
    &["a", "b*"],
    &["a/*", "b/*", "ü"],
    &["none"],
    &["none", "ü"],
];
const PATTERNS: [&str; 5] = ["a/*", "a*", "b", "ü", "*"];
const SUBSCRIBERS: usize = 12;

/// One hub, its subscribers and its model.
pub(crate) struct Schedule {
    random: Rng,
    site: Box<dyn Site>,
    retention: Retention,
    window: Bounds,
    clock: Arc<AtomicU64>,
    hub: Hub,
    model: Model,
    subscribers: Vec<Subscriber>,
    /// How many subscribers and events there have been.
    numbers: (usize, usize),
    trace: Trace,
    done: Done,
}

/// How often what happened.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Done {
    events: usize,
    given: usize,
    lagged: usize,
    expired: usize,
    unknown: usize,
    ends: usize,
    over: usize,
    resumed: usize,
    restarts: usize,
}

impl Schedule {
    pub(crate) fn run(
        name: &'static str,
        seed: u64,
        steps: usize,
        mut site: Box<dyn Site>,
    ) -> Done {
        let trace = Trace::new(name, seed);
        let mut random = Rng::with_seed(seed);
        let runtime = site.runtime();
        runtime.block_on(async {
            let retention = retention(&mut random);
            let window = Bounds {
                frames: random.usize(1..8),
                bytes: if random.bool() { 1 << 20 } else { random.usize(1..300) },
            };
            trace.note(format_args!("{window:?} {retention:?}"));
            let clock = Arc::new(AtomicU64::new(1000));
            let log = site.open(retention.clone()).await;
            let model = Model::new(log.epoch(), retention.clone(), site.trims_at_once());
            let hub = hub(log, window, &clock);
            let mut schedule = Self {
                random,
                site,
                retention,
                window,
                clock,
                hub,
                model,
                subscribers: vec![],
                numbers: (0, 0),
                trace,
                done: Done::default(),
            };
            for _ in 0..steps {
                schedule.step().await;
            }
            schedule.finish().await;
            schedule.done
        })
    }

    async fn step(&mut self) {
        match self.random.u32(0..100) {
            0..28 => self.publish().await,
            28..34 => self.burst().await,
            34..37 => self.abandon().await,
            37..43 => self.trim().await,
            43..46 => self.erase().await,
            46..56 => self.subscribe().await,
            56..84 => self.read().await,
            84..89 => self.cut(),
            89..97 => self.resume().await,
            97..99 => self.restart(End::Closed).await,
            _ => self.restart(End::Crashed).await,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.clock.load(Ordering::SeqCst))
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.usize(0..from.len())]
    }

    fn is_one_in(&mut self, times: u32) -> bool {
        self.random.u32(0..times) == 0
    }

    fn event(&mut self) -> NewEvent {
        self.numbers.1 += 1;
        let number = self.numbers.1;
        let data = match self.random.u32(0..8) {
            0 => String::new(),
            1 => format!("{number}\n\nü: {}", "x".repeat(self.random.usize(0..100))),
            _ => number.to_string(),
        };
        NewEvent {
            topic: topic(self.pick(&TOPICS)),
            name: self.is_one_in(4).then(|| EventName::new("tick").unwrap()),
            retry: self.is_one_in(8).then_some(Duration::from_millis(number as u64)),
            data: data.into(),
        }
    }

    fn events(&mut self) -> Vec<NewEvent> {
        let count = match self.random.u32(0..60) {
            0 => self.random.usize(500..700),
            1..6 => self.random.usize(5..40),
            _ => self.random.usize(1..4),
        };
        (0..count).map(|_| self.event()).collect()
    }

    async fn publish(&mut self) {
        let mut batch = Batch { events: self.events(), ..Batch::default() };
        if self.is_one_in(10) {
            batch.ends.push(topic(self.pick(&TOPICS)));
            if self.random.bool() {
                batch.events.clear();
            }
        }
        if self.is_one_in(5) {
            let key = format!("k{}", self.random.u32(0..4));
            batch.idempotency_key = Some(IdempotencyKey(key.into()));
        }
        self.note_batch("publish", &batch);
        let answer = answer(self.hub.publish(batch.clone()).await);
        assert_eq!(answer, self.accept(&batch));
    }

    fn note_batch(&self, what: &str, batch: &Batch) {
        let topics: Vec<_> = batch.events.iter().take(8).map(|event| &event.topic).collect();
        let (count, Batch { ends, idempotency_key, .. }) = (batch.events.len(), batch);
        let newest = self.model.newest();
        self.trace.note(format_args!(
            "{what} {count} behind {newest} to {topics:?} ends {ends:?} key {idempotency_key:?}"
        ));
    }

    /// Tells the model.
    fn accept(&mut self, batch: &Batch) -> Answer {
        let answer = self.model.append(batch, self.now());
        if let Answer::Appended(_) = answer {
            self.done.events += batch.events.len();
            for subscriber in &mut self.subscribers {
                batch.ends.iter().for_each(|name| subscriber.note_closed(name, &self.model));
            }
        }
        self.note_dropped();
        answer
    }

    fn note_dropped(&mut self) {
        for subscriber in &mut self.subscribers {
            subscriber.note_dropped(&self.model);
        }
    }

    /// Several publish at once, while somebody reads. The positions tell the order.
    async fn burst(&mut self) {
        let batches: Vec<Batch> = (0..self.random.usize(2..8))
            .map(|_| Batch { events: self.events(), ..Batch::default() })
            .collect();
        for batch in &batches {
            self.note_batch("at once", batch);
        }
        let publishing = join_all(batches.iter().map(|batch| self.hub.publish(batch.clone())));
        let reader = self.subscribers.iter().position(|one| one.connection.is_some());
        let connection = reader.and_then(|one| self.subscribers[one].connection.as_mut());
        let count = self.random.usize(0..50);
        let (answers, given) = join(publishing, read_beside(connection, count)).await;

        let mut answered: Vec<_> = answers.into_iter().map(answer).zip(&batches).collect();
        answered.sort_by_key(|(answer, _)| match answer {
            Answer::Appended(last) | Answer::Repeated(last) => *last,
            Answer::Ended(_) => 0,
        });
        for (answer, batch) in answered {
            assert_eq!(answer, self.accept(batch));
        }
        for given in given {
            self.count(&given);
            self.subscribers[reader.unwrap()].judge(&self.model, given);
        }
    }

    /// Whoever publishes does not wait for the answer: it may have happened, or not.
    async fn abandon(&mut self) {
        let batch = Batch { events: self.events(), ..Batch::default() };
        self.note_batch("abandoned", &batch);
        {
            let mut publishing = pin!(self.hub.publish(batch.clone()));
            poll_fn(|context| {
                drop(publishing.as_mut().poll(context));
                Poll::Ready(())
            })
            .await;
        }
        if self.site.is_durable() && self.random.bool() {
            self.end(End::Crashed).await;
        }
        // One more that is answered is behind it; this topic never ends.
        let event = NewEvent { topic: topic("behind"), ..self.event() };
        let next = Batch { events: vec![event], ..Batch::default() };
        let answer = answer(self.hub.publish(next.clone()).await);
        let before = self.model.newest();
        if let Answer::Appended(last) = answer
            && last > before + 1
        {
            self.trace.note("which was published");
            assert_eq!(self.accept(&batch), Answer::Appended(last - 1), "all of it, or nothing");
        }
        assert_eq!(answer, self.accept(&next));
    }

    async fn trim(&mut self) {
        let later = self.random.u64(0..400);
        let now = self.clock.fetch_add(later, Ordering::SeqCst) + later;
        self.trace.note(format_args!("trim at {now}"));
        if self.is_one_in(4) {
            return;
        }
        // The end of a topic is delivered before the topic is forgotten: else whoever follows its
        // next life is ended with the one before, which is harmless, but not what the model says.
        for _ in 0..10 {
            yield_now().await;
        }
        if self.site.codings().len() > 1 {
            self.settle().await;
        }
        self.hub.log().trim(Timestamp(now)).await.unwrap();
        self.model.trim(Timestamp(now));
        self.note_dropped();
    }

    /// Waits until compressed streams have been ended too: an erasure is over when they have, and it
    /// comes behind all that was before it.
    async fn settle(&mut self) {
        let name = topic("settled");
        for is_last in [false, true] {
            let event = NewEvent { topic: name.clone(), ..self.event() };
            let batch = Batch { events: vec![event], ..Batch::default() };
            assert_eq!(answer(self.hub.publish(batch.clone()).await), self.accept(&batch));
            // What is kept afterwards is not forgotten, which would concern the other topics.
            if !is_last {
                self.erase_topic(name.clone()).await;
            }
        }
    }

    async fn erase(&mut self) {
        let name = topic(self.pick(&TOPICS));
        self.erase_topic(name).await;
    }

    async fn erase_topic(&mut self, name: TopicName) {
        self.trace.note(format_args!("erase {name}"));
        let was_there = self.hub.erase(&name).await.unwrap();
        assert_eq!(was_there, self.model.erase(&name));
        if was_there {
            for subscriber in &mut self.subscribers {
                subscriber.note_closed(&name, &self.model);
            }
        }
        self.note_dropped();
    }

    async fn subscribe(&mut self) {
        if self.subscribers.len() == SUBSCRIBERS {
            let gone = self.random.usize(0..SUBSCRIBERS);
            self.subscribers.swap_remove(gone);
        }
        self.numbers.0 += 1;
        let selected = self.pick(&SELECTIONS);
        let mut subscriber = Subscriber {
            number: self.numbers.0,
            selection: Selection::new(selected.iter().map(|text| Selector::new(text).unwrap())),
            format: self.pick(&[Format::Plain, Format::Envelope]),
            coding: self.pick(self.site.codings()),
            from: self.from(),
            last_id: String::new(),
            connection: None,
        };
        self.connect(&mut subscriber).await;
        self.subscribers.push(subscriber);
    }

    fn from(&mut self) -> From {
        let newest = self.model.newest();
        match self.random.u32(0..10) {
            0..2 => From::Latest,
            2..4 => From::Earliest,
            4..6 => From::Last(self.random.u64(0..10)),
            6 => From::After(self.pick(&["nonsense", "0-0", &"long".repeat(50)]).to_owned()),
            7 => From::After(Epoch::from_seed(99).id(Position(newest / 2)).to_string()),
            _ => {
                let position = self.random.u64(0..newest + 3);
                From::After(self.model.epoch().id(Position(position)).to_string())
            }
        }
    }

    async fn connect(&mut self, subscriber: &mut Subscriber) {
        let from = subscriber.resumes();
        let Subscriber { number, selection, format, coding, .. } = &subscriber;
        self.trace
            .note(format_args!("{number} follows {selection:?} {format:?} {coding} {from:?}"));
        let following = follow(&self.hub, coding, selection, *format, from.clone());
        let (stream, place, missing) = match (following.await, self.model.start(selection, &from)) {
            (None, Start::Over) => {
                self.done.over += 1;
                return;
            }
            (Some(stream), Start::Behind(place, missing)) => (stream, place, missing),
            (None, start) => panic!("it is over instead of {start:?}"),
            (Some(_), Start::Over) => panic!("a stream of what is over"),
        };
        if let From::After(id) = &from
            && missing.is_none()
        {
            assert_eq!(*id, *self.model.epoch().id(Position(place)).as_str());
            self.done.resumed += 1;
        }
        let requested = match from {
            From::After(id) => id,
            _ => String::new(),
        };
        let missing = missing.map(|missing| (missing, requested));
        subscriber.connection = Some(Connection::new(stream, place, missing, self.model.moment()));
        subscriber.note_dropped(&self.model);
        let named = names(&subscriber.selection).unwrap_or_default();
        let named: Vec<TopicName> = named.into_iter().cloned().collect();
        for name in named.iter().filter(|name| self.model.has_ended(name)) {
            subscriber.note_closed(name, &self.model);
        }
    }

    async fn read(&mut self) {
        if self.subscribers.is_empty() {
            return;
        }
        let index = self.random.usize(0..self.subscribers.len());
        let count = self.count_to_read();
        self.trace.note(format_args!("{} reads {count}", self.subscribers[index].number));
        self.read_of(index, count).await;
    }

    fn count_to_read(&mut self) -> usize {
        match self.random.u32(0..10) {
            0 => 1000,
            1..3 => self.random.usize(5..50),
            _ => self.random.usize(1..5),
        }
    }

    async fn read_of(&mut self, index: usize, count: usize) {
        for _ in 0..count {
            let subscriber = &mut self.subscribers[index];
            let Some(given) = subscriber.next(&self.model).await else { return };
            self.count(&given);
            self.subscribers[index].judge(&self.model, given);
        }
    }

    fn count(&mut self, given: &Given) {
        let done = &mut self.done;
        let count = match given {
            Given::End => &mut done.ends,
            Given::Event(event) if event.name() != "gap" => &mut done.given,
            Given::Event(gap) if gap.data().contains("lagged") => &mut done.lagged,
            Given::Event(gap) if gap.data().contains("expired") => &mut done.expired,
            Given::Event(_) => &mut done.unknown,
        };
        *count += 1;
    }

    fn cut(&mut self) {
        if self.subscribers.is_empty() {
            return;
        }
        let index = self.random.usize(0..self.subscribers.len());
        self.trace.note(format_args!("{} is cut off", self.subscribers[index].number));
        self.subscribers[index].cut();
    }

    async fn resume(&mut self) {
        let cut: Vec<usize> = (0..self.subscribers.len())
            .filter(|&index| self.subscribers[index].connection.is_none())
            .collect();
        if !cut.is_empty() {
            let index = self.pick(&cut);
            let mut subscriber = self.subscribers.swap_remove(index);
            self.connect(&mut subscriber).await;
            self.subscribers.push(subscriber);
        }
    }

    async fn restart(&mut self, how: End) {
        // Where all is lost with it, it happens less often.
        if !self.site.is_durable() && !self.is_one_in(4) {
            return;
        }
        self.trace.note(format_args!("restart, {how:?}"));
        self.end(how).await;
    }

    /// Ends the hub, and begins another one with its log.
    async fn end(&mut self, how: End) {
        self.done.restarts += 1;
        self.subscribers.iter_mut().for_each(Subscriber::cut);
        if how == End::Closed {
            self.hub.close().await.unwrap();
        }
        // The old one lets go of its log before the next one is opened.
        let nothing = Site::open(&mut crate::site::Memory::new(0), Retention::default()).await;
        self.hub = hub(nothing, self.window, &self.clock);
        let log = self.site.open(self.retention.clone()).await;
        if self.site.is_durable() {
            assert_eq!(log.epoch(), self.model.epoch());
        } else {
            self.model = Model::new(log.epoch(), self.retention.clone(), true);
        }
        self.hub = hub(log, self.window, &self.clock);
    }

    /// Everybody comes back and reads all that there is.
    async fn finish(&mut self) {
        self.trace.note("everybody comes back");
        for _ in 0..self.subscribers.len() {
            let mut subscriber = self.subscribers.remove(0);
            if subscriber.connection.is_none() {
                self.connect(&mut subscriber).await;
            }
            self.subscribers.push(subscriber);
        }
        for _ in 0..3 {
            self.publish().await;
        }
        for index in 0..self.subscribers.len() {
            self.read_of(index, usize::MAX).await;
        }
    }
}

async fn read_beside(connection: Option<&mut Connection>, count: usize) -> VecDeque<Given> {
    let mut read = VecDeque::new();
    let Some(connection) = connection else { return read };
    for _ in 0..count {
        match connection.at_once().await {
            None => yield_now().await,
            Some(given) => {
                let is_end = matches!(given, Given::End);
                read.push_back(given);
                if is_end {
                    break;
                }
            }
        }
    }
    read
}

fn hub(log: Arc<dyn Log>, window: Bounds, clock: &Arc<AtomicU64>) -> Hub {
    let clock = clock.clone();
    Hub::new(log, window, Arc::new(move || Timestamp(clock.load(Ordering::SeqCst))))
}

fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

fn answer(answer: Result<Appended, AppendError>) -> Answer {
    match answer {
        Ok(Appended { last, is_repeated: false }) => Answer::Appended(last.0),
        Ok(Appended { last, is_repeated: true }) => Answer::Repeated(last.0),
        Err(AppendError::Ended(name)) => Answer::Ended(name),
        Err(error) => panic!("{error}"),
    }
}

fn retention(random: &mut Rng) -> Retention {
    let rules = (0..random.usize(0..3)).map(|_| {
        let pattern = PATTERNS[random.usize(0..PATTERNS.len())];
        Rule { topics: Selector::new(pattern).unwrap(), limits: limits(random, 0..12) }
    });
    Retention {
        rules: rules.collect(),
        total: if random.bool() { limits(random, 5..100) } else { Limits::default() },
        idempotency_window: Duration::from_millis(random.u64(0..1000)),
        max_idempotency_keys: random.usize(1..4),
    }
}

fn limits(random: &mut Rng, events: Range<u64>) -> Limits {
    let (events, age) = (random.u64(events), random.u64(0..1000));
    Limits {
        max_events: random.bool().then_some(events),
        max_age: (random.u32(0..3) == 0).then_some(Duration::from_millis(age)),
        max_bytes: (random.u32(0..4) == 0).then_some(events * 5),
    }
}

impl Done {
    /// Whether nothing was left out.
    pub(crate) fn is_everything(&self) -> bool {
        let Self { events, given, lagged, expired, unknown, ends, over, resumed, restarts } = *self;
        [events, given, lagged, expired, unknown, ends, over, resumed, restarts]
            .iter()
            .all(|&count| count > 0)
    }
}

impl AddAssign for Done {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.given += other.given;
        self.lagged += other.lagged;
        self.expired += other.expired;
        self.unknown += other.unknown;
        self.ends += other.ends;
        self.over += other.over;
        self.resumed += other.resumed;
        self.restarts += other.restarts;
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, given, lagged, expired, unknown, ends, over, resumed, restarts } = self;
        write!(
            f,
            "{events} events, {given} given, gaps: {lagged} lagged, {expired} expired, \
             {unknown} unknown; {ends} streams ended, {over} over, {resumed} resumed without a \
             gap, {restarts} restarts"
        )
    }
}
