//! The limit for one event. What counts towards it is told by testdata/wire/decode/limits.json.

use bytes::Bytes;
use fanfare_wire::{DEFAULT_MAX_EVENT_BYTES, Decoder, Event, EventTooLarge, Item};

use crate::reading::{Outcome, cut, read_chunk};

const MIB: usize = 1024 * 1024;
const CHUNK: usize = 64 * 1024;

fn read(decoder: &mut Decoder, stream: String) -> Vec<Outcome> {
    let chunks = cut(&stream.into(), &[CHUNK]).into_iter();
    chunks.flat_map(|chunk| read_chunk(decoder, chunk)).collect()
}

/// A stream with one event that has so many bytes of data.
fn event_of(bytes: usize) -> String {
    format!("data: {}\n\n", "x".repeat(bytes))
}

#[test]
fn the_error_names_the_limit() {
    let error =
        Decoder::new().with_max_event_bytes(1000).decode(&mut event_of(1000).into()).unwrap_err();

    assert_eq!(error, EventTooLarge { limit: 1000 });
    assert_eq!(
        error.to_string(),
        "an event is larger than the limit of 1000 bytes: it was left out",
    );
}

#[test]
fn the_default_limit_is_16_mib() {
    assert_eq!(DEFAULT_MAX_EVENT_BYTES, 16 * MIB);

    let longest = DEFAULT_MAX_EVENT_BYTES - "data: ".len();
    let mut decoder = Decoder::new();
    assert_eq!(read(&mut decoder, event_of(longest)).len(), 1);
    assert!(read(&mut decoder, event_of(longest))[0].is_ok());
    let too_large = EventTooLarge { limit: DEFAULT_MAX_EVENT_BYTES };
    assert_eq!(read(&mut decoder, event_of(longest + 1)), [Err(too_large)]);
}

#[test]
fn an_event_of_14_mib_passes_and_one_of_17_mib_does_not() {
    let mut decoder = Decoder::new();

    let items = read(&mut decoder, event_of(14 * MIB));
    assert!(matches!(&items[..], [Ok(Item::Event(event))] if event.data().len() == 14 * MIB));
    let items = read(&mut decoder, event_of(17 * MIB));
    assert_eq!(items, [Err(EventTooLarge { limit: 16 * MIB })]);
}

#[test]
fn the_decoder_reads_on_behind_an_event_that_is_too_large() {
    let mut decoder = Decoder::new();

    let items = read(&mut decoder, event_of(17 * MIB) + "data: a\n\n");

    let too_large = EventTooLarge { limit: DEFAULT_MAX_EVENT_BYTES };
    assert_eq!(items, [Err(too_large), Ok(Item::Event(Event::new("a")))]);
}

#[test]
fn the_error_comes_with_the_chunk_that_breaks_the_limit_and_only_once() {
    let mut decoder = Decoder::new().with_max_event_bytes(10);
    let too_large = Err(EventTooLarge { limit: 10 });

    assert_eq!(decoder.decode(&mut Bytes::from_static(b"data: 6789")), Ok(None));
    assert_eq!(decoder.decode(&mut Bytes::from_static(b"x")), too_large);
    assert_eq!(decoder.decode(&mut Bytes::from_static(b"x")), Ok(None));
    let mut rest = Bytes::from_static(b"x\ndata: a\n\ndata: b\n\n");
    assert_eq!(decoder.decode(&mut rest), Ok(Some(Item::Event(Event::new("b")))));
}

#[test]
fn many_small_lines_break_the_limit_too() {
    let mut decoder = Decoder::new().with_max_event_bytes(1000);

    let items = read(&mut decoder, "data\n".repeat(1000) + "\ndata: a\n\n");

    assert_eq!(items, [Err(EventTooLarge { limit: 1000 }), Ok(Item::Event(Event::new("a")))]);
}

#[test]
fn a_larger_limit_is_possible() {
    let mut decoder = Decoder::new().with_max_event_bytes(usize::MAX);

    let items = read(&mut decoder, event_of(17 * MIB));

    assert!(matches!(&items[..], [Ok(Item::Event(event))] if event.data().len() == 17 * MIB));
}

#[test]
fn a_whole_stream_of_ignored_bytes_is_no_error() {
    let mut decoder = Decoder::new().with_max_event_bytes(10);

    assert_eq!(read(&mut decoder, "x".repeat(MIB)), []);
    assert_eq!(read(&mut decoder, "\n:".to_owned() + &"x".repeat(MIB)), []);
    assert_eq!(read(&mut decoder, "\nunknown: ".to_owned() + &"x".repeat(MIB)), []);
    let items = read(&mut decoder, "\ndata: a\n\n".to_owned());
    assert_eq!(items, [Ok(Item::Event(Event::new("a")))]);
}
