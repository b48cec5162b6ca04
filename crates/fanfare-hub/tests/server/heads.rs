use std::time::Duration;

use fanfare_hub::server::Settings;
use tokio::time::Instant;

use crate::support::Running;

const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let hub = Running::with(Settings::default()).await;
    let mut peer = hub.peer().await;
    let bomb = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(20_000));
    peer.write(&bomb).await;
    assert!(peer.rest().await.starts_with("HTTP/1.1 431 "));
    hub.until("connections_closed_total{reason=\"header_size\"}", 1.0).await;

    let many = "x: x\r\n".repeat(1000);
    let mut peer = hub.peer().await;
    peer.write(format!("GET / HTTP/1.1\r\n{many}\r\n")).await;
    assert!(peer.rest().await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn a_head_has_its_time_and_no_byte_prolongs_it() {
    let settings = Settings { header_timeout: SHORT, idle_timeout: LONG, ..Settings::default() };
    let hub = Running::with(settings).await;
    let begun = Instant::now();
    let (mut peer, head) = hub.get("/healthz", "").await;
    assert_eq!(head.status(), 200);
    peer.body(&head).await;
    // The second head of a connection, byte by byte.
    let mut dripping = tokio::time::interval(Duration::from_millis(10));
    let mut silent = hub.peer().await;
    let gone = async {
        loop {
            dripping.tick().await;
            if peer.stream.try_write(b"G").is_err() {
                break;
            }
        }
    };
    crate::support::within("the end of the connection", gone).await;
    assert_eq!(silent.rest().await, "", "a connection without a head ends too");
    assert!(begun.elapsed() >= SHORT);
    hub.until("connections_closed_total{reason=\"header_time\"}", 2.0).await;
    hub.until("connections", 0.0).await;
}

#[tokio::test]
async fn a_connection_without_requests_ends_but_not_a_stream_without_events() {
    let settings = Settings { header_timeout: LONG, idle_timeout: SHORT, ..Settings::default() };
    let hub = Running::with(settings).await;
    let mut follower = hub.follow("/sse/a").await;
    let (mut peer, head) = hub.get("/healthz", "").await;
    let idle = Instant::now();
    peer.body(&head).await;
    assert_eq!(peer.rest().await, "");
    assert!(idle.elapsed() >= SHORT);
    hub.until("connections_closed_total{reason=\"idle\"}", 1.0).await;
    hub.publish("a", "still here").await;
    assert_eq!(follower.event().await.data(), "still here");
}
