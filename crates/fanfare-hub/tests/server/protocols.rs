use std::{num::NonZeroU32, time::Duration};

use ::http::{Request, Response, Version, request};
use bytes::Bytes;
use fanfare::Sse;
use fanfare_hub::{
    http::{self, Api},
    server::{Server, Settings},
};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use crate::{
    decoding::CODINGS,
    support::{Head, Peer, Running, decoded, events, hub, noise, within},
};

pub(crate) type Requests = SendRequest<Full<Bytes>>;

/// HTTP/2 on a socket.
pub(crate) async fn http2(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Requests {
    let (requests, connection) =
        handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    requests
}

pub(crate) async fn send(
    requests: &mut Requests,
    request: request::Builder,
    body: &str,
) -> Response<Incoming> {
    let request = request.body(Full::from(body.to_owned())).unwrap();
    within("an answer", requests.send_request(request)).await.unwrap()
}

#[tokio::test]
async fn http_2_by_prior_knowledge_and_http_1_share_a_port() {
    let hub = Running::with(Settings::default()).await;
    let mut requests = http2(TcpStream::connect(hub.address).await.unwrap()).await;
    let mut streams = vec![];
    for _ in 0..3 {
        let response = send(&mut requests, Request::get("http://a/sse/a"), "").await;
        assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_2, 200));
        assert_eq!(response.headers().get("connection"), None);
        streams.push(response.into_body());
    }
    let mut http1 = hub.follow("/sse/a").await;
    let published = send(&mut requests, Request::post("http://a/sse/a"), "to all").await;
    assert_eq!(published.status(), 200);
    assert_eq!(http1.event().await.data(), "to all");
    for stream in &mut streams {
        let mut text = String::new();
        while !text.contains("data: to all\n\n") {
            let frame = within("an event", stream.frame()).await.unwrap().unwrap();
            text.push_str(str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    }
    assert_eq!(hub.metric("connections").await.to_string(), "2");
    assert_eq!(hub.metric("subscribers").await.to_string(), "4");
    drop(streams);
    hub.until("subscribers", 1.0).await;
}

/// What a head says of codings, whatever the version.
fn says(coding: &str) -> (Option<String>, Option<String>) {
    let encoding = (coding != "identity").then(|| coding.to_owned());
    (encoding, Some("accept-encoding".to_owned()))
}

fn said_by(head: &Head) -> (Option<String>, Option<String>) {
    let said = |name| head.header(name).map(str::to_owned);
    (said("content-encoding"), said("vary"))
}

fn said_over_http_2(response: &Response<Incoming>) -> (Option<String>, Option<String>) {
    let said = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    (said("content-encoding"), said("vary"))
}

/// A stream over HTTP/1.0, whose body is all that comes until the connection ends.
async fn follow_without_chunks(hub: &Running, coding: &str, headers: &str) -> Peer {
    let mut peer = hub.peer().await;
    peer.write(format!("GET /sse/a HTTP/1.0\r\naccept-encoding: {coding}\r\n{headers}\r\n")).await;
    let head = peer.head().await;
    assert_eq!((head.status(), said_by(&head)), (200, says(coding)), "{head:?}");
    assert_eq!((head.header("transfer-encoding"), head.header("content-length")), (None, None));
    assert_eq!(head.header("connection"), Some("close"), "{head:?}");
    peer
}

#[tokio::test]
async fn a_compressed_stream_is_the_same_over_every_version() {
    let retry = Duration::from_secs(2);
    let settings = http::Settings { retry: retry..=retry, ..http::Settings::default() };
    let hub = Running::with_http(settings).await;
    let mut requests = http2(TcpStream::connect(hub.address).await.unwrap()).await;
    let (mut without_chunks, mut chunked, mut over_http_2) = (vec![], vec![], vec![]);
    for coding in CODINGS {
        for headers in ["", "connection: keep-alive\r\n"] {
            without_chunks.push((coding, follow_without_chunks(&hub, coding, headers).await));
        }
        let (peer, head) = hub.get("/sse/a", &format!("accept-encoding: {coding}\r\n")).await;
        assert_eq!(said_by(&head), says(coding));
        chunked.push((coding, peer));
        let request = Request::get("http://a/sse/a").header("accept-encoding", coding);
        let response = send(&mut requests, request, "").await;
        assert_eq!(said_over_http_2(&response), says(coding));
        over_http_2.push((coding, response.into_body()));
    }
    for (topic, data) in [("a", "short"), ("a", &*noise(100_000, 1)), ("a?end=true", "last")] {
        hub.publish(topic, data).await;
    }
    let mut texts = vec![];
    for (coding, mut peer) in without_chunks {
        texts.push(decoded(coding, &peer.rest_bytes().await));
    }
    for (coding, mut peer) in chunked {
        texts.push(decoded(coding, &peer.chunks().await.unwrap()));
    }
    for (coding, body) in over_http_2 {
        let body = within("the end", body.collect()).await.unwrap().to_bytes();
        texts.push(decoded(coding, &body));
    }
    let given: Vec<_> = events(&texts[0]).iter().map(|event| event.data().to_owned()).collect();
    assert!(given == ["short", &*noise(100_000, 1), "last"]);
    assert!(texts.iter().all(|text| *text == texts[0]));
}

#[tokio::test]
async fn a_head_says_in_which_coding_its_stream_would_be() {
    let hub = Running::with(Settings::default()).await;
    let mut requests = http2(TcpStream::connect(hub.address).await.unwrap()).await;
    for coding in CODINGS {
        let request = Request::head("http://a/sse/a").header("accept-encoding", coding);
        let response = send(&mut requests, request, "").await;
        assert_eq!((response.status().as_u16(), said_over_http_2(&response)), (200, says(coding)));
        let body = within("the end", response.into_body().collect()).await.unwrap();
        assert_eq!(body.to_bytes(), "");

        let mut peer = hub.peer().await;
        let accept = format!("accept-encoding: {coding}\r\n");
        peer.write(format!("HEAD /sse/a HTTP/1.1\r\nhost: a\r\n{accept}\r\n")).await;
        let head = peer.head().await;
        assert_eq!((head.status(), said_by(&head)), (200, says(coding)));
        peer.get("/healthz", "").await;
        let next = peer.head().await;
        assert_eq!(peer.body(&next).await, "ok\n", "there was no body before it");

        let mut peer = hub.peer().await;
        peer.write(format!("HEAD /sse/a HTTP/1.0\r\n{accept}\r\n")).await;
        let head = peer.head().await;
        assert_eq!((head.status(), said_by(&head)), (200, says(coding)));
        assert_eq!(peer.rest().await, "");
    }
}

#[tokio::test]
async fn an_http_2_connection_without_requests_ends() {
    let idle_timeout = Duration::from_millis(150);
    let hub = Running::with(Settings { idle_timeout, ..Settings::default() }).await;
    let mut requests = http2(TcpStream::connect(hub.address).await.unwrap()).await;
    let stream = send(&mut requests, Request::get("http://a/sse/a"), "").await;
    let ended = Instant::now();
    // The stream ends on a task of its own.
    hub.publish("a?end=true", "last").await;
    within("the stream", stream.into_body().collect()).await.unwrap();
    hub.until("connections_closed_total{reason=\"idle\"}", 1.0).await;
    assert!(ended.elapsed() >= idle_timeout);
    hub.until("connections", 0.0).await;
    assert!(within("the end", requests.ready()).await.is_err());
}

#[tokio::test]
async fn listeners_share_the_bounds_of_their_server() {
    let api = Api::new(hub(), Sse::new(), http::Settings::default());
    let settings = Settings { max_connections: NonZeroU32::MIN, ..Settings::default() };
    let listeners = [listener().await, listener().await];
    let addresses = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    let [one, other] = listeners;
    let server = Server::new(api, settings).listen(one).listen(other);
    let serving = tokio::spawn(server.run(std::future::pending()));
    let loopback = [127, 0, 0, 1].into();
    let mut waiting = None;
    for address in [addresses[0], addresses[1], addresses[0]] {
        let mut peer = Peer::connect(address, loopback).await;
        peer.get("/healthz", "").await;
        // It is answered when the one before is gone.
        drop(waiting.replace(peer));
        let peer = waiting.as_mut().unwrap();
        assert_eq!(peer.head().await.status(), 200);
    }
    serving.abort();
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_over_http_2() {
    let hub = Running::with(Settings::default()).await;
    let mut requests = http2(TcpStream::connect(hub.address).await.unwrap()).await;
    let bomb = Request::get("http://a/healthz").header("x", "x".repeat(20_000));
    let outcome = requests.send_request(bomb.body(Full::default()).unwrap()).await;
    assert!(outcome.is_err() || outcome.unwrap().status() == 431);
    let response = hub.get("/healthz", "").await.1;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_slow_body_over_http_2_is_told_without_a_header_that_is_an_error_there() {
    let body_idle_timeout = Duration::from_millis(100);
    let settings = http::Settings { body_idle_timeout, ..http::Settings::default() };
    let hub = Running::with_http(settings).await;
    let socket = TcpStream::connect(hub.address).await.unwrap();
    let (mut requests, connection) =
        handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let (_sender, body) = tokio::sync::mpsc::channel::<()>(1);
    let body =
        http_body_util::StreamBody::new(futures_util::stream::unfold(body, async |mut body| {
            body.recv().await?;
            Some((Ok::<_, std::convert::Infallible>(hyper::body::Frame::data(Bytes::new())), body))
        }));
    let request = Request::post("http://a/sse/a").body(Box::pin(body)).unwrap();
    let response = within("an answer", requests.send_request(request)).await.unwrap();
    assert_eq!(response.status(), 408);
    assert_eq!(response.headers().get("connection"), None);
}
