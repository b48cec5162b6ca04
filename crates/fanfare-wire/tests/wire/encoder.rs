//! Where the bytes of an event go. Which bytes they are is told by testdata/wire/encode.

use std::time::Duration;

use bytes::BytesMut;
use fanfare_wire::{Event, EventId, EventName, encode_comment, encode_id, encode_retry};

fn event() -> Event {
    Event::new("a\nb")
        .with_name(EventName::from_static("x"))
        .with_id(EventId::from_static("1"))
        .with_retry(Duration::from_secs(3))
}

const WIRE: &str = "event: x\nretry: 3000\nid: 1\ndata: a\ndata: b\n\n";

#[test]
fn the_bytes_are_appended_to_any_growing_buffer() {
    let mut vec = b":ok\n\n".to_vec();
    event().encode(&mut vec);
    assert_eq!(vec, [b":ok\n\n", WIRE.as_bytes()].concat());

    let mut bytes = BytesMut::from(":ok\n\n");
    event().encode(&mut bytes);
    assert_eq!(bytes, vec);
}

#[test]
fn a_buffer_of_the_encoded_length_is_filled_to_its_end() {
    let mut buffer = vec![0; event().encoded_len()];
    let mut rest = &mut buffer[..];

    event().encode(&mut rest);

    assert!(rest.is_empty());
    assert_eq!(buffer, WIRE.as_bytes());
}

#[test]
#[should_panic = "advance out of bounds"]
fn a_fixed_buffer_that_is_too_small_panics() {
    let mut buffer = vec![0; event().encoded_len() - 1];

    event().encode(&mut &mut buffer[..]);
}

#[test]
fn the_bytes_come_in_a_buffer_of_their_own_size() {
    let buffer = BytesMut::from(event().to_bytes());

    assert_eq!(buffer, WIRE);
    assert_eq!(buffer.capacity(), WIRE.len());
}

#[test]
fn the_encoded_length_counts_the_digits_of_a_retry() {
    let longest = [0, 1, 9, 10, 99, 100, 999_999, u64::MAX];
    for milliseconds in longest {
        let event = Event::new("").with_retry(Duration::from_millis(milliseconds));
        assert_eq!(event.encoded_len(), event.to_bytes().len(), "{milliseconds}");
    }
}

#[test]
fn what_is_not_an_event_is_appended_too() {
    let mut wire = Vec::new();

    encode_comment("a", &mut wire);
    encode_id(&EventId::from_static("1"), &mut wire);
    encode_retry(Duration::from_secs(3), &mut wire);

    assert_eq!(wire, b":a\n\nid: 1\n\nretry: 3000\n\n");
}

#[test]
fn a_retry_alone_has_whole_milliseconds() {
    let mut wire = Vec::new();

    encode_retry(Duration::from_micros(1999), &mut wire);
    encode_retry(Duration::MAX, &mut wire);

    assert_eq!(wire, b"retry: 1\n\nretry: 18446744073709551615\n\n");
}
