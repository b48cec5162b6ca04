//! Whose memory the data is.

use std::ops::Range;

use bytes::Bytes;
use fanfare_wire::{ByteString, Decoder, Event, EventId, EventName, Item};

fn next_event(decoder: &mut Decoder, chunk: &mut Bytes) -> Event {
    match decoder.decode(chunk) {
        Ok(Some(Item::Event(event))) => event,
        other => panic!("{other:?}"),
    }
}

fn is_view(text: &str, memory: &Range<*const u8>) -> bool {
    let text = text.as_bytes().as_ptr_range();
    memory.start <= text.start && text.end <= memory.end
}

#[test]
fn data_of_one_line_is_a_view_of_the_chunk() {
    let mut chunk = Bytes::from(b"id: 1\ndata: first\n\ndata: second\n\n".to_vec());
    let first_at = chunk[12..].as_ptr();
    let second_at = chunk[25..].as_ptr();
    let mut decoder = Decoder::new();

    let first = next_event(&mut decoder, &mut chunk);
    let second = next_event(&mut decoder, &mut chunk);

    assert_eq!((first.data(), first.data().as_ptr()), ("first", first_at));
    assert_eq!((second.data(), second.data().as_ptr()), ("second", second_at));
    assert_eq!(first.into_data().as_ptr(), first_at);
}

#[test]
fn data_of_every_length_is_a_view_of_the_chunk() {
    let lengths = [0, 1, 16, 63, 64, 65, 100, 1000, 1025, 4000, 5000, 70, 70, 70];
    let stream = |length: &usize| format!("data: {}\n\n", "x".repeat(*length));
    let mut chunk = Bytes::from(lengths.iter().map(stream).collect::<String>());
    let memory = chunk.as_ptr_range();
    let mut decoder = Decoder::new();

    for length in lengths {
        let event = next_event(&mut decoder, &mut chunk);
        assert_eq!(event.data(), "x".repeat(length));
        assert!(length == 0 || is_view(event.data(), &memory), "{length} bytes");
    }
}

#[test]
fn a_line_in_one_chunk_is_a_view_also_when_its_event_ends_in_another() {
    let mut decoder = Decoder::new();
    let mut chunk = Bytes::from(b"data: a\n".to_vec());
    let memory = chunk.as_ptr_range();
    assert_eq!(decoder.decode(&mut chunk), Ok(None));

    let event = next_event(&mut decoder, &mut Bytes::from_static(b"\n"));

    assert!(is_view(event.data(), &memory));
}

#[test]
fn a_view_outlives_the_decoder_and_the_rest_of_the_chunk() {
    let event = {
        let mut chunk = Bytes::from(b"data: a\n\ndata: b\n\n".to_vec());
        next_event(&mut Decoder::new(), &mut chunk)
    };

    assert_eq!(event.data(), "a");
}

#[test]
fn data_of_several_lines_is_joined_in_memory_of_its_own() {
    let mut chunk = Bytes::from(b"data: a\ndata: b\n\n".to_vec());
    let memory = chunk.as_ptr_range();

    let event = next_event(&mut Decoder::new(), &mut chunk);

    assert!(!is_view(event.data(), &memory));
}

#[test]
fn the_decoder_does_not_keep_a_chunk_that_it_has_read() {
    let long_events = "data: long enough\n\n".replace("long", &"long ".repeat(50)).repeat(9);
    let streams = [
        &long_events,
        "data: a\n\n",
        "data: a\ndata: b\n",
        "data: cut o",
        ":comment\n:comment cut o",
        "unknown: line\nunknown: line cut o",
        "retry: 1\n",
        "id: 1\u{0}\n",
    ];
    for stream in streams {
        let kept = Bytes::from(stream.as_bytes().to_vec());
        let mut chunk = kept.clone();
        let mut decoder = Decoder::new();

        while decoder.decode(&mut chunk).unwrap().is_some() {}
        drop(chunk);

        assert!(kept.is_unique(), "{stream:?}");
        drop(decoder);
    }
}

#[test]
fn text_of_a_string_is_taken_over() {
    let data = "data ".repeat(10);
    let name = "name ".repeat(10);
    let id = "id ".repeat(10);
    let (data_at, name_at, id_at) = (data.as_ptr(), name.as_ptr(), id.as_ptr());

    let event = Event::new(data)
        .with_name(EventName::new(name).unwrap())
        .with_id(EventId::new(id).unwrap());

    assert_eq!(event.data().as_ptr(), data_at);
    assert_eq!(event.name().as_ptr(), name_at);
    assert_eq!(event.id().unwrap().as_str().as_ptr(), id_at);
}

#[test]
fn text_that_is_static_is_not_copied() {
    const DATA: &str = "data";

    let event = Event::new(ByteString::from_static(DATA));

    assert_eq!(event.data().as_ptr(), DATA.as_ptr());
}

#[test]
fn a_clone_shares_the_text() {
    let event = Event::new("data ".repeat(10));

    assert_eq!(event.clone().data().as_ptr(), event.data().as_ptr());
}
