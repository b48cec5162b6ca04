use fanfare_client::EventSource;

use crate::support::{Answer, Carrier, Server, told, with_each};

const LIMIT: usize = 1000;

fn limited(carrier: Carrier, server: &Server) -> EventSource {
    carrier.follow(&server.url("/sse")).max_event_bytes(LIMIT).build().unwrap()
}

/// What no limit allows, in pieces.
fn endless(field: &str) -> Answer {
    let answer = Answer::stream("id: 1\ndata: a\n\n").write(field);
    (0..100).fold(answer, |answer, _| answer.write("x".repeat(LIMIT)))
}

#[tokio::test]
async fn an_event_over_the_limit_is_told_once_and_the_stream_goes_on() {
    with_each(async |carrier| {
        for field in ["data: ", "event: ", "id: "] {
            let answer = endless(field).write("\ndata: more\nevent: more\n\ndata: b\n\n").stall();
            let server = Server::new([answer]).await;
            let mut source = limited(carrier, &server);
            let seen = told(&mut source, 4).await;
            let expected = ["opened", "message: a", "error: too large", "message: b"];
            assert_eq!(seen, expected, "{field}");
            assert_eq!(source.last_event_id(), "1", "{field}");
            assert_eq!(server.requests().len(), 1);
        }
    })
    .await;
}

#[tokio::test]
async fn the_error_for_an_event_over_the_limit_is_not_final() {
    with_each(async |carrier| {
        let server = Server::new([endless("data: ").write("\n\n").stall()]).await;
        let mut source = limited(carrier, &server);
        told(&mut source, 2).await;
        let error = crate::support::next(&mut source).await.unwrap().unwrap_err();
        assert!(!error.is_final());
    })
    .await;
}

#[tokio::test]
async fn a_line_without_end_is_told_when_it_passes_the_limit() {
    with_each(async |carrier| {
        for field in ["data: ", "event: ", "id: "] {
            let server = Server::new([endless(field).stall()]).await;
            let mut source = limited(carrier, &server);
            let seen = told(&mut source, 3).await;
            assert_eq!(seen, ["opened", "message: a", "error: too large"], "{field}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_cut_inside_an_event_over_the_limit_is_forgotten() {
    with_each(async |carrier| {
        let server = Server::new([endless("data: "), Answer::stream("data: b\n\n").stall()]).await;
        let mut source = limited(carrier, &server);
        let seen = told(&mut source, 6).await;
        let before = ["opened", "message: a", "error: too large", "lost: ended"];
        assert_eq!(seen, [&before[..], &["opened", "message: b"]].concat());
        assert_eq!(server.last_event_ids(), ["", "1"]);
    })
    .await;
}

#[tokio::test]
async fn the_id_of_an_event_over_the_limit_counts() {
    with_each(async |carrier| {
        let first = endless("id: 2\ndata: ").write("\nretry: 2\n\n");
        let server = Server::new([first, Answer::stream("").stall()]).await;
        let mut source = limited(carrier, &server);
        let seen = told(&mut source, 5).await;
        let before = ["opened", "message: a", "error: too large", "lost: ended"];
        assert_eq!(seen, [&before[..], &["opened"]].concat());
        assert_eq!(server.last_event_ids(), ["", "2"], "or it would come again and again");
        assert_eq!(source.reconnection_time().as_millis(), 2);
    })
    .await;
}

#[tokio::test]
async fn lines_that_mean_nothing_have_no_limit() {
    with_each(async |carrier| {
        for field in ["", ": ", "unknown: ", "data"] {
            let server = Server::new([endless(field).write("\ndata: b\n\n").stall()]).await;
            let mut source = limited(carrier, &server);
            let seen = told(&mut source, 3).await;
            assert_eq!(seen, ["opened", "message: a", "message: b"], "{field:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_comment_that_is_asked_for_has_the_limit_of_an_event() {
    with_each(async |carrier| {
        let server = Server::new([endless(":").write("\n\n:b\n").stall()]).await;
        let builder = carrier.follow(&server.url("/sse")).comments(true);
        let mut source = builder.max_event_bytes(LIMIT).build().unwrap();
        let seen = told(&mut source, 4).await;
        assert_eq!(seen, ["opened", "message: a", "error: too large", "comment: b"]);
    })
    .await;
}

#[tokio::test]
async fn many_lines_are_one_event_for_the_limit() {
    with_each(async |carrier| {
        let lines = |count| format!("{}\n", "data: 123456789\n".repeat(count));
        let answer = Answer::stream(lines(90)).write(lines(110)).write("data: b\n\n");
        let server = Server::new([answer.stall()]).await;
        let mut source = limited(carrier, &server);
        let fitting = format!("message: {}", ["123456789"; 90].join("\n"));
        let seen = told(&mut source, 4).await;
        assert_eq!(seen, ["opened", &fitting, "error: too large", "message: b"]);
    })
    .await;
}
