use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use fanfare_client::{EventSource, Events};
use futures_util::{Stream, StreamExt, stream};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::StreamBody;
use tokio::time::timeout;

use crate::support::{Answer, Server, now_or_never, told, with_each};

const CHUNKS: usize = 100_000;
/// More than enough to do at a time.
const CHUNKS_AT_A_TIME: usize = 10_000;

/// Chunks that are always there, out of which nothing comes, and how many have been read.
fn chatter() -> (impl Stream<Item = Bytes> + Send + 'static, Arc<AtomicUsize>) {
    let read = Arc::<AtomicUsize>::default();
    let counted = read.clone();
    let chunks = stream::repeat(Bytes::from_static(b": still here\n\n")).take(CHUNKS);
    let chunks = chunks.inspect(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    (chunks.chain(stream::pending()), read)
}

/// A body of such chunks.
fn body(
    chunks: impl Stream<Item = Bytes> + Send + 'static,
) -> impl Body<Data = Bytes, Error = Infallible> + Send + 'static {
    StreamBody::new(chunks.map(|chunk| Ok(Frame::data(chunk))))
}

#[tokio::test]
async fn a_source_lets_others_run_while_it_reads_what_gives_nothing() {
    let (chunks, read) = chatter();
    let body = Mutex::new(Some(body(chunks)));
    let mut source = EventSource::builder("http://test/")
        .transport(move |_: Request<Bytes>| {
            let answer = Response::builder().header("content-type", "text/event-stream");
            std::future::ready(answer.body(body.lock().unwrap().take().unwrap()))
        })
        .build()
        .unwrap();
    assert_eq!(told(&mut source, 1).await, ["opened"]);
    assert!(now_or_never(source.next()).is_none());
    let read = read.load(Ordering::SeqCst);
    assert!(read < CHUNKS_AT_A_TIME, "{read} chunks in one go");
}

#[tokio::test]
async fn a_redirect_is_followed_whatever_there_is_to_read_of_its_body() {
    let mut source = EventSource::builder("http://test/")
        .transport(|request: Request<Bytes>| {
            let answer = match request.uri().path() {
                "/" => Response::builder().status(302).header("location", "/b"),
                _ => Response::builder().header("content-type", "text/event-stream"),
            };
            let endless = stream::repeat(Bytes::from_static(b"data: a\n\n"));
            std::future::ready(answer.body(body(endless)))
        })
        .build()
        .unwrap();
    assert_eq!(told(&mut source, 2).await, ["opened", "message: a"]);
}

#[tokio::test]
async fn events_let_others_run_while_they_read_what_gives_nothing() {
    let (chunks, read) = chatter();
    let mut events = Events::new(chunks.map(Ok::<_, Infallible>));
    assert!(now_or_never(events.next()).is_none());
    let read = read.load(Ordering::SeqCst);
    assert!(read < CHUNKS_AT_A_TIME, "{read} chunks in one go");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_that_gives_nothing_does_not_keep_a_timeout_from_firing() {
    with_each(async |carrier| {
        let flood = Answer::stream("").flood(": still here\n\n".repeat(10_000));
        let server = Server::new([flood]).await;
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 1).await, ["opened"]);
        let begun = Instant::now();
        assert!(timeout(Duration::from_millis(100), source.next()).await.is_err());
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    })
    .await;
}
