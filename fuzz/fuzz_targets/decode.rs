//! Any bytes, any options, any chunks: the decoder gives what the oracle gives.

#![no_main]

use bytes::Bytes;
use fanfare_wire::EventId;
use libfuzzer_sys::fuzz_target;

use crate::reading::{Options, cut};

#[path = "../../crates/fanfare-wire/tests/wire/oracle.rs"]
mod oracle;
#[path = "../../crates/fanfare-wire/tests/wire/reading.rs"]
mod reading;

const COMMENTS: u8 = 1;
const LIMIT: u8 = 2;
const LAST_EVENT_ID: u8 = 4;

fuzz_target!(|input: &[u8]| {
    let Some((options, lengths, stream)) = parse(input) else { return };
    let stream = Bytes::copy_from_slice(stream);
    let expected = oracle::read(&stream, &options);
    assert_eq!(options.read(cut(&stream, &lengths)), expected);
    assert_eq!(options.read(cut(&stream, &[1])), expected, "byte by byte");
});

fn parse(input: &[u8]) -> Option<(Options, Vec<usize>, &[u8])> {
    let [flags, limit, count, rest @ ..] = input else { return None };
    let has = |flag| flags & flag != 0;
    let options = Options {
        comments: has(COMMENTS),
        max_event_bytes: has(LIMIT).then_some(usize::from(*limit)),
        last_event_id: has(LAST_EVENT_ID).then_some(EventId::from_static("before")),
    };
    let (lengths, stream) = rest.split_at_checked(usize::from(count % 8))?;
    Some((options, lengths.iter().map(|&length| usize::from(length)).collect(), stream))
}
