//! Many MiB in small pieces: it ends only if the work is linear.
//!
//! Touching what is already held again, once for each chunk or line, would be 10^12 to 10^13 bytes
//! of work: far too long to wait for. A test that ends is the proof.

use bytes::Bytes;
use fanfare_wire::{Decoder, Event, Item, encode_comment};

use crate::reading::{Options, cut};

const MIB: usize = 1024 * 1024;

fn only_event(items: Vec<Item>) -> Event {
    match <[Item; 1]>::try_from(items) {
        Ok([Item::Event(event)]) => event,
        other => panic!("not one event: {} items", other.map_or_else(|items| items.len(), |_| 1)),
    }
}

fn read(options: &Options, stream: &Bytes, length: usize) -> Vec<Item> {
    let items = options.read(cut(stream, &[length])).items;
    items.into_iter().map(Result::unwrap).collect()
}

#[test]
fn one_line_of_14_mib_in_small_chunks() {
    let stream = Bytes::from(format!("data: {}\n\n", "x".repeat(14 * MIB)));

    let event = only_event(read(&Options::default(), &stream, 10));

    assert_eq!(event.data(), "x".repeat(14 * MIB));
}

#[test]
fn lines_of_one_byte() {
    let count = 2 * MIB;
    let stream = Bytes::from("data:x\n".repeat(count) + "\n");

    let event = only_event(read(&Options::default(), &stream, stream.len()));

    assert_eq!(event.data().len(), 2 * count - 1);
    assert!(event.data().split('\n').all(|line| line == "x"));
}

#[test]
fn lines_of_one_byte_in_chunks_of_about_a_line() {
    let count = MIB;
    let stream = Bytes::from("data:x\r\n".repeat(count) + "\r\n");

    let event = only_event(read(&Options::default(), &stream, 10));

    assert_eq!(event.data().len(), 2 * count - 1);
}

#[test]
fn one_line_of_invalid_utf_8_in_small_chunks() {
    let stream = Bytes::from([b"data: ", &[0xFF].repeat(5 * MIB)[..], b"\n\n"].concat());

    let event = only_event(read(&Options::default(), &stream, 10));

    assert_eq!(event.data(), "\u{FFFD}".repeat(5 * MIB));
}

#[test]
fn one_comment_of_14_mib_in_small_chunks() {
    let mut stream = Vec::new();
    encode_comment(&"x".repeat(14 * MIB), &mut stream);
    let options = Options { comments: true, ..Options::default() };

    let items = read(&options, &stream.into(), 10);

    assert!(matches!(&items[..], [Item::Comment(text)] if text.len() == 14 * MIB));
}

#[test]
fn an_ignored_line_of_14_mib_in_small_chunks() {
    let stream = Bytes::from(format!("unknown: {}\ndata: a\n\n", "x".repeat(14 * MIB)));

    assert_eq!(only_event(read(&Options::default(), &stream, 10)), Event::new("a"));
}

#[test]
fn many_events_in_one_chunk() {
    let count = 200_000;
    let mut chunk = Bytes::from("data: 0123456789\n\n".repeat(count));
    let mut decoder = Decoder::new();

    let mut events = 0;
    while let Some(item) = decoder.decode(&mut chunk).unwrap() {
        assert_eq!(item, Item::Event(Event::new("0123456789")));
        events += 1;
    }

    assert_eq!(events, count);
}

#[test]
fn data_of_many_empty_lines_is_built_and_encoded() {
    let count = 2 * MIB;
    let event = Event::new("\r".repeat(count));

    let wire = event.to_bytes();

    assert_eq!(event.data(), "\n".repeat(count));
    assert_eq!(wire.len(), event.encoded_len());
    assert_eq!(wire, "data: \n".repeat(count + 1) + "\n");
}
