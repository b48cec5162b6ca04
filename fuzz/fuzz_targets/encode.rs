//! Whatever can be built decodes to itself, and to nothing else.

#![no_main]

use std::time::Duration;

use bytes::Bytes;
use fanfare_wire::{Event, EventId, EventName, Item, encode_comment};
use libfuzzer_sys::fuzz_target;

use crate::reading::{Options, cut};

#[path = "../../crates/fanfare-wire/tests/wire/oracle.rs"]
mod oracle;
#[path = "../../crates/fanfare-wire/tests/wire/reading.rs"]
mod reading;

/// Never part of UTF-8.
const SEPARATOR: u8 = 0xFF;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(6, |&byte| byte == SEPARATOR);
    let mut text = || parts.next().map(|part| String::from_utf8_lossy(part).into_owned());
    let data = text().unwrap_or_default();
    let event = build(&data, text(), text());
    let comment = text().unwrap_or_default();
    let retry = text().and_then(|digits| digits.parse().ok()).map(Duration::from_millis);
    let event = retry.map_or(event.clone(), |retry| event.with_retry(retry));
    let lengths: Vec<_> =
        parts.next().unwrap_or_default().iter().map(|&length| usize::from(length)).collect();

    check_event(&event, &lengths);
    check_comment(&comment, &lengths);
});

fn build(data: &str, name: Option<String>, id: Option<String>) -> Event {
    let mut event = Event::new(data.to_owned());
    assert_eq!(event.data(), with_lf(data));
    if let Some(name) = name {
        let is_name = !name.is_empty() && !name.contains(['\r', '\n']);
        let name = EventName::new(name);
        assert_eq!(name.is_ok(), is_name);
        event = name.map_or(event.clone(), |name| event.with_name(name));
    }
    if let Some(id) = id {
        let is_id = !id.contains(['\r', '\n', '\0']);
        let id = EventId::new(id);
        assert_eq!(id.is_ok(), is_id);
        event = id.map_or(event.clone(), |id| event.with_id(id));
    }
    event
}

fn check_event(event: &Event, lengths: &[usize]) {
    let wire = event.to_bytes();
    assert_eq!(wire.len(), event.encoded_len());
    let items = event.retry().map(Item::Retry).into_iter().chain([Item::Event(event.clone())]);
    check_items(&wire, lengths, items.collect());
}

fn check_comment(text: &str, lengths: &[usize]) {
    let mut wire = Vec::new();
    encode_comment(text, &mut wire);
    let text = with_lf(text);
    let items = text.split('\n').map(|line| Item::Comment(line.to_owned().into()));
    check_items(&wire.into(), lengths, items.collect());
}

/// The decoder and the oracle read exactly these items.
fn check_items(wire: &Bytes, lengths: &[usize], items: Vec<Item>) {
    let options = Options { comments: true, ..Options::default() };
    let reading = options.read(cut(wire, lengths));
    assert_eq!(reading, oracle::read(wire, &options));
    assert_eq!(reading.items, items.into_iter().map(Ok).collect::<Vec<_>>());
}

fn with_lf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}
