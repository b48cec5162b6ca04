//! The cases of testdata/wire, in every chunking.

use std::{collections::HashSet, fs, iter, path::Path, time::Duration};

use bytes::Bytes;
use fanfare_wire::{Event, EventId, EventName, IdError, Item, NameError};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    oracle,
    reading::{self, Options, Reading, cut},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecodeCase {
    name: String,
    chunks: Vec<Chunk>,
    #[serde(default)]
    options: CaseOptions,
    items: Vec<Outcome>,
    #[serde(default)]
    last_event_id: String,
    reconnection_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Chunk {
    Text(String),
    Hex { hex: String },
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct CaseOptions {
    comments: bool,
    max_event_bytes: Option<usize>,
    last_event_id: Option<String>,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Event(DispatchedEvent),
    Comment(String),
    RetryMs(u64),
    TooLarge(usize),
}

/// What an `EventSource` shows of an event, and the retry of its block.
#[derive(Deserialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct DispatchedEvent {
    #[serde(default = "default_name")]
    name: String,
    data: String,
    #[serde(default)]
    id: String,
    retry_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventCase {
    name: String,
    event: GivenEvent,
    wire: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenEvent {
    name: Option<String>,
    data: String,
    id: Option<String>,
    retry_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommentCase {
    name: String,
    comment: String,
    wire: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AloneCase {
    name: String,
    id: Option<String>,
    retry_ms: Option<u64>,
    wire: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RejectedCase {
    name: String,
    event_name: Option<String>,
    event_id: Option<String>,
    error: Rejection,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Rejection {
    Empty,
    LineEnd(usize),
    Nul(usize),
}

#[test]
fn every_stream_decodes_as_given() {
    check_streams(|chunks, _| vec![chunks]);
}

#[test]
fn every_stream_decodes_whole() {
    check_streams(|_, stream| vec![vec![stream]]);
}

#[test]
fn every_stream_decodes_one_byte_at_a_time() {
    check_streams(|_, stream| vec![cut(&stream, &[1]), cut(&stream, &[1, 0, 0])]);
}

#[test]
fn every_stream_decodes_cut_in_two_anywhere() {
    check_streams(|_, stream| {
        (0..=stream.len()).map(|at| vec![stream.slice(..at), stream.slice(at..)]).collect()
    });
}

#[test]
fn the_oracle_reads_every_stream() {
    for case in decode_cases() {
        let stream = Bytes::from(case.chunks().concat());
        case.check(&oracle::read(&stream, &case.options()), &[stream]);
    }
}

#[test]
fn every_event_encodes_to_its_wire() {
    for case in cases::<EventCase>("encode/events.json") {
        assert_eq!(case.event.build().to_bytes(), case.wire, "{}", case.name);
    }
}

#[test]
fn every_comment_encodes_to_its_wire() {
    for case in cases::<CommentCase>("encode/comments.json") {
        let mut wire = Vec::new();
        fanfare_wire::encode_comment(&case.comment, &mut wire);
        assert_eq!(Bytes::from(wire), case.wire, "{}", case.name);
    }
}

#[test]
fn every_field_alone_encodes_to_its_wire() {
    for case in cases::<AloneCase>("encode/alone.json") {
        let mut wire = Vec::new();
        if let Some(id) = case.id {
            fanfare_wire::encode_id(&EventId::new(id).unwrap(), &mut wire);
        }
        if let Some(retry) = case.retry_ms {
            fanfare_wire::encode_retry(Duration::from_millis(retry), &mut wire);
        }
        assert_eq!(Bytes::from(wire), case.wire, "{}", case.name);
    }
}

#[test]
fn every_bad_name_and_id_is_rejected() {
    for case in cases::<RejectedCase>("encode/rejected.json") {
        let name = case.event_name.map(|name| name_rejection(EventName::new(name).unwrap_err()));
        let id = case.event_id.map(|id| id_rejection(EventId::new(id).unwrap_err()));
        assert_eq!(name.or(id), Some(case.error), "{}", case.name);
    }
}

#[test]
fn no_two_streams_have_the_same_name() {
    let mut names = HashSet::new();
    for case in decode_cases() {
        assert!(names.insert(case.name.clone()), "{}", case.name);
    }
}

/// Checks each decode case with the chunkings that `cut` makes of its chunks and of its stream.
fn check_streams(cut: impl Fn(Vec<Bytes>, Bytes) -> Vec<Vec<Bytes>>) {
    for case in decode_cases() {
        let stream = Bytes::from(case.chunks().concat());
        for chunks in cut(case.chunks(), stream) {
            case.check(&case.options().read(chunks.clone()), &chunks);
        }
    }
}

impl DecodeCase {
    fn chunks(&self) -> Vec<Bytes> {
        self.chunks.iter().map(Chunk::bytes).collect()
    }

    fn options(&self) -> Options {
        Options {
            comments: self.options.comments,
            max_event_bytes: self.options.max_event_bytes,
            last_event_id: self.options.last_event_id.clone().map(|id| EventId::new(id).unwrap()),
        }
    }

    fn check(&self, reading: &Reading, chunks: &[Bytes]) {
        let name = &self.name;
        let items: Vec<_> = reading.items.iter().map(Outcome::of).collect();
        assert_eq!(items, self.items, "{name}: items of {chunks:?}");
        assert_eq!(reading.last_event_id, self.last_event_id, "{name}: last id of {chunks:?}");
        let reconnection_time = self.reconnection_ms.map(Duration::from_millis);
        assert_eq!(reading.reconnection_time, reconnection_time, "{name}: time of {chunks:?}");
    }
}

impl Chunk {
    fn bytes(&self) -> Bytes {
        match self {
            Self::Text(text) => text.clone().into(),
            Self::Hex { hex } => {
                hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
            }
        }
    }
}

impl Outcome {
    fn of(outcome: &reading::Outcome) -> Self {
        match outcome {
            Ok(Item::Event(event)) => Self::Event(DispatchedEvent {
                name: event.name().to_owned(),
                data: event.data().to_owned(),
                id: event.id().map_or("", EventId::as_str).to_owned(),
                retry_ms: event.retry().map(milliseconds),
            }),
            Ok(Item::Comment(text)) => Self::Comment(text.to_string()),
            Ok(Item::Retry(retry)) => Self::RetryMs(milliseconds(*retry)),
            Err(error) => Self::TooLarge(error.limit),
        }
    }
}

impl GivenEvent {
    fn build(self) -> Event {
        let mut event = Event::new(self.data);
        if let Some(name) = self.name {
            event = event.with_name(EventName::new(name).unwrap());
        }
        if let Some(id) = self.id {
            event = event.with_id(EventId::new(id).unwrap());
        }
        if let Some(retry) = self.retry_ms {
            event = event.with_retry(Duration::from_millis(retry));
        }
        event
    }
}

fn default_name() -> String {
    "message".to_owned()
}

fn milliseconds(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap()
}

fn name_rejection(error: NameError) -> Rejection {
    match error {
        NameError::Empty => Rejection::Empty,
        NameError::LineEnd { at } => Rejection::LineEnd(at),
    }
}

fn id_rejection(error: IdError) -> Rejection {
    match error {
        IdError::LineEnd { at } => Rejection::LineEnd(at),
        IdError::Nul { at } => Rejection::Nul(at),
    }
}

/// The cases of every file of decode/, named with their file.
fn decode_cases() -> Vec<DecodeCase> {
    let folder = Path::new(TESTDATA).join("decode");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
        .into_iter()
        .flat_map(|file| {
            let file = file.into_string().unwrap();
            let cases = cases::<DecodeCase>(&format!("decode/{file}"));
            iter::zip(cases, iter::repeat(file))
        })
        .map(|(case, file)| DecodeCase { name: format!("{file}: {}", case.name), ..case })
        .collect()
}

const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/wire");

fn cases<T: DeserializeOwned>(file: &str) -> Vec<T> {
    let json = fs::read(Path::new(TESTDATA).join(file)).unwrap();
    let cases: Vec<T> =
        serde_json::from_slice(&json).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert!(!cases.is_empty(), "{file}");
    cases
}
