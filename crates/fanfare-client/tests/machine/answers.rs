use fanfare_client::{Error, Item, Policy, ReadyState};

use crate::support::{Virtual, builder, seconds};

fn asked(policy: Policy) -> Virtual {
    let mut machine = Virtual::new(builder().policy(policy));
    assert_eq!(machine.machine.ready_state(), ReadyState::Connecting);
    machine.request();
    machine
}

#[test]
fn two_hundred_with_the_media_type_opens_whatever_its_parameters_and_case() {
    for content_type in [
        "text/event-stream",
        "text/event-stream;charset=utf-8",
        "text/event-stream ; charset=windows-1252",
        "Text/Event-STREAM",
        " text/event-stream",
        "text/plain, text/event-stream",
    ] {
        let mut machine = asked(Policy::standard());
        machine.answer(200, &[("content-type", content_type), ("x-a", "b")]);
        let Item::Opened(opened) = machine.item() else { panic!("not opened: {content_type}") };
        assert_eq!(opened.url.as_str(), "http://example.com/events");
        assert_eq!(opened.headers["x-a"], "b");
        assert_eq!(machine.machine.ready_state(), ReadyState::Open);
    }
}

#[test]
fn any_other_type_closes_it_for_good() {
    for policy in [Policy::standard(), Policy::resilient()] {
        for content_type in ["text/plain", "text/event-streams", "x; text/event-stream", ""] {
            let mut machine = asked(policy.clone());
            machine.answer(200, &[("content-type", content_type)]);
            let Error::ContentType { found } = machine.last_error() else { panic!() };
            assert_eq!(found.as_deref(), Some(content_type));
        }
        let mut machine = asked(policy);
        machine.answer(200, &[]);
        let message =
            "the answer is no event stream: its content-type is missing, not text/event-stream";
        assert_eq!(machine.last_error().to_string(), message);
    }
}

#[test]
fn a_coding_that_the_transport_left_closes_it_for_good() {
    let stream = ("content-type", "text/event-stream");
    let mut machine = asked(Policy::standard());
    machine.answer(200, &[stream, ("content-encoding", "sdch")]);
    let message = "cannot decompress the answer: its content-encoding is sdch";
    assert_eq!(machine.last_error().to_string(), message);
    let mut machine = asked(Policy::standard());
    machine.answer(200, &[stream, ("content-encoding", "Identity")]);
    assert!(matches!(machine.item(), Item::Opened(_)));
}

#[test]
fn any_other_status_closes_it_for_good() {
    for status in [201, 202, 204, 205, 206, 300, 304, 305, 400, 401, 404, 429, 500, 503, 599, 999] {
        let mut machine = asked(Policy::standard());
        machine.answer(status, &[("content-type", "text/event-stream")]);
        let error = machine.last_error();
        assert_eq!(error.status().unwrap(), status);
        assert!(error.to_string().contains(&status.to_string()), "{error}");
    }
}

#[test]
fn a_resilient_one_tries_again_what_may_pass() {
    for status in [408, 425, 429, 500, 502, 503, 504, 529] {
        let mut machine = asked(Policy::resilient());
        machine.answer(status, &[]);
        let delay = machine.lost();
        assert!(delay <= seconds(6), "{delay:?}");
        machine.pass(delay);
        machine.request();
        machine.accept();
    }
    for status in [204, 400, 401, 403, 404, 410] {
        let mut machine = asked(Policy::resilient());
        machine.answer(status, &[]);
        assert_eq!(machine.last_error().status().unwrap(), status);
    }
}

#[test]
fn what_is_worth_a_try_can_be_said_otherwise() {
    let is_404 = |error: &Error| error.status().is_some_and(|status| status == 404);
    let mut machine = asked(Policy::standard().retry_when(is_404));
    machine.answer(404, &[]);
    let delay = machine.lost();
    machine.pass(delay);
    machine.request();
    machine.machine.ended();
    assert!(matches!(machine.last_error(), Error::Ended));
}

#[test]
fn one_that_never_tries_again_ends_with_what_happened() {
    let mut machine = asked(Policy::never());
    machine.accept();
    machine.receive("data: a\n\n");
    assert_eq!(machine.data(), ["a"]);
    machine.machine.ended();
    assert!(matches!(machine.last_error(), Error::Ended));
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut machine = Virtual::open(builder());
    machine.answer(404, &[]);
    machine.receive("data: a\n\n");
    assert_eq!(machine.data(), ["a"]);
    machine.machine.close();
    machine.answer(200, &[("content-type", "text/event-stream")]);
    machine.receive("data: b\n\n");
    machine.machine.ended();
    machine.machine.reconnect();
    machine.assert_closed();
}
