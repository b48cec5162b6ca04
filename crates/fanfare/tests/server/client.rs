use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use fanfare::{Client, Closed, End, Event, EventId, EventName, Sse, TrySendError};
use futures_util::FutureExt;
use http::Request;
use tokio::sync::oneshot;

use crate::support::{
    Local, Peer, Server, data_in, now_or_never, pending, request, request_after, stall, until,
    within,
};

fn small_queue() -> Sse {
    Sse::builder().queue_bytes(64).build()
}

/// 32 bytes on the wire.
fn half_a_queue(letter: char) -> Event {
    let event = Event::new(letter.to_string().repeat(24));
    assert_eq!(event.encoded_len(), 32);
    event
}

async fn open(sse: &Sse, server: &Server) -> (Client, Peer) {
    let peer = server.open("/sse").await;
    (sse.clients().remove(0), peer)
}

#[tokio::test]
async fn text_strings_and_events_are_sent_as_they_are() {
    let mut local = Local::open(&Sse::new());
    let client = &local.client;
    client.send("text").await.unwrap();
    client.send("two\r\nlines".to_owned()).await.unwrap();
    client.send("").await.unwrap();
    let event = Event::new("data")
        .with_name(EventName::from_static("name"))
        .with_id(EventId::from_static("7"))
        .with_retry(Duration::from_millis(1500));
    client.send(event).await.unwrap();
    client.send(Event::json(&serde_json::json!({ "a": [1, "b\n"] })).unwrap()).await.unwrap();

    assert_eq!(
        local.bytes(),
        "data: text\n\ndata: two\ndata: lines\n\ndata: \n\n\
         event: name\nretry: 1500\nid: 7\ndata: data\n\n\
         data: {\"a\":[1,\"b\\n\"]}\n\n"
    );
}

#[tokio::test]
async fn events_arrive_in_the_order_in_which_they_were_sent() {
    let sse = small_queue();
    sse.on_connection(|client| async move {
        for number in 0..2000 {
            client.send(number.to_string()).await.unwrap();
        }
        client.close();
    });
    let server = Server::of(&sse).await;
    let mut peer = server.open("/sse").await;
    for number in 0..2000 {
        assert_eq!(peer.data().await, number.to_string());
    }
    assert_eq!(peer.next().await, Ok(None));
}

#[tokio::test]
async fn what_waits_goes_out_in_one_piece() {
    let sse = Sse::new();
    let server = Server::of(&sse).await;
    let (client, mut peer) = open(&sse, &server).await;
    for number in ["1", "2", "3"] {
        client.try_send(number).unwrap();
    }
    assert_eq!(peer.chunk().await.unwrap().unwrap(), "data: 1\n\ndata: 2\n\ndata: 3\n\n");
}

#[tokio::test]
async fn a_send_wakes_the_body() {
    let mut local = Local::open(&Sse::new());
    assert!(local.bytes().is_empty());
    assert!(!local.was_woken());
    local.client.send("a").await.unwrap();
    assert!(local.was_woken());
    assert_eq!(local.data(), ["a"]);
}

#[tokio::test]
async fn send_waits_for_room_and_goes_on_when_the_body_is_read() {
    let mut local = Local::open(&small_queue());
    let client = local.client.clone();
    client.send(half_a_queue('a')).await.unwrap();
    client.send(half_a_queue('b')).await.unwrap();
    let mut third = pending(client.send(half_a_queue('c')));

    assert_eq!(local.data(), ["a".repeat(24), "b".repeat(24)]);
    assert_eq!(now_or_never(third.as_mut()), Some(Ok(())));
    assert_eq!(local.data(), ["c".repeat(24)]);
}

#[tokio::test]
async fn room_is_given_back_in_full_however_often_the_queue_was_full() {
    let mut local = Local::open(&small_queue());
    for _ in 0..100 {
        local.client.try_send(half_a_queue('a')).unwrap();
        local.client.try_send(half_a_queue('b')).unwrap();
        assert!(matches!(local.client.try_send("c"), Err(TrySendError::Full(_))));
        assert_eq!(local.data().len(), 2);
    }
}

#[tokio::test]
async fn try_send_gives_the_event_back_when_there_is_no_room() {
    let mut local = Local::open(&small_queue());
    local.client.try_send(half_a_queue('a')).unwrap();
    local.client.try_send(half_a_queue('b')).unwrap();
    let refused = Event::new("c").with_id(EventId::from_static("3"));
    assert_eq!(local.client.try_send(refused.clone()), Err(TrySendError::Full(refused.clone())));

    local.bytes();
    local.client.try_send(refused).unwrap();
    assert_eq!(local.bytes(), "id: 3\ndata: c\n\n");
}

#[tokio::test]
async fn those_who_wait_for_room_get_it_in_order_and_before_those_who_try() {
    let mut local = Local::open(&small_queue());
    let client = local.client.clone();
    client.send(half_a_queue('a')).await.unwrap();
    let mut large = pending(client.send("large".repeat(20)));
    let mut small = pending(client.send("small"));
    assert!(matches!(client.try_send("hasty"), Err(TrySendError::Full(_))));

    assert_eq!(local.data(), ["a".repeat(24)]);
    assert!(now_or_never(small.as_mut()).is_none(), "the large one takes all the room");
    assert_eq!(now_or_never(large.as_mut()), Some(Ok(())));
    assert_eq!(local.data(), ["large".repeat(20)]);
    assert_eq!(now_or_never(small.as_mut()), Some(Ok(())));
    assert_eq!(local.data(), ["small"]);
}

#[tokio::test]
async fn an_event_larger_than_the_queue_passes_when_nothing_else_waits() {
    let mut local = Local::open(&small_queue());
    let large = "x".repeat(1000);
    local.client.try_send(large.clone()).unwrap();
    assert!(matches!(local.client.try_send("more"), Err(TrySendError::Full(_))));
    assert_eq!(local.data(), [large]);
    local.client.try_send("more").unwrap();
}

#[tokio::test]
async fn a_queue_of_no_bytes_still_passes_events_one_by_one() {
    let mut local = Local::open(&Sse::builder().queue_bytes(0).build());
    for text in ["a", "b"] {
        local.client.try_send(text).unwrap();
        assert!(matches!(local.client.try_send("c"), Err(TrySendError::Full(_))));
        assert_eq!(local.data(), [text]);
    }
}

#[tokio::test]
async fn a_send_that_is_given_up_sends_nothing_and_takes_no_room() {
    let mut local = Local::open(&small_queue());
    let client = local.client.clone();
    client.send(half_a_queue('a')).await.unwrap();
    client.send(half_a_queue('b')).await.unwrap();
    drop(pending(client.send("given up")));

    assert_eq!(local.data().len(), 2);
    client.try_send(half_a_queue('c')).unwrap();
    client.try_send(half_a_queue('d')).unwrap();
    assert_eq!(local.data().len(), 2);
}

#[tokio::test]
async fn a_peer_that_does_not_read_holds_senders_up_until_it_does() {
    let sse = Sse::new();
    let server = Server::of(&sse).await;
    let (client, mut peer) = open(&sse, &server).await;
    stall(&client).await;
    let waiting = tokio::spawn(async move { client.send("the last").await });

    assert_eq!(peer.data().await, "the last");
    assert_eq!(within("the send", waiting).await.unwrap(), Ok(()));
}

#[tokio::test]
async fn comments_reach_the_wire_and_cannot_become_fields() {
    let mut local = Local::open(&Sse::new());
    local.client.comment("still here").await.unwrap();
    local.client.comment("a\ndata: b\r\nid: c").await.unwrap();
    assert_eq!(local.bytes(), ":still here\n\n:a\n:data: b\n:id: c\n\n");
}

#[tokio::test]
async fn close_delivers_what_was_sent_and_then_the_end() {
    let sse = Sse::new();
    let server = Server::of(&sse).await;
    let (client, mut peer) = open(&sse, &server).await;
    for number in 0..100 {
        client.send(number.to_string()).await.unwrap();
    }
    client.close();
    assert!(client.is_closed());

    let (rest, end) = peer.rest().await;
    assert_eq!(data_in(rest), (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(end, Ok(()), "the chunked body ends as it should");
    assert_eq!(client.closed().await, End::Closed);
}

#[tokio::test]
async fn nothing_can_be_sent_after_the_close() {
    let mut local = Local::open(&Sse::new());
    let client = local.client.clone();
    client.close();
    assert_eq!(client.send("late").await, Err(Closed));
    assert_eq!(client.try_send("late"), Err(TrySendError::Closed));
    assert_eq!(client.comment("late").await, Err(Closed));
    assert!(local.last_data().is_empty());

    assert_eq!(client.send("late").await, Err(Closed));
    assert_eq!(client.try_send("late"), Err(TrySendError::Closed));
}

#[tokio::test]
async fn a_close_behind_a_full_queue_releases_who_waits_and_delivers_the_queue() {
    let mut local = Local::open(&small_queue());
    let client = local.client.clone();
    client.send(half_a_queue('a')).await.unwrap();
    client.send(half_a_queue('b')).await.unwrap();
    let mut waiting = pending(client.send("too late"));
    client.close();
    assert_eq!(now_or_never(waiting.as_mut()), Some(Err(Closed)));
    assert_eq!(local.last_data(), ["a".repeat(24), "b".repeat(24)]);
}

#[tokio::test]
async fn the_first_reason_to_end_stands() {
    let sse = Sse::new();
    let mut local = Local::open(&sse);
    let client = local.client.clone();
    client.close();
    client.close();
    sse.begin_shutdown();
    assert_eq!(local.read_to_wait(), ("".into(), true));
    assert_eq!(client.closed().now_or_never(), Some(End::Closed));
}

#[tokio::test]
async fn closed_waits_for_the_end_and_tells_everybody_who_waits() {
    let local = Local::open(&Sse::new());
    let client = local.client.clone();
    let mut waiting = [pending(client.closed()), pending(client.closed())];
    client.close();
    assert!(now_or_never(waiting[0].as_mut()).is_none(), "the body is still to read the rest");
    drop(local);
    for waiting in &mut waiting {
        assert_eq!(now_or_never(waiting.as_mut()), Some(End::Closed));
    }
    assert_eq!(client.closed().now_or_never(), Some(End::Closed));
}

#[tokio::test]
async fn a_peer_that_closes_its_connection_is_noticed_at_once() {
    let sse = Sse::builder().keep_alive(None).build();
    let server = Server::of(&sse).await;
    let (client, peer) = open(&sse, &server).await;
    drop(peer);
    assert_eq!(within("the end", client.closed()).await, End::Peer);
    assert!(sse.is_empty());
    assert_eq!(client.send("nobody hears").await, Err(Closed));
    assert!(client.is_closed());
}

#[tokio::test]
async fn a_peer_that_resets_its_connection_is_noticed_at_once() {
    let sse = Sse::builder().keep_alive(None).build();
    let server = Server::of(&sse).await;
    let (client, peer) = open(&sse, &server).await;
    peer.reset();
    assert_eq!(within("the end", client.closed()).await, End::Peer);
    assert!(sse.is_empty());
    assert_eq!(client.try_send("nobody hears"), Err(TrySendError::Closed));
}

#[tokio::test]
async fn a_peer_that_has_asked_for_more_than_the_stream_is_noticed_by_a_keep_alive() {
    let sse = Sse::builder().keep_alive(Duration::from_millis(5)).build();
    let server = Server::of(&sse).await;
    let mut peer = server.peer().await;
    // The server does not look behind the second request before the stream has ended.
    peer.write("GET /sse HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    peer.head().await;
    until("the client", || !sse.is_empty()).await;
    let client = sse.clients().remove(0);
    drop(peer);
    assert_eq!(within("the end", client.closed()).await, End::Peer);
}

#[tokio::test]
async fn a_send_that_waits_is_released_when_the_peer_leaves() {
    let local = Local::open(&small_queue());
    let client = local.client.clone();
    client.send(half_a_queue('a')).await.unwrap();
    client.send(half_a_queue('b')).await.unwrap();
    let mut waiting = pending(client.send("c"));
    drop(local);
    assert_eq!(now_or_never(waiting.as_mut()), Some(Err(Closed)));
}

#[tokio::test]
async fn a_peer_that_leaves_while_senders_wait_for_it_ends_all_of_it() {
    let sse = small_queue();
    let server = Server::of(&sse).await;
    let (client, peer) = open(&sse, &server).await;
    let sending = tokio::spawn(async move { while client.send("x".repeat(1000)).await.is_ok() {} });
    drop(peer);
    within("the sender", sending).await.unwrap();
    assert!(sse.is_empty());
}

#[tokio::test]
async fn the_stream_goes_on_when_all_handles_are_dropped() {
    let sse = Sse::new();
    sse.on_connection(|client| async move { client.send("first").await });
    let server = Server::of(&sse).await;
    let mut peer = server.open("/sse").await;
    assert_eq!(peer.data().await, "first");
    assert!(peer.is_silent());
    sse.clients()[0].send("second").await.unwrap();
    assert_eq!(peer.data().await, "second");
}

#[tokio::test]
async fn the_stream_goes_on_when_all_handles_of_the_sse_are_dropped() {
    let sse = Sse::new();
    let server = Server::of(&sse).await;
    let (client, mut peer) = open(&sse, &server).await;
    drop(sse);
    client.send("still there").await.unwrap();
    assert_eq!(peer.data().await, "still there");
}

struct CountDown(Arc<AtomicUsize>);

impl Drop for CountDown {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn handlers_that_wait_for_their_client_end_with_it() {
    let running = Arc::new(AtomicUsize::new(0));
    let sse = small_queue();
    for wait_by_sending in [true, false] {
        let running = running.clone();
        sse.on_connection(move |client| {
            running.fetch_add(1, Ordering::SeqCst);
            let guard = CountDown(running.clone());
            async move {
                while wait_by_sending && client.send("x").await.is_ok() {}
                client.closed().await;
                drop(guard);
            }
        });
    }
    let server = Server::of(&sse).await;
    let peers = [server.open("/sse").await, server.open("/sse").await];
    assert_eq!(running.load(Ordering::SeqCst), 4);
    drop(peers);
    until("the handlers' ends", || running.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn a_client_and_its_values_are_dropped_with_its_last_handle() {
    let alive = Arc::new(AtomicUsize::new(1));
    let local = Local::open(&Sse::new());
    let client = local.client.clone();
    client.insert(CountDown(alive.clone()));
    drop(local);
    assert_eq!(alive.load(Ordering::SeqCst), 1, "a handle is left");
    drop(client);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn values_are_kept_by_type() {
    #[derive(Debug, PartialEq)]
    struct User(&'static str);

    let local = Local::open(&Sse::new());
    let other_handle = local.client.clone();
    assert_eq!(other_handle.get::<User>(), None);
    local.client.insert(User("Ada"));
    local.client.insert(7_u8);
    assert_eq!(*other_handle.get::<User>().unwrap(), User("Ada"));
    assert_eq!(*other_handle.get::<u8>().unwrap(), 7);
    local.client.insert(User("Grace"));
    assert_eq!(*other_handle.get::<User>().unwrap(), User("Grace"));
    assert_eq!(other_handle.get::<u16>(), None);
}

/// A value that asks its client for another one when it is dropped.
struct Curious(Client);

impl Drop for Curious {
    fn drop(&mut self) {
        assert!(self.0.get::<u8>().is_some());
    }
}

#[tokio::test]
async fn a_value_may_use_its_client_while_it_is_replaced() {
    let local = Local::open(&Sse::new());
    let client = local.client.clone();
    let (done, is_done) = oneshot::channel();
    thread::spawn(move || {
        client.insert(7_u8);
        client.insert(Curious(client.clone()));
        client.insert(Curious(client.clone()));
        done.send(())
    });
    within("the replacement", is_done).await.unwrap();
}

fn last_event_id(target: &str, header: Option<&[u8]>) -> Option<String> {
    let mut builder = Request::get(target);
    if let Some(header) = header {
        builder = builder.header("last-event-id", header);
    }
    let request = builder.body(()).unwrap().into_parts().0;
    let (client, _response) = Sse::new().accept(request).unwrap();
    client.last_event_id().map(Cow::into_owned)
}

#[test]
fn the_last_event_id_comes_from_the_header() {
    assert_eq!(last_event_id("/sse", Some(b"42")).as_deref(), Some("42"));
    assert_eq!(last_event_id("/sse", Some("søn-☃".as_bytes())).as_deref(), Some("søn-☃"));
    assert_eq!(last_event_id("/sse", Some(b"a\xFFb")).as_deref(), Some("a\u{FFFD}b"));
}

#[test]
fn the_last_event_id_comes_from_the_query_of_polyfills() {
    for parameter in ["lastEventId", "last_event_id", "evs_last_event_id"] {
        let target = format!("/sse?x=1&{parameter}=4%202%C3%B8&y");
        assert_eq!(last_event_id(&target, None).as_deref(), Some("4 2ø"), "{parameter}");
    }
    assert_eq!(last_event_id("/sse?LASTEVENTID=1&id=2", None), None);
    let twice = "/sse?lastEventId=&last_event_id=5";
    assert_eq!(last_event_id(twice, Some(b"")).as_deref(), Some("5"), "empty is none");
}

#[test]
fn the_header_wins_over_the_query() {
    assert_eq!(last_event_id("/sse?lastEventId=old", Some(b"new")).as_deref(), Some("new"));
}

#[test]
fn an_empty_last_event_id_is_none() {
    assert_eq!(last_event_id("/sse", None), None);
    assert_eq!(last_event_id("/sse", Some(b"")), None);
    assert_eq!(last_event_id("/sse?lastEventId=", None), None);
}

#[tokio::test]
async fn a_last_event_id_arrives_over_a_socket_byte_for_byte() {
    let sse = Sse::new();
    let server = Server::of(&sse).await;
    let _peer = server.open_with("/sse", "Last-Event-ID: søn-☃\r\n").await;
    assert_eq!(sse.clients()[0].last_event_id().unwrap(), "søn-☃");
}

#[tokio::test]
async fn the_clients_that_are_connected_are_listed() {
    let sse = Sse::new();
    let locals = ["/sse?a", "/sse?b"].map(|target| Local::of(&sse, request(target)));
    let _resumed = Local::of(&sse, request_after("x"));
    assert_eq!((sse.len(), sse.is_empty(), sse.clients().len()), (3, false, 3));
    drop(locals);
    assert_eq!((sse.len(), sse.clients().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_senders_share_one_client_without_losing_anything() {
    const SENDERS: usize = 8;
    const EVENTS: usize = 500;

    let sse = small_queue();
    let server = Server::of(&sse).await;
    let (client, mut peer) = open(&sse, &server).await;
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let client = client.clone();
            tokio::spawn(async move {
                for number in 0..EVENTS {
                    client.send(format!("{sender} {number}")).await.unwrap();
                }
            })
        })
        .collect();
    let mut next = [0; SENDERS];
    for _ in 0..SENDERS * EVENTS {
        let data = peer.data().await;
        let (sender, number) = data.split_once(' ').unwrap();
        let expected = &mut next[sender.parse::<usize>().unwrap()];
        assert_eq!(number, expected.to_string());
        *expected += 1;
    }
    for sender in senders {
        sender.await.unwrap();
    }
}
