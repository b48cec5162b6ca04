//! A topic that follows a stream elsewhere: what comes is kept in the log, and with it how far it has come.
//!
//! The place, the upstream's last event id, is an event of `$relay/{topic}` in the same batch as the events up
//! to it. So both are durable, or neither is: a crash leaves nothing out, and doubles nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use fanfare_fanout::{GAP, Gap, GapReason, Position};
use fanfare_wire::{ByteString, Event};
use serde::Deserialize;

use crate::{
    Hub, Selector, TopicError, TopicName,
    event::of_wire,
    log::{AppendError, Appended, Batch, IdempotencyKey, Limits, NewEvent, Read, ReadError, Rule},
    metrics::Relayed,
    via::{Circle, Via},
};

/// What the topics begin with that hold places.
const PLACES: &str = "$relay/";

/// A topic of a hub that follows a stream elsewhere. There is one for each such topic.
#[derive(Debug)]
pub struct Relay {
    hub: Hub,
    topic: TopicName,
    place: TopicName,
    metrics: Relayed,
    seed: u64,
    passages: AtomicU64,
}

/// What has come and is appended together.
#[derive(Debug, Clone)]
pub struct Passage {
    topic: TopicName,
    events: Vec<NewEvent>,
    /// How many of these are gaps.
    gaps: usize,
    /// The upstream's id behind it; empty if it gives none.
    place: ByteString,
    key: IdempotencyKey,
}

/// What a gap of a hub says.
#[derive(Deserialize)]
struct ToldGap {
    #[serde(rename = "reason")]
    _reason: ToldReason,
    missed: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ToldReason {
    Lagged,
    Expired,
    Unknown,
    Lost,
}

impl Relay {
    /// The topic of the hub. There it is known from now on that it comes from elsewhere. `seed`, drawn at random,
    /// keeps the idempotency keys apart from those of another process.
    ///
    /// # Errors
    ///
    /// The name is too long for the place to have one.
    pub fn new(hub: Hub, topic: TopicName, seed: u64) -> Result<Self, TopicError> {
        let place = TopicName::new(&[PLACES, topic.as_str()].concat())?;
        hub.courses().ask(&topic);
        let metrics = hub.metrics().relayed(&topic);
        Ok(Self { hub, topic, place, metrics, seed, passages: AtomicU64::new(0) })
    }

    /// How the log keeps places: the newest of each topic, whatever the limits of others.
    pub fn retention() -> Rule {
        let limits = Limits { max_events: Some(1), ..Limits::default() };
        Rule { topics: Selector::Prefix(PLACES.into()), limits }
    }

    /// The topic.
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// The place that the log has: `None` before anything has come, empty if the upstream gives no ids.
    ///
    /// # Errors
    ///
    /// The log's.
    pub async fn place(&self) -> Result<Option<String>, ReadError> {
        let selection = self.place.clone().into();
        let after = self.hub.log().before_last(&selection, 1).await?;
        let read =
            Read { selection, after, until: Position::END, max_events: 1, max_bytes: usize::MAX };
        let page = self.hub.log().read(read).await?;
        Ok(page.records.last().map(|record| record.event.data.to_string()))
    }

    /// Nothing, so far, behind a place.
    pub fn passage(&self, place: ByteString) -> Passage {
        let number = self.passages.fetch_add(1, Ordering::Relaxed);
        let key = format!("{}\n{:x}-{number}", self.place, self.seed);
        Passage {
            topic: self.topic.clone(),
            events: vec![],
            gaps: 0,
            place,
            key: IdempotencyKey(key.into()),
        }
    }

    /// Appends it with its place. A passage that failed may be appended again: it is there once.
    ///
    /// # Errors
    ///
    /// The log's.
    pub async fn append(&self, passage: Passage) -> Result<Appended, AppendError> {
        let Passage { mut events, gaps, place, key, .. } = passage;
        let count = events.len() as u64;
        let place = NewEvent { topic: self.place.clone(), name: None, retry: None, data: place };
        events.push(place);
        let batch = Batch { events, idempotency_key: Some(key), ..Batch::default() };
        let appended = self.hub.publish(batch).await?;
        self.metrics.events.inc_by(count);
        (0..gaps).for_each(|_| self.hub.metrics().gaps.count(GapReason::Lost));
        Ok(appended)
    }

    /// Whether the place, appended up to here, is among the newest that the log has. If it is not, limits of
    /// the whole log drop it sooner or later.
    pub fn is_newest(&self, place: Position) -> bool {
        self.hub.log().newest() <= place
    }

    /// What the upstream is told of the way of its stream.
    pub fn via(&self) -> Via {
        Via::of(self.hub.epoch())
    }

    /// The upstream has answered; what it says of the way of its stream.
    ///
    /// # Errors
    ///
    /// The stream has come from this hub, or from one that follows it here. Nothing may be taken from it.
    pub fn connected(&self, via: Via) -> Result<(), Circle> {
        self.hub.courses().came(&self.topic, self.hub.epoch(), via)?;
        self.metrics.connected.set(1);
        Ok(())
    }

    /// The upstream has refused: nothing comes from it until it answers.
    pub fn refused(&self) {
        self.hub.courses().refused(&self.topic);
    }

    /// The upstream gives nothing, and is asked from now on.
    pub fn ask(&self) {
        self.hub.courses().ask(&self.topic);
        self.metrics.connected.set(0);
    }
}

impl Passage {
    /// Adds an event. A gap that the upstream tells is one here too.
    pub fn push(&mut self, event: &Event) {
        match told_gap(event) {
            Some(ToldGap { missed, .. }) => self.push_gap(missed),
            None => self.events.push(of_wire(event, self.topic.clone())),
        }
    }

    /// Adds the word that events are missing here, and how many, where that is known.
    pub fn push_gap(&mut self, missed: Option<u64>) {
        let gap = Gap { reason: GapReason::Lost, missed, requested: None, resumed_from: None };
        self.gaps += 1;
        self.events.push(of_wire(&gap.to_event(), self.topic.clone()));
    }
}

fn told_gap(event: &Event) -> Option<ToldGap> {
    (event.name() == GAP.as_str()).then(|| event.parse_json().ok())?
}
