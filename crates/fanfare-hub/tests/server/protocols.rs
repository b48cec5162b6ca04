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

use crate::support::{Peer, Running, hub, within};

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
