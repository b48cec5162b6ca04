use rustix::process::Signal;
use tokio::net::TcpListener;

use crate::support::{Fanfare, Server};

#[tokio::test]
async fn a_stream_that_ends_is_asked_for_again_behind_its_last_event() {
    let server = Server::start().await;
    let mut fanfare = Fanfare::run(["sub", &server.url(), "--json"]);
    let mut peer = server.open().await;
    peer.write("retry: 1\nid: 1\ndata: a\n\n").await;
    fanfare.line().await;
    drop(peer);
    let mut peer = server.open().await;
    assert_eq!(peer.header("last-event-id"), Some("1"));
    peer.write("data: b\n\n").await;
    assert_eq!(fanfare.line().await, r#"{"event":"message","data":"b","id":"1"}"#);

    let open = format!("fanfare: open: {}", server.url());
    assert_eq!(fanfare.news().await, open);
    assert_eq!(fanfare.news().await, "fanfare: the event stream ended, trying again in 1.0ms");
    assert_eq!(fanfare.news().await, open);
}

#[tokio::test]
async fn quiet_says_nothing_of_it() {
    let server = Server::start().await;
    let fanfare = Fanfare::run(["sub", &server.url(), "--json", "--quiet", "--count", "2"]);
    for _ in 0..2 {
        let mut peer = server.open().await;
        peer.write("retry: 1\ndata: a\n\n").await;
    }
    let end = fanfare.end().await;
    assert_eq!((end.status, &*end.stderr), (Some(0), ""));
}

#[tokio::test]
async fn a_connection_that_breaks_tells_why() {
    let server = Server::start().await;
    let mut fanfare = Fanfare::run(["sub", &server.url()]);
    let mut peer = server.open().await;
    peer.write("retry: 1\ndata: a\n\n").await;
    fanfare.line().await;
    peer.reset();
    fanfare.news().await;
    let lost = fanfare.news().await;
    assert!(lost.starts_with("fanfare: the connection failed: "), "{lost}");
    assert!(lost.contains("Connection reset by peer"), "{lost}");
    server.open().await;
}

#[tokio::test]
async fn a_refused_connection_asks_whether_the_server_runs() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut fanfare = Fanfare::run(["sub", &format!("http://{address}/")]);
    let news = fanfare.news().await;
    let hint = format!("(is the server running at {address}?), trying again in ");
    assert!(news.contains("Connection refused") && news.contains(&hint), "{news}");
    fanfare.signal(Signal::INT);
    fanfare.end().await.is_quietly(130);

    let end = Fanfare::run(["sub", &format!("http://{address}/"), "--data", "a"]).end().await;
    assert_eq!((end.status, &*end.stdout), (Some(4), ""));
    assert!(end.stderr.contains("is the server running"), "{}", end.stderr);
}

#[tokio::test]
async fn silence_is_given_up_after_the_idle_timeout() {
    let server = Server::start().await;
    let mut fanfare = Fanfare::run(["sub", &server.url(), "--idle-timeout", "20ms"]);
    let mut peer = server.open().await;
    peer.write("retry: 1\n\n").await;
    let _peer = server.open().await;
    fanfare.news().await;
    let lost = fanfare.news().await;
    assert!(lost.starts_with("fanfare: nothing came for 20ms, trying again in "), "{lost}");
    drop(peer);
}

#[tokio::test]
async fn the_standard_ends_with_an_error_that_the_resilient_policy_rides_out() {
    let server = Server::start().await;
    for (policy, is_resilient) in [("standard", false), ("resilient", true)] {
        let url = server.url();
        let mut fanfare = Fanfare::run(["sub", &url, "--policy", policy, "--json", "--count", "2"]);
        let mut peer = server.open().await;
        peer.write("retry: 1\ndata: a\n\n").await;
        fanfare.line().await;
        drop(peer);
        server.accept().await.answer("503 Service Unavailable", "retry-after: 0\r\n").await;
        if is_resilient {
            let mut peer = server.open().await;
            peer.write("data: b\n\n").await;
            assert_eq!(fanfare.end().await.status, Some(0));
        } else {
            let end = fanfare.end().await;
            assert_eq!(end.status, Some(3));
            let hint =
                "the server answered 503 Service Unavailable (--policy resilient tries again)";
            assert!(end.stderr.contains(hint), "{}", end.stderr);
        }
    }
}
