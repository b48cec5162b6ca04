use axum::{Router, routing::get};
use fanfare::Sse;
use http::{HeaderName, Method};
use tower::Layer;
use tower_http::{
    compression::CompressionLayer,
    cors::{Any, CorsLayer},
    trace::TraceLayer,
};

use crate::support::{Peer, Server, okay, within};

const GZIP: &str = "accept-encoding: gzip\r\n";

fn greeting() -> Sse {
    let sse = Sse::new();
    sse.on_connection(|client| async move { client.send("at once").await });
    sse
}

fn long_text() -> Router {
    okay().route("/long", get(|| async { "text ".repeat(1000) }))
}

/// The first event is there while the stream goes on, and so is the next.
async fn assert_unbuffered(sse: &Sse, peer: &mut Peer) {
    assert_eq!(peer.data().await, "at once");
    for number in ["1", "2"] {
        sse.clients()[0].send(number).await.unwrap();
        assert_eq!(peer.data().await, number);
    }
    assert_eq!(sse.len(), 1);
}

#[tokio::test]
async fn cors_adds_its_headers_to_the_stream() {
    let sse = greeting();
    let cors = CorsLayer::new().allow_origin(Any).allow_headers(Any);
    let server = Server::of_router(okay().layer(sse.clone()).layer(cors)).await;
    let mut peer = server.peer().await;
    peer.get("/sse", "origin: http://elsewhere\r\n").await;

    let head = peer.head().await;
    assert_eq!(head.header("access-control-allow-origin"), Some("*"));
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert_unbuffered(&sse, &mut peer).await;
}

#[tokio::test]
async fn cors_answers_the_preflight_that_a_last_event_id_needs() {
    let sse = greeting();
    let cors = CorsLayer::new()
        .allow_origin(["http://elsewhere".parse().unwrap()])
        .allow_methods([Method::GET])
        .allow_headers([HeaderName::from_static("last-event-id")]);
    let server = Server::of_router(okay().layer(sse.clone()).layer(cors)).await;
    let mut peer = server.peer().await;
    peer.write(
        "OPTIONS /sse HTTP/1.1\r\nhost: a\r\norigin: http://elsewhere\r\n\
         access-control-request-method: GET\r\naccess-control-request-headers: last-event-id\r\n\r\n",
    )
    .await;

    let head = peer.head().await;
    assert_eq!(head.status(), 200);
    assert_eq!(head.header("access-control-allow-origin"), Some("http://elsewhere"));
    assert_eq!(head.header("access-control-allow-methods"), Some("GET"));
    assert_eq!(head.header("access-control-allow-headers"), Some("last-event-id"));
    assert!(sse.is_empty(), "a preflight is no client");
}

#[tokio::test]
async fn tracing_does_not_hold_the_stream_back() {
    let sse = greeting();
    let server = Server::of_tower(TraceLayer::new_for_http().layer(sse.attach(okay()))).await;
    assert_unbuffered(&sse, &mut server.open("/sse").await).await;
}

#[tokio::test]
async fn compression_leaves_the_stream_alone() {
    let sse = greeting();
    let server = Server::of_tower(CompressionLayer::new().layer(sse.attach(long_text()))).await;

    let mut peer = server.peer().await;
    peer.get("/long", GZIP).await;
    assert_eq!(peer.head().await.header("content-encoding"), Some("gzip"), "the layer is at work");

    let mut peer = server.peer().await;
    peer.get("/sse", GZIP).await;
    assert_eq!(peer.head().await.header("content-encoding"), None);
    assert_unbuffered(&sse, &mut peer).await;
}

#[tokio::test]
async fn all_of_them_together_on_a_router() {
    let sse = greeting();
    let router = long_text()
        .layer(sse.clone())
        .layer(CompressionLayer::new())
        .layer(CorsLayer::permissive())
        .layer(TraceLayer::new_for_http());
    let server = Server::of_router(router).await;

    let mut peer = server.open_with("/sse", GZIP).await;
    assert_unbuffered(&sse, &mut peer).await;
}

#[tokio::test]
async fn they_notice_a_peer_that_leaves() {
    let sse = greeting();
    let layers = (TraceLayer::new_for_http(), CompressionLayer::new());
    let server = Server::of_tower(layers.layer(sse.attach(okay()))).await;
    let peer = server.open_with("/sse", GZIP).await;
    let client = sse.clients().remove(0);
    drop(peer);
    within("the end", client.closed()).await;
}
