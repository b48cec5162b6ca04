use std::collections::HashMap;

use fanfare_client::Policy;
use reqwest::Client;
use serde::Deserialize;

use crate::{
    requests::{Fate, Sent},
    support::{follow_with, next, parts, within},
};

/// An event in the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) position: u64,
    pub(crate) topic: String,
    pub(crate) data: String,
}

/// What the log has, read over HTTP.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    pub(crate) entries: Vec<Entry>,
    epoch: Option<String>,
    last_event_id: String,
    /// Where the entry with this data is.
    places: HashMap<String, usize>,
}

/// What became of requests.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fates {
    pub(crate) acknowledged: usize,
    /// Their first answer was lost: appended before the kill, and after it.
    pub(crate) repeated_kept: usize,
    pub(crate) repeated_new: usize,
    /// Never answered: there, and not there.
    pub(crate) unanswered_kept: usize,
    pub(crate) unanswered_gone: usize,
    /// Their events that are there.
    pub(crate) events: usize,
}

#[derive(Deserialize)]
struct Topics {
    topics: Vec<Topic>,
}

#[derive(Deserialize)]
struct Topic {
    newest: String,
}

#[derive(Deserialize)]
struct Envelope {
    topic: String,
    data: String,
}

/// The position of the newest event of all topics.
async fn newest(client: &Client, url: &str) -> u64 {
    let answer = within("the topics", client.get(format!("{url}/topics")).send()).await.unwrap();
    let Topics { topics } = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    topics.iter().map(|topic| parts(&topic.newest).1).max().unwrap_or_default()
}

impl Audit {
    /// Reads what the log has behind what was read last, and gives its newest position.
    pub(crate) async fn read_on(&mut self, policy: Policy, client: &Client, url: &str) -> u64 {
        let newest = newest(client, url).await;
        let all = format!("{url}/sse/*?from=earliest&envelope=json");
        let mut source = follow_with(policy, client, &all, &self.last_event_id);
        while self.newest() < newest {
            let event = within("an entry", next(&mut source)).await.expect("a stream that goes on");
            assert_eq!(event.name(), "message", "{}", event.data());
            let envelope = serde_json::from_str(event.data()).unwrap();
            self.last_event_id = source.last_event_id().to_owned();
            self.add(envelope);
        }
        newest
    }

    fn newest(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.position)
    }

    fn add(&mut self, Envelope { topic, data }: Envelope) {
        let (epoch, position) = parts(&self.last_event_id);
        assert_eq!(self.epoch.get_or_insert_with(|| epoch.to_owned()), epoch, "the log's epoch");
        assert!(position > self.newest(), "{position} behind {}: {data}", self.newest());
        let earlier = self.places.insert(data.clone(), self.entries.len());
        assert_eq!(earlier, None, "{data} is there twice");
        self.entries.push(Entry { position, topic, data });
    }

    /// Each request has left what its publisher knows it must have, and nothing in parts.
    pub(crate) fn check(&self, sent: &[Sent]) -> Fates {
        let mut fates = Fates::default();
        for sent in sent {
            let last = self.last_of(sent);
            match (sent.fate, last) {
                (Fate::Unanswered, None) => fates.unanswered_gone += 1,
                (Fate::Unanswered, Some(_)) => fates.unanswered_kept += 1,
                (Fate::Acknowledged(answered), found) => {
                    assert_eq!(found, Some(answered), "{sent:?}");
                    fates.acknowledged += 1;
                }
                (Fate::Repeated { last: answered, was_kept }, found) => {
                    assert_eq!(found, Some(answered), "{sent:?}");
                    fates.repeated_kept += usize::from(was_kept);
                    fates.repeated_new += usize::from(!was_kept);
                }
            }
            fates.events += last.map_or(0, |_| sent.request.events.len());
        }
        fates
    }

    /// The position of the last event of a request that is there: all of it, as one piece.
    fn last_of(&self, sent: &Sent) -> Option<u64> {
        let events = &sent.request.events;
        let Some(&first) = self.places.get(&events[0].1) else {
            let rest = events.iter().filter(|(_, data)| self.places.contains_key(data));
            assert_eq!(rest.count(), 0, "parts are there of {sent:?}");
            return None;
        };
        let position = self.entries[first].position;
        for (entry, (index, (topic, data))) in self.entries[first..].iter().zip((0..).zip(events)) {
            let expected = (position + index, *topic, data);
            assert_eq!((entry.position, &*entry.topic, &entry.data), expected, "{sent:?}");
        }
        assert!(self.entries.len() - first >= events.len(), "parts are there of {sent:?}");
        Some(position + events.len() as u64 - 1)
    }

    /// Each publisher's requests lie in the order in which it made them.
    pub(crate) fn check_order(&self, sent: &[Sent]) {
        let mut newest = HashMap::new();
        for sent in sent {
            let Some(last) = self.last_of(sent) else { continue };
            let before = newest.insert(sent.request.publisher, last);
            assert!(before < Some(last), "{sent:?} lies before an earlier one");
        }
    }
}
