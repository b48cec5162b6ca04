use std::{
    collections::{HashMap, HashSet},
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    ops::AddAssign,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::Client;
use tokio::{sync::watch, time::interval};

use crate::{
    audit::Entry,
    publishers::Life,
    support::{follow, next, parts, within},
};

/// What subscribers ask for, and which topics that selects.
pub(crate) type Selection = (&'static str, &'static [&'static str]);

pub(crate) const SELECTIONS: [Selection; 5] = [
    ("/sse/a?from=earliest", &["a"]),
    ("/sse?topic=a&topic=b&from=earliest", &["a", "b"]),
    ("/sse/news/*?from=earliest", &["news/x", "news/y"]),
    ("/sse?topic=b&topic=news/*&from=earliest", &["b", "news/x", "news/y"]),
    ("/sse/*?from=earliest", &["a", "b", "news/x", "news/y"]),
];

/// A subscriber that goes on with the id of the last event that it was given. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Follower {
    pub(crate) target: &'static str,
    topics: &'static [&'static str],
    seen: Arc<Mutex<Seen>>,
}

/// What it was given.
#[derive(Debug, Default)]
struct Seen {
    /// The position of each event, and a digest of its data: all data of many would be much.
    events: Vec<(u64, u64)>,
    gaps: Vec<String>,
}

/// What subscribers were given, held against what there is to be given.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) delivered: usize,
    /// Events of theirs that they were never given.
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    /// Given behind an event that is newer.
    pub(crate) misplaced: usize,
    /// Given, and not in the log under that id, or not theirs.
    pub(crate) strange: usize,
    pub(crate) gaps: usize,
}

impl Follower {
    pub(crate) fn new((target, topics): Selection) -> Self {
        Self { target, topics, seen: Arc::default() }
    }

    /// Follows each new hub until it is aborted.
    pub(crate) async fn run(self, client: Client, mut lives: watch::Receiver<Life>) {
        let (mut lost, mut last_event_id) = (0, String::new());
        loop {
            let life = lives.wait_for(|life| life.number > lost).await.unwrap().clone();
            let url = format!("{}{}", life.url, self.target);
            let mut source = follow(&client, &url, &last_event_id);
            while let Some(event) = next(&mut source).await {
                self.note(event.name(), source.last_event_id(), event.data());
            }
            last_event_id = source.last_event_id().to_owned();
            lost = life.number;
        }
    }

    /// Takes note of what it was given.
    pub(crate) fn note(&self, name: &str, id: &str, data: &str) {
        let mut seen = self.seen.lock().unwrap();
        if name == "message" {
            seen.events.push((parts(id).1, digest(data)));
        } else {
            seen.gaps.push(format!("{name} at {id}: {data}"));
        }
    }

    /// Waits until it has been given the newest of these that it follows.
    pub(crate) async fn has_all(&self, entries: &[Entry]) {
        let newest = self.expected(entries).last().map(|entry| entry.position);
        self.has_come_to(newest.unwrap_or_default()).await;
    }

    /// Waits until it has been given something that is as new as this.
    pub(crate) async fn has_come_to(&self, position: u64) {
        let catching_up = async {
            let mut looks = interval(Duration::from_millis(2));
            while self.newest() < position {
                looks.tick().await;
            }
        };
        within(self.target, catching_up).await;
    }

    fn newest(&self) -> u64 {
        self.seen.lock().unwrap().events.last().map_or(0, |(position, _)| *position)
    }

    /// What it was given, held against the log.
    pub(crate) fn account(&self, entries: &[Entry]) -> Account {
        let seen = self.seen.lock().unwrap();
        let mut times: HashMap<_, usize> = HashMap::new();
        for event in &seen.events {
            *times.entry(*event).or_default() += 1;
        }
        let expected = self.expected(entries).map(|entry| (entry.position, digest(&entry.data)));
        let expected: HashSet<_> = expected.collect();
        let is_misplaced = |pair: &&[(u64, u64)]| pair[0].0 > pair[1].0;
        Account {
            delivered: seen.events.len(),
            lost: expected.iter().filter(|event| !times.contains_key(event)).count(),
            doubled: times.values().map(|times| times - 1).sum(),
            misplaced: seen.events.windows(2).filter(is_misplaced).count(),
            strange: times.keys().filter(|event| !expected.contains(event)).count(),
            gaps: seen.gaps.len(),
        }
    }

    /// It has been given each event once, in order.
    pub(crate) fn check(&self, entries: &[Entry]) {
        let account = self.account(entries);
        assert!(account.is_whole(), "{}", self.complaint(entries));
    }

    /// What is wrong with what it was given, for those who look for the cause.
    pub(crate) fn complaint(&self, entries: &[Entry]) -> String {
        let Seen { events, gaps } = &*self.seen.lock().unwrap();
        let seen: HashSet<_> = events.iter().map(|(position, _)| *position).collect();
        let is_lost = |entry: &&Entry| !seen.contains(&entry.position);
        let lost: Vec<_> = self.expected(entries).filter(is_lost).take(3).collect();
        format!("to {}: the first that it lost are {lost:?}; gaps: {gaps:?}", self.target)
    }

    fn expected<'a>(&self, entries: &'a [Entry]) -> impl DoubleEndedIterator<Item = &'a Entry> {
        entries.iter().filter(|entry| self.topics.contains(&&*entry.topic))
    }
}

impl Account {
    /// Nothing is wrong.
    pub(crate) fn is_whole(&self) -> bool {
        *self == Self { delivered: self.delivered, ..Self::default() }
    }
}

impl AddAssign for Account {
    fn add_assign(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.misplaced += other.misplaced;
        self.strange += other.strange;
        self.gaps += other.gaps;
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { delivered, lost, doubled, misplaced, strange, gaps } = self;
        write!(f, "delivered {delivered}, lost {lost}, doubled {doubled}, ")?;
        write!(f, "out of order {misplaced}, strange {strange}, gaps {gaps}")
    }
}

fn digest(data: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    hasher.finish()
}
