use fanfare_fanout::{GAP, Gap, GapReason};
use fanfare_wire::EventId;
use serde_json::{Value, json};

use crate::support::events_of;

#[test]
fn a_lag_tells_how_many_events_are_missing_and_where_the_stream_goes_on() {
    let gap = Gap {
        reason: GapReason::Lagged,
        missed: Some(3),
        requested: None,
        resumed_from: Some(EventId::from_static("10000000-8")),
    };

    assert_eq!(
        data(&gap),
        json!({ "reason": "lagged", "missed": 3, "resumed_from": "10000000-8" })
    );
}

#[test]
fn an_expired_id_is_told_with_the_id_that_was_asked_for() {
    let gap = Gap {
        reason: GapReason::Expired,
        missed: None,
        requested: Some("10000000-2"),
        resumed_from: Some(EventId::from_static("10000000-8")),
    };

    assert_eq!(
        data(&gap),
        json!({ "reason": "expired", "requested": "10000000-2", "resumed_from": "10000000-8" }),
    );
}

#[test]
fn an_unknown_id_is_told_as_it_came() {
    let requested = "\" \\ \u{1} é";
    let gap = Gap {
        reason: GapReason::Unknown,
        missed: None,
        requested: Some(requested),
        resumed_from: None,
    };

    assert_eq!(data(&gap), json!({ "reason": "unknown", "requested": requested }));
}

#[test]
fn what_is_asked_for_cannot_become_a_field() {
    let gap = Gap {
        reason: GapReason::Unknown,
        missed: None,
        requested: Some("1\ndata: injected\r\n\r\n"),
        resumed_from: None,
    };

    assert_eq!(data(&gap)["requested"], "1\ndata: injected\r\n\r\n");
}

#[test]
fn the_event_carries_the_id_behind_which_the_stream_goes_on() {
    let id = EventId::from_static("10000000-8");
    let gap = |resumed_from| Gap {
        reason: GapReason::Lagged,
        missed: Some(1),
        requested: None,
        resumed_from,
    };

    assert_eq!(gap(Some(id.clone())).to_event().id(), Some(&id));
    assert_eq!(gap(None).to_event().id(), None, "the client keeps the id that it has");
}

/// The JSON that a client reads from the wire.
fn data(gap: &Gap<'_>) -> Value {
    let events = events_of(gap.to_event().to_bytes());
    let [event] = &events[..] else { panic!("one event, not {events:?}") };
    assert_eq!(event.name(), GAP.as_str());
    assert_eq!(event.name(), "gap");
    event.parse_json().unwrap()
}
