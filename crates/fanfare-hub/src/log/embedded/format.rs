//! What is on the disk: keys and values.
//!
//! There are three keyspaces. Numbers in keys are big-endian, so that they order as bytes do; numbers
//! in values are of variable length (LEB128).
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `events` | position of the last event | a bundle: events that were written together |
//! | `index` | topic, position of the last row | rows: where events of the topic lie |
//! | `state` | `0`, `0` | what this is, and the version of the format |
//! | | `0`, `1` | the seed of the epoch |
//! | | `0`, `2` | counters, as of a position |
//! | | `1`, name | a topic, as of a position |
//! | | `2`, idempotency key | the answer that was given for it |
//! | | `3`, turn | the idempotency key whose turn it was: they are numbered as they are used |
//!
//! An append writes bundles, and nothing else as a rule: what it adds to the index, the topics and the
//! counters is written now and then, and found out again from the newest bundles when the log is opened.
//!
//! A topic is known by a number that is never used again. Events that were dropped may still be in
//! their bundles: an event is alive if its topic is known and has not dropped its position.

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use fanfare_wire::{ByteString, EventName};
use thiserror::Error;

use super::topics::{Counters, Topic};
use crate::{
    TopicName,
    log::{NewEvent, Record, Timestamp},
};
use fanfare_fanout::Position;

/// The version of what is on the disk. Another one is another format.
pub(super) const VERSION: u16 = 1;

/// What the first key says.
const SIGNATURE: &[u8; 11] = b"fanfare-log";

/// Something on the disk is not what was written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0} on the disk is damaged")]
pub(super) struct Damaged(pub(super) &'static str);

/// Keys of the keyspace `state`.
pub(super) mod key {
    pub(in super::super) const FORMAT: [u8; 2] = [0, 0];
    pub(in super::super) const SEED: [u8; 2] = [0, 1];
    pub(in super::super) const COUNTERS: [u8; 2] = [0, 2];
    /// All topics have it in front.
    pub(in super::super) const TOPIC: [u8; 1] = [1];

    /// The longest idempotency key.
    pub(in super::super) const MAX_IDEMPOTENCY_KEY_BYTES: usize = 60_000;

    pub(in super::super) fn topic(name: &str) -> Vec<u8> {
        [&TOPIC, name.as_bytes()].concat()
    }

    pub(in super::super) fn idempotency(key: &[u8]) -> Vec<u8> {
        [&[2], key].concat()
    }

    pub(in super::super) fn turn(number: u64) -> Vec<u8> {
        [&[3][..], &number.to_be_bytes()].concat()
    }
}

/// The key of rows of a topic, of which the last has this position.
pub(super) fn index_key(topic: u64, last: u64) -> [u8; 16] {
    (u128::from(topic) << 64 | u128::from(last)).to_be_bytes()
}

pub(super) fn read_index_key(key: &[u8]) -> Result<(u64, u64), Damaged> {
    let key = key.try_into().map(u128::from_be_bytes).map_err(|_| Damaged("a key of the index"))?;
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    Ok(((key >> 64) as u64, key as u64))
}

pub(super) fn read_position(key: &[u8]) -> Result<u64, Damaged> {
    key.try_into().map(u64::from_be_bytes).map_err(|_| Damaged("the key of a bundle"))
}

pub(super) fn signature() -> Vec<u8> {
    [&SIGNATURE[..], &VERSION.to_be_bytes()].concat()
}

/// The version of a format.
pub(super) fn read_signature(value: &[u8]) -> Result<u16, Damaged> {
    let damaged = Damaged("the signature");
    let version = value.strip_prefix(SIGNATURE).ok_or(damaged)?;
    version.try_into().map(u16::from_be_bytes).map_err(|_| damaged)
}

/// Where an event belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) position: u64,
    pub(super) time: u64,
    pub(super) topic: u64,
}

/// Events that are stored under one key. Neighbours are read together, and cost one key.
#[derive(Debug, Default)]
pub(super) struct Bundle {
    first: Option<Place>,
    last: u64,
    last_time: u64,
    heads: Vec<u8>,
    bodies: Vec<u8>,
}

/// What an event is, besides its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    pub(super) name: Option<&'a [u8]>,
    pub(super) retry: Option<Duration>,
    pub(super) data: &'a [u8],
}

impl<'a> Content<'a> {
    pub(super) fn of(event: &'a NewEvent) -> Self {
        Self {
            name: event.name.as_ref().map(|name| name.as_str().as_bytes()),
            retry: event.retry,
            data: event.data.as_bytes(),
        }
    }
}

const HAS_NAME: u8 = 1;
const HAS_RETRY: u8 = 2;

impl Bundle {
    pub(super) fn push(&mut self, place: Place, content: Content<'_>) {
        let first = *self.first.get_or_insert(place);
        let (before, time_before) = if self.heads.is_empty() {
            (first.position, first.time)
        } else {
            (self.last, self.last_time)
        };
        put(&mut self.heads, place.position - before);
        put(&mut self.heads, place.time - time_before);
        put(&mut self.heads, place.topic);
        self.put_content(content);
        self.last = place.position;
        self.last_time = place.time;
    }

    fn put_content(&mut self, content: Content<'_>) {
        let has_name = if content.name.is_some() { HAS_NAME } else { 0 };
        let has_retry = if content.retry.is_some() { HAS_RETRY } else { 0 };
        self.heads.push(has_name | has_retry);
        if let Some(name) = content.name {
            put_length(&mut self.heads, name);
            self.bodies.extend_from_slice(name);
        }
        if let Some(retry) = content.retry {
            put(&mut self.heads, retry.as_secs());
            put(&mut self.heads, retry.subsec_nanos().into());
        }
        put_length(&mut self.heads, content.data);
        self.bodies.extend_from_slice(content.data);
    }

    pub(super) fn bytes(&self) -> usize {
        self.heads.len() + self.bodies.len()
    }

    /// Its key and value; it is empty from then on.
    pub(super) fn seal(&mut self) -> Option<(u64, Vec<u8>)> {
        let first = self.first.take()?;
        let mut value = Vec::with_capacity(self.bytes() + 20);
        put(&mut value, first.position);
        put(&mut value, first.time);
        put_length(&mut value, &self.heads);
        value.append(&mut self.heads);
        value.append(&mut self.bodies);
        Some((self.last, value))
    }
}

/// What a bundle says of an event: everything but the bytes themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) place: Place,
    retry: Option<Duration>,
    name: Option<Range<usize>>,
    data: Range<usize>,
}

impl Head {
    pub(super) fn position(&self) -> u64 {
        self.place.position
    }

    /// Bytes of data.
    pub(super) fn size(&self) -> usize {
        self.data.len()
    }

    /// What it is, of the bundle that it was read from.
    pub(super) fn content<'a>(&self, bundle: &'a [u8]) -> Result<Content<'a>, Damaged> {
        let slice = |range: &Range<usize>| bundle.get(range.clone()).ok_or(BUNDLE);
        let name = self.name.as_ref().map(slice).transpose()?;
        Ok(Content { name, retry: self.retry, data: slice(&self.data)? })
    }

    /// The event, of the bundle that it was read from.
    pub(super) fn record(
        &self,
        bundle: &Bytes,
        topic: TopicName,
        taking: Taking,
    ) -> Result<Record, Damaged> {
        let text = |range: &Range<usize>| taking.take(bundle, range);
        let name = self.name.as_ref().map(text).transpose()?;
        let name = name.map(EventName::new).transpose().map_err(|_| BUNDLE)?;
        let event = NewEvent { topic, name, retry: self.retry, data: text(&self.data)? };
        Ok(Record {
            position: Position(self.place.position),
            time: Timestamp(self.place.time),
            event,
        })
    }
}

const BUNDLE: Damaged = Damaged("a bundle of events");

/// How the bytes of an event leave their bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taking {
    /// They share the memory of the bundle, and keep all of it.
    Shared,
    /// They are copied.
    Copied,
}

impl Taking {
    fn take(self, bundle: &Bytes, range: &Range<usize>) -> Result<ByteString, Damaged> {
        let slice = bundle.get(range.clone()).ok_or(BUNDLE)?;
        let bytes = match self {
            Self::Shared => bundle.slice_ref(slice),
            Self::Copied => Bytes::copy_from_slice(slice),
        };
        bytes.try_into().map_err(|_| BUNDLE)
    }
}

/// The heads of a bundle, in order.
#[derive(Debug, Clone)]
pub(super) struct Heads<'a> {
    fields: Fields<'a>,
    position: u64,
    time: u64,
    /// Where the bytes of the next event begin, in the bundle.
    at: usize,
    bytes: usize,
}

impl<'a> Heads<'a> {
    pub(super) fn read(bundle: &'a [u8]) -> Result<Self, Damaged> {
        let mut fields = Fields { rest: bundle, of: BUNDLE };
        let position = fields.number()?;
        let time = fields.number()?;
        let heads = fields.text()?;
        let at = bundle.len() - fields.rest.len();
        Ok(Self {
            fields: Fields { rest: heads, of: BUNDLE },
            position,
            time,
            at,
            bytes: bundle.len(),
        })
    }

    fn head(&mut self) -> Result<Head, Damaged> {
        self.position = self.fields.sum(self.position)?;
        self.time = self.fields.sum(self.time)?;
        let place =
            Place { position: self.position, time: self.time, topic: self.fields.number()? };
        let flags = self.fields.byte()?;
        let name = if flags & HAS_NAME == 0 { None } else { Some(self.range()?) };
        let retry = if flags & HAS_RETRY == 0 { None } else { Some(self.fields.duration()?) };
        let data = self.range()?;
        Ok(Head { place, retry, name, data })
    }

    fn range(&mut self) -> Result<Range<usize>, Damaged> {
        let length = self.fields.length()?;
        let end = self.at.checked_add(length).filter(|&end| end <= self.bytes).ok_or(BUNDLE)?;
        let start = std::mem::replace(&mut self.at, end);
        Ok(start..end)
    }
}

impl Iterator for Heads<'_> {
    type Item = Result<Head, Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.fields.rest.is_empty() {
            return None;
        }
        let head = self.head();
        if head.is_err() {
            self.fields.rest = &[];
        }
        Some(head)
    }
}

/// Where an event of a topic lies, and its bytes of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) bundle: u64,
    pub(super) position: u64,
    pub(super) time: u64,
    pub(super) size: u64,
}

const INDEX: Damaged = Damaged("the index");

/// Rows of a topic, in order. The last position is in the key.
pub(super) fn index_value(rows: &[Row]) -> Vec<u8> {
    let mut value = vec![];
    let mut before = Row { bundle: 0, position: 0, time: 0, size: 0 };
    for row in rows {
        put(&mut value, row.position - before.position);
        put(&mut value, row.bundle - before.bundle.max(row.position));
        put(&mut value, row.time - before.time);
        put(&mut value, row.size);
        before = *row;
    }
    value
}

pub(super) fn read_index_value(value: &[u8]) -> Result<Vec<Row>, Damaged> {
    let mut fields = Fields { rest: value, of: INDEX };
    let mut rows = vec![];
    let mut before = Row { bundle: 0, position: 0, time: 0, size: 0 };
    while !fields.rest.is_empty() {
        let position = fields.sum(before.position)?;
        let bundle = fields.sum(before.bundle.max(position))?;
        before = Row { bundle, position, time: fields.sum(before.time)?, size: fields.number()? };
        rows.push(before);
    }
    Ok(rows)
}

/// A topic, with the position up to which its events are counted in it.
pub(super) fn topic_value(topic: &Topic, counted: u64) -> Vec<u8> {
    let Topic { id, events, bytes, oldest, oldest_time, newest, dropped, indexed, ended } = *topic;
    // One more than the position, so that none is nought.
    let ended = ended.map_or(0, |ended| ended + 1);
    let fields = [id, events, bytes, oldest, oldest_time, newest, dropped, indexed, ended, counted];
    numbers(fields)
}

pub(super) fn read_topic(value: &[u8]) -> Result<(Topic, u64), Damaged> {
    let [id, events, bytes, oldest, oldest_time, newest, dropped, indexed, ended, counted] =
        Fields { rest: value, of: Damaged("a topic") }.numbers()?;
    let ended = ended.checked_sub(1);
    let topic = Topic { id, events, bytes, oldest, oldest_time, newest, dropped, indexed, ended };
    Ok((topic, counted))
}

pub(super) fn counters_value(counters: &Counters) -> Vec<u8> {
    let Counters { newest, time, events, bytes, dead, .. } = *counters;
    let Counters { forgotten, next_topic, first_turn, next_turn, settled, .. } = *counters;
    let totals = [newest, time, events, bytes, dead];
    [numbers(totals), numbers([forgotten, next_topic, first_turn, next_turn, settled])].concat()
}

pub(super) fn read_counters(value: &[u8]) -> Result<Counters, Damaged> {
    let [newest, time, events, bytes, dead, forgotten, next_topic, first_turn, next_turn, settled] =
        Fields { rest: value, of: Damaged("the counters") }.numbers()?;
    let totals = Counters { newest, time, events, bytes, dead, ..Counters::default() };
    Ok(Counters { forgotten, next_topic, first_turn, next_turn, settled, ..totals })
}

/// The answer that was given for an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Given {
    /// How many keys had been used before.
    pub(super) turn: u64,
    pub(super) time: u64,
    pub(super) last: u64,
}

pub(super) fn given_value(given: Given) -> Vec<u8> {
    numbers([given.turn, given.time, given.last])
}

pub(super) fn read_given(value: &[u8]) -> Result<Given, Damaged> {
    let [turn, time, last] =
        Fields { rest: value, of: Damaged("the answer for an idempotency key") }.numbers()?;
    Ok(Given { turn, time, last })
}

fn numbers<const N: usize>(numbers: [u64; N]) -> Vec<u8> {
    let mut value = Vec::with_capacity(3 * N);
    for number in numbers {
        put(&mut value, number);
    }
    value
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "its lowest seven bits")]
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it has seven bits")]
    bytes.push(number as u8);
}

fn put_length(bytes: &mut Vec<u8>, of: &[u8]) {
    put(bytes, of.len() as u64);
}

/// The fields of a value, which are taken from its front.
#[derive(Debug, Clone)]
struct Fields<'a> {
    rest: &'a [u8],
    /// What to say when something is wrong.
    of: Damaged,
}

impl<'a> Fields<'a> {
    fn byte(&mut self) -> Result<u8, Damaged> {
        let (&byte, rest) = self.rest.split_first().ok_or(self.of)?;
        self.rest = rest;
        Ok(byte)
    }

    fn number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.of)
    }

    fn numbers<const N: usize>(&mut self) -> Result<[u64; N], Damaged> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = self.number()?;
        }
        if self.rest.is_empty() { Ok(numbers) } else { Err(self.of) }
    }

    /// A number that was written as the difference to `before`.
    fn sum(&mut self, before: u64) -> Result<u64, Damaged> {
        before.checked_add(self.number()?).ok_or(self.of)
    }

    fn length(&mut self) -> Result<usize, Damaged> {
        self.number()?.try_into().map_err(|_| self.of)
    }

    /// Bytes, behind their length.
    fn text(&mut self) -> Result<&'a [u8], Damaged> {
        let length = self.length()?;
        let (text, rest) = self.rest.split_at_checked(length).ok_or(self.of)?;
        self.rest = rest;
        Ok(text)
    }

    fn duration(&mut self) -> Result<Duration, Damaged> {
        let seconds = self.number()?;
        let nanoseconds = u32::try_from(self.number()?).map_err(|_| self.of)?;
        // More than a second of them could be too much for the seconds.
        if nanoseconds >= 1_000_000_000 {
            return Err(self.of);
        }
        Ok(Duration::new(seconds, nanoseconds))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    #[derive(Debug, Clone)]
    struct Stored {
        place: Place,
        event: NewEvent,
    }

    /// Events whose positions and times rise by these steps.
    fn stored() -> impl Strategy<Value = Vec<Stored>> {
        let event = (
            (1..1000_u64, 0..1000_u64, any::<u64>()),
            option::of("[a-z]{1,9}"),
            option::of(any::<(u64, u32)>()),
            "(?s).{0,20}",
        );
        vec(event, 1..20).prop_map(|events| {
            let (mut position, mut time) = (1 << 40, 1 << 41);
            let stored = events.into_iter().map(|((step, later, topic), name, retry, data)| {
                position += step;
                time += later;
                let event = NewEvent {
                    topic: TopicName::new("a").unwrap(),
                    name: name.map(|name| EventName::new(name).unwrap()),
                    retry: retry
                        .map(|(seconds, rest)| Duration::new(seconds, rest % 1_000_000_000)),
                    data: data.into(),
                };
                Stored { place: Place { position, time, topic }, event }
            });
            stored.collect()
        })
    }

    fn bundle(stored: &[Stored]) -> (u64, Bytes) {
        let mut bundle = Bundle::default();
        for Stored { place, event } in stored {
            bundle.push(*place, Content::of(event));
        }
        let (key, value) = bundle.seal().unwrap();
        assert!(bundle.seal().is_none());
        (key, value.into())
    }

    proptest! {
        #[test]
        fn bundles_are_read_as_they_were_written(stored in stored()) {
            let (key, value) = bundle(&stored);
            prop_assert_eq!(key, stored.last().unwrap().place.position);
            let heads: Vec<Head> = Heads::read(&value).unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(heads.len(), stored.len());
            for (head, Stored { place, event }) in heads.iter().zip(stored) {
                prop_assert_eq!(head.place, place);
                prop_assert_eq!(head.size(), event.data.len());
                for taking in [Taking::Shared, Taking::Copied] {
                    let record = head.record(&value, event.topic.clone(), taking).unwrap();
                    prop_assert_eq!(record.position.0, place.position);
                    prop_assert_eq!(record.time.0, place.time);
                    prop_assert_eq!(&record.event, &event);
                }
            }
        }

        #[test]
        fn rows_are_read_as_they_were_written(stored in stored(), further in 0..100_u64) {
            let mut rows: Vec<Row> = vec![];
            for (index, Stored { place, event }) in stored.iter().enumerate() {
                let Place { position, time, .. } = *place;
                let size = event.data.len() as u64;
                // Several lie in one bundle.
                let bundle = match rows.last() {
                    Some(last) if index % 3 > 0 && last.bundle >= position => last.bundle,
                    _ => position + further,
                };
                rows.push(Row { bundle, position, time, size });
            }
            prop_assert_eq!(read_index_value(&index_value(&rows)), Ok(rows));
        }

        #[test]
        fn numbers_are_read_as_they_were_written(numbers in any::<[u64; 9]>()) {
            let fields = Fields { rest: &super::numbers(numbers), of: BUNDLE }.numbers();
            prop_assert_eq!(fields, Ok(numbers));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..60), damage in any::<(u8, usize)>()) {
            let mut bytes = bytes;
            for _ in 0..2 {
                let value = Bytes::copy_from_slice(&bytes);
                for head in Heads::read(&value).into_iter().flatten().flatten() {
                    let _ = head.content(&value);
                    let _ = head.record(&value, TopicName::new("a").unwrap(), Taking::Shared);
                }
                let _ = (read_index_value(&value), read_index_key(&value));
                let _ = (read_topic(&value), read_counters(&value), read_given(&value));
                let _ = (read_position(&value), read_signature(&value));
                // Then something that is nearly right.
                bytes = numbers([1, 2, 3, 4, 5, 6, 7, 8]);
                let at = damage.1 % bytes.len();
                bytes[at] = damage.0;
            }
        }
    }

    #[test]
    fn a_number_that_is_too_large_is_damage() {
        let largest = numbers([u64::MAX]);
        assert_eq!(Fields { rest: &largest, of: BUNDLE }.number(), Ok(u64::MAX));
        for (at, byte) in [(9, 2), (9, 0x81)] {
            let mut larger = largest.clone();
            larger[at] = byte;
            assert_eq!(Fields { rest: &larger, of: BUNDLE }.number(), Err(BUNDLE));
        }
    }

    #[test]
    fn the_signature_tells_the_version() {
        assert_eq!(read_signature(&signature()), Ok(VERSION));
        assert_eq!(read_signature(b"fanfare-log\x01\x02"), Ok(0x102));
        assert!(read_signature(b"fanfare-log").is_err());
        assert!(read_signature(b"something").is_err());
    }
}
