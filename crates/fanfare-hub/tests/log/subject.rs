use std::{fmt::Debug, fs, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use fanfare_fanout::{Epoch, Position};
use fanfare_hub::{
    Selection, Selector, TopicName,
    log::{
        AppendError, Batch, Durability, EmbeddedLog, Heard, IdempotencyKey, Limits, Log, MemoryLog,
        NewEvent, Opened, Options, Page, Read, Record, Report, Retention, Rule, Tail, Timestamp,
        TopicState,
    },
};
use tempfile::TempDir;

/// Makes a log to be tested.
pub(crate) trait Subject {
    /// A log that keeps this.
    async fn open(&self, retention: Retention) -> Arc<dyn Log>;

    async fn open_default(&self) -> Arc<dyn Log> {
        self.open(Retention::default()).await
    }
}

#[derive(Debug)]
pub(crate) struct Memory;

impl Subject for Memory {
    async fn open(&self, retention: Retention) -> Arc<dyn Log> {
        Arc::new(MemoryLog::new(Epoch::from_seed(7), retention))
    }
}

/// A log in a folder that is deleted when this is dropped.
#[derive(Debug)]
pub(crate) struct Embedded {
    folder: TempDir,
    options: Options,
}

impl Embedded {
    pub(crate) fn new() -> Self {
        Self::with(Durability::Sync)
    }

    pub(crate) fn with(durability: Durability) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Self { folder, options: Options { durability, reserve_bytes: 0, ..Options::default() } }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn options(&self) -> Options {
        self.options.clone()
    }

    /// Opens the log, again too.
    pub(crate) fn reopen(&self) -> (Arc<EmbeddedLog>, Opened) {
        self.reopen_with(self.options())
    }

    pub(crate) fn reopen_with(&self, options: Options) -> (Arc<EmbeddedLog>, Opened) {
        let (log, opened) = EmbeddedLog::open(self.path(), 7, options).unwrap();
        (Arc::new(log), opened)
    }
}

impl Subject for Embedded {
    async fn open(&self, retention: Retention) -> Arc<dyn Log> {
        self.reopen_with(Options { retention, ..self.options() }).0
    }
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

pub(crate) fn select(selectors: &[&str]) -> Selection {
    Selection::new(selectors.iter().map(|selector| Selector::new(selector).unwrap()))
}

/// Everything, the hub's own too.
pub(crate) fn all() -> Selection {
    select(&["*", "$*"])
}

pub(crate) fn event(name: &str, data: &str) -> NewEvent {
    NewEvent { topic: topic(name), name: None, retry: None, data: data.to_owned().into() }
}

/// Events, each of a topic and with its data.
pub(crate) fn batch(events: &[(&str, &str)]) -> Batch {
    let events = events.iter().map(|(topic, data)| event(topic, data)).collect();
    Batch { events, ..Batch::default() }
}

pub(crate) fn one(topic: &str, data: &str) -> Batch {
    batch(&[(topic, data)])
}

pub(crate) fn at(time: u64, batch: Batch) -> Batch {
    Batch { time: Timestamp(time), ..batch }
}

pub(crate) fn with_key(key: &str, batch: Batch) -> Batch {
    Batch { idempotency_key: Some(IdempotencyKey(key.to_owned().into())), ..batch }
}

pub(crate) fn ends(names: &[&str]) -> Batch {
    Batch { ends: names.iter().map(|name| topic(name)).collect(), ..Batch::default() }
}

pub(crate) fn rule(topics: &str, limits: Limits) -> Rule {
    Rule { topics: Selector::new(topics).unwrap(), limits }
}

pub(crate) fn rules(rules: impl IntoIterator<Item = Rule>) -> Retention {
    Retention { rules: rules.into_iter().collect(), ..Retention::default() }
}

pub(crate) fn max_events(most: u64) -> Limits {
    Limits { max_events: Some(most), ..Limits::default() }
}

pub(crate) fn max_bytes(most: u64) -> Limits {
    Limits { max_bytes: Some(most), ..Limits::default() }
}

pub(crate) fn max_age(most: u64) -> Limits {
    Limits { max_age: Some(Duration::from_millis(most)), ..Limits::default() }
}

/// Short ways to use a log.
pub(crate) trait LogExt {
    async fn put(&self, batch: Batch) -> u64;
    async fn page(&self, read: Read) -> Page;
    async fn events(&self, selection: Selection) -> Vec<Record>;
    async fn data(&self, selection: Selection) -> Vec<String>;
    async fn kept(&self, selection: Selection) -> u64;
    async fn state(&self, name: &str) -> Option<TopicState>;
}

impl<L: Log + ?Sized> LogExt for L {
    /// Appends, and gives the position.
    async fn put(&self, batch: Batch) -> u64 {
        self.append(batch).await.unwrap().last.0
    }

    async fn page(&self, read: Read) -> Page {
        Log::read(self, read).await.unwrap()
    }

    /// All events that are selected, page by page.
    async fn events(&self, selection: Selection) -> Vec<Record> {
        let mut read = everything(selection);
        let mut records = vec![];
        loop {
            let page = self.page(read.clone()).await;
            records.extend(page.records);
            assert!(page.through > read.after || page.through >= self.newest(), "it goes on");
            if page.through >= self.newest() {
                return records;
            }
            read.after = page.through;
        }
    }

    /// The data of all events that are selected.
    async fn data(&self, selection: Selection) -> Vec<String> {
        let records = self.events(selection).await;
        records.iter().map(|record| record.event.data.to_string()).collect()
    }

    async fn kept(&self, selection: Selection) -> u64 {
        self.kept_after(&selection).await.unwrap().0
    }

    async fn state(&self, name: &str) -> Option<TopicState> {
        self.topic(&topic(name)).await.unwrap()
    }
}

pub(crate) fn everything(selection: Selection) -> Read {
    Read {
        selection,
        after: Position::START,
        until: Position::END,
        max_events: usize::MAX,
        max_bytes: usize::MAX,
    }
}

pub(crate) fn positions<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<u64> {
    records.into_iter().map(|record| record.position.0).collect()
}

/// Gets so many of what the tail gives, and nothing else.
pub(crate) async fn take<T: Debug>(
    tail: &mut Tail,
    count: usize,
    of: impl Fn(&Committed) -> T,
) -> Vec<T> {
    let mut taken = vec![];
    while taken.len() < count {
        let committed = within(tail.recv()).await.expect("the log is open");
        taken.extend(committed.iter().map(&of));
    }
    assert_eq!(taken.len(), count);
    taken
}

pub(crate) use fanfare_hub::log::Committed;

/// The data of an event, or what else was told.
pub(crate) fn data(committed: &Committed) -> String {
    match committed {
        Committed::Event(record) => record.event.data.to_string(),
        other => format!("{other:?}"),
    }
}

/// The tail of a log, which has told the first event.
pub(crate) async fn first_told(log: &impl Log) -> Tail {
    let mut tail = log.tail().unwrap();
    log.put(one("a", "1")).await;
    assert_eq!(take(&mut tail, 1, data).await, ["1"]);
    tail
}

/// Tries until it succeeds.
pub(crate) async fn until_appended(log: &impl Log, batch: Batch) -> Position {
    let appending = async {
        loop {
            if let Ok(appended) = log.append(batch.clone()).await {
                return appended.last;
            }
            tokio::task::yield_now().await;
        }
    };
    within(appending).await
}

/// What one hub appends another reads and is told, in both directions.
pub(crate) async fn two_hubs_are_one(this: &dyn Log, other: &dyn Log) {
    assert_eq!(this.epoch(), other.epoch(), "the first one named it");
    let mut tail = other.tail().unwrap();
    let last = this.append(batch(&[("a", "1"), ("b", "2")])).await.unwrap().last;
    assert_eq!(other.data(all()).await, ["1", "2"]);
    assert_eq!(other.newest(), last, "known by any answer");
    other.put(one("a", "3")).await;
    assert_eq!(take(&mut tail, 3, data).await, ["1", "2", "3"]);
    let [first, again] = [
        this.append(with_key("k", one("a", "4"))).await.unwrap(),
        other.append(with_key("k", one("a", "5"))).await.unwrap(),
    ];
    assert!(!first.is_repeated && again.is_repeated && first.last == again.last);
    other.put(ends(&["b"])).await;
    let refused = this.append(one("b", "6")).await;
    assert!(matches!(refused, Err(AppendError::Ended(name)) if name == topic("b")));
    assert!(this.erase(&topic("b")).await.unwrap());
    other.put(one("b", "7")).await;
    assert_eq!(this.data(all()).await, ["1", "3", "4", "7"]);
    assert_eq!(this.kept(select(&["b"])).await, other.kept(select(&["b"])).await);
}

/// Longer than a test takes.
pub(crate) const LONG: Duration = Duration::from_mins(5);

/// What a hub hears from the others when it tells them something.
pub(crate) async fn hears(
    log: &dyn Log,
    hub: u64,
    content: &'static str,
    within: Duration,
) -> Vec<Heard> {
    let report = Report { hub, content: Bytes::from_static(content.as_bytes()) };
    log.exchange(report, within).expect("hubs share it").await.unwrap()
}

pub(crate) fn contents(mut heard: Vec<Heard>) -> Vec<(u64, Bytes)> {
    heard.sort_unstable_by_key(|one| one.report.hub);
    heard.into_iter().map(|one| (one.report.hub, one.report.content)).collect()
}

/// What a future gives, which must not take for ever.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it does not hang")
}

/// What a process that was killed leaves behind: a copy of the folder.
#[derive(Debug)]
pub(crate) struct Crashed(TempDir);

impl Crashed {
    /// Nothing must be written meanwhile.
    pub(crate) fn of(subject: &Embedded) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        copy(subject.path(), folder.path());
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves half of a write behind what the journal holds; gives its bytes.
    pub(crate) fn tear_journal(&self) -> u64 {
        let path = self.path().join("log/0.jnl");
        let mut journal = fs::read(&path).unwrap();
        let end = written(&journal);
        // It begins as the first one did.
        journal.copy_within(0..50, end);
        fs::write(path, &journal).unwrap();
        (written(&journal) - end) as u64
    }
}

/// How far a file is written; behind that there are zeros.
pub(crate) fn written(bytes: &[u8]) -> usize {
    const STEP: usize = 4096;
    let zeros = bytes.rchunks(STEP).take_while(|step| **step == [0; STEP][..step.len()]).count();
    let front = &bytes[..bytes.len().saturating_sub(zeros * STEP)];
    front.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &to) } else { fs::copy(&path, &to).map(drop).unwrap() }
    }
}
