use std::{ops::Range, time::Duration};

use fanfare_client::{EventSource, Policy, ReadyState};
use futures_util::{StreamExt, stream::FusedStream};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::yield_now,
};

use crate::support::{
    Answer, Carrier, Gate, Server, at_once, in_words, now_or_never, silent_until, told, until,
    with_each, within,
};

const FOR_EVER: Duration = Duration::from_hours(1000);

/// What a source of each kind is in the middle of.
#[derive(Debug, Clone, Copy)]
enum Moment {
    BeforeTheHead,
    InTheHead,
    InTheBody,
    InAFlood,
}

impl Moment {
    const ALL: [Self; 4] = [Self::BeforeTheHead, Self::InTheHead, Self::InTheBody, Self::InAFlood];

    fn answer(self) -> Answer {
        match self {
            Self::BeforeTheHead => Answer::new().stall(),
            Self::InTheHead => Answer::new().write("HTTP/1.1 200 OK\r\ncontent-t").stall(),
            Self::InTheBody => Answer::stream("data: a\n\ndata").stall(),
            Self::InAFlood => Answer::stream("").flood("data: a\n\n".repeat(1000)),
        }
    }

    /// Has the source get there.
    async fn reach(self, source: &mut EventSource, server: &Server) {
        match self {
            Self::BeforeTheHead | Self::InTheHead => silent_until(source, server.asked(1)).await,
            Self::InTheBody | Self::InAFlood => {
                assert_eq!(told(source, 2).await, ["opened", "message: a"]);
            }
        }
    }
}

#[tokio::test]
async fn closing_at_any_moment_ends_the_connection_and_the_stream_at_once() {
    with_each(async |carrier| {
        for moment in Moment::ALL {
            let server = Server::new([moment.answer()]).await;
            let mut source = carrier.source(&server);
            moment.reach(&mut source, &server).await;
            source.close();
            assert_eq!(source.ready_state(), ReadyState::Closed, "{moment:?}");
            server.left(0).await;
            assert!(at_once(source.next()).is_none(), "{moment:?}");
            assert!(at_once(source.next()).is_none(), "{moment:?}");
            assert!(source.is_terminated(), "{moment:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn dropping_at_any_moment_ends_the_connection_at_once() {
    with_each(async |carrier| {
        for moment in Moment::ALL {
            let server = Server::new([moment.answer()]).await;
            let mut source = carrier.source(&server);
            moment.reach(&mut source, &server).await;
            drop(source);
            server.left(0).await;
        }
    })
    .await;
}

#[tokio::test]
async fn reconnecting_at_any_moment_ends_the_connection_and_asks_again_at_once() {
    with_each(async |carrier| {
        for moment in Moment::ALL {
            let server =
                Server::new([moment.answer(), Answer::stream("data: b\n\n").stall()]).await;
            let builder = carrier.follow(&server.url("/sse")).reconnection_time(FOR_EVER);
            let mut source = builder.build().unwrap();
            moment.reach(&mut source, &server).await;
            source.reconnect();
            assert_eq!(source.ready_state(), ReadyState::Connecting);
            server.left(0).await;
            assert_eq!(told(&mut source, 2).await, ["opened", "message: b"], "{moment:?}");
            assert_eq!(server.requests().len(), 2);
        }
    })
    .await;
}

#[tokio::test]
async fn sources_that_vanish_leave_no_task() {
    const SOURCES: usize = 20;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    with_each(async |carrier| {
        let mut after_each_round = vec![];
        for _ in 0..2 {
            for moment in Moment::ALL {
                let server = Server::always(moment.answer()).await;
                for _ in 0..SOURCES {
                    let mut source = carrier.source(&server);
                    moment.reach(&mut source, &server).await;
                }
                for connection in 0..server.connections() {
                    server.left(connection).await;
                }
            }
            after_each_round.push(tasks());
        }
        let first = after_each_round[0];
        until("the end of all tasks", || tasks() <= first).await;
    })
    .await;
}

/// A source that waits for a long time to ask again.
async fn waiting(carrier: Carrier, server: &Server) -> EventSource {
    server.answer([Answer::stream("id: 1\ndata: a\n\n")]);
    let builder = carrier.follow(&server.url("/sse")).reconnection_time(FOR_EVER);
    let mut source = builder.build().unwrap();
    assert_eq!(told(&mut source, 3).await, ["opened", "message: a", "lost: ended"]);
    assert_eq!(source.ready_state(), ReadyState::Connecting);
    assert!(now_or_never(source.next()).is_none());
    source
}

#[tokio::test]
async fn closing_ends_a_wait() {
    with_each(async |carrier| {
        let server = Server::new([]).await;
        let mut source = waiting(carrier, &server).await;
        source.close();
        assert!(at_once(source.next()).is_none());
        assert_eq!(source.last_event_id(), "1", "for the next time");
        assert_eq!(server.requests().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn reconnecting_ends_a_wait_and_resumes() {
    with_each(async |carrier| {
        let server = Server::new([]).await;
        let mut source = waiting(carrier, &server).await;
        server.answer([Answer::stream("data: b\n\n").stall()]);
        source.reconnect();
        assert_eq!(told(&mut source, 2).await, ["opened", "message: b"]);
        assert_eq!(server.last_event_ids(), ["", "1"]);
    })
    .await;
}

#[tokio::test]
async fn reconnecting_drops_what_was_not_given_and_asks_for_it_again() {
    with_each(async |carrier| {
        let first = Answer::stream("id: 1\ndata: a\n\nid: 2\ndata: b\n\n").stall();
        let server = Server::new([first, Answer::stream("id: 2\ndata: b\n\n").stall()]).await;
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 2).await, ["opened", "message: a"]);
        source.reconnect();
        assert_eq!(told(&mut source, 2).await, ["opened", "message: b"]);
        assert_eq!(server.last_event_ids(), ["", "1"]);
    })
    .await;
}

#[tokio::test]
async fn what_was_not_given_before_closing_is_not_given_any_more() {
    with_each(async |carrier| {
        let server = Server::new([Answer::stream("id: 1\ndata: a\n\nid: 2\ndata: b\n\n")]).await;
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 2).await, ["opened", "message: a"]);
        source.close();
        assert!(at_once(source.next()).is_none());
        assert_eq!(source.last_event_id(), "1");
    })
    .await;
}

#[tokio::test]
async fn what_is_closed_before_it_began_asks_for_nothing() {
    with_each(async |carrier| {
        let server = Server::new([]).await;
        let mut source = carrier.source(&server);
        assert_eq!(source.ready_state(), ReadyState::Connecting);
        source.close();
        assert!(at_once(source.next()).is_none());
        assert_eq!(server.connections(), 0);
    })
    .await;
}

#[tokio::test]
async fn what_is_closed_stays_closed() {
    with_each(async |carrier| {
        let server = Server::new([Answer::head("204 No Content\r\n")]).await;
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 2).await, ["error: status 204", "end"]);
        source.reconnect();
        source.close();
        source.reconnect();
        assert_eq!(source.ready_state(), ReadyState::Closed);
        assert!(at_once(source.next()).is_none());
        assert_eq!(server.requests().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_ready_state_is_that_of_a_browser() {
    with_each(async |carrier| {
        let gate = Gate::new();
        let first = Answer::stream("data: a\n\n").pass(&gate);
        let server = Server::new([first, Answer::head("404 Not Found\r\n")]).await;
        let mut source = carrier.source(&server);
        let mut states = vec![source.ready_state()];
        for _ in 0..5 {
            told(&mut source, 1).await;
            states.push(source.ready_state());
            gate.open();
        }
        let [connecting, open, closed] =
            [ReadyState::Connecting, ReadyState::Open, ReadyState::Closed];
        assert_eq!(states, [connecting, open, open, connecting, closed, closed]);
    })
    .await;
}

#[tokio::test]
async fn an_error_that_is_final_ends_the_connection_at_once() {
    with_each(async |carrier| {
        for head in ["404 Not Found\r\n", "200 OK\r\ncontent-type: text/html\r\n", "302 a\r\n"] {
            let server = Server::new([Answer::head(head).write("for more").stall()]).await;
            let mut source = carrier.source(&server);
            told(&mut source, 1).await;
            assert_eq!(source.ready_state(), ReadyState::Closed);
            server.left(0).await;
            drop(source);
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_was_given_up_ends_before_the_wait() {
    with_each(async |carrier| {
        let busy = Answer::head("503 a\r\nretry-after: 1000\r\n").write("please wait").stall();
        let silent = Answer::stream("").stall();
        for (answer, lost) in [(busy, "status 503 for 1000s"), (silent, "idle")] {
            let server = Server::new([answer]).await;
            let builder = carrier.follow(&server.url("/sse")).policy(Policy::resilient());
            let builder = builder.idle_timeout(Duration::from_millis(100));
            let mut source = builder.build().unwrap();
            let mut seen = told(&mut source, 1).await;
            if seen == ["opened"] {
                seen = told(&mut source, 1).await;
            }
            assert_eq!(seen, [format!("lost: {lost}")]);
            server.left(0).await;
            drop(source);
        }
    })
    .await;
}

/// Events with these numbers, cut into small chunks.
fn numbered(numbers: Range<u32>) -> Answer {
    let events = numbers.map(|number| format!("id: {number}\ndata: {number}\n\n"));
    let events = events.collect::<Vec<_>>().concat();
    Answer::chunked(events.as_bytes().chunks(7)).last_chunk()
}

/// Polls `next` once at a time, and drops it each time.
async fn poll_impatiently(source: &mut EventSource, count: usize) -> Vec<String> {
    let mut told = vec![];
    while told.len() < count {
        match now_or_never(source.next()) {
            Some(item) => told.push(in_words(item.as_ref())),
            None => yield_now().await,
        }
    }
    told
}

#[tokio::test]
async fn dropping_a_future_of_next_loses_nothing() {
    with_each(async |carrier| {
        let server = Server::new([numbered(0..100), numbered(100..200)]).await;
        let mut source = carrier.source(&server);
        let seen = within("all events", poll_impatiently(&mut source, 204)).await;
        let events = |numbers: Range<u32>| numbers.map(|number| format!("message: {number}"));
        let connection = |numbers| {
            let opened = std::iter::once("opened".to_owned());
            opened.chain(events(numbers)).chain(["lost: ended".to_owned()])
        };
        let expected: Vec<_> = connection(0..100).chain(connection(100..200)).collect();
        assert_eq!(seen, expected);
        assert_eq!(server.last_event_ids()[..2], ["", "99"]);
    })
    .await;
}

#[test]
fn a_transport_outlives_the_runtime_on_which_it_was_used() {
    let background = Runtime::new().unwrap();
    let answer = Answer::chunked(["data: a\n\n"]).last_chunk();
    let server = background.block_on(Server::always(answer));
    for carrier in Carrier::ALL {
        for _ in 0..3 {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let mut source = carrier.source(&server);
            let seen = runtime.block_on(told(&mut source, 3));
            assert_eq!(seen, ["opened", "message: a", "lost: ended"], "{carrier:?}");
        }
    }
}

#[tokio::test]
async fn sources_on_one_transport_do_not_know_of_each_other() {
    with_each(async |carrier| {
        let gate = Gate::new();
        let stream = Answer::stream("data: a\n\n").pass(&gate).write("data: b\n\n").stall();
        let server = Server::new([stream.clone(), stream]).await;
        let [mut first, mut second] = [carrier.source(&server), carrier.source(&server)];
        for source in [&mut first, &mut second] {
            assert_eq!(told(source, 2).await, ["opened", "message: a"]);
        }
        drop(first);
        gate.open();
        gate.open();
        assert_eq!(told(&mut second, 1).await, ["message: b"]);
    })
    .await;
}
