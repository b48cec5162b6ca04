use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::body::Body;
use fanfare::{AttachedBody, End, Sse};
use futures_util::{FutureExt, StreamExt};
use http::{Request, Response};
use tower::Service;

use crate::support::{Server, now_or_never, okay, pending, within};

const QUEUE: usize = 1024;

/// The answer to a request for an event stream, in front of nothing.
fn ask(sse: &Sse) -> impl Future<Output = Response<AttachedBody<Body>>> + use<> {
    let mut service = sse.attach(okay());
    let answer = service.call(Request::get("/sse").body(Body::empty()).unwrap());
    answer.map(|answer| answer.unwrap())
}

/// Connects as many clients as wait in the queue at most.
async fn fill(sse: &Sse) -> Vec<Response<AttachedBody<Body>>> {
    let mut responses = vec![];
    for _ in 0..QUEUE {
        responses.push(within("an answer", ask(sse)).await);
    }
    // tokio has a task wait, without a reason of its own, that has not done so for a while.
    tokio::task::yield_now().await;
    responses
}

#[tokio::test]
async fn every_client_comes_out_of_the_stream() {
    let sse = Sse::new();
    let mut connections = sse.connections();
    let server = Server::of(&sse).await;
    for number in 0..3 {
        let mut peer = server.open(&format!("/sse?{number}")).await;
        let client = within("the client", connections.next()).await.unwrap();
        assert_eq!(client.request().uri.query(), Some(&*number.to_string()));
        client.send("hello").await.unwrap();
        assert_eq!(peer.data().await, "hello");
    }
    assert!(connections.next().now_or_never().is_none(), "it does not end");
}

#[tokio::test]
async fn every_listener_gets_every_client() {
    let sse = Sse::new();
    let called = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        let called = called.clone();
        sse.on_connection(move |_| std::future::ready(called.fetch_add(1, Ordering::SeqCst)));
    }
    let mut queues = [sse.connections(), sse.connections()];
    let responses = [ask(&sse).await, ask(&sse).await];
    assert_eq!(called.load(Ordering::SeqCst), 4);
    for queue in &mut queues {
        let clients: Vec<_> = queue.take(2).collect().await;
        assert_eq!(clients.len(), 2);
    }
    drop(responses);
}

#[tokio::test]
async fn requests_wait_while_the_queue_is_full() {
    let sse = Sse::new();
    let mut connections = sse.connections();
    let _responses = fill(&sse).await;
    let mut waiting = pending(ask(&sse));

    connections.next().await.unwrap();
    assert!(now_or_never(waiting.as_mut()).is_some());
}

#[tokio::test]
async fn a_request_that_is_given_up_while_it_waits_leaves_no_client() {
    let sse = Sse::new();
    let mut connections = sse.connections();
    let responses = fill(&sse).await;
    drop(pending(ask(&sse)));
    assert_eq!(sse.len(), QUEUE);

    drop(responses);
    let client = connections.next().await.unwrap();
    assert_eq!(client.closed().now_or_never(), Some(End::Peer), "it may have left meanwhile");
    assert!(sse.is_empty());
}

#[tokio::test]
async fn a_receiver_that_is_dropped_holds_nobody_up_and_keeps_nobody() {
    let sse = Sse::new();
    let connections = sse.connections();
    let responses = fill(&sse).await;
    let client = sse.clients().remove(0);
    let value = Arc::new(());
    client.insert(value.clone());
    drop(client);
    let mut waiting = pending(ask(&sse));

    drop(connections);

    assert!(now_or_never(waiting.as_mut()).is_some(), "released");
    assert!(ask(&sse).now_or_never().is_some(), "forgotten");
    drop(responses);
    assert_eq!(Arc::strong_count(&value), 1, "no queue holds a client");
}

#[tokio::test]
async fn a_full_queue_does_not_hold_up_a_shutdown() {
    let sse = Sse::new();
    let _connections = sse.connections();
    let _responses = fill(&sse).await;
    let mut waiting = pending(ask(&sse));
    sse.begin_shutdown();
    assert!(now_or_never(waiting.as_mut()).is_some(), "its answer ends the server's last request");
}
