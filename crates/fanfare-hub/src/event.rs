//! How an event of the log looks on the wire.

use fanfare_wire::{ByteString, Event, EventName};
use serde::Serialize;

use crate::{
    Coding, TopicName,
    log::{NewEvent, Record},
};

/// What a subscriber is given of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// The event as it was published.
    #[default]
    Plain,
    /// A `message` whose data is JSON with topic, name, data and time: for those who follow many
    /// topics.
    Envelope,
}

impl Format {
    pub(crate) const ALL: [Self; 2] = [Self::Plain, Self::Envelope];
}

/// What a subscriber's bytes are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Representation {
    pub(crate) format: Format,
    pub(crate) coding: Coding,
}

#[derive(Serialize)]
struct Envelope<'a> {
    topic: &'a str,
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u128>,
    data: &'a str,
    /// Milliseconds since 1970.
    time: u64,
}

/// What is appended of an event that came over the wire: all but its id.
pub(crate) fn of_wire(event: &Event, topic: TopicName) -> NewEvent {
    let is_named = event.name() != Event::DEFAULT_NAME;
    let name = is_named.then(|| EventName::new(event.name().to_owned()).ok()).flatten();
    // What is kept for long keeps no chunk alive.
    let data = ByteString::from(event.data());
    NewEvent { topic, name, retry: event.retry(), data }
}

/// The event without its id, which a channel stamps.
pub(crate) fn of_record(record: &Record, format: Format) -> Event {
    let NewEvent { topic, name, retry, data } = &record.event;
    let named = |event: Event| match name {
        Some(name) if format == Format::Plain => event.with_name(name.clone()),
        _ => event,
    };
    let event = match format {
        Format::Plain => Event::new(data.clone()),
        Format::Envelope => {
            let event = name.as_ref().map_or(Event::DEFAULT_NAME, |name| name.as_str());
            let time = record.time.0;
            let retry = retry.map(|retry| retry.as_millis());
            let envelope = Envelope { topic: topic.as_str(), event, retry, data, time };
            // Strings and numbers always serialise.
            Event::json(&envelope).unwrap_or_default()
        }
    };
    let event = named(event);
    match retry {
        Some(retry) => event.with_retry(*retry),
        None => event,
    }
}
