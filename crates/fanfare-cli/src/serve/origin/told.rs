//! What an origin answers.

use std::time::Duration;

use fanfare_hub::{
    Epoch, Position, TopicName, Via,
    log::{NewEvent, Page, Record, Timestamp, TopicState},
};
use fanfare_wire::{ByteString, EventName};
use serde::Deserialize;

/// What is known of the log. What was not asked for is empty.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) epoch: Epoch,
    /// What drops are counted from.
    pub(super) run: u64,
    pub(super) drops: u64,
    pub(super) newest: Position,
    pub(super) kept_after: Position,
    pub(super) before_last: Position,
    /// Of those that were asked for by name.
    pub(super) topics: Vec<TopicState>,
    pub(super) listed: Vec<TopicState>,
    pub(super) page: Page,
    pub(super) via: Via,
}

#[derive(Deserialize)]
struct Text {
    epoch: String,
    run: u64,
    drops: u64,
    newest: String,
    kept_after: String,
    before_last: Option<String>,
    topics: Vec<Topic>,
    #[serde(default)]
    listed: Vec<Topic>,
    #[serde(default)]
    events: Vec<Event>,
    through: Option<String>,
}

#[derive(Deserialize)]
struct Topic {
    #[serde(rename = "topic")]
    name: String,
    events: u64,
    bytes: u64,
    oldest: Option<String>,
    newest: String,
    ended: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(flatten)]
    envelope: Envelope,
}

/// An event with its topic: in an answer, or as the data of an event of a stream.
#[derive(Deserialize)]
pub(super) struct Envelope {
    topic: String,
    event: Option<String>,
    retry: Option<u64>,
    data: String,
    time: u64,
}

impl Told {
    /// `None` if it is not what a hub answers.
    pub(super) fn read(json: &[u8], via: Via) -> Option<Self> {
        let text: Text = serde_json::from_slice(json).ok()?;
        let epoch = Epoch::from_name(&text.epoch)?;
        let place = |id: &Option<String>| match id {
            Some(id) => epoch.position(id),
            None => Some(Position::START),
        };
        let states = |topics: Vec<Topic>| {
            topics.into_iter().map(|topic| topic.state(epoch)).collect::<Option<Vec<_>>>()
        };
        let record = |event: Event| event.envelope.record(epoch.position(&event.id)?);
        let records = text.events.into_iter().map(record).collect::<Option<_>>()?;
        Some(Self {
            epoch,
            run: text.run,
            drops: text.drops,
            newest: epoch.position(&text.newest)?,
            kept_after: epoch.position(&text.kept_after)?,
            before_last: place(&text.before_last)?,
            topics: states(text.topics)?,
            listed: states(text.listed)?,
            page: Page { records, through: place(&text.through)? },
            via,
        })
    }
}

impl Topic {
    fn state(self, epoch: Epoch) -> Option<TopicState> {
        let place = |id: Option<String>| match id {
            Some(id) => epoch.position(&id).map(Some),
            None => Some(None),
        };
        Some(TopicState {
            name: TopicName::new(&self.name).ok()?,
            events: self.events,
            bytes: self.bytes,
            oldest: place(self.oldest)?,
            newest: epoch.position(&self.newest)?,
            ended: place(self.ended)?,
        })
    }
}

impl Envelope {
    pub(super) fn record(self, position: Position) -> Option<Record> {
        let name = self.event.filter(|name| name != fanfare_wire::Event::DEFAULT_NAME);
        let event = NewEvent {
            topic: TopicName::new(&self.topic).ok()?,
            name: name.map(EventName::new).transpose().ok()?,
            retry: self.retry.map(Duration::from_millis),
            data: ByteString::from(self.data),
        };
        Some(Record { position, time: Timestamp(self.time), event })
    }
}
