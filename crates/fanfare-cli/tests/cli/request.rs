use std::fs;

use tokio::io::AsyncWriteExt;

use crate::support::{Fanfare, Peer, Server, fresh_path};

/// The request of `sub` with these options. Whoever drops it ends the stream.
async fn asked(server: &Server, options: &[&str]) -> (Fanfare, Peer) {
    let url = server.url();
    let fanfare = Fanfare::run(["sub", &url].iter().chain(options));
    (fanfare, server.open().await)
}

#[track_caller]
fn is_wrong(end: &crate::support::End, why: &str) {
    assert_eq!((end.status, &*end.stdout), (Some(2), ""));
    assert!(end.stderr.contains(why), "{}", end.stderr);
}

#[tokio::test]
async fn a_stream_is_asked_for_as_the_standard_has_it() {
    let server = Server::start().await;
    let (_fanfare, peer) = asked(&server, &[]).await;
    assert_eq!(peer.request_line(), "GET /sse HTTP/1.1");
    assert_eq!(peer.header("accept"), Some("text/event-stream"));
    assert_eq!(peer.header("cache-control"), Some("no-cache"));
    assert_eq!(peer.header("last-event-id"), None);
    assert_eq!(peer.body, "");
}

#[tokio::test]
async fn headers_are_sent() {
    let server = Server::start().await;
    let headers = ["--header", "X-One: 1", "-H", "x-two:  b: ü ", "-H", "Accept: a/b"];
    let (_fanfare, peer) = asked(&server, &headers).await;
    assert_eq!(peer.header("x-one"), Some("1"));
    assert_eq!(peer.header("x-two"), Some("b: ü"));
    assert_eq!(peer.header("accept"), Some("a/b"));
}

#[tokio::test]
async fn a_stream_can_begin_behind_an_event() {
    let server = Server::start().await;
    let (_fanfare, peer) = asked(&server, &["--last-event-id", "-7 ü"]).await;
    assert_eq!(peer.header("last-event-id"), Some("-7 ü"));
}

#[tokio::test]
async fn the_method_is_free() {
    let server = Server::start().await;
    let (_fanfare, peer) = asked(&server, &["--method", "put"]).await;
    assert_eq!(peer.request_line(), "PUT /sse HTTP/1.1");
    let (_fanfare, peer) = asked(&server, &["-X", "REPORT", "--data", "a"]).await;
    assert_eq!((peer.request_line(), &*peer.body), ("REPORT /sse HTTP/1.1", "a"));
}

#[tokio::test]
async fn data_is_posted_from_the_command_line_a_file_or_stdin() {
    let server = Server::start().await;
    let (_fanfare, peer) = asked(&server, &["--data", "{\"a\":1}"]).await;
    assert_eq!((peer.request_line(), &*peer.body), ("POST /sse HTTP/1.1", "{\"a\":1}"));

    let path = fresh_path("body");
    fs::write(&path, "from a file\n").unwrap();
    let (_fanfare, peer) = asked(&server, &["-d", &format!("@{}", path.display())]).await;
    assert_eq!((peer.request_line(), &*peer.body), ("POST /sse HTTP/1.1", "from a file\n"));

    let (_fanfare, mut stdin) = Fanfare::piped(["sub", &server.url(), "--data", "-"]);
    stdin.write_all(b"from stdin").await.unwrap();
    drop(stdin);
    assert_eq!(server.open().await.body, "from stdin");
}

#[tokio::test]
async fn a_post_streams_its_answer_and_its_end_is_the_end() {
    let server = Server::start().await;
    let (mut fanfare, mut peer) = asked(&server, &["--data", "a", "--json"]).await;
    peer.write("data: Hel\n\n").await;
    assert_eq!(fanfare.line().await, r#"{"event":"message","data":"Hel","id":""}"#);
    peer.write("data: lo\n\n").await;
    drop(peer);
    let end = fanfare.end().await;
    assert_eq!(end.status, Some(0));
    assert_eq!(end.stdout, "{\"event\":\"message\",\"data\":\"lo\",\"id\":\"\"}\n");
    let news =
        format!("fanfare: open: {}\nfanfare: the event stream ended: that is all\n", server.url());
    assert_eq!(end.stderr, news);
}

#[tokio::test]
async fn a_post_that_breaks_off_is_not_repeated() {
    let server = Server::start().await;
    let (mut fanfare, mut peer) = asked(&server, &["--data", "a", "--json", "-q"]).await;
    peer.write("data: a\n\n").await;
    fanfare.line().await;
    peer.reset();
    let end = fanfare.end().await;
    assert_eq!((end.status, &*end.stdout), (Some(4), ""));
    assert!(end.stderr.starts_with("fanfare: the connection failed: "), "{}", end.stderr);
    assert_eq!(end.stderr.lines().count(), 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_told_of() {
    let path = fresh_path("no-body");
    let data = format!("@{}", path.display());
    let end = Fanfare::run(["sub", "http://127.0.0.1:1/", "--data", &data]).end().await;
    assert_eq!((end.status, &*end.stdout), (Some(1), ""));
    let why = format!("fanfare: cannot read {}: No such file or directory", path.display());
    assert!(end.stderr.starts_with(&why), "{}", end.stderr);
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_wrong_usage() {
    let url = "http://127.0.0.1:1/";
    for (arguments, why) in [
        (&["localhost:8080/sse"][..], "such as http://localhost:8080/sse"),
        (&["/sse"], "begins with http:// or https://"),
        (&["ftp://127.0.0.1/"], "begins with http:// or https://"),
        (&["http://"], "empty host"),
        (&[], "<URL>"),
        (&[url, "--header", "no colon"], "'Name: value'"),
        (&[url, "--header", "a b: c"], "its name has characters"),
        (&[url, "--header", "a: b\nc"], "its value has characters"),
        (&[url, "--method", "a b"], "--method"),
        (&[url, "--last-event-id", "a\nb"], "--last-event-id"),
        (&[url, "--for", "5"], "--for"),
        (&[url, "--idle-timeout", "0s"], "it must be longer"),
        (&[url, "--count", "0"], "--count"),
        (&[url, "--policy", "lazy"], "--policy"),
        (&[url, "--raw", "--json"], "cannot be used with"),
        (&[url, "--raw", "--all"], "cannot be used with"),
        (&[url, "--raw", "--event", "a"], "cannot be used with"),
        (&[url, "--raw", "--resume", "f"], "cannot be used with"),
    ] {
        is_wrong(&Fanfare::run(["sub"].iter().chain(arguments)).end().await, why);
    }
}
