//! JavaScript encodes what it sends, so that what Node writes and what is written here is the same. This
//! proves that it is also what the other crates write.

use std::{fs, time::Duration};

use fanfare_wire::{Event, EventId, EventName};
use serde_json::Value;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../node/test-vectors.json");

#[test]
fn what_javascript_sends_is_what_the_codec_encodes() {
    let vectors: Vec<Value> = serde_json::from_str(&fs::read_to_string(VECTORS).unwrap()).unwrap();
    let events = vectors.iter().filter(|vector| !vector["event"].is_null());
    let mut compared = 0;
    for vector in events {
        let wire = event(&vector["event"]).to_bytes();
        assert_eq!(wire, vector["wire"].as_str().unwrap(), "{}", vector["name"]);
        compared += 1;
    }
    assert!(compared > 20);
}

fn event(fields: &Value) -> Event {
    let mut event = Event::new(fields["data"].as_str().unwrap().to_owned());
    if let Some(name) = fields["name"].as_str() {
        event = event.with_name(EventName::new(name.to_owned()).unwrap());
    }
    if let Some(id) = fields["id"].as_str() {
        event = event.with_id(EventId::new(id.to_owned()).unwrap());
    }
    if let Some(retry) = fields["retry_ms"].as_u64() {
        event = event.with_retry(Duration::from_millis(retry));
    }
    event
}
