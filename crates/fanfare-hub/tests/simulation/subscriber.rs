use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    ops::RangeInclusive,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use fanfare_fanout::Position;
use fanfare_hub::{Format, From, Selection, TopicName, log::Record};
use fanfare_wire::{Decoder, Event, Item};
use tokio::time::timeout;

use crate::{
    follow::Chunks,
    model::{Missing, Model, Moment, names},
};

/// Longer than anything takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a client follows, whether it is connected or not.
pub(crate) struct Subscriber {
    pub(crate) number: usize,
    pub(crate) selection: Selection,
    pub(crate) format: Format,
    pub(crate) coding: &'static str,
    /// Where it begins when it was never given an id.
    pub(crate) from: From,
    pub(crate) last_id: String,
    pub(crate) connection: Option<Connection>,
}

/// A stream, and what is known of it.
pub(crate) struct Connection {
    stream: Chunks,
    chunk: Bytes,
    decoder: Decoder,
    /// Everything that is selected up to here was given, or it was told that it is missing.
    place: u64,
    /// A gap that must come first.
    missing: Option<(Missing, String)>,
    /// What was dropped until then has been told, or was no news when it connected. A gap may have been
    /// written some time before it is read, so what was dropped in between may be told, or not yet.
    told: RangeInclusive<Moment>,
    /// Up to where anything was dropped at some time since it connected.
    kept_after: BTreeSet<u64>,
    /// The topics that have ended or were erased, with the newest position then.
    closed: BTreeMap<TopicName, u64>,
}

/// What comes out of a stream.
#[derive(Debug)]
pub(crate) enum Given {
    Event(Event),
    End,
}

impl Connection {
    pub(crate) fn new(
        stream: Chunks,
        place: u64,
        missing: Option<(Missing, String)>,
        now: Moment,
    ) -> Self {
        Self {
            told: now..=now,
            stream,
            chunk: Bytes::new(),
            decoder: Decoder::new(),
            place,
            missing,
            kept_after: BTreeSet::new(),
            closed: BTreeMap::new(),
        }
    }

    /// What comes next, while there is anything at this moment.
    pub(crate) async fn at_once(&mut self) -> Option<Given> {
        loop {
            if let Some(given) = self.decode() {
                return Some(given);
            }
            let next = poll_fn(|context| match self.stream.as_mut().poll_next(context) {
                Poll::Ready(next) => Poll::Ready(Some(next)),
                Poll::Pending => Poll::Ready(None),
            });
            if let Some(given) = next.await.and_then(|next| self.take(next)) {
                return Some(given);
            }
            if self.chunk.is_empty() {
                return None;
            }
        }
    }

    /// What comes next; `None` if nothing does for so long.
    async fn within(&mut self, time: Duration) -> Option<Given> {
        loop {
            if let Some(given) = self.decode() {
                return Some(given);
            }
            let next = poll_fn(|context| self.stream.as_mut().poll_next(context));
            let next = timeout(time, next).await.ok()?;
            if let Some(given) = self.take(next) {
                return Some(given);
            }
        }
    }

    fn decode(&mut self) -> Option<Given> {
        loop {
            match self.decoder.decode(&mut self.chunk).unwrap()? {
                Item::Event(event) => return Some(Given::Event(event)),
                // The event carries it too.
                Item::Retry(_) => {}
                // HTTP begins with it.
                Item::Comment(text) if text == "ok" => {}
                comment @ Item::Comment(_) => panic!("{comment:?} in a hub's stream"),
            }
        }
    }

    fn take(&mut self, next: Option<Bytes>) -> Option<Given> {
        match next {
            None => Some(Given::End),
            Some(bytes) => {
                self.chunk = bytes;
                assert!(!self.chunk.is_empty(), "a chunk of nothing");
                None
            }
        }
    }
}

impl Subscriber {
    /// Where it goes on when it connects again, as an `EventSource` would.
    pub(crate) fn resumes(&self) -> From {
        if self.last_id.is_empty() { self.from.clone() } else { From::After(self.last_id.clone()) }
    }

    pub(crate) fn cut(&mut self) {
        self.note_id();
        self.connection = None;
    }

    fn note_id(&mut self) {
        if let Some(connection) = &self.connection
            && !connection.decoder.last_event_id().is_empty()
        {
            self.last_id = connection.decoder.last_event_id().to_owned();
        }
    }

    /// Takes note of what is dropped now: it may be told of later.
    pub(crate) fn note_dropped(&mut self, model: &Model) {
        if let Some(connection) = &mut self.connection {
            connection.kept_after.insert(model.kept_after(&self.selection));
        }
    }

    pub(crate) fn note_closed(&mut self, name: &TopicName, model: &Model) {
        if let Some(connection) = &mut self.connection
            && self.selection.matches(name)
        {
            connection.closed.entry(name.clone()).or_insert(model.newest());
        }
    }

    /// What comes next; `None` if nothing is due and nothing comes.
    pub(crate) async fn next(&mut self, model: &Model) -> Option<Given> {
        let due = self.due(model);
        let connection = self.connection.as_mut()?;
        let Some(due) = due else {
            let given = connection.at_once().await;
            if given.is_none() {
                self.judge_id(model);
            }
            return given;
        };
        let given = connection.within(PATIENCE).await;
        assert!(given.is_some(), "subscriber {} waits for {due}", self.number);
        given
    }

    /// What must come, in words.
    fn due(&self, model: &Model) -> Option<String> {
        let connection = self.connection.as_ref()?;
        if let Some((missing, _)) = &connection.missing {
            return Some(format!("a gap, {missing:?}"));
        }
        if let Some(record) = model.first(&self.selection, connection.place, *connection.told.end())
        {
            return Some(format!("{record:?}, or what is missing instead"));
        }
        let is_alone = names(&self.selection).is_some_and(|names| names.len() == 1);
        let has_ended = model.ended(&self.selection).is_some();
        let is_over = has_ended || (is_alone && !connection.closed.is_empty());
        is_over.then(|| "its end".to_owned())
    }

    /// Compares what was given with what the model says.
    pub(crate) fn judge(&mut self, model: &Model, given: Given) {
        match given {
            Given::Event(event) if event.name() == "gap" => self.judge_gap(model, &event),
            Given::Event(event) => self.judge_event(model, &event),
            Given::End => self.judge_end(model),
        }
    }

    /// Whoever is cut off now must be able to go on from here.
    fn judge_id(&self, model: &Model) {
        let Some(connection) = &self.connection else { return };
        let expected = model.epoch().id(Position(connection.place));
        assert_eq!(connection.decoder.last_event_id(), expected.as_str());
    }

    fn judge_event(&mut self, model: &Model, event: &Event) {
        let number = self.number;
        let Some(connection) = &mut self.connection else { return };
        assert_eq!(connection.missing, None, "subscriber {number} was given {event:?} first");
        let place = connection.place;
        let id = event.id().and_then(|id| model.epoch().position(id.as_str()));
        let mut behind = model.behind(&self.selection, place);
        let Some(record) = behind.find(|record| Some(record.position) == id) else {
            panic!("subscriber {number} at {place} was given {event:?}, which there is not");
        };
        // It may have been read before it was dropped itself.
        let expected = model.first(&self.selection, place, *connection.told.end());
        assert!(
            expected.is_none_or(|expected| expected.position >= record.position),
            "subscriber {number} at {place} of {:?} was given {event:?} instead of {expected:?}",
            self.selection
        );
        assert_eq!(event.retry(), record.event.retry);
        match self.format {
            Format::Plain => is_plain(event, record),
            Format::Envelope => is_envelope(event, record),
        }
        connection.place = record.position.0;
    }

    fn judge_gap(&mut self, model: &Model, gap: &Event) {
        let number = self.number;
        let Some(connection) = &mut self.connection else { return };
        let told: serde_json::Value = gap.parse_json().unwrap();
        let from = told["resumed_from"].as_str().and_then(|id| model.epoch().position(id));
        let Some(Position(from)) = from else { panic!("{gap:?} goes on nowhere") };
        if let Some((missing, requested)) = connection.missing.take() {
            let reason = match missing {
                Missing::Expired => "expired",
                Missing::Unknown => "unknown",
            };
            assert_eq!((told["reason"].as_str(), from), (Some(reason), connection.place));
            let requested = Some(requested).filter(|id| id.len() <= 128);
            assert_eq!(told.get("requested").and_then(|id| id.as_str()), requested.as_deref());
            return;
        }
        let place = connection.place;
        assert_eq!(told["reason"], "lagged");
        let Some(missing) = model.missing(&self.selection, place, *connection.told.start()) else {
            panic!("subscriber {number} at {place} misses nothing, but was told {gap:?}");
        };
        connection.told = missing..=model.moment();
        // Before an event, or behind the newest that was dropped; and no event is skipped that is kept.
        let mut behind = model.behind(&self.selection, place);
        let is_before_an_event = behind.any(|record| record.position.0 == from + 1);
        let is_a_place = is_before_an_event || connection.kept_after.contains(&from);
        assert!(from >= place && is_a_place, "{number} at {place} was told {gap:?}");
        let mut behind = model.behind(&self.selection, place);
        let skipped = behind.find(|record| record.position.0 <= from && model.is_kept(record));
        assert_eq!(skipped, None, "{number} at {place} was told {gap:?}");
        connection.place = from;
    }

    fn judge_end(&mut self, model: &Model) {
        let number = self.number;
        self.note_id();
        let Some(Connection { place, told, closed, missing, .. }) = self.connection.take() else {
            return;
        };
        assert_eq!(missing, None);
        let names = names(&self.selection).expect("patterns have no end");
        let ends: Option<Vec<&u64>> = names.iter().map(|name| closed.get(*name)).collect();
        let end = ends.and_then(|ends| ends.into_iter().max().copied());
        let Some(end) = end else { panic!("subscriber {number} has come to no end yet") };
        let next = model.first(&self.selection, place, *told.end());
        let is_given = next.is_none_or(|next| next.position.0 > end);
        assert!(is_given, "subscriber {number} at {place} has come to its end, before {next:?}");
    }
}

fn is_plain(event: &Event, record: &Record) {
    let name = record.event.name.as_ref().map_or(Event::DEFAULT_NAME, |name| name.as_str());
    assert_eq!((event.name(), event.data()), (name, &*record.event.data));
}

fn is_envelope(event: &Event, record: &Record) {
    let name = record.event.name.as_ref().map_or(Event::DEFAULT_NAME, |name| name.as_str());
    let envelope: serde_json::Value = event.parse_json().unwrap();
    let mut expected = serde_json::json!({
        "topic": record.event.topic.as_str(),
        "event": name,
        "data": &*record.event.data,
        "time": record.time.0,
    });
    if let Some(retry) = record.event.retry {
        expected["retry"] = u64::try_from(retry.as_millis()).unwrap().into();
    }
    assert_eq!((event.name(), envelope), (Event::DEFAULT_NAME, expected));
}
