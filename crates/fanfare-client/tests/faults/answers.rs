use std::time::Duration;

use fanfare_client::{Item, Policy, ReadyState};

use crate::support::{Answer, Carrier, Server, next, told, told_to_end, with_each};

/// What the program is told of an answer with this head, under the standard.
async fn told_of(carrier: Carrier, head: &str) -> Vec<String> {
    let server = Server::new([Answer::head(head).write("data: a\n\n")]).await;
    let mut source = carrier.source(&server);
    let told = told_to_end(&mut source).await;
    assert_eq!(source.ready_state(), ReadyState::Closed);
    assert_eq!(server.requests().len(), 1, "nothing is tried again");
    told
}

#[tokio::test]
async fn any_other_status_is_the_end() {
    let statuses = [
        ("204 No Content", 204),
        ("101 Switching Protocols", 101),
        ("201 Created", 201),
        ("206 Partial Content", 206),
        ("300 Multiple Choices", 300),
        ("304 Not Modified", 304),
        ("400 Bad Request", 400),
        ("401 Unauthorized", 401),
        ("404 Not Found", 404),
        ("410 Gone", 410),
        ("429 Too Many Requests", 429),
        ("500 Internal Server Error", 500),
        ("503 Service Unavailable", 503),
        ("999 What", 999),
    ];
    with_each(async |carrier| {
        for (status, number) in statuses {
            let head = format!("{status}\r\ncontent-type: text/event-stream\r\n");
            let expected = [&*format!("error: status {number}"), "end"];
            assert_eq!(told_of(carrier, &head).await, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn retry_after_is_told_and_changes_nothing_under_the_standard() {
    let date = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let asked = [
        ("retry-after: 7\r\n", " for 7s"),
        ("retry-after: Sun, 06 Nov 1994 08:50:37 GMT\r\n", " for 60s"),
        ("retry-after: Sunday, 06-Nov-94 08:49:40 GMT\r\n", " for 3s"),
        ("retry-after: Sun, 06 Nov 1994 08:00:00 GMT\r\n", " for 0ns"),
        ("retry-after: 0\r\n", " for 0ns"),
        ("retry-after: -1\r\n", ""),
        ("retry-after: soon\r\n", ""),
        ("retry-after:\r\n", ""),
        ("retry-after: 18446744073709551615\r\n", " for 18446744073709551615s"),
        ("retry-after: Fri, 31 Dec 9999 23:59:59 GMT\r\n", " for 252618189022s"),
    ];
    with_each(async |carrier| {
        for (header, told) in asked {
            let head = format!("503 Service Unavailable\r\n{date}{header}");
            let expected = [&*format!("error: status 503{told}"), "end"];
            assert_eq!(told_of(carrier, &head).await, expected, "{header}");
        }
    })
    .await;
}

#[tokio::test]
async fn any_other_type_is_the_end() {
    let types = [
        ("", "None"),
        ("content-type:\r\n", r#"Some("")"#),
        ("content-type: text/html\r\n", r#"Some("text/html")"#),
        ("content-type: text/event-streams\r\n", r#"Some("text/event-streams")"#),
        ("content-type: text/event-stream+x\r\n", r#"Some("text/event-stream+x")"#),
        ("content-type: text/event-stream x\r\n", r#"Some("text/event-stream x")"#),
        ("content-type: ;text/event-stream\r\n", r#"Some(";text/event-stream")"#),
        ("content-type: \u{e9}\r\n", r#"Some("é")"#),
    ];
    with_each(async |carrier| {
        for (header, found) in types {
            let told = told_of(carrier, &format!("200 OK\r\n{header}")).await;
            assert_eq!(told, [&*format!("error: type {found}"), "end"], "{header}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_type_may_have_parameters_and_any_case() {
    let types = [
        "text/event-stream",
        "TEXT/Event-Stream",
        "text/event-stream;charset=utf-8",
        "text/event-stream ; charset=windows-1252",
        "text/event-stream;",
        "Text/Event-stream;a=\";,text/html\"",
    ];
    with_each(async |carrier| {
        for content_type in types {
            let head = format!("200 OK\r\nContent-TYPE:{content_type}\r\n");
            let server = Server::new([Answer::head(&head).write("data: ü\n\n").stall()]).await;
            let mut source = carrier.source(&server);
            let told = told(&mut source, 2).await;
            assert_eq!(told, ["opened", "message: ü"], "{content_type}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_overloaded_server_is_asked_again_by_a_resilient_source() {
    let passing = ["408 a", "425 a", "429 a", "500 a", "502 a", "503 a", "504 a", "599 a"];
    with_each(async |carrier| {
        let mut answers: Vec<_> =
            passing.map(|status| Answer::head(&format!("{status}\r\n"))).into();
        answers.push(Answer::stream("data: a\n\n").stall());
        let server = Server::new(answers).await;
        let policy = Policy::resilient().with_cap(Duration::from_millis(5));
        let builder = carrier.follow(&server.url("/sse")).policy(policy);
        let mut source = builder.build().unwrap();
        let mut expected: Vec<_> =
            passing.map(|status| format!("lost: status {}", &status[..3])).into();
        expected.extend(["opened".to_owned(), "message: a".to_owned()]);
        assert_eq!(told(&mut source, 10).await, expected);
        assert_eq!(server.requests().len(), 9);
    })
    .await;
}

#[tokio::test]
async fn a_resilient_source_ends_with_what_does_not_pass() {
    let lasting = [
        ("204 a", "error: status 204"),
        ("400 a", "error: status 400"),
        ("404 a", "error: status 404"),
        ("200 a", "error: type None"),
    ];
    with_each(async |carrier| {
        for (status, error) in lasting {
            let server = Server::new([Answer::head(&format!("{status}\r\n"))]).await;
            let builder = carrier.follow(&server.url("/sse")).policy(Policy::resilient());
            let mut source = builder.build().unwrap();
            assert_eq!(told_to_end(&mut source).await, [error, "end"]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_resilient_source_waits_as_long_as_retry_after_says() {
    let asked = [
        ("retry-after: 7\r\n", Duration::from_secs(7)),
        (
            "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 09:49:37 GMT\r\n",
            Duration::from_hours(1),
        ),
        ("retry-after: 18446744073709551615\r\n", Duration::from_secs(u64::MAX)),
    ];
    with_each(async |carrier| {
        for (header, time) in asked {
            let busy = Answer::head(&format!("503 a\r\n{header}"));
            let server = Server::new([busy, Answer::stream("").stall()]).await;
            let builder = carrier.follow(&server.url("/sse")).policy(Policy::resilient());
            let mut source = builder.build().unwrap();
            let lost = next(&mut source).await;
            let Some(Ok(Item::Reconnecting { delay, .. })) = lost else { panic!("{lost:?}") };
            assert!(
                (time..=time.saturating_add(Duration::from_mins(1))).contains(&delay),
                "{delay:?}"
            );
            source.reconnect();
            assert_eq!(told(&mut source, 1).await, ["opened"]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_refusal_whose_body_never_ends_is_told_at_once_and_left() {
    with_each(async |carrier| {
        let busy = Answer::head("503 a\r\nretry-after: 0\r\n").write("please wait").stall();
        let server = Server::new([busy, Answer::stream("").stall()]).await;
        let policy = Policy::resilient().with_cap(Duration::from_millis(5));
        let builder = carrier.follow(&server.url("/sse")).policy(policy);
        let mut source = builder.build().unwrap();
        assert_eq!(told(&mut source, 2).await, ["lost: status 503 for 0ns", "opened"]);
        server.left(0).await;
    })
    .await;
}
