use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, response::IntoResponse, routing::get};
use bytes::Bytes;
use fanfare::{Closed, Event, EventId, EventName, PipeError, Sse};
use fanfare_wire::{Decoder, Item};
use futures_util::{Stream, StreamExt, stream};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use crate::support::{CutOff, Local, Server, now_or_never, pending, until, within};

/// What comes through the queue, for as long as there are senders.
fn from_queue<T>() -> (mpsc::UnboundedSender<T>, impl Stream<Item = T>) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    (sender, stream::poll_fn(move |context| receiver.poll_recv(context)))
}

/// A stream that never gives anything, and notes when it is dropped.
struct Idle(Arc<AtomicBool>);

impl Stream for Idle {
    type Item = String;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<String>> {
        Poll::Pending
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A router whose `/sse` answers the first request with this.
fn once<R, F>(answer: F) -> Router
where
    R: IntoResponse,
    F: FnOnce() -> R + Send + 'static,
{
    let answer = Arc::new(Mutex::new(Some(answer)));
    let handler = async move || (answer.lock().unwrap().take().unwrap())().into_response();
    Router::new().route("/sse", get(handler))
}

async fn whole<B>(body: B) -> Bytes
where
    B: Body<Data = Bytes, Error = Infallible>,
{
    body.collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn a_stream_is_a_response() {
    let response = Sse::stream(stream::iter(["a", "b\nc"]));
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-cache, no-transform");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    assert_eq!(whole(response.into_body()).await, ":ok\n\ndata: a\n\ndata: b\ndata: c\n\n");
}

#[tokio::test]
async fn its_body_can_be_asked_again_after_its_end() {
    let once = stream::unfold(Some("a"), async |text| Some((text?, None)));
    let mut body = Box::pin(Sse::stream(once).into_body());
    while body.frame().await.is_some() {}
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn it_is_a_handler_of_axum_whose_events_arrive_one_by_one() {
    let (sender, events) = from_queue::<Event>();
    let server = Server::of_router(once(|| Sse::stream(events))).await;
    let mut peer = server.open("/sse").await;
    for text in ["a", "b"] {
        sender.send(text.into()).unwrap();
        assert_eq!(peer.data().await, text);
        assert!(peer.is_silent());
    }
    drop(sender);
    assert_eq!(peer.next().await, Ok(None));
}

#[tokio::test]
async fn an_error_breaks_the_connection_off() {
    let (sender, events) = from_queue::<io::Result<String>>();
    let server = Server::of_router(once(|| Sse::try_stream(events))).await;
    let mut peer = server.open("/sse").await;
    sender.send(Ok("a".to_owned())).unwrap();
    assert_eq!(peer.data().await, "a");
    sender.send(Err(io::Error::other("the source failed"))).unwrap();
    assert_eq!(peer.next().await, Err(CutOff), "the client can tell it from an end");
}

#[tokio::test]
async fn a_peer_that_leaves_drops_the_stream() {
    let dropped = Arc::new(AtomicBool::new(false));
    let idle = Idle(dropped.clone());
    let server = Server::of_router(once(|| Sse::stream(idle))).await;
    let peer = server.open("/sse").await;
    assert!(!dropped.load(Ordering::SeqCst));
    drop(peer);
    until("the drop", || dropped.load(Ordering::SeqCst)).await;
}

#[tokio::test]
async fn pipe_sends_everything_and_leaves_the_stream_open() {
    let mut local = Local::open(&Sse::new());
    let client = local.client.clone();
    client.pipe(stream::iter(["a", "b"])).await.unwrap();
    client.send("c").await.unwrap();
    assert_eq!(local.data(), ["a", "b", "c"]);
}

#[tokio::test]
async fn pipe_goes_at_the_clients_pace() {
    let mut local = Local::open(&Sse::builder().queue_bytes(9).build());
    let client = local.client.clone();
    let (sender, events) = from_queue::<String>();
    for number in 0..5 {
        sender.send(number.to_string()).unwrap();
    }
    drop(sender);
    let mut piping = pending(client.pipe(events));
    for number in 0..4 {
        assert_eq!(local.data(), [number.to_string()]);
        assert_eq!(now_or_never(piping.as_mut()).is_some(), number == 3);
    }
    assert_eq!(local.data(), ["4"]);
}

#[tokio::test]
async fn pipe_ends_with_the_client_also_while_its_source_has_nothing() {
    let dropped = Arc::new(AtomicBool::new(false));
    let local = Local::open(&Sse::new());
    let client = local.client.clone();
    let mut piping = pending(client.pipe(Idle(dropped.clone())));
    drop(local);
    assert_eq!(now_or_never(piping.as_mut()), Some(Err(Closed)));
    assert!(dropped.load(Ordering::SeqCst), "the source is dropped with it");
}

#[tokio::test]
async fn pipe_ends_when_the_client_leaves_over_a_socket() {
    let sse = Sse::new();
    let dropped = Arc::new(AtomicBool::new(false));
    let idle = Idle(dropped.clone());
    let server = Server::of(&sse).await;
    let peer = server.open("/sse").await;
    let client = sse.clients().remove(0);
    let piping = tokio::spawn(async move { client.pipe(idle).await });
    drop(peer);
    assert_eq!(within("the pipe", piping).await.unwrap(), Err(Closed));
    assert!(dropped.load(Ordering::SeqCst));
}

const UPSTREAM: &str = "\u{FEFF}: comment\r\nevent: name\r\nid: 1\r\nretry: 10\r\ndata: søn\r\n\r\n\
    data: a\ndata: b\n\nretry: 20\n\ndata\r\rid: 2\ndata: c\n\nid: 3\n\nevent: unfinished\ndata: lost";

/// What a client makes of these bytes: its events, its last event id, its reconnection time.
fn understood(bytes: impl Into<Bytes>) -> (Vec<Event>, String, Option<Duration>) {
    let (mut decoder, mut bytes) = (Decoder::new(), bytes.into());
    let mut events = vec![];
    while let Some(item) = decoder.decode(&mut bytes).unwrap() {
        if let Item::Event(event) = item {
            events.push(event);
        }
    }
    (events, decoder.last_event_id().to_owned(), decoder.reconnection_time())
}

fn chunks(text: &'static str, size: usize) -> impl Stream<Item = io::Result<Bytes>> {
    let cut = move |chunk: &'static [u8]| Ok(Bytes::from_static(chunk));
    stream::iter(text.as_bytes().chunks(size).map(cut))
}

#[tokio::test]
async fn pipe_wire_passes_on_the_events_of_chunks_cut_anywhere() {
    for size in (1..20).chain([UPSTREAM.len()]) {
        let mut local = Local::open(&Sse::new());
        local.client.pipe_wire(chunks(UPSTREAM, size)).await.unwrap();
        let (events, last_event_id, retry) = understood(local.bytes());
        assert_eq!(events, understood(UPSTREAM).0, "chunks of {size}");
        assert_eq!(last_event_id, "3");
        assert_eq!(retry, Some(Duration::from_millis(20)));
    }
}

#[tokio::test]
async fn pipe_wire_passes_on_a_reconnection_time_and_an_id_that_come_without_an_event() {
    let mut local = Local::open(&Sse::new());
    let (sender, chunks) = from_queue::<io::Result<Bytes>>();
    let client = local.client.clone();
    let mut piping = pending(client.pipe_wire(chunks));
    for block in ["retry: 3000\n\n", "id: 7\n\n"] {
        sender.send(Ok(block.into())).unwrap();
        assert!(now_or_never(piping.as_mut()).is_none());
        assert_eq!(local.bytes(), block);
    }
}

#[tokio::test]
async fn pipe_wire_tells_when_its_source_fails_and_keeps_what_was_sent() {
    let mut local = Local::open(&Sse::new());
    let failing =
        chunks("data: a\n\ndata: b", 100).chain(stream::iter([Err(io::Error::other("gone"))]));
    let error = local.client.pipe_wire(failing).await.unwrap_err();
    assert!(matches!(&error, PipeError::Source(source) if source.to_string() == "gone"));
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(local.data(), ["a"]);
}

#[tokio::test]
async fn pipe_wire_tells_of_an_event_that_is_too_large() {
    let mut local = Local::open(&Sse::new());
    let piece = Bytes::from("x".repeat(1 << 20));
    let huge = stream::iter(["data: a\n\ndata: ".into()].into_iter().chain(vec![piece; 17]));
    let error = local.client.pipe_wire(huge.map(Ok::<_, Infallible>)).await.unwrap_err();
    assert!(matches!(error, PipeError::TooLarge(_)), "{error}");
    assert_eq!(local.data(), ["a"]);
}

#[tokio::test]
async fn pipe_wire_ends_with_the_client() {
    let local = Local::open(&Sse::new());
    let client = local.client.clone();
    let idle = stream::pending::<io::Result<Bytes>>();
    let mut piping = pending(client.pipe_wire(idle));
    drop(local);
    assert!(matches!(now_or_never(piping.as_mut()), Some(Err(PipeError::Closed))));
    let late = client.pipe_wire(chunks("data: a\n\n", 3)).await;
    assert!(matches!(late, Err(PipeError::Closed)));
}

#[tokio::test]
async fn a_stream_of_another_server_is_passed_on_with_its_ids() {
    let upstream = Sse::new();
    upstream.on_connection(|client| async move {
        for number in ["1", "2"] {
            let event = Event::new(number)
                .with_id(EventId::new(number).unwrap())
                .with_name(EventName::from_static("tick"));
            client.send(event).await.unwrap();
        }
        client.close();
    });
    let server = Server::of(&upstream).await;
    let mut from = server.open("/sse").await;
    let (bytes, _) = from.rest().await;

    let mut local = Local::open(&Sse::new());
    local.client.pipe_wire(stream::iter([Ok::<_, Infallible>(bytes)])).await.unwrap();
    assert_eq!(local.bytes(), "event: tick\nid: 1\ndata: 1\n\nevent: tick\nid: 2\ndata: 2\n\n");
}
