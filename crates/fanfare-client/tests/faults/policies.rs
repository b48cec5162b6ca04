use std::time::{Duration, Instant};

use fanfare_client::{Item, Policy};
use http::Method;
use tokio::net::TcpSocket;

use crate::support::{Answer, Server, next, told, told_to_end, with_each};

const MILLISECOND: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_tried_until_it_is() {
    with_each(async |carrier| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}/sse", socket.local_addr().unwrap());
        let mut source = carrier.follow(&url).build().unwrap();
        assert_eq!(told(&mut source, 3).await, ["lost: connection"; 3]);
        let listener = socket.listen(8).unwrap();
        let server = Server::on(listener, [Answer::stream("data: a\n\n").stall()]);
        assert_eq!(told(&mut source, 2).await, ["opened", "message: a"]);
        assert_eq!(server.requests().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn delays_grow_up_to_the_cap_while_nothing_holds() {
    with_each(async |carrier| {
        let server = Server::always(Answer::new()).await;
        let cap = Duration::from_millis(500);
        let builder = carrier.follow(&server.url("/sse"));
        let builder = builder.policy(Policy::standard().with_cap(cap));
        let mut source = builder.reconnection_time(Duration::from_millis(100)).build().unwrap();
        for most in [200, 400, 500, 500, 500] {
            let lost = next(&mut source).await;
            let Some(Ok(Item::Reconnecting { delay, .. })) = lost else { panic!("{lost:?}") };
            let bounds = Duration::from_millis(100)..=Duration::from_millis(most);
            assert!(bounds.contains(&delay), "{delay:?} is not in {bounds:?}");
            source.reconnect();
        }
    })
    .await;
}

#[tokio::test]
async fn the_delay_is_really_waited() {
    with_each(async |carrier| {
        let time = Duration::from_millis(300);
        let server = Server::always(Answer::stream("data: a\n\n")).await;
        let builder = carrier.follow(&server.url("/sse")).reconnection_time(time);
        let mut source = builder.build().unwrap();
        told(&mut source, 2).await;
        let begun = Instant::now();
        assert_eq!(told(&mut source, 2).await, ["lost: ended", "opened"]);
        assert!(begun.elapsed() + MILLISECOND >= time, "{:?}", begun.elapsed());
    })
    .await;
}

#[tokio::test]
async fn it_gives_up_after_as_many_failures_as_allowed() {
    with_each(async |carrier| {
        let server = Server::always(Answer::new()).await;
        let policy = Policy::standard().with_cap(MILLISECOND).with_max_attempts(3);
        let builder = carrier.follow(&server.url("/sse")).policy(policy);
        let mut source = builder.build().unwrap();
        let lost = "lost: connection";
        let expected = [lost, lost, "error: gave up after 3: connection", "end"];
        assert_eq!(told_to_end(&mut source).await, expected);
        assert_eq!(server.requests().len(), 3);
    })
    .await;
}

#[tokio::test]
async fn an_event_makes_good_for_the_failures_before_it() {
    with_each(async |carrier| {
        let [fails, ends, holds] =
            [Answer::new(), Answer::stream(": a\n\n"), Answer::stream("data: a\n\n")];
        let answers =
            [fails.clone(), ends.clone(), holds.clone(), fails, ends.clone(), holds, ends];
        let server = Server::new(answers).await;
        let policy = Policy::standard().with_cap(MILLISECOND).with_max_attempts(3);
        let builder = carrier.follow(&server.url("/sse")).policy(policy);
        let mut source = builder.build().unwrap();
        let round =
            ["lost: connection", "opened", "lost: ended", "opened", "message: a", "lost: ended"];
        assert_eq!(told(&mut source, 12).await, [round, round].concat());
    })
    .await;
}

#[tokio::test]
async fn it_gives_up_when_the_next_try_would_be_too_late() {
    with_each(async |carrier| {
        let server = Server::always(Answer::new()).await;
        let allowed = Duration::from_millis(300);
        let policy = Policy::standard().with_cap(10 * MILLISECOND).with_max_elapsed(allowed);
        let builder = carrier.follow(&server.url("/sse")).policy(policy);
        let mut source = builder.build().unwrap();
        let begun = Instant::now();
        let told = told_to_end(&mut source).await;
        let [lost @ .., error, end] = &told[..] else { panic!("{told:?}") };
        assert!(begun.elapsed() + 20 * MILLISECOND >= allowed, "{:?}", begun.elapsed());
        assert!(lost.iter().all(|told| told == "lost: connection"), "{told:?}");
        let failures = lost.len() + 1;
        assert_eq!(*error, format!("error: gave up after {failures}: connection"));
        assert_eq!(end, "end");
        assert_eq!(server.requests().len(), failures);
    })
    .await;
}

#[tokio::test]
async fn a_bound_on_failures_is_none_on_connections_that_have_held() {
    with_each(async |carrier| {
        let server = Server::always(Answer::stream("data: a\n\n")).await;
        let policy = Policy::standard().with_max_attempts(1).with_max_elapsed(Duration::ZERO);
        let builder = carrier.follow(&server.url("/sse")).policy(policy);
        let mut source = builder.build().unwrap();
        let connection = ["opened", "message: a", "lost: ended"];
        assert_eq!(told(&mut source, 6).await, [connection, connection].concat());
    })
    .await;
}

#[tokio::test]
async fn a_refusal_that_a_policy_tries_again_is_given_the_time_it_asks_for() {
    with_each(async |carrier| {
        let server = Server::new([Answer::head("404 a\r\nretry-after: 7\r\n")]).await;
        let policy = Policy::standard().retry_when(|_| true);
        let builder = carrier.follow(&server.url("/sse")).policy(policy);
        let lost = next(&mut builder.build().unwrap()).await;
        let Some(Ok(Item::Reconnecting { delay, .. })) = lost else { panic!("{lost:?}") };
        assert!(delay >= Duration::from_secs(7), "{delay:?}");
    })
    .await;
}

#[tokio::test]
async fn nothing_is_tried_again_when_the_policy_says_never() {
    let ends = [
        (Answer::stream("data: a\n\n"), &["opened", "message: a", "error: ended"][..]),
        (Answer::new(), &["error: connection"]),
        (Answer::head("503 a\r\nretry-after: 0\r\n"), &["error: status 503 for 0ns"]),
    ];
    with_each(async |carrier| {
        for (answer, expected) in &ends {
            let server = Server::new([answer.clone()]).await;
            let builder = carrier.follow(&server.url("/sse")).policy(Policy::never());
            let mut source = builder.build().unwrap();
            assert_eq!(told_to_end(&mut source).await, [expected, &["end"][..]].concat());
            assert_eq!(server.requests().len(), 1);
        }
    })
    .await;
}

#[tokio::test]
async fn a_post_is_sent_once() {
    let ends = [
        (
            Answer::stream("data: a\n\n"),
            &["opened", "message: a", "error: not repeatable: ended"][..],
        ),
        (Answer::new().reset(), &["error: not repeatable: connection"]),
        (Answer::head("503 a\r\n"), &["error: not repeatable: status 503"]),
        (Answer::head("404 a\r\n"), &["error: status 404"]),
    ];
    with_each(async |carrier| {
        for (answer, expected) in &ends {
            let server = Server::new([answer.clone()]).await;
            let builder = carrier.follow(&server.url("/sse")).policy(Policy::resilient());
            let mut source = builder.method(Method::POST).body("a").build().unwrap();
            assert_eq!(told_to_end(&mut source).await, [expected, &["end"][..]].concat());
            assert_eq!(server.requests().len(), 1);
        }
    })
    .await;
}

#[tokio::test]
async fn a_post_that_may_be_repeated_is_sent_again_with_its_body_and_the_id() {
    with_each(async |carrier| {
        let answers = [Answer::stream("id: 1\ndata: a\n\n"), Answer::stream("data: b\n\n").stall()];
        let server = Server::new(answers).await;
        let builder = carrier.follow(&server.url("/sse")).method(Method::POST).body("question");
        let mut source = builder.repeatable(true).build().unwrap();
        let seen = told(&mut source, 5).await;
        assert_eq!(seen, ["opened", "message: a", "lost: ended", "opened", "message: b"]);
        for request in server.requests() {
            assert_eq!((request.line(), &*request.body), ("POST /sse HTTP/1.1", &b"question"[..]));
        }
        assert_eq!(server.last_event_ids(), ["", "1"]);
    })
    .await;
}

#[tokio::test]
async fn a_get_that_must_not_be_repeated_is_sent_once() {
    with_each(async |carrier| {
        let server = Server::new([Answer::stream("")]).await;
        let builder = carrier.follow(&server.url("/sse")).repeatable(false);
        let mut source = builder.build().unwrap();
        let seen = told_to_end(&mut source).await;
        assert_eq!(seen, ["opened", "error: not repeatable: ended", "end"]);
        assert_eq!(server.requests().len(), 1);
    })
    .await;
}
