//! Random and exhaustive streams against the oracle, and events there and back.

use std::time::Duration;

use bytes::Bytes;
use fanfare_wire::{
    ByteString, Event, EventId, EventName, Item, encode_comment, encode_id, encode_retry,
};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::select,
    test_runner::{Config, RngSeed},
};

use crate::{
    oracle,
    reading::{Options, cut, read_chunk},
};

/// The same cases in every run.
fn config(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(0), failure_persistence: None, ..Config::default() }
}

const BYTE_ORDER_MARK: &str = "\u{FEFF}";

const LINE_ENDS: &[&str] = &["\n", "\r", "\r\n"];
const FIELDS: &[&str] = &["data", "data:", "data: ", "event", "event: ", "id", "id:", "retry: "];
const NUMBERS: &[&str] = &["0", "42", "+", "4294967296", "18446744073709551616"];
const OTHERS: &[&str] = &[
    ":", ":", ": ", ":ok", " ", "\t", "\0", "dat", "datas", "events", "Data", "retry", "unknown",
    "x", "abcdefgh", "\u{FEFF}", "\u{2028}", "\u{85}", "\u{B}", "\u{C}", "é", "…", "💥",
];
const NOT_UTF_8: &[&[u8]] = &[
    b"\xEF",
    b"\xEF\xBB",
    b"\xBF",
    b"\xC0",
    b"\xE2\x80",
    b"\xED\xA0",
    b"\xF0\x9F",
    b"\xF4\x90",
    b"\xFF",
];

/// What decoders get wrong when it is cut, repeated or in the wrong place.
fn soup() -> impl Strategy<Value = Bytes> {
    let text = prop_oneof![
        3 => select(LINE_ENDS),
        3 => select(FIELDS),
        3 => select(OTHERS),
        1 => select(NUMBERS),
    ];
    let piece = prop_oneof![
        8 => text.prop_map(|text| text.as_bytes().to_vec()),
        1 => select(NOT_UTF_8).prop_map(<[u8]>::to_vec),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    let start = prop_oneof![4 => Just(""), 1 => Just(BYTE_ORDER_MARK)];
    (start, vec(piece, 0..60))
        .prop_map(|(start, pieces)| [start.as_bytes(), &pieces.concat()].concat().into())
}

/// Lines with values as long as the decoder's shortcuts for long ones ask for.
fn lines_of_long_values() -> impl Strategy<Value = Bytes> {
    let letters = prop_oneof![Just("x"), Just("é"), Just("💥"), Just(" ")];
    let text = (letters, 0_usize..700).prop_map(|(letter, count)| letter.repeat(count));
    let broken = option::weighted(0.1, select(NOT_UTF_8)).prop_map(Option::unwrap_or_default);
    let value = (text, broken, "[a-z]{0,9}")
        .prop_map(|(text, broken, end)| [text.as_bytes(), broken, end.as_bytes()].concat());
    let field =
        prop_oneof![6 => Just("data: "), 1 => Just("event: "), 1 => Just("id:"), 1 => Just(":")];
    let line_ends = prop_oneof![Just("\n"), Just("\n\n"), Just("\r\n\r\n"), Just("\r\r")];
    let line = (field, value, line_ends)
        .prop_map(|(field, value, ends)| [field.as_bytes(), &value, ends.as_bytes()].concat());
    vec(line, 0..40).prop_map(|lines| lines.concat().into())
}

fn options() -> impl Strategy<Value = Options> {
    let limit = option::of(0_usize..40);
    (any::<bool>(), limit, option::of(id())).prop_map(|(comments, max_event_bytes, id)| Options {
        comments,
        max_event_bytes,
        last_event_id: id,
    })
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    vec(0_usize..12, 0..8)
}

/// What would break out of its line, or be taken for something else.
const TEXTS: &[&str] = &[
    "\n", "\r", "\r\n", "\n\n", ":", " ", "\t", "\0", "\u{FEFF}", "\u{2028}", "data: ", "id: 1",
    "event", "retry: 1", "a", "é", "💥",
];

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => select(TEXTS).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn name() -> impl Strategy<Value = EventName> {
    text().prop_filter_map("a name", |text| EventName::new(text.replace(['\r', '\n'], "")).ok())
}

fn id() -> impl Strategy<Value = EventId> {
    text().prop_map(|text| EventId::new(text.replace(['\r', '\n', '\0'], "")).unwrap())
}

fn retry() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (any::<u64>(), 0_u32..1_000_000_000).prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
        (0_u64..100_000).prop_map(Duration::from_millis),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let parts = (text(), option::of(name()), option::of(id()), option::of(retry()));
    parts.prop_map(|(data, name, id, retry)| {
        let mut event = Event::new(data);
        if let Some(name) = name {
            event = event.with_name(name);
        }
        if let Some(id) = id {
            event = event.with_id(id);
        }
        if let Some(retry) = retry {
            event = event.with_retry(retry);
        }
        event
    })
}

/// Whatever the encoder writes.
#[derive(Debug, Clone)]
enum Frame {
    Event(Event),
    Comment(String),
    Id(EventId),
    Retry(Duration),
}

fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        event().prop_map(Frame::Event),
        text().prop_map(Frame::Comment),
        id().prop_map(Frame::Id),
        retry().prop_map(Frame::Retry),
    ]
}

impl Frame {
    fn encode(&self, wire: &mut Vec<u8>) {
        match self {
            Self::Event(event) => event.encode(wire),
            Self::Comment(text) => encode_comment(text, wire),
            Self::Id(id) => encode_id(id, wire),
            Self::Retry(retry) => encode_retry(*retry, wire),
        }
    }

    /// What a decoder reads out of the frame, and the id in force behind it.
    fn read(&self, last_id: &mut Option<EventId>) -> Vec<Item> {
        match self {
            Self::Event(event) => {
                *last_id = event.id().cloned().or(last_id.take());
                let received = match last_id {
                    Some(id) => event.clone().with_id(id.clone()),
                    None => event.clone(),
                };
                event.retry().map(Item::Retry).into_iter().chain([Item::Event(received)]).collect()
            }
            Self::Comment(text) => {
                let text = text.replace("\r\n", "\n").replace('\r', "\n");
                text.split('\n').map(|line| Item::Comment(ByteString::from(line))).collect()
            }
            Self::Id(id) => {
                *last_id = Some(id.clone());
                Vec::new()
            }
            Self::Retry(retry) => {
                vec![Item::Retry(Event::new("").with_retry(*retry).retry().unwrap())]
            }
        }
    }
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn any_stream_reads_as_the_oracle_says(stream in soup(), options in options()) {
        prop_assert_eq!(options.read([stream.clone()]), oracle::read(&stream, &options));
    }

    #[test]
    fn any_chunking_reads_as_the_oracle_says(
        stream in soup(),
        options in options(),
        lengths in lengths(),
    ) {
        let chunks = cut(&stream, &lengths);
        prop_assert_eq!(options.read(chunks), oracle::read(&stream, &options));
    }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn long_values_read_as_the_oracle_says(
        stream in lines_of_long_values(),
        comments in any::<bool>(),
        max_event_bytes in option::of(0_usize..6000),
        lengths in vec(0_usize..6000, 0..4),
    ) {
        let options = Options { comments, max_event_bytes, last_event_id: None };
        let expected = oracle::read(&stream, &options);
        prop_assert_eq!(options.read(cut(&stream, &lengths)), expected);
    }
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn a_restarted_decoder_reads_as_a_new_one_with_the_same_id(
        first in soup(),
        second in soup(),
        options in options(),
        id in id(),
        lengths in lengths(),
    ) {
        let options = Options { last_event_id: Some(id), ..options };
        let mut decoder = options.decoder();
        let mut items = Vec::new();
        for stream in [&first, &second] {
            decoder.restart();
            items.clear();
            for chunk in cut(stream, &lengths) {
                items.extend(read_chunk(&mut decoder, chunk));
            }
        }

        let before = oracle::read(&first, &options);
        let id = EventId::new(before.last_event_id).unwrap();
        let expected = oracle::read(&second, &Options { last_event_id: Some(id), ..options });
        let reconnection_time = expected.reconnection_time.or(before.reconnection_time);
        prop_assert_eq!(items, expected.items);
        prop_assert_eq!(decoder.last_event_id(), expected.last_event_id);
        prop_assert_eq!(decoder.reconnection_time(), reconnection_time);
    }

    #[test]
    fn an_encoded_event_decodes_to_itself(event in event(), lengths in lengths()) {
        let expected: Vec<_> = event.retry().map(Item::Retry).into_iter()
            .chain([Item::Event(event.clone())]).map(Ok).collect();
        let reading = Options::default().read(cut(&event.to_bytes(), &lengths));
        prop_assert_eq!(reading.items, expected);
    }

    #[test]
    fn encoded_frames_decode_to_themselves(
        frames in vec(frame(), 0..8),
        lengths in lengths(),
    ) {
        let mut wire = Vec::new();
        let mut last_id = None;
        let mut expected = Vec::new();
        for frame in &frames {
            frame.encode(&mut wire);
            expected.extend(frame.read(&mut last_id).into_iter().map(Ok));
        }

        let options = Options { comments: true, ..Options::default() };
        let reading = options.read(cut(&wire.into(), &lengths));

        prop_assert_eq!(reading.items, expected);
        prop_assert_eq!(reading.last_event_id, last_id.as_ref().map_or("", EventId::as_str));
    }

    #[test]
    fn the_encoded_length_is_known_before(event in event()) {
        let mut wire = Vec::new();
        event.encode(&mut wire);
        prop_assert_eq!(event.encoded_len(), wire.len());
        prop_assert_eq!(event.to_bytes(), wire);
    }

    #[test]
    fn a_retry_is_digits_and_nothing_else(text in "[0-9]{0,25}[+x_ ]{0,1}[0-9]{0,3}") {
        let stream = Bytes::from(format!("retry:{text}\n"));
        let reading = Options::default().read([stream]);
        // One space behind the colon is not part of the value.
        let value = text.strip_prefix(' ').unwrap_or(&text);
        let is_valid = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let expected =
            is_valid.then(|| Duration::from_millis(value.parse().unwrap_or(u64::MAX)));
        prop_assert_eq!(reading.reconnection_time, expected);
        prop_assert_eq!(reading.items, Vec::from_iter(expected.map(|time| Ok(Item::Retry(time)))));
    }

    #[test]
    fn data_has_its_line_ends_turned_into_lf(text in text()) {
        let event = Event::new(text.clone());
        prop_assert_eq!(event.data(), text.replace("\r\n", "\n").replace('\r', "\n"));
    }
}

#[test]
fn every_short_stream_reads_as_the_oracle_says() {
    let every_option = [
        Options { comments: true, ..Options::default() },
        Options { max_event_bytes: Some(6), ..Options::default() },
    ];
    for stream in every_short_stream() {
        for options in &every_option {
            let expected = oracle::read(&stream, options);
            assert_eq!(options.read([stream.clone()]), expected, "{stream:?}");
            assert_eq!(options.read(cut(&stream, &[1])), expected, "{stream:?} byte by byte");
        }
    }
}

fn every_short_stream() -> impl Iterator<Item = Bytes> {
    const TOKENS: &[&str] =
        &["data", "id", "event", "retry", "1", ":", " ", "\r", "\n", BYTE_ORDER_MARK];
    const LONGEST: u32 = 5;
    (0..=LONGEST).flat_map(|length| {
        (0..TOKENS.len().pow(length)).map(move |number| {
            let digits = (0..length).map(|place| number / TOKENS.len().pow(place) % TOKENS.len());
            digits.map(|digit| TOKENS[digit]).collect::<String>().into()
        })
    })
}
