use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Break, Connection, Contract, event};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn last_event_id(stream: &Connection) -> Vec<&str> {
    stream.request.headers("last-event-id")
}

#[tokio::test]
async fn however_a_stream_breaks_it_is_asked_for_again_from_where_it_was() {
    for how in [Break::Orderly, Break::CutOff, Break::Reset] {
        let (mut contract, mut stream) = Contract::open().await;
        assert!(last_event_id(&stream).is_empty());
        stream.send("id: 7\ndata: a\n\n").await;
        contract.tells(event("message", "a", "7")).await;

        stream.end(how).await;

        contract.error().await;
        let mut stream = contract.server.open().await;
        assert_eq!(last_event_id(&stream), ["7"], "{how:?}");
        stream.send("id: 8\ndata: b\n\n").await;
        contract.tells(event("message", "b", "8")).await;
    }
}

#[tokio::test]
async fn every_break_is_told_once() {
    let (mut contract, mut stream) = Contract::open().await;
    for _ in 0..3 {
        stream.end(Break::CutOff).await;
        assert!(contract.error().await.starts_with("the connection failed: "));
        stream = contract.server.open().await;
    }
    stream.send("data: a\n\n").await;
    contract.tells(event("message", "a", "")).await;
}

#[tokio::test]
async fn the_last_id_is_sent_although_later_events_had_none() {
    let (mut contract, mut stream) = Contract::open().await;
    stream.send("id: 7\ndata: a\n\n").await;
    stream.send("data: b\n\n").await;
    contract.tells(event("message", "a", "7")).await;
    contract.tells(event("message", "b", "7")).await;

    stream.end(Break::Orderly).await;

    assert_eq!(last_event_id(&contract.server.connection().await), ["7"]);
}

#[tokio::test]
async fn an_empty_id_takes_the_last_one_back() {
    let (mut contract, mut stream) = Contract::open().await;
    stream.send("id: 7\ndata: a\n\n").await;
    stream.send("id: \ndata: b\n\n").await;
    contract.tells(event("message", "a", "7")).await;
    contract.tells(event("message", "b", "")).await;

    stream.end(Break::Orderly).await;

    assert!(last_event_id(&contract.server.connection().await).is_empty());
}

#[tokio::test]
async fn an_id_from_before_is_sent_at_first_and_stays() {
    let (mut contract, mut stream) = Contract::open_with(json!({ "lastEventId": "7" })).await;
    assert_eq!(last_event_id(&stream), ["7"]);
    stream.send("data: a\n\n").await;
    contract.tells(event("message", "a", "7")).await;

    stream.end(Break::Orderly).await;

    assert_eq!(last_event_id(&contract.server.connection().await), ["7"]);
}

#[tokio::test]
async fn an_event_that_was_cut_off_is_dropped_with_its_id() {
    let (mut contract, mut stream) = Contract::open().await;
    stream.send("id: 7\ndata: a\n\nevent: hi\nid: 8\ndata: b").await;
    contract.tells(event("message", "a", "7")).await;

    stream.end(Break::CutOff).await;

    contract.error().await;
    let mut stream = contract.server.open().await;
    assert_eq!(last_event_id(&stream), ["7"]);
    stream.send("data: c\n\n").await;
    contract.tells(event("message", "c", "7")).await;
}

#[tokio::test]
async fn every_stream_may_begin_with_a_byte_order_mark() {
    let (mut contract, mut stream) = Contract::open().await;
    for data in ["a", "b"] {
        stream.send(format!("\u{feff}data: {data}\n\n")).await;
        contract.tells(event("message", data, "")).await;
        contract.restart().await;
        stream = contract.server.open().await;
    }
}

#[tokio::test]
async fn a_body_is_sent_again() {
    for method in ["POST", "REPORT"] {
        let params = json!({
            "method": method,
            "headers": { "content-type": "application/json; charset=utf-8" },
            "body": r#"{"hello": "world"}"#,
        });
        let (contract, stream) = Contract::open_with(params).await;

        stream.end(Break::CutOff).await;

        let again = contract.server.connection().await.request;
        assert_eq!(again.method, method);
        assert_eq!(again.headers("content-type"), ["application/json; charset=utf-8"]);
        assert_eq!(again.body, r#"{"hello": "world"}"#);
    }
}

#[tokio::test]
async fn the_initial_delay_is_kept() {
    // Longer than the time that applies without it, so that it cannot be that one.
    let delay = Duration::from_millis(3100);
    let params = json!({ "initialDelayMs": u64::try_from(delay.as_millis()).unwrap() });
    let (mut contract, mut stream) = Contract::open_with(params).await;
    stream.send("data: a\n\n").await;
    contract.tells(event("message", "a", "")).await;

    let broken = Instant::now();
    stream.end(Break::Orderly).await;

    contract.server.connection().await;
    assert!(broken.elapsed() >= delay, "only {:?}", broken.elapsed());
}

#[tokio::test]
async fn the_server_may_shorten_the_delay() {
    let (mut contract, mut stream) = Contract::open_with(json!({ "initialDelayMs": DAY_MS })).await;
    stream.send("retry: 1\ndata: a\n\n").await;
    contract.tells(event("message", "a", "")).await;

    stream.end(Break::Orderly).await;

    contract.server.connection().await;
}

#[tokio::test]
async fn a_restart_asks_again_and_is_no_error() {
    let (mut contract, mut stream) = Contract::open().await;
    stream.send("id: 7\ndata: Hello\n\n").await;
    contract.tells(event("message", "Hello", "7")).await;

    contract.restart().await;

    let mut again = contract.server.open().await;
    stream.closed().await;
    assert_eq!(last_event_id(&again), ["7"]);
    again.send("data: Thanks\n\n").await;
    contract.tells(event("message", "Thanks", "7")).await;
}

#[tokio::test]
async fn a_restart_does_not_wait_for_the_delay() {
    let (mut contract, stream) = Contract::open_with(json!({ "initialDelayMs": DAY_MS })).await;
    stream.end(Break::Orderly).await;
    contract.error().await;

    contract.restart().await;

    contract.server.connection().await;
}

#[tokio::test]
async fn a_restart_does_not_wait_for_an_answer() {
    let contract = Contract::with(json!({})).await;
    let unanswered = contract.server.connection().await;

    contract.restart().await;

    contract.server.connection().await;
    unanswered.closed().await;
}

#[tokio::test]
async fn a_stream_that_stands_still_for_the_read_timeout_is_given_up() {
    let (mut contract, mut stream) = Contract::open_with(json!({ "readTimeoutMs": 200 })).await;
    stream.send("id: 7\ndata: Hello\n\n").await;
    contract.tells(event("message", "Hello", "7")).await;

    assert_eq!(contract.error().await, "nothing came for 200ms");

    let again = contract.server.connection().await;
    assert_eq!(last_event_id(&again), ["7"]);
    stream.closed().await;
}

#[tokio::test]
async fn without_a_read_timeout_a_stream_may_be_silent() {
    let params = json!({ "readTimeoutMs": Value::Null });
    let (mut contract, mut stream) = Contract::open_with(params).await;
    contract.server.stays_quiet().await;
    stream.send("data: a\n\n").await;
    contract.tells(event("message", "a", "")).await;
}
