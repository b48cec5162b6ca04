use std::sync::{Arc, Mutex};

use reqwest::Client;
use tokio::{sync::watch, time::interval};

use crate::{
    audit::Entry,
    publishers::Life,
    support::{follow, next, parts, within},
};

/// What subscribers ask for, and which topics that selects.
pub(crate) const SELECTIONS: [(&str, &[&str]); 5] = [
    ("/sse/a?from=earliest", &["a"]),
    ("/sse?topic=a&topic=b&from=earliest", &["a", "b"]),
    ("/sse/news/*?from=earliest", &["news/x", "news/y"]),
    ("/sse?topic=b&topic=news/*&from=earliest", &["b", "news/x", "news/y"]),
    ("/sse/*?from=earliest", &["a", "b", "news/x", "news/y"]),
];

/// A subscriber that comes back to each new hub with the id of the last event that it was given.
#[derive(Debug, Clone)]
pub(crate) struct Follower {
    target: &'static str,
    topics: &'static [&'static str],
    seen: Arc<Mutex<Vec<(u64, String)>>>,
}

impl Follower {
    pub(crate) fn new((target, topics): (&'static str, &'static [&'static str])) -> Self {
        Self { target, topics, seen: Arc::default() }
    }

    /// Follows until it is aborted.
    pub(crate) async fn run(self, client: Client, mut lives: watch::Receiver<Life>) {
        let (mut lost, mut last_event_id) = (0, String::new());
        loop {
            let life = lives.wait_for(|life| life.number > lost).await.unwrap().clone();
            let url = format!("{}{}", life.url, self.target);
            let mut source = follow(&client, &url, &last_event_id);
            while let Some(event) = next(&mut source).await {
                assert_eq!(event.name(), "message", "to {}: {}", self.target, event.data());
                let (_, position) = parts(source.last_event_id());
                self.seen.lock().unwrap().push((position, event.data().to_owned()));
            }
            last_event_id = source.last_event_id().to_owned();
            lost = life.number;
        }
    }

    /// Waits until it has been given the newest of these that it follows.
    pub(crate) async fn has_all(&self, entries: &[Entry]) {
        let newest = self.expected(entries).last().map(|entry| entry.position);
        let catching_up = async {
            let mut looks = interval(std::time::Duration::from_millis(2));
            while self.seen.lock().unwrap().last().map(|(position, _)| *position) < newest {
                looks.tick().await;
            }
        };
        within(self.target, catching_up).await;
    }

    /// It has been given each event once, in order.
    pub(crate) fn check(&self, entries: &[Entry]) {
        let seen = self.seen.lock().unwrap();
        let mut seen = seen.iter().map(|(position, data)| (*position, &**data));
        for entry in self.expected(entries) {
            assert_eq!(seen.next(), Some((entry.position, &*entry.data)), "to {}", self.target);
        }
        assert_eq!(seen.next(), None, "to {}", self.target);
    }

    fn expected<'a>(&self, entries: &'a [Entry]) -> impl DoubleEndedIterator<Item = &'a Entry> {
        entries.iter().filter(|entry| self.topics.contains(&&*entry.topic))
    }
}
