use fanfare_client::{BuildError, EventId, EventSource};
use http::Method;

use crate::support::{Virtual, builder, header};

#[test]
fn it_asks_with_get_for_an_event_stream_that_no_cache_has() {
    let request = Virtual::new(builder()).request();
    assert_eq!(request.method(), Method::GET);
    assert_eq!(request.uri(), "http://example.com/events");
    assert_eq!(header(&request, "accept").unwrap(), b"text/event-stream");
    assert_eq!(header(&request, "cache-control").unwrap(), b"no-cache");
    assert_eq!(request.headers().len(), 2, "and nothing else");
    assert!(request.body().is_empty());
}

#[test]
fn the_last_event_id_is_sent_from_the_first_request_on_if_there_is_one() {
    let id = EventId::new("41").unwrap();
    let request = Virtual::new(builder().last_event_id(id)).request();
    assert_eq!(header(&request, "last-event-id").unwrap(), b"41");
}

#[test]
fn the_last_event_id_is_sent_as_utf8() {
    let mut stream = Virtual::open(builder());
    stream.receive("id: …☃\ndata: a\n\n");
    stream.event();
    assert_eq!(header(&stream.ask_again(), "last-event-id").unwrap(), "…☃".as_bytes());
}

#[test]
fn an_empty_last_event_id_is_not_sent() {
    let mut stream = Virtual::open(builder().last_event_id(EventId::new("41").unwrap()));
    stream.receive("id\ndata: a\n\n");
    stream.event();
    assert_eq!(header(&stream.ask_again(), "last-event-id"), None);
}

#[test]
fn an_id_that_no_header_can_carry_ends_it_rather_than_losing_events() {
    let mut stream = Virtual::open(builder());
    stream.receive("id: a\u{1}b\ndata: a\n\n");
    stream.event();
    let delay = stream.end();
    stream.pass(delay);
    let error = stream.last_error();
    assert_eq!(error.to_string(), "the last event id \"a\\u{1}b\" cannot be sent in a header");
}

#[test]
fn method_headers_and_body_are_the_callers() {
    let builder = builder()
        .method(Method::POST)
        .header("authorization", "Bearer 1")
        .header("accept", "text/event-stream, text/plain")
        .body("{}");
    let request = Virtual::new(builder).request();
    assert_eq!(request.method(), Method::POST);
    assert_eq!(header(&request, "authorization").unwrap(), b"Bearer 1");
    assert_eq!(header(&request, "accept").unwrap(), b"text/event-stream, text/plain");
    assert_eq!(request.body(), "{}");
}

#[test]
fn user_and_password_of_the_url_go_into_a_header() {
    let ask = |url: &str| Virtual::new(EventSource::builder(url)).request();
    let request = ask("http://Aladdin:open%20sesame@example.com:8080/a?b#c");
    assert_eq!(request.uri(), "http://example.com:8080/a?b");
    assert_eq!(header(&request, "authorization").unwrap(), b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");

    let own = EventSource::builder("http://a:b@example.com").header("authorization", "Bearer 1");
    assert_eq!(header(&Virtual::new(own).request(), "authorization").unwrap(), b"Bearer 1");
}

#[test]
fn a_url_of_any_host_is_asked_for() {
    for url in ["http://[::1]:80/x", "https://b%C3%BCcher.example/ö", "http://127.1"] {
        assert!(Virtual::new(EventSource::builder(url)).request().uri().host().is_some());
    }
}

#[test]
fn a_setting_that_cannot_be_is_told_at_the_end_of_the_building() {
    let error = |builder: fanfare_client::Builder| builder.settings().unwrap_err();
    assert_eq!(error(EventSource::builder("events")).to_string(), "\"events\" is no URL");
    assert!(matches!(error(EventSource::builder("ftp://a/")), BuildError::NotHttp { .. }));
    assert!(matches!(error(EventSource::builder("data:a")), BuildError::NotHttp { .. }));
    let bad = builder().header("a b", "c").header("fine", "d");
    assert_eq!(error(bad).to_string(), "the header \"a b\" is not valid");
    assert!(matches!(error(builder().header("a", "b\nc")), BuildError::Header { .. }));
}
