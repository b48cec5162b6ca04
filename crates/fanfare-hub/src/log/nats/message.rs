//! What is in the stream: messages, which every hub applies in their order.
//!
//! A message has a head, which every hub needs to know where the log is, and a body, which is needed only for
//! giving its events to somebody.

use std::{collections::HashMap, time::Duration};

use async_nats::{HeaderMap, jetstream::message::PublishMessage};
use bytes::Bytes;
use fanfare_fanout::Position;
use fanfare_wire::EventName;
use serde::{Deserialize, Serialize};

use super::Subjects;
use crate::{
    TopicName,
    log::{Batch, IdempotencyKey, NewEvent, index::Restored},
};

/// The header that holds the head.
const HEAD: &str = "Fanfare";
/// Bits of a position that number the events of a message; the others are the message's sequence.
const BITS: u32 = 14;
/// Events of a message at most.
pub(super) const MAX_EVENTS: usize = 1 << BITS;

/// The position of an event of a message.
pub(super) fn position(sequence: u64, index: usize) -> u64 {
    (sequence << BITS) | index as u64
}

/// The message that an event is in, and its place there.
pub(super) fn place(position: u64) -> (u64, usize) {
    let index = position & (MAX_EVENTS as u64 - 1);
    // It is less than `MAX_EVENTS`.
    (position >> BITS, usize::try_from(index).unwrap_or_default())
}

/// What every hub has to know of a message.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    /// By which its sender recognises it.
    pub(super) nonce: u64,
    pub(super) time: u64,
    /// The newest event there was, as far as its sender knew.
    pub(super) newest: u64,
    #[serde(flatten)]
    pub(super) what: What,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum What {
    Batch(BatchHead),
    Kept(Kept),
    Forgotten(Forgotten),
}

/// Events are appended, and topics end.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct BatchHead {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<UsedKey>,
    /// The newest event that had been dropped of forgotten topics, as far as its sender knew: a topic that begins
    /// may be one of them.
    #[serde(default)]
    pub(super) forgotten: u64,
    /// Topics that its sender did not know: what is left of those that are forgotten does not count any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) begins: Vec<String>,
    /// Left out where the subject tells the only one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) topics: Vec<String>,
    /// The topic of each event, and the size of its data in bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) events: Vec<(usize, u64)>,
    /// Topics that end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) ends: Vec<usize>,
}

/// An idempotency key, hashed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct UsedKey {
    pub(super) hash: String,
    /// Keys that were used in front of this message are forgotten.
    pub(super) keys_from: u64,
}

/// Events of a topic are dropped: what went before is not needed any more to know this of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) topic: String,
    #[serde(flatten)]
    pub(super) restored: Restored,
    pub(super) why: Why,
}

/// Why events of a topic are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Why {
    /// They are beyond the limits.
    Beyond,
    /// It has none left, and will be forgotten: its end does not count any more.
    Over,
    /// All of them are erased, and the topic begins anew.
    Erased,
}

/// Topics are forgotten that have no event left.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Forgotten {
    /// With the newest event of each.
    pub(super) topics: Vec<(String, u64)>,
    /// The newest event that was dropped of these and those before.
    pub(super) dropped: u64,
    /// Idempotency keys that were used in front of this message are forgotten too.
    pub(super) keys_from: u64,
}

/// A message to be sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) subject: String,
    pub(super) head: Head,
    pub(super) body: Bytes,
    /// It is refused if there is another message with its subject behind this one.
    pub(super) behind: Option<u64>,
}

/// A message that has come.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) sequence: u64,
    pub(super) head: Head,
    /// The topics of a batch.
    pub(super) topics: Vec<TopicName>,
    /// Empty if it was left out.
    pub(super) body: Bytes,
}

/// What is told of an event besides what its head says.
#[derive(Debug, Deserialize)]
pub(super) struct Body(Option<String>, Option<Duration>, String);

impl Body {
    /// Of all events of a message.
    pub(super) fn read(bytes: &[u8]) -> Option<Vec<Self>> {
        serde_json::from_slice(bytes).ok()
    }

    pub(super) fn event(self, topic: TopicName) -> Option<NewEvent> {
        let Self(name, retry, data) = self;
        let name = name.map(EventName::new).transpose().ok()?;
        Some(NewEvent { topic, name, retry, data: data.into() })
    }
}

impl Outgoing {
    /// `known` is what its sender knows. `None` if it cannot be written.
    pub(super) fn batch(
        subjects: &Subjects,
        batch: &Batch,
        known: BatchHead,
        head: impl FnOnce(What) -> Head,
    ) -> Option<Self> {
        let (mut topics, mut indexes) = (vec![], HashMap::new());
        let mut index_of = |name| {
            *indexes.entry(name).or_insert_with(|| {
                topics.push(name);
                topics.len() - 1
            })
        };
        let sized = |event: &NewEvent| event.data.len() as u64;
        let events = batch.events.iter().map(|event| (index_of(&event.topic), sized(event)));
        let events = events.collect();
        let ends = batch.ends.iter().map(&mut index_of).collect();
        let (subject, topics) = match *topics {
            [one] => (subjects.events(one), vec![]),
            _ => (subjects.batches(), topics.iter().map(|name| name.as_str().into()).collect()),
        };
        let head = head(What::Batch(BatchHead { topics, events, ends, ..known }));
        let bodies: Vec<_> = batch.events.iter().map(to_write).collect();
        let body = serde_json::to_vec(&bodies).ok()?.into();
        Some(Self { subject, head, body, behind: None })
    }

    pub(super) fn of(subject: String, head: Head, behind: Option<u64>) -> Self {
        Self { subject, head, body: Bytes::new(), behind }
    }

    /// As it is published, and the sizes of its headers and of all of it in bytes; `None` if it cannot be written.
    pub(super) fn to_publish(&self, id: Option<&str>) -> Option<(PublishMessage, usize, usize)> {
        let head = serde_json::to_string(&self.head).ok()?;
        let of_headers = head.len() + FRAME;
        let size = of_headers + self.body.len();
        let mut message = PublishMessage::build().payload(self.body.clone()).header(HEAD, &*head);
        if let Some(id) = id {
            message = message.message_id(id);
        }
        if let Some(behind) = self.behind {
            message = message.expected_last_subject_sequence(behind);
        }
        Some((message, of_headers, size))
    }
}

/// What headers need besides the head, at most.
const FRAME: usize = 256;
/// What `JetStream` takes of headers, in bytes.
pub(super) const MOST_HEADERS: usize = u16::MAX as usize;

impl Incoming {
    /// `None` if it is none of ours.
    pub(super) fn read(
        subjects: &Subjects,
        sequence: u64,
        subject: &str,
        headers: Option<&HeaderMap>,
        body: Bytes,
    ) -> Option<Self> {
        let head: Head = serde_json::from_str(headers?.get(HEAD)?.as_str()).ok()?;
        let mut topics = vec![];
        if let What::Batch(batch) = &head.what {
            topics = match subjects.topic(subject) {
                Some(topic) => vec![topic],
                None => batch
                    .topics
                    .iter()
                    .map(|name| TopicName::new(name).ok())
                    .collect::<Option<_>>()?,
            };
            let mut indexes = batch.events.iter().map(|(topic, _)| topic).chain(&batch.ends);
            if batch.events.len() > MAX_EVENTS || indexes.any(|&index| index >= topics.len()) {
                return None;
            }
        }
        Some(Self { sequence, head, topics, body })
    }

    pub(super) fn position(&self, index: usize) -> Position {
        Position(position(self.sequence, index))
    }

    /// The events of a batch.
    fn events(&self) -> &[(usize, u64)] {
        match &self.head.what {
            What::Batch(batch) => &batch.events,
            What::Kept(_) | What::Forgotten(_) => &[],
        }
    }

    /// The size of the data of its events.
    pub(super) fn bytes(&self) -> u64 {
        self.events().iter().map(|(_, bytes)| bytes).sum()
    }

    /// Its newest event.
    pub(super) fn last(&self) -> Option<Position> {
        self.events().len().checked_sub(1).map(|index| self.position(index))
    }
}

fn to_write(event: &NewEvent) -> (Option<&str>, Option<Duration>, &str) {
    (event.name.as_ref().map(EventName::as_str), event.retry, &event.data)
}

/// Keys may be long.
pub(super) fn hashed(key: &IdempotencyKey) -> String {
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(key.0.as_bytes()))
}
