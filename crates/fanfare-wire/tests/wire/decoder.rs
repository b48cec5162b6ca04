//! What the decoder does beyond one stream's items: order, ids from before, the next connection.

use std::time::Duration;

use bytes::Bytes;
use fanfare_wire::{Decoder, Event, EventId, EventName, Item};

use crate::reading::{Options, read_chunk};

fn read(decoder: &mut Decoder, chunk: &'static str) -> Vec<Item> {
    read_chunk(decoder, Bytes::from_static(chunk.as_bytes()))
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn an_item_takes_the_bytes_up_to_its_end_and_leaves_the_rest() {
    let mut decoder = Decoder::new().with_comments();
    let mut chunk = Bytes::from_static(b":a\nretry: 1\ndata: b\n\ndata: c");

    assert_eq!(decoder.decode(&mut chunk), Ok(Some(Item::Comment("a".into()))));
    assert_eq!(chunk, "retry: 1\ndata: b\n\ndata: c");
    assert_eq!(decoder.decode(&mut chunk), Ok(Some(Item::Retry(Duration::from_millis(1)))));
    assert_eq!(chunk, "data: b\n\ndata: c");
    let event = Event::new("b").with_retry(Duration::from_millis(1));
    assert_eq!(decoder.decode(&mut chunk), Ok(Some(Item::Event(event))));
    assert_eq!(chunk, "data: c");
    assert_eq!(decoder.decode(&mut chunk), Ok(None));
    assert_eq!(chunk, "");
}

#[test]
fn a_cr_dispatches_before_the_next_byte_is_there() {
    let mut decoder = Decoder::new();

    assert_eq!(read(&mut decoder, "data:a\r\r"), [Item::Event(Event::new("a"))]);
    assert_eq!(read(&mut decoder, "\n"), []);
    assert_eq!(read(&mut decoder, "data:b\r\n\r"), [Item::Event(Event::new("b"))]);
    assert_eq!(read(&mut decoder, "\ndata:c\r\n\r\n"), [Item::Event(Event::new("c"))]);
}

#[test]
fn an_id_counts_at_the_empty_line_and_not_before() {
    let mut decoder = Decoder::new();

    read(&mut decoder, "id: 1\ndata: a\n");
    assert_eq!(decoder.last_event_id(), "");
    read(&mut decoder, "\n");
    assert_eq!(decoder.last_event_id(), "1");
    read(&mut decoder, "id\n");
    assert_eq!(decoder.last_event_id(), "1");
    read(&mut decoder, "\n");
    assert_eq!(decoder.last_event_id(), "");
}

#[test]
fn a_retry_counts_as_soon_as_its_line_ends() {
    let mut decoder = Decoder::new();

    read(&mut decoder, "retry: 1");
    assert_eq!(decoder.reconnection_time(), None);
    read(&mut decoder, "\r");
    assert_eq!(decoder.reconnection_time(), Some(Duration::from_millis(1)));
}

#[test]
fn a_retry_beyond_64_bits_is_the_longest_there_is() {
    let mut decoder = Decoder::new();

    read(&mut decoder, "retry: 18446744073709551615\n");
    assert_eq!(decoder.reconnection_time(), Some(Duration::from_millis(u64::MAX)));
    read(&mut decoder, "retry: 0\nretry: 18446744073709551616\n");
    assert_eq!(decoder.reconnection_time(), Some(Duration::from_millis(u64::MAX)));
    read(&mut decoder, "retry: 0\nretry: 000000000000000000000000000000001\n");
    assert_eq!(decoder.reconnection_time(), Some(Duration::from_millis(1)));
}

#[test]
fn an_event_without_an_id_before_it_has_none_and_one_after_a_reset_has_the_empty_one() {
    let mut decoder = Decoder::new();

    assert_eq!(read(&mut decoder, "data: a\n\n"), [Item::Event(Event::new("a"))]);
    let reset = Event::new("b").with_id(EventId::default());
    assert_eq!(read(&mut decoder, "id\ndata: b\n\n"), [Item::Event(reset)]);
}

#[test]
fn a_name_that_says_message_is_a_name() {
    let named = Event::new("a").with_name(EventName::from_static(Event::DEFAULT_NAME));

    assert_eq!(read(&mut Decoder::new(), "event: message\ndata: a\n\n"), [Item::Event(named)]);
}

#[test]
fn a_restart_discards_the_unfinished_block_and_line() {
    let mut decoder = Decoder::new();
    read(&mut decoder, "event: x\nid: 1\nretry: 5\ndata: a\ndata: b");

    decoder.restart();

    assert_eq!(read(&mut decoder, "\n\ndata: c\n\n"), [Item::Event(Event::new("c"))]);
    assert_eq!(decoder.last_event_id(), "");
}

#[test]
fn a_restart_keeps_the_last_event_id_and_the_reconnection_time() {
    let mut decoder = Decoder::new();
    read(&mut decoder, "id: 1\nretry: 5\n\n");

    decoder.restart();

    assert_eq!(decoder.last_event_id(), "1");
    assert_eq!(decoder.reconnection_time(), Some(Duration::from_millis(5)));
    let event = Event::new("a").with_id(EventId::from_static("1"));
    assert_eq!(read(&mut decoder, "data: a\n\n"), [Item::Event(event)]);
}

#[test]
fn a_restart_expects_a_byte_order_mark_again() {
    let mut decoder = Decoder::new();
    read(&mut decoder, "\u{FEFF}data: a\n\n");

    decoder.restart();

    assert_eq!(read(&mut decoder, "\u{FEFF}data: b\n\n"), [Item::Event(Event::new("b"))]);
}

#[test]
fn a_restart_forgets_a_cr_whose_lf_may_follow() {
    let mut decoder = Decoder::new().with_comments();
    read(&mut decoder, "data: a\r");

    decoder.restart();

    // The LF is an empty line of the new stream, so the mark behind it is content.
    assert_eq!(read(&mut decoder, "\n\u{FEFF}:a\n"), []);
}

#[test]
fn a_restart_forgets_a_line_that_was_skipped_and_a_block_over_the_limit() {
    let mut decoder = Decoder::new().with_max_event_bytes(8);
    read(&mut decoder, "unknown");
    decoder.restart();
    assert_eq!(read(&mut decoder, "data: a\n\n"), [Item::Event(Event::new("a"))]);

    assert!(decoder.decode(&mut Bytes::from_static(b"data: too long")).is_err());
    decoder.restart();
    assert_eq!(read(&mut decoder, "data: b\n\n"), [Item::Event(Event::new("b"))]);
}

#[test]
fn a_restart_keeps_the_options() {
    let options = Options { comments: true, max_event_bytes: Some(7), last_event_id: None };
    let mut decoder = options.decoder();

    decoder.restart();

    assert_eq!(read(&mut decoder, ":a\n"), [Item::Comment("a".into())]);
    assert!(decoder.decode(&mut Bytes::from_static(b"data: ab")).is_err());
}

#[test]
fn a_default_decoder_is_a_new_one() {
    assert_eq!(format!("{:?}", Decoder::default()), format!("{:?}", Decoder::new()));
}
