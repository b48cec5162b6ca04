use std::time::Duration;

use fanfare_hub::http::Settings;
use tokio::time::{Instant, interval};

use crate::support::{Peer, Running, within};

const SHORT: Duration = Duration::from_millis(150);

/// Begins a publish of a hundred bytes.
async fn begin(hub: &Running) -> Peer {
    let mut peer = hub.peer().await;
    peer.write("POST /sse/a HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nbegun").await;
    peer
}

/// The answer, behind which the connection ends.
async fn is_told(peer: &mut Peer, words: &str) {
    let head = peer.head().await;
    assert_eq!((head.status(), head.header("connection")), (408, Some("close")), "{head:?}");
    assert_eq!(head.header("content-type"), Some("application/problem+json"));
    let problem = peer.body(&head).await;
    assert!(problem.contains(words), "{problem}");
    assert_eq!(peer.rest().await, "");
}

#[tokio::test]
async fn a_body_that_stands_still_is_given_up() {
    let hub =
        Running::with_http(Settings { body_idle_timeout: SHORT, ..Settings::default() }).await;
    let mut peer = begin(&hub).await;
    is_told(&mut peer, "too slowly; nothing was published").await;
    hub.until("refusals_total{reason=\"body_time\"}", 1.0).await;
    assert!(hub.ask("/topics").await.1.contains("\"topics\":[]"));
}

#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    let hub = Running::with_http(Settings { body_timeout: SHORT, ..Settings::default() }).await;
    let mut peer = begin(&hub).await;
    let mut dripping = interval(SHORT / 10);
    let dripped = async {
        while peer.stream.try_write(b"x").is_ok()
            && hub.metric("refusals_total{reason=\"body_time\"}").await < 1.0
        {
            dripping.tick().await;
        }
    };
    within("the end of patience", dripped).await;
    is_told(&mut peer, "too slowly").await;
}

#[tokio::test]
async fn an_event_stream_may_take_its_time_but_not_stand_still() {
    let settings = Settings {
        body_timeout: SHORT,
        body_idle_timeout: SHORT / 3,
        stream_idle_timeout: SHORT * 2,
        ..Settings::default()
    };
    let hub = Running::with_http(settings).await;
    let mut follower = hub.follow("/sse/a").await;
    let mut peer = hub.peer().await;
    peer.write("POST /sse/a HTTP/1.1\r\nhost: a\r\ncontent-type: text/event-stream\r\n").await;
    peer.write("transfer-encoding: chunked\r\n\r\n").await;
    let begun = Instant::now();
    let mut pauses = interval(SHORT);
    for number in 0..4 {
        pauses.tick().await;
        peer.write(format!("9\r\ndata: {number}\n\n\r\n")).await;
        assert_eq!(follower.event().await.data(), number.to_string());
    }
    assert!(begun.elapsed() > SHORT * 2);
    is_told(&mut peer, "4 events have been published").await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_counted() {
    let settings =
        Settings { max_body_bytes: 10, max_batch_events: 1, max_topics: 1, ..Settings::default() };
    let hub = Running::with_http(settings).await;
    let large = hub.peer().await.post("/sse/a", "", "more than ten").await;
    assert_eq!(large.status(), 413);
    let stream = "content-type: text/event-stream\r\n";
    let large = hub.peer().await.post("/sse/a", stream, "data: more than ten\n\n").await;
    assert_eq!(large.status(), 413);
    assert_eq!(hub.metric("refusals_total{reason=\"body_size\"}").await.to_string(), "2");
    let (_, many) = hub.get("/sse?topic=a&topic=b", "").await;
    assert_eq!(many.status(), 400);
    assert_eq!(hub.metric("refusals_total{reason=\"topics\"}").await.to_string(), "1");

    let settings = Settings { max_batch_events: 1, ..Settings::default() };
    let hub = Running::with_http(settings).await;
    let batch = "{\"data\":1}\n{\"data\":2}\n";
    let ndjson = "content-type: application/x-ndjson\r\n";
    assert_eq!(hub.peer().await.post("/sse/a", ndjson, batch).await.status(), 413);
    assert_eq!(hub.metric("refusals_total{reason=\"batch_events\"}").await.to_string(), "1");
}
