use std::{iter, time::Duration};

use fanfare_hub::{http, server::Settings};
use futures_util::future::join_all;
use http_body_util::BodyExt;
use tokio::{net::TcpStream, time::Instant};

use crate::{
    decoding::{CODINGS, Decoding},
    protocols::{http2, send},
    stalled::publish_much,
    support::{Peer, Running, decoded, events, metric_in, noise, within},
};

const GRACE: Duration = Duration::from_secs(3);
/// A machine that is busy with something else takes this much longer.
const LATE: Duration = Duration::from_secs(2);

fn settings() -> Settings {
    Settings { grace: GRACE, ..Settings::default() }
}

/// A farewell that is not like the greeting.
fn http_settings() -> http::Settings {
    let farewell_retry = Duration::from_secs(7)..=Duration::from_secs(9);
    http::Settings { farewell_retry, ..http::Settings::default() }
}

/// How long after `signalled` a stream was told when to come back, and ended.
async fn follow_to_the_end(mut peer: Peer, signalled: Instant) -> (Duration, Duration) {
    let mut told = None;
    loop {
        let mut chunk = peer.chunk().await.expect("an orderly end");
        if chunk.is_empty() {
            break;
        }
        while peer.decoder.decode(&mut chunk).unwrap().is_some() {}
        let retry = peer.decoder.reconnection_time();
        if retry.is_some_and(|retry| http_settings().farewell_retry.contains(&retry)) {
            told.get_or_insert(signalled.elapsed());
        }
    }
    (told.expect("a farewell"), signalled.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_spread_and_nobody_holds_up_the_exit() {
    let hub = Running::start(settings(), http_settings()).await;
    let mut stalled = vec![];
    for _ in 0..8 {
        stalled.push(hub.follow("/sse/much").await);
    }
    publish_much(&hub, "much").await;
    let peers = join_all((0..192).map(|_| hub.follow("/sse/a"))).await;
    let mut publisher = hub.peer().await;
    publisher.write("POST /sse/a HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello").await;
    let mut endless = hub.peer().await;
    endless.write("POST /sse/b HTTP/1.1\r\nhost: a\r\ncontent-type: text/event-stream\r\n").await;
    endless.write("transfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n").await;
    let mut half_a_head = hub.peer().await;
    half_a_head.write("GET /hea").await;
    let mut idle = hub.peer().await;
    idle.get("/healthz", "").await;
    let head = idle.head().await;
    idle.body(&head).await;
    hub.until("published_events_total", 25.0).await;
    hub.until("connections", 204.0).await;

    let signalled = Instant::now();
    let Running { api, address, signal, server } = hub;
    signal.send(()).unwrap();
    let ends = tokio::spawn(join_all(
        peers.into_iter().map(|peer| tokio::spawn(follow_to_the_end(peer, signalled))),
    ));
    assert_eq!(idle.rest().await, "", "who asks for nothing is closed at once");
    assert!(signalled.elapsed() < GRACE / 2);
    within("refused connections", async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let ready = http::Api::answer(&api, get("/readyz")).await;
    assert_eq!(ready.status(), 503);
    let late = http::Api::answer(&api, get("/sse/a")).await;
    assert_eq!((late.status().as_u16(), late.headers().contains_key("retry-after")), (503, true));
    publisher.write("world").await;
    assert_eq!(publisher.head().await.status(), 200, "a publish in flight is answered");
    let broken_off = endless.head().await;
    assert_eq!(broken_off.status(), 503);
    assert!(endless.body(&broken_off).await.contains("1 events have been published"));

    within("the server", server).await.unwrap().unwrap();
    let took = signalled.elapsed();
    assert!(took < GRACE + LATE, "it took {took:?}");
    let ends = within("all ends", ends).await.unwrap();
    let (told, mut ended): (Vec<_>, Vec<_>) = ends.into_iter().map(Result::unwrap).unzip();
    ended.sort_unstable();
    assert!(told.iter().all(|told| *told < GRACE / 2), "{told:?}");
    let spread = GRACE / 5 * 4;
    assert!(ended[ended.len() / 8] < spread / 2, "some end early: {ended:?}");
    assert!(ended[ended.len() * 7 / 8] > spread / 2, "some end late: {ended:?}");
    assert!(ended[ended.len() - 1] < GRACE + LATE);
    let metrics = http::Api::answer(&api, get("/metrics")).await;
    let metrics = metrics.into_body().collect().await.unwrap().to_bytes();
    let metrics = str::from_utf8(&metrics).unwrap();
    let count = |name: &str| metric_in(metrics, name).to_string();
    assert_eq!(count("disconnects_total{reason=\"shutdown\"}"), "200");
    // Those that read nothing, and the one with half a head.
    assert_eq!(count("connections_closed_total{reason=\"grace\"}"), "9");
    assert_eq!((count("connections"), count("subscribers")), ("0".into(), "0".into()));
    drop(stalled);
}

/// Who has read what a stream begins with, and not the rest.
struct Behind {
    coding: &'static str,
    peer: Peer,
    begun: Vec<u8>,
}

impl Behind {
    async fn follow(hub: &Running, coding: &'static str) -> Self {
        let accept = format!("accept-encoding: {coding}\r\n");
        let mut peer = hub.get("/sse/much", &accept).await.0;
        // The opening, and the place.
        let begun = [peer.chunk().await.unwrap(), peer.chunk().await.unwrap()].concat();
        Self { coding, peer, begun }
    }

    /// The body up to its end; what there is of it, if the connection ends first.
    async fn rest(&mut self) -> Result<Vec<u8>, Vec<u8>> {
        let whole = |rest: Vec<u8>| [&*self.begun, &rest].concat();
        self.peer.chunks().await.map(whole).map_err(whole)
    }
}

/// Streams in each coding that have read a short event, and been given the begin of a chunk that is more
/// than their sockets hold; and the data of what was published.
async fn half_written(hub: &Running) -> (Vec<Behind>, Vec<String>) {
    let mut streams = vec![];
    for coding in CODINGS {
        streams.push(Behind::follow(hub, coding).await);
    }
    let large = (0..4).map(|number| noise(512 * 1024, number));
    let published: Vec<_> = iter::once("short".to_owned()).chain(large).collect();
    hub.publish("much", &published[0]).await;
    for behind in &mut streams {
        behind.begun.extend(behind.peer.chunk().await.unwrap());
    }
    for data in &published[1..] {
        hub.publish("much", data).await;
    }
    for Behind { coding, peer, .. } in &streams {
        within(coding, peer.stream.peek(&mut [0])).await.unwrap();
    }
    (streams, published)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_on_in_a_shutdown_is_given_a_whole_compressed_stream() {
    let hub = Running::start(settings(), http_settings()).await;
    let (streams, published) = half_written(&hub).await;
    drop(hub.signal);
    let ends = join_all(
        streams
            .into_iter()
            .map(async |mut behind| (behind.coding, behind.rest().await.expect("an orderly end"))),
    );
    for (coding, body) in ends.await {
        let text = decoded(coding, &body);
        let given = events(&text);
        assert!(given.len() >= 2, "{coding}: what was half written");
        let mut both = given.iter().zip(&published);
        assert!(both.all(|(event, data)| event.data() == data), "{coding}");
        let retries = text.lines().filter(|line| line.starts_with("retry: ")).count();
        assert_eq!(retries, 2, "{coding}: a greeting and a farewell");
    }
    within("the server", hub.server).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_stream_that_is_cut_off_in_a_shutdown_has_no_end() {
    let hub = Running::start(settings(), http_settings()).await;
    let (streams, published) = half_written(&hub).await;
    drop(hub.signal);
    within("the server", hub.server).await.unwrap().unwrap();
    for mut behind in streams {
        let coding = behind.coding;
        let rest = behind.rest().await;
        let body = rest.map(|body| body.len()).expect_err("no end of what is not whole");
        let mut decoding = Decoding::new(coding);
        let text = String::from_utf8(decoding.push(&body)).unwrap();
        let given = events(&text);
        assert_eq!((given.len(), given[0].data()), (1, "short"), "{coding}");
        // A Zstandard block is read as a whole, and its frame has not ended.
        let (_, cut) = text.rsplit_once("data: ").unwrap();
        assert!(published[1].starts_with(cut) || coding == "zstd", "{coding}");
        assert!(coding == "identity" || decoding.end().is_err(), "{coding}");
    }
}

fn get(target: &str) -> ::http::Request<http_body_util::Empty<bytes::Bytes>> {
    ::http::Request::get(target).body(http_body_util::Empty::new()).unwrap()
}

#[tokio::test]
async fn without_streams_it_ends_at_once_and_the_log_is_closed() {
    let hub = Running::start(Settings::default(), http::Settings::default()).await;
    hub.publish("a", "x").await;
    let _silent = hub.peer().await;
    hub.until("connections", 1.0).await;
    let signalled = Instant::now();
    drop(hub.signal);
    within("the server", hub.server).await.unwrap().unwrap();
    assert!(signalled.elapsed() < Settings::default().grace / 2, "{:?}", signalled.elapsed());
    let publish = ::http::Request::post("/sse/a").body(http_body_util::Full::from("x")).unwrap();
    let response = hub.api.answer(publish).await;
    assert_eq!(response.status(), 503);
}

#[tokio::test]
async fn streams_over_http_2_end_too() {
    let hub = Running::start(settings(), http_settings()).await;
    let mut requests = http2(TcpStream::connect(hub.address).await.unwrap()).await;
    let mut bodies = vec![];
    for coding in CODINGS.repeat(3) {
        let request = ::http::Request::get("http://a/sse/a").header("accept-encoding", coding);
        bodies.push((coding, send(&mut requests, request, "").await.into_body()));
    }
    let signalled = Instant::now();
    drop(hub.signal);
    for (coding, body) in bodies {
        let whole = within("the end", body.collect()).await.unwrap().to_bytes();
        let retries = decoded(coding, &whole).matches("retry: ").count();
        assert_eq!(retries, 2, "a greeting and a farewell");
    }
    within("the server", hub.server).await.unwrap().unwrap();
    assert!(signalled.elapsed() < GRACE, "few streams need little time");
}
