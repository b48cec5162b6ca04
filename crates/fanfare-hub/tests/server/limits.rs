use std::num::NonZeroU32;

use fanfare_hub::{
    http,
    limits::{Rate, Settings as Limits},
    server::{ForwardingHeader, Settings},
};

use crate::support::{Head, Running};

fn bounded(limits: Limits) -> http::Settings {
    http::Settings { limits, ..http::Settings::default() }
}

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

/// The answer says when to come back.
fn is_refused(head: &Head) {
    assert_eq!(head.status(), 429, "{head:?}");
    assert_eq!(head.header("content-type"), Some("application/problem+json"));
    let seconds: u32 = head.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{head:?}");
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_room() {
    let settings = Settings { max_connections: number(2), ..Settings::default() };
    let hub = Running::with(settings).await;
    let first = hub.follow("/sse/a").await;
    let _second = hub.follow("/sse/a").await;
    let mut third = hub.peer().await;
    third.get("/healthz", "").await;
    hub.until("accept_pauses_total{reason=\"connections\"}", 1.0).await;
    assert_eq!(hub.metric("connections").await.to_string(), "2");
    drop(first);
    assert_eq!(third.head().await.status(), 200);
}

#[tokio::test]
async fn streams_beyond_the_bound_are_refused_and_places_given_back() {
    let hub = Running::with_http(bounded(Limits { max_clients: 2, ..Limits::default() })).await;
    let first = hub.follow("/sse/a").await;
    let _second = hub.follow("/sse/b").await;
    is_refused(&hub.get("/sse/a", "").await.1);
    assert_eq!(hub.metric("refusals_total{reason=\"clients\"}").await.to_string(), "1");
    hub.publish("a", "publishing goes on").await;
    drop(first);
    hub.until("disconnects_total{reason=\"left\"}", 1.0).await;
    // A stream that ends by itself gives its place back while its connection goes on.
    let mut ended = hub.follow("/sse/a").await;
    hub.publish("a?end=true", "last").await;
    assert_eq!(ended.event().await.data(), "last");
    assert_eq!(ended.next().await, Ok(None));
    hub.until("disconnects_total{reason=\"ended\"}", 1.0).await;
    let _fourth = hub.follow("/sse/b").await;
}

#[tokio::test]
async fn a_head_request_takes_no_place() {
    let hub = Running::with_http(bounded(Limits { max_clients: 0, ..Limits::default() })).await;
    let mut peer = hub.peer().await;
    peer.write("HEAD /sse/a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(peer.head().await.status(), 200);
}

#[tokio::test]
async fn streams_are_bounded_by_the_address_that_trusted_proxies_tell() {
    let limits = Limits { max_clients_per_address: Some(1), ..Limits::default() };
    let settings =
        Settings { trusted_proxies: vec!["127.0.0.1".parse().unwrap()], ..Settings::default() };
    let hub = Running::start(settings, bounded(limits)).await;
    let ask = async |from: [u8; 4], headers: &str| {
        let mut peer = hub.peer_from(from).await;
        peer.get("/sse/a", headers).await;
        let head = peer.head().await;
        (peer, head)
    };
    let proxy = [127, 0, 0, 1];
    let (_ada, head) = ask(proxy, "x-forwarded-for: 192.0.2.1\r\n").await;
    assert_eq!(head.status(), 200);
    let (_bob, head) = ask(proxy, "x-forwarded-for: 192.0.2.2\r\n").await;
    assert_eq!(head.status(), 200, "another client of the same proxy");
    is_refused(&ask(proxy, "x-forwarded-for: 192.0.2.1\r\n").await.1);
    let spoofed = "x-forwarded-for: 203.0.113.9, 192.0.2.1\r\n";
    is_refused(&ask(proxy, spoofed).await.1);
    is_refused(&ask(proxy, "forwarded: for=203.0.113.9\r\nx-forwarded-for: 192.0.2.1\r\n").await.1);

    let stranger = [127, 0, 0, 2];
    let (_eve, head) = ask(stranger, "").await;
    assert_eq!(head.status(), 200);
    is_refused(&ask(stranger, "x-forwarded-for: 203.0.113.9\r\n").await.1);
    hub.until("refusals_total{reason=\"clients_per_address\"}", 4.0).await;
}

#[tokio::test]
async fn forwarded_is_the_other_header_of_proxies() {
    let limits = Limits { max_clients_per_address: Some(1), ..Limits::default() };
    let settings = Settings {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        forwarding_header: ForwardingHeader::Forwarded,
        ..Settings::default()
    };
    let hub = Running::start(settings, bounded(limits)).await;
    let (_ada, head) = hub.get("/sse/a", "forwarded: for=192.0.2.1\r\n").await;
    assert_eq!(head.status(), 200);
    is_refused(&hub.get("/sse/a", "forwarded: for=\"192.0.2.1:4711\"\r\n").await.1);
    let (_bob, head) = hub.get("/sse/a", "forwarded: for=\"[2001:db8::1]\"\r\n").await;
    assert_eq!(head.status(), 200);
}

#[tokio::test]
async fn publishes_are_bounded_by_address() {
    let rate = Rate { per_second: number(1), burst: number(3) };
    let hub =
        Running::with_http(bounded(Limits { publish_rate: Some(rate), ..Limits::default() })).await;
    let mut peer = hub.peer().await;
    for _ in 0..2 {
        let head = peer.post("/sse/a", "", "x").await;
        assert_eq!(head.status(), 200);
        peer.body(&head).await;
    }
    let batch = "{\"data\":1}\n".repeat(4);
    let ndjson = "content-type: application/x-ndjson\r\n";
    assert_eq!(hub.peer().await.post("/sse/a", ndjson, &batch).await.status(), 200);
    let head = hub.peer().await.post("/sse/a", "", "x").await;
    is_refused(&head);
    let seconds: u32 = head.header("retry-after").unwrap().parse().unwrap();
    assert!((2..=4).contains(&seconds), "the batch has to be made up for: {head:?}");
    let other = hub.peer_from([127, 0, 0, 2]).await.post("/sse/a", "", "x").await;
    assert_eq!(other.status(), 200);
    assert_eq!(hub.metric("refusals_total{reason=\"publish_rate\"}").await.to_string(), "1");
    let _follower = hub.follow("/sse/a").await;
}

#[tokio::test]
async fn an_event_stream_is_slowed_down_to_the_rate() {
    let rate = Rate { per_second: number(20), burst: number(1) };
    let hub =
        Running::with_http(bounded(Limits { publish_rate: Some(rate), ..Limits::default() })).await;
    let mut follower = hub.follow("/sse/a").await;
    let mut peer = hub.peer().await;
    peer.write("POST /sse/a HTTP/1.1\r\nhost: a\r\ncontent-type: text/event-stream\r\n").await;
    peer.write("transfer-encoding: chunked\r\n\r\n").await;
    let begun = tokio::time::Instant::now();
    for number in 0..5 {
        peer.write(format!("9\r\ndata: {number}\n\n\r\n")).await;
        assert_eq!(follower.event().await.data(), number.to_string());
    }
    peer.write("0\r\n\r\n").await;
    assert_eq!(peer.head().await.status(), 200);
    assert!(begun.elapsed().as_millis() >= 200, "{:?}", begun.elapsed());
}
