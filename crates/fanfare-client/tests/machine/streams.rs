use fanfare_client::{Error, Item, ReadyState, machine::Step};
use http::Method;

use crate::support::{Virtual, builder, header, millis, seconds};

#[test]
fn events_come_with_name_data_and_id() {
    let mut stream = Virtual::open(builder());
    stream.receive("event: x\nid: 1\ndata: a\ndata: b\n\ndata: c\n\n");
    let event = stream.event();
    assert_eq!((event.name(), event.data()), ("x", "a\nb"));
    let event = stream.event();
    assert_eq!((event.name(), event.data(), event.id().unwrap().as_str()), ("message", "c", "1"));
}

#[test]
fn comments_and_retries_are_given_if_asked_for() {
    let wire = ":hello\nretry: 7\ndata: a\n\n";
    let mut stream = Virtual::open(builder());
    stream.receive(wire);
    assert_eq!(stream.data(), ["a"]);

    let mut stream = Virtual::open(builder().comments(true).retries(true));
    stream.receive(wire);
    assert!(matches!(stream.item(), Item::Comment(text) if text == "hello"));
    assert!(matches!(stream.item(), Item::Retry(time) if time == millis(7)));
    assert_eq!(stream.event().retry(), Some(millis(7)));
}

#[test]
fn a_stream_that_ends_is_asked_for_again_after_the_reconnection_time() {
    let mut stream = Virtual::open(builder());
    stream.receive("id: 7\ndata: a\n\n");
    assert_eq!(stream.data(), ["a"]);
    stream.machine.ended();
    let Item::Reconnecting { reason, delay } = stream.item() else { panic!() };
    assert!(matches!(reason, Error::Ended));
    assert_eq!(delay, seconds(3));
    stream.pass(millis(2999));
    assert!(matches!(stream.step(), Step::AwaitTime(_)));
    stream.pass(millis(1));
    assert_eq!(header(&stream.request(), "last-event-id").unwrap(), b"7");
    stream.accept();
}

#[test]
fn the_servers_retry_counts_from_then_on() {
    let mut stream = Virtual::open(builder());
    stream.receive("retry: 120\n\n");
    assert!(matches!(stream.step(), Step::AwaitBytes(None)));
    assert_eq!(stream.machine.reconnection_time(), millis(120));
    stream.receive("data: a\n\n");
    stream.event();
    assert_eq!(stream.end(), millis(120));
    stream.pass(millis(120));
    stream.request();
    stream.accept();
    stream.receive("data: a\n\n");
    stream.event();
    assert_eq!(stream.end(), millis(120), "over connections too");
}

#[test]
fn what_was_unfinished_is_discarded_and_everything_behind_it_starts_anew() {
    let mut stream = Virtual::open(builder());
    stream.receive("id: 1\ndata: a\n\nid: 2\nevent: x\ndata: lost\nda");
    assert_eq!(stream.data(), ["a"]);
    assert_eq!(header(&stream.ask_again(), "last-event-id").unwrap(), b"1");
    stream.accept();
    stream.receive("\u{feff}data: b\n\n");
    let event = stream.event();
    assert_eq!((event.name(), event.data(), event.id().unwrap().as_str()), ("message", "b", "1"));
}

#[test]
fn an_id_is_reported_when_its_event_was_given() {
    let mut stream = Virtual::open(builder());
    stream.receive("id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\n\n");
    assert_eq!(stream.machine.last_event_id(), "");
    stream.event();
    assert_eq!(stream.machine.last_event_id(), "1");
    stream.event();
    assert_eq!(stream.machine.last_event_id(), "2");
    assert!(matches!(stream.step(), Step::AwaitBytes(_)));
    assert_eq!(stream.machine.last_event_id(), "3", "an id alone counts too");
}

#[test]
fn what_came_before_the_end_is_given_before_the_end() {
    let mut stream = Virtual::open(builder());
    stream.receive("data: a\n\ndata: b\n\n");
    stream.machine.ended();
    assert_eq!(stream.event().data(), "a");
    assert_eq!(stream.event().data(), "b");
    stream.lost();
}

#[test]
fn an_event_beyond_the_limit_is_told_and_the_stream_goes_on() {
    let mut stream = Virtual::open(builder().max_event_bytes(10));
    stream.receive("data: 12345678901\n\ndata: b\n\n");
    let error = stream.error();
    assert!(!error.is_final());
    assert_eq!(error.to_string(), "an event is larger than the limit of 10 bytes: it was left out");
    assert_eq!(stream.data(), ["b"]);
}

#[test]
fn closing_ends_it_at_once_in_any_state() {
    let mut new = Virtual::new(builder());
    new.machine.close();
    new.assert_closed();

    let mut connecting = Virtual::new(builder());
    connecting.request();
    connecting.machine.close();
    connecting.assert_closed();

    let mut open = Virtual::open(builder());
    open.receive("data: a\n\n");
    open.machine.close();
    open.assert_closed();

    let mut waiting = Virtual::open(builder());
    waiting.end();
    waiting.machine.close();
    waiting.assert_closed();
    waiting.pass(seconds(100));
    waiting.assert_closed();
}

#[test]
fn reconnecting_by_hand_asks_at_once_in_any_state() {
    let mut open = Virtual::open(builder());
    open.receive("id: 1\ndata: a\n\nid: 2\ndata: not given\n\n");
    open.event();
    open.machine.reconnect();
    assert_eq!(open.machine.ready_state(), ReadyState::Connecting);
    assert_eq!(header(&open.request(), "last-event-id").unwrap(), b"1");
    open.accept();

    let mut waiting = Virtual::open(builder());
    waiting.end();
    waiting.machine.reconnect();
    waiting.request();
    waiting.accept();
}

#[test]
fn a_request_that_may_not_be_repeated_is_not() {
    let post = || builder().method(Method::POST).body("question");
    let mut stream = Virtual::open(post());
    stream.receive("data: a\n\n");
    stream.event();
    stream.machine.ended();
    let error = stream.last_error();
    assert!(matches!(&error, Error::NotRepeatable(reason) if matches!(**reason, Error::Ended)));

    let mut stream = Virtual::open(post().repeatable(true));
    stream.receive("id: 1\ndata: a\n\n");
    stream.event();
    let request = stream.ask_again();
    assert_eq!((request.method(), &request.body()[..]), (&Method::POST, &b"question"[..]));
    assert_eq!(header(&request, "last-event-id").unwrap(), b"1");

    let mut stream = Virtual::open(builder().repeatable(false));
    stream.machine.ended();
    assert!(matches!(stream.last_error(), Error::NotRepeatable(_)));
}
