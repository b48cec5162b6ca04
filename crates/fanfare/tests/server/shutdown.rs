use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    sync::Arc,
    task::{Context, Wake, Waker},
    time::Duration,
};

use axum::{Router, routing::get};
use bytes::Bytes;
use fanfare::{Channel, Closed, End, Sse};
use fanfare_wire::{Decoder, Item};
use futures_util::{FutureExt, StreamExt, future::join_all, stream};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io,
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, advance},
};

use crate::support::{
    Local, Peer, Server, data_in, listener, now_or_never, okay, pending, request, stall, within,
};

const FAREWELL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(5);

/// The reconnection time that the bytes end up with.
fn retry_in(bytes: impl Into<Bytes>) -> Option<Duration> {
    let (mut decoder, mut bytes) = (Decoder::new(), bytes.into());
    while decoder.decode(&mut bytes).unwrap().is_some() {}
    decoder.reconnection_time()
}

/// `axum::serve` that shuts down when the sender says so.
async fn serve(sse: &Sse) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<io::Result<()>>) {
    let listener = listener().await;
    let address = listener.local_addr().unwrap();
    let (signal, signalled) = oneshot::channel();
    let server = axum::serve(listener, sse.attach(okay()))
        .with_graceful_shutdown(sse.shutdown_on(signalled));
    (address, signal, tokio::spawn(async { server.await }))
}

async fn open(address: SocketAddr, target: &str) -> Peer {
    let mut peer = Peer::connect(address).await;
    peer.get(target, "").await;
    peer.head().await;
    assert_eq!(peer.chunk().await.unwrap().unwrap(), ":ok\n\n");
    peer
}

#[tokio::test]
async fn axum_serve_returns_with_100_open_streams_and_each_ends_in_order() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let (address, signal, server) = serve(&sse).await;
    let mut peers = join_all((0..100).map(|_| open(address, "/sse"))).await;
    for (number, client) in sse.clients().into_iter().enumerate() {
        if number % 2 == 0 {
            channel.join(&client).unwrap();
        }
        client.send("sent before").await.unwrap();
    }

    signal.send(()).unwrap();

    within("the server", server).await.unwrap().unwrap();
    assert!(sse.is_empty() && channel.is_empty());
    for peer in &mut peers {
        let (rest, end) = peer.rest().await;
        assert_eq!(end, Ok(()), "the chunked body ends as it should");
        assert!(FAREWELL.contains(&retry_in(rest.clone()).unwrap()));
        assert_eq!(data_in(rest), ["sent before"]);
    }
}

#[tokio::test]
async fn axum_serve_returns_with_open_streams_of_http_2() {
    let sse = Sse::new();
    let (address, signal, server) = serve(&sse).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut requests, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut bodies = vec![];
    for _ in 0..20 {
        let request = Request::get("http://a/sse").body(Empty::<Bytes>::new()).unwrap();
        bodies.push(requests.send_request(request).await.unwrap().into_body());
    }

    signal.send(()).unwrap();

    for body in bodies {
        let all = within("the end", body.collect()).await.unwrap().to_bytes();
        assert!(FAREWELL.contains(&retry_in(all).unwrap()));
    }
    within("the server", server).await.unwrap().unwrap();
    assert!(sse.is_empty());
}

#[tokio::test]
async fn axum_serve_returns_with_connections_that_are_idle_or_silent() {
    let sse = Sse::new();
    let (address, signal, server) = serve(&sse).await;
    let mut idle = Peer::connect(address).await;
    idle.get("/", "").await;
    idle.head().await;
    idle.sized(4).await;
    let _stream = open(address, "/sse").await;

    signal.send(()).unwrap();

    within("the server", server).await.unwrap().unwrap();
}

#[tokio::test]
async fn every_stream_ends_with_a_reconnection_time_behind_what_was_sent_to_it() {
    let sse = Sse::new();
    let mut local = Local::open(&sse);
    local.client.send("sent before").await.unwrap();
    sse.begin_shutdown();
    assert_eq!(local.client.send("too late").await, Err(Closed));

    let (bytes, has_ended) = local.read_to_wait();
    assert!(has_ended && bytes.starts_with(b"data: sent before\n\nretry: "), "{bytes:?}");
    assert_eq!(local.client.closed().now_or_never(), Some(End::Shutdown));
}

#[tokio::test]
async fn a_shutdown_wakes_streams_that_wait_and_releases_senders() {
    let sse = Sse::builder().queue_bytes(1).build();
    let mut local = Local::open(&sse);
    assert!(local.bytes().is_empty());
    sse.begin_shutdown();
    assert!(local.was_woken());

    let sse = Sse::builder().queue_bytes(1).build();
    let local = Local::open(&sse);
    local.client.send("fills the queue").await.unwrap();
    let mut waiting = pending(local.client.send("waits"));
    sse.begin_shutdown();
    assert_eq!(now_or_never(waiting.as_mut()), Some(Err(Closed)));
}

#[tokio::test]
async fn the_reconnection_times_are_spread_over_their_range() {
    let range = Duration::from_secs(2)..=Duration::from_secs(3);
    let sse = Sse::builder().farewell_retry(range.clone()).build();
    let mut locals: Vec<_> = (0..200).map(|_| Local::open(&sse)).collect();
    sse.begin_shutdown();
    let times: Vec<_> =
        locals.iter_mut().map(|local| retry_in(local.read_to_wait().0).unwrap()).collect();
    assert_spread(&times, &range);
}

#[tokio::test]
async fn streams_open_with_a_reconnection_time_if_asked_to() {
    let range = Duration::from_millis(500)..=Duration::from_millis(1500);
    let sse = Sse::builder().retry(range.clone()).build();
    let times: Vec<_> = (0..200)
        .map(|_| {
            let bytes = Local::unread(&sse, request("/sse")).bytes();
            assert!(bytes.starts_with(b":ok\n\nretry: "), "{bytes:?}");
            retry_in(bytes).unwrap()
        })
        .collect();
    assert_spread(&times, &range);

    let exact = Duration::from_secs(3);
    let sse = Sse::builder().retry(exact..=exact).build();
    assert_eq!(Local::unread(&sse, request("/sse")).bytes(), ":ok\n\nretry: 3000\n\n");
    assert_eq!(Local::unread(&Sse::new(), request("/sse")).bytes(), ":ok\n\n");
}

/// All inside, and from each half of the range.
fn assert_spread(times: &[Duration], range: &RangeInclusive<Duration>) {
    assert!(times.iter().all(|time| range.contains(time)), "{times:?}");
    let middle = (*range.start() + *range.end()) / 2;
    let early = times.iter().filter(|time| **time < middle).count();
    assert!((50..=150).contains(&early), "{early} of 200 in the first half");
}

#[tokio::test]
async fn who_connects_while_the_server_shuts_down_is_told_when_to_come_back() {
    let sse = Sse::new();
    let mut connections = sse.connections();
    let server = Server::of(&sse).await;
    sse.begin_shutdown();

    let mut peer = server.open("/sse").await;
    let (rest, end) = peer.rest().await;
    assert_eq!(end, Ok(()));
    assert!(FAREWELL.contains(&retry_in(rest).unwrap()));
    let client = connections.next().await.unwrap();
    assert_eq!(within("the end", client.closed()).await, End::Shutdown);
    assert!(sse.is_empty());
}

#[tokio::test]
async fn a_shutdown_that_has_begun_cannot_begin_again() {
    let sse = Sse::new();
    let mut local = Local::open(&sse);
    sse.begin_shutdown();
    sse.begin_shutdown();
    let (bytes, has_ended) = local.read_to_wait();
    assert!(has_ended);
    let items = std::iter::from_fn({
        let (mut decoder, mut bytes) = (Decoder::new(), bytes);
        move || decoder.decode(&mut bytes).unwrap()
    });
    assert_eq!(items.filter(|item| matches!(item, Item::Retry(_))).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_grace_period_begins_with_the_shutdown() {
    let sse = Sse::builder().grace(Duration::from_secs(7)).build();
    let mut early = pending(sse.grace_over());
    advance(Duration::from_mins(1)).await;
    assert!(now_or_never(early.as_mut()).is_none(), "nothing has begun");

    sse.begin_shutdown();
    let start = Instant::now();
    early.await;
    assert_eq!(start.elapsed(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn who_asks_late_for_the_grace_period_gets_what_is_left_of_it() {
    let sse = Sse::new();
    sse.begin_shutdown();
    advance(Duration::from_secs(4)).await;
    let start = Instant::now();
    sse.grace_over().await;
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test]
async fn a_peer_that_reads_nothing_cannot_hold_up_the_exit() {
    let sse = Sse::builder().grace(Duration::from_millis(10)).build();
    let (address, signal, mut server) = serve(&sse).await;
    let _stalled = open(address, "/sse").await;
    let client = sse.clients().remove(0);
    stall(&client).await;
    let sending = tokio::spawn(async move { client.send("waits for the peer").await });

    signal.send(()).unwrap();

    assert_eq!(within("the sender", sending).await.unwrap(), Err(Closed));
    within("the end of the grace period", sse.grace_over()).await;
    assert!((&mut server).now_or_never().is_none(), "it waits for the peer");
    server.abort();
}

#[tokio::test]
async fn the_beginning_of_the_shutdown_is_told_to_all_who_wait_for_it() {
    let sse = Sse::new();
    let mut waiting = [pending(sse.shutdown_begun()), pending(sse.shutdown_begun())];
    sse.begin_shutdown();
    for waiting in &mut waiting {
        assert!(now_or_never(waiting.as_mut()).is_some());
    }
    assert!(sse.shutdown_begun().now_or_never().is_some());
}

#[tokio::test]
async fn shutdown_on_waits_for_its_signal() {
    let sse = Sse::new();
    let (signal, signalled) = oneshot::channel::<()>();
    let mut shutting_down = pending(sse.shutdown_on(signalled));
    assert!(sse.shutdown_begun().now_or_never().is_none());
    signal.send(()).unwrap();
    assert!(now_or_never(shutting_down.as_mut()).is_some());
    assert!(sse.shutdown_begun().now_or_never().is_some());
}

#[tokio::test]
async fn what_was_broadcast_before_the_shutdown_is_delivered_or_resumed() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let mut local = Local::open(&sse);
    channel.join(&local.client).unwrap();
    local.bytes();
    channel.broadcast("the server goes down").unwrap();
    sse.begin_shutdown();
    // Nothing of this log will be there to resume from.
    assert_eq!(local.last_data(), ["the server goes down"]);
}

#[tokio::test]
async fn axum_serve_returns_with_streams_that_belong_to_no_client() {
    let sse = Sse::new();
    let endless = sse.clone();
    let app = Router::new().route(
        "/endless",
        get(async move || endless.respond(stream::iter(["first"]).chain(stream::pending()))),
    );
    let listener = listener().await;
    let address = listener.local_addr().unwrap();
    let (signal, received) = oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(sse.shutdown_on(received));
    let server = tokio::spawn(server.into_future());
    let mut peer = open(address, "/endless").await;
    assert_eq!(peer.data().await, "first");
    signal.send(()).unwrap();
    let (rest, end) = peer.rest().await;
    assert_eq!(end, Ok(()));
    assert!(retry_in(rest).is_some());
    within("the server's end", server).await.unwrap().unwrap();
}

#[test]
fn who_waits_for_the_beginning_is_woken_without_a_lock_held() {
    struct Looks(Sse);
    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            assert!(self.0.is_empty());
        }
    }
    let sse = Sse::new();
    let waker = Waker::from(Arc::new(Looks(sse.clone())));
    let mut begun = Box::pin(sse.shutdown_begun());
    assert!(begun.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    sse.begin_shutdown();
}
