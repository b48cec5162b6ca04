use rustix::process::Signal;

use crate::support::{Fanfare, Server, Terminal, until};

#[tokio::test]
async fn the_count_ends_it() {
    let server = Server::start().await;
    let fanfare = Fanfare::run(["sub", &server.url(), "--count", "2", "--json", "-q"]);
    let mut peer = server.open().await;
    peer.write("data: 1\n\ndata: 2\n\ndata: 3\n\n").await;
    let end = fanfare.end().await;
    assert_eq!((end.status, end.stdout.lines().count(), &*end.stderr), (Some(0), 2, ""));
}

#[tokio::test]
async fn the_time_ends_it() {
    let server = Server::start().await;
    let mut fanfare = Fanfare::run(["sub", &server.url(), "--for", "150ms", "--json", "-q"]);
    let mut peer = server.open().await;
    peer.write("data: 1\n\n").await;
    fanfare.line().await;
    fanfare.end().await.is_quietly(0);

    let unanswered = Fanfare::run(["sub", &server.url(), "--for", "0s"]);
    unanswered.end().await.is_quietly(0);
}

#[tokio::test]
async fn a_204_says_that_there_is_no_more() {
    let server = Server::start().await;
    for options in [&[][..], &["--policy", "resilient"], &["--data", "a"]] {
        let url = server.url();
        let fanfare = Fanfare::run(["sub", &url].iter().chain(options));
        server.accept().await.answer("204 No Content", "").await;
        let end = fanfare.end().await;
        assert_eq!((end.status, &*end.stdout), (Some(0), ""));
        assert_eq!(end.stderr, "fanfare: the server answered 204 No Content: that is all\n");
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_do() {
    let server = Server::start().await;
    for (status, headers, text) in [
        ("404 Not Found", "", "the server answered 404 Not Found (is the path right?)"),
        ("401 Unauthorized", "", "401 Unauthorized (--header 'Authorization"),
        ("405 Method Not Allowed", "", "(--method asks with another one)"),
        ("415 Unsupported Media Type", "", "(--header 'Content-Type: …' says what --data is)"),
        ("500 Internal Server Error", "", "(--policy resilient tries again)"),
        ("418 I'm a teapot", "", "the server answered 418 I'm a teapot\n"),
        ("200 OK", "content-type: text/html\r\n", "is text/html, not text/event-stream (is this"),
        ("200 OK", "", "its content-type is missing, not text/event-stream"),
        ("302 Found", "", "cannot follow a redirect: the answer 302 Found names no location\n"),
        ("302 Found", "location: ftp://a/\r\n", "\"ftp://a/\" is no http or https URL\n"),
    ] {
        let fanfare = Fanfare::run(["sub", &server.url()]);
        server.accept().await.answer(status, headers).await;
        let end = fanfare.end().await;
        assert_eq!((end.status, &*end.stdout), (Some(3), ""), "{status}");
        assert!(end.stderr.starts_with("fanfare: ") && end.stderr.contains(text), "{}", end.stderr);
        assert_eq!(end.stderr.lines().count(), 1, "{}", end.stderr);
    }
}

#[tokio::test]
async fn it_gives_up_after_as_many_failures_as_it_is_told() {
    let nobody_listens = "http://127.0.0.1:9/";
    let end = Fanfare::run(["sub", nobody_listens, "--max-attempts", "1"]).end().await;
    assert_eq!(end.status, Some(4));
    assert!(end.stderr.starts_with("fanfare: gave up after 1 failure in a row"), "{}", end.stderr);
}

#[tokio::test]
async fn a_redirect_leads_to_the_stream() {
    let server = Server::start().await;
    let mut fanfare = Fanfare::run(["sub", &server.url(), "--count", "1"]);
    server.accept().await.answer("307 Temporary Redirect", "location: /other\r\n").await;
    let mut peer = server.open().await;
    assert_eq!(peer.request_line(), "GET /other HTTP/1.1");
    assert_eq!(
        fanfare.news().await,
        format!("fanfare: open: {}", server.url().replace("sse", "other"))
    );
    peer.write("data: a\n\n").await;
    assert_eq!(fanfare.end().await.status, Some(0));
}

#[tokio::test]
async fn a_password_in_the_url_is_sent_and_not_shown() {
    let server = Server::start().await;
    let url = server.url().replace("http://", "http://me:secret@");
    let mut fanfare = Fanfare::run(["sub", &url]);
    let peer = server.open().await;
    assert_eq!(peer.header("authorization"), Some("Basic bWU6c2VjcmV0"));
    assert_eq!(fanfare.news().await, format!("fanfare: open: {}", server.url()));
}

#[tokio::test]
async fn a_reader_that_leaves_ends_it_quietly_with_the_next_event() {
    let server = Server::start().await;
    let mut fanfare = Fanfare::run(["sub", &server.url(), "-q"]);
    let mut peer = server.open().await;
    peer.write("data: a\n\n").await;
    fanfare.line().await;
    fanfare.stop_reading();
    peer.write("data: b\n\n").await;
    fanfare.end().await.is_quietly(0);
}

#[tokio::test]
async fn a_reader_that_leaves_ends_it_quietly_though_no_event_comes() {
    let server = Server::start().await;
    let mut fanfare = Fanfare::run(["sub", &server.url(), "-q"]);
    let mut peer = server.open().await;
    peer.write("data: a\n\n").await;
    fanfare.line().await;
    fanfare.stop_reading();
    fanfare.end().await.is_quietly(0);
}

#[tokio::test]
async fn signals_end_it_at_any_time() {
    let server = Server::start().await;
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut following = Fanfare::run(["sub", &server.url(), "--json", "-q"]);
        let mut peer = server.open().await;
        peer.write("data: a\n\n").await;
        following.line().await;
        following.signal(signal);
        following.end().await.is_quietly(status);

        let unanswered = Fanfare::run(["sub", &server.url(), "-q"]);
        let _peer = server.accept().await;
        unanswered.signal(signal);
        unanswered.end().await.is_quietly(status);

        let mut waiting = Fanfare::run(["sub", &server.url()]);
        server.accept().await.reset();
        waiting.news().await;
        waiting.signal(signal);
        waiting.end().await.is_quietly(status);
    }
}

#[tokio::test]
async fn a_signal_ends_it_though_nobody_reads_its_output() {
    let server = Server::start().await;
    let mut fanfare = Fanfare::run(["sub", &server.url(), "--json", "-q"]);
    fanfare.shrink_stdout();
    let mut peer = server.open().await;
    let flood = tokio::spawn(async move { peer.write("data: a\n\n".repeat(1 << 16)).await });
    until("a full pipe", || fanfare.unread_bytes() == Fanfare::SHRUNK_BYTES).await;
    fanfare.signal(Signal::TERM);
    assert_eq!(fanfare.status().await.code(), Some(143));
    flood.abort();
}

#[tokio::test]
async fn ctrl_c_leaves_a_clean_terminal() {
    let (server, mut terminal) = (Server::start().await, Terminal::new());
    let fanfare = Fanfare::run_at(&terminal, ["sub", &server.url(), "--idle-timeout", "1s"], &[]);
    let mut peer = server.open().await;
    peer.write("data: a\n\n").await;
    terminal.shows(" a\r\n").await;
    fanfare.signal(Signal::INT);
    assert_eq!(fanfare.end().await.status, Some(130));
    let text = terminal.text().await;
    assert!(text.ends_with("  a\n\n"), "{text:?}");
}
