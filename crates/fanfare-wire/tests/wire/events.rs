//! Events, names and ids as values: what can be built, and why not.

use std::{borrow::Cow, collections::HashSet, time::Duration};

use fanfare_wire::{ByteString, Event, EventId, EventName, IdError, MEDIA_TYPE, NameError};

const NAME: EventName = EventName::from_static("tick");
const ID: EventId = EventId::from_static("42");

#[test]
fn an_event_has_what_it_was_given() {
    let event = Event::new("data").with_name(NAME).with_id(ID).with_retry(Duration::from_secs(3));

    assert_eq!(event.data(), "data");
    assert_eq!(event.name(), "tick");
    assert_eq!(event.id(), Some(&ID));
    assert_eq!(event.retry(), Some(Duration::from_secs(3)));
    assert_eq!(event.into_data(), "data");
}

#[test]
fn an_event_of_data_alone_is_a_message_without_id_and_retry() {
    let event = Event::new("data");

    assert_eq!(event.name(), "message");
    assert_eq!(event.id(), None);
    assert_eq!(event.retry(), None);
}

#[test]
fn the_last_value_given_counts() {
    let event = Event::new("")
        .with_name(EventName::from_static("a"))
        .with_name(NAME)
        .with_id(EventId::default())
        .with_id(ID)
        .with_retry(Duration::ZERO)
        .with_retry(Duration::from_millis(1));

    assert_eq!((event.name(), event.id()), ("tick", Some(&ID)));
    assert_eq!(event.retry(), Some(Duration::from_millis(1)));
}

#[test]
fn line_ends_in_data_become_lf() {
    let cases = [
        ("a\nb", "a\nb"),
        ("a\rb", "a\nb"),
        ("a\r\nb", "a\nb"),
        ("a\n\rb", "a\n\nb"),
        ("a\r\r\nb\r\n\rc", "a\n\nb\n\nc"),
        ("\r", "\n"),
        ("\r\n", "\n"),
        ("a\r", "a\n"),
        ("é\r…\r\n💥", "é\n…\n💥"),
        ("a\u{2028}\u{2029}\u{85}\u{B}\u{C}b", "a\u{2028}\u{2029}\u{85}\u{B}\u{C}b"),
    ];
    for (given, data) in cases {
        assert_eq!(Event::new(given).data(), data, "{given:?}");
    }
}

#[test]
fn any_text_becomes_an_event_with_lf_line_ends() {
    let expected = Event::new("a\nb");

    assert_eq!(Event::from("a\rb"), expected);
    assert_eq!(Event::from("a\rb".to_owned()), expected);
    assert_eq!(Event::from(ByteString::from("a\rb")), expected);
    assert_eq!(Event::from(Cow::Borrowed("a\rb")), expected);
    assert_eq!(Event::from(Cow::<str>::Owned("a\rb".to_owned())), expected);
}

#[test]
fn a_retry_has_whole_milliseconds() {
    let retry = |given| Event::new("").with_retry(given).retry().unwrap();

    assert_eq!(retry(Duration::from_micros(1999)), Duration::from_millis(1));
    assert_eq!(retry(Duration::from_nanos(1)), Duration::ZERO);
    assert_eq!(retry(Duration::from_millis(u64::MAX)), Duration::from_millis(u64::MAX));
    assert_eq!(retry(Duration::MAX), Duration::from_millis(u64::MAX));
}

#[test]
fn an_event_name_is_not_empty_and_has_no_line_end() {
    assert_eq!(EventName::new("tick"), Ok(NAME));
    assert_eq!(EventName::new(""), Err(NameError::Empty));
    assert_eq!(EventName::new("\n"), Err(NameError::LineEnd { at: 0 }));
    assert_eq!(EventName::new("ab\rcd\n"), Err(NameError::LineEnd { at: 2 }));
    assert_eq!(EventName::new("é\r\n"), Err(NameError::LineEnd { at: 2 }));
    assert_eq!(EventName::new("a\u{0}: \u{2028}").unwrap(), "a\u{0}: \u{2028}");
}

#[test]
fn an_event_id_has_no_line_end_and_no_nul() {
    assert_eq!(EventId::new("42"), Ok(ID));
    assert_eq!(EventId::new(""), Ok(EventId::default()));
    assert_eq!(EventId::new("1\n\r"), Err(IdError::LineEnd { at: 1 }));
    assert_eq!(EventId::new("12\r\u{0}"), Err(IdError::LineEnd { at: 2 }));
    assert_eq!(EventId::new("…\u{0}\n"), Err(IdError::Nul { at: 3 }));
    assert_eq!(EventId::new("a: \u{2028}").unwrap(), "a: \u{2028}");
}

#[test]
fn an_error_says_which_rule_was_broken_and_where() {
    let empty = "an event name cannot be empty: leave it out to send a `message`";
    assert_eq!(NameError::Empty.to_string(), empty);
    let name = EventName::new("a\nb").unwrap_err();
    assert_eq!(name.to_string(), "an event name cannot hold a line end (found at byte 1)");
    let id = EventId::new("ab\r").unwrap_err();
    assert_eq!(id.to_string(), "an event id cannot hold a line end (found at byte 2)");
    let id = EventId::new("\u{0}").unwrap_err();
    assert_eq!(id.to_string(), "an event id cannot hold a NUL (found at byte 0)");
}

#[test]
fn every_way_to_a_name_or_id_is_checked() {
    assert_eq!(EventName::try_from("tick"), Ok(NAME));
    assert_eq!(EventName::try_from("tick".to_owned()), Ok(NAME));
    assert_eq!(EventName::new(ByteString::from("tick")), Ok(NAME));
    assert_eq!(EventName::try_from("\n"), Err(NameError::LineEnd { at: 0 }));
    assert_eq!(EventName::try_from("\n".to_owned()), Err(NameError::LineEnd { at: 0 }));

    assert_eq!(EventId::try_from("42"), Ok(ID));
    assert_eq!(EventId::try_from("42".to_owned()), Ok(ID));
    assert_eq!(EventId::new(ByteString::from("42")), Ok(ID));
    assert_eq!(EventId::try_from("\0"), Err(IdError::Nul { at: 0 }));
    assert_eq!(EventId::try_from("\0".to_owned()), Err(IdError::Nul { at: 0 }));
}

#[test]
#[should_panic = "an event name is not empty and holds no line end"]
fn an_empty_literal_is_no_name() {
    EventName::from_static("");
}

#[test]
#[should_panic = "an event name is not empty and holds no line end"]
fn a_literal_with_a_cr_is_no_name() {
    EventName::from_static("a\r");
}

#[test]
#[should_panic = "an event name is not empty and holds no line end"]
fn a_literal_with_a_lf_is_no_name() {
    EventName::from_static("a\n");
}

#[test]
#[should_panic = "an event id holds no line end and no NUL"]
fn a_literal_with_a_cr_is_no_id() {
    EventId::from_static("1\r");
}

#[test]
#[should_panic = "an event id holds no line end and no NUL"]
fn a_literal_with_a_lf_is_no_id() {
    EventId::from_static("1\n");
}

#[test]
#[should_panic = "an event id holds no line end and no NUL"]
fn a_literal_with_a_nul_is_no_id() {
    EventId::from_static("1\0");
}

#[test]
fn names_and_ids_are_text() {
    assert_eq!((NAME.as_str(), NAME.as_ref()), ("tick", "tick"));
    assert_eq!((NAME.to_string(), format!("{NAME:?}")), ("tick".into(), "\"tick\"".into()));
    assert_eq!(ByteString::from(NAME), "tick");
    assert!(NAME == *"tick" && NAME == "tick" && NAME != "tock");
    assert_eq!((ID.as_str(), ID.as_ref()), ("42", "42"));
    assert_eq!((ID.to_string(), format!("{ID:?}")), ("42".into(), "\"42\"".into()));
    assert_eq!(ByteString::from(ID), "42");
    assert!(ID == *"42" && ID == "42" && ID != "43");
}

#[test]
fn names_and_ids_are_ordered_and_hashed_by_their_text() {
    assert!(EventId::from_static("1") < EventId::from_static("2"));
    assert!(EventName::from_static("a") < EventName::from_static("b"));
    let ids = HashSet::from([ID, EventId::new("42").unwrap(), EventId::default()]);
    assert_eq!(ids.len(), 2);
    assert!(ids.contains("42") && !ids.contains("43"));
    assert!(HashSet::from([NAME]).contains("tick"));
}

#[test]
fn events_are_equal_by_what_they_hold() {
    assert_eq!(Event::new("a\rb"), Event::new("a\nb"));
    assert_eq!(Event::default(), Event::new(""));
    assert_ne!(Event::new("a"), Event::new("a").with_id(EventId::default()));
    assert_ne!(Event::new("a"), Event::new("a").with_name(NAME));
    assert_ne!(Event::new("a"), Event::new("a").with_retry(Duration::ZERO));
}

#[test]
fn the_media_type_is_that_of_the_standard() {
    assert_eq!(MEDIA_TYPE, "text/event-stream");
}

#[cfg(feature = "serde")]
mod json {
    use std::collections::BTreeMap;

    use fanfare_wire::Event;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Temperature<'a> {
        place: &'a str,
        degrees: f64,
    }

    #[test]
    fn a_value_is_one_line_of_compact_json() {
        let event = Event::json(&Temperature { place: "here", degrees: 21.5 }).unwrap();

        assert_eq!(event.data(), r#"{"place":"here","degrees":21.5}"#);
    }

    #[test]
    fn line_ends_in_a_value_are_escaped() {
        let event = Event::json("a\nb\rc").unwrap();

        assert_eq!(event.data(), r#""a\nb\rc""#);
        assert_eq!(event.parse_json::<String>().unwrap(), "a\nb\rc");
    }

    #[test]
    fn a_value_comes_back_as_it_was_and_may_borrow_from_the_event() {
        let temperature = Temperature { place: "here", degrees: 21.5 };
        let event = Event::json(&temperature).unwrap();

        assert_eq!(event.parse_json::<Temperature<'_>>().unwrap(), temperature);
    }

    #[test]
    fn json_of_several_lines_is_read() {
        assert_eq!(Event::new("[1,\n2]").parse_json::<Vec<u8>>().unwrap(), [1, 2]);
    }

    #[test]
    fn a_map_whose_keys_are_no_text_is_an_error() {
        assert!(Event::json(&BTreeMap::from([(vec![1], 1)])).is_err());
    }

    #[test]
    fn data_that_is_no_json_is_an_error() {
        assert!(Event::new("").parse_json::<u8>().is_err());
        assert!(Event::new("[1").parse_json::<Vec<u8>>().is_err());
        assert!(Event::new("[1]").parse_json::<String>().is_err());
    }
}
