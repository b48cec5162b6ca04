use std::{fmt::Write, fs, path::Path, time::Duration};

use axum::Router;
use fanfare::{Channel, Sse, Start};
use rustix::process::Signal;
use tokio::{net::TcpListener, time::interval};

use crate::support::{Fanfare, Server, fresh_path, until};

fn following(url: &str, path: &Path) -> Fanfare {
    let path = path.to_str().unwrap();
    Fanfare::run(["sub", url, "--json", "--quiet", "--resume", path])
}

/// The number that an event printed as JSON has as its data.
fn number_in(line: &str) -> u64 {
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    event["data"].as_str().unwrap().parse().unwrap()
}

/// The number that is kept at `path`.
fn kept(path: &Path) -> Option<usize> {
    fs::read_to_string(path).ok()?.trim_end().parse().ok()
}

#[tokio::test]
async fn the_last_id_is_kept_and_begun_behind_the_next_time() {
    let (server, path) = (Server::start().await, fresh_path("kept"));
    let fanfare = following(&server.url(), &path);
    let mut peer = server.open().await;
    assert_eq!(peer.header("last-event-id"), None);
    peer.write("id: 1\ndata: a\n\n").await;
    until("the first id", || fs::read(&path).is_ok_and(|id| id == b"1\n")).await;
    peer.write("id: ü\ndata: b\n\n").await;
    until("the second id", || fs::read(&path).is_ok_and(|id| id == "ü\n".as_bytes())).await;
    fanfare.signal(Signal::KILL);
    fanfare.end().await;

    let _fanfare = following(&server.url(), &path);
    assert_eq!(server.open().await.header("last-event-id"), Some("ü"));
}

#[tokio::test]
async fn an_id_without_an_event_is_kept_too() {
    let (server, path) = (Server::start().await, fresh_path("no-event"));
    let _fanfare = following(&server.url(), &path);
    server.open().await.write("id: 5\n\n").await;
    until("the id", || fs::read(&path).is_ok_and(|id| id == b"5\n")).await;
}

#[tokio::test]
async fn the_id_is_kept_when_the_count_ends_it() {
    let (server, path) = (Server::start().await, fresh_path("count"));
    let name = path.to_str().unwrap();
    let arguments = ["sub", &server.url(), "--resume", name, "--count", "2", "--event", "a"];
    let fanfare = Fanfare::run(arguments);
    let mut peer = server.open().await;
    for id in 1..5 {
        peer.write(format!("event: a\nid: {id}\ndata: x\n\nevent: b\ndata: y\n\n")).await;
    }
    assert_eq!(fanfare.end().await.status, Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), "2\n");
}

#[tokio::test]
async fn an_empty_id_begins_afresh() {
    let (server, path) = (Server::start().await, fresh_path("reset"));
    fs::write(&path, "1\n").unwrap();
    let _fanfare = following(&server.url(), &path);
    let mut peer = server.open().await;
    assert_eq!(peer.header("last-event-id"), Some("1"));
    peer.write("id\ndata: a\n\n").await;
    until("no id", || fs::read(&path).is_ok_and(|id| id == b"\n")).await;
    let _fanfare = following(&server.url(), &path);
    assert_eq!(server.open().await.header("last-event-id"), None);
}

#[tokio::test]
async fn the_id_of_the_file_comes_before_that_of_the_command_line() {
    let (server, path) = (Server::start().await, fresh_path("before"));
    let (url, name) = (server.url(), path.to_str().unwrap());
    let arguments = ["sub", &url, "--resume", name, "--last-event-id", "given"];
    let _fanfare = Fanfare::run(arguments);
    assert_eq!(server.open().await.header("last-event-id"), Some("given"));
    fs::write(&path, "").unwrap();
    let _fanfare = Fanfare::run(arguments);
    assert_eq!(server.open().await.header("last-event-id"), Some("given"));
    fs::write(&path, "kept").unwrap();
    let _fanfare = Fanfare::run(arguments);
    assert_eq!(server.open().await.header("last-event-id"), Some("kept"));
}

#[tokio::test]
async fn a_file_that_is_no_id_is_refused_and_left_alone() {
    let path = fresh_path("notes");
    for (content, why) in [
        (&b"my notes\nof today\n"[..], "an event id cannot hold a line end"),
        (b"a\0b\n", "an event id cannot hold a NUL"),
        (b"\xff\n", "it is not text"),
    ] {
        fs::write(&path, content).unwrap();
        let end = following("http://127.0.0.1:1/", &path).end().await;
        assert_eq!((end.status, &*end.stdout), (Some(1), ""));
        let said = format!("fanfare: {} holds no event id: {why}", path.display());
        assert!(end.stderr.starts_with(&said), "{}", end.stderr);
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}

#[tokio::test]
async fn a_place_that_no_file_can_have_is_told_of_at_once() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let nowhere = fresh_path("nowhere").join("id");
    for (path, said) in [
        (folder, format!("fanfare: {} is no file that could be replaced\n", folder.display())),
        (Path::new("/dev/null"), "fanfare: /dev/null is no file that could be replaced\n".into()),
        (&nowhere, format!("fanfare: cannot write {}: No such file", nowhere.display())),
    ] {
        let end = following("http://127.0.0.1:1/", path).end().await;
        assert_eq!((end.status, &*end.stdout), (Some(1), ""));
        assert!(end.stderr.starts_with(&said), "{}", end.stderr);
    }
}

#[tokio::test]
async fn a_link_stays_and_the_file_behind_it_is_replaced() {
    let (server, path) = (Server::start().await, fresh_path("behind"));
    let link = fresh_path("link");
    fs::write(&path, "1\n").unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let _fanfare = following(&server.url(), &link);
    server.open().await.write("id: 2\ndata: a\n\n").await;
    until("the id", || kept(&path) == Some(2)).await;
    assert!(link.is_symlink());
}

/// With a reader that stands still it can be seen what comes first.
#[tokio::test]
async fn an_id_is_kept_after_its_event_was_written() {
    let (server, path) = (Server::start().await, fresh_path("after"));
    let mut fanfare = following(&server.url(), &path);
    fanfare.shrink_stdout();
    // With these, a line has 64 bytes and fits exactly.
    let lines = Fanfare::SHRUNK_BYTES / 64;
    let mut flood = String::new();
    for number in 1..1000 {
        write!(flood, "id: {number:04}\ndata: {number:022}\n\n").unwrap();
    }
    server.open().await.write(flood).await;
    until("a full pipe", || fanfare.unread_bytes() == Fanfare::SHRUNK_BYTES).await;
    until("its last id", || kept(&path).is_some_and(|id| id >= lines)).await;
    fanfare.signal(Signal::KILL);
    fanfare.status().await;
    let mut written = 0;
    while let Some(line) = fanfare.maybe_line().await {
        written = number_in(&line);
    }
    assert_eq!((written, kept(&path)), (lines as u64, Some(lines)));
}

/// Counts, five a millisecond, for clients that go on where they were.
async fn counting() -> String {
    let sse = Sse::new();
    let channel = Channel::builder(&sse).replay(Start::Earliest);
    let channel = channel.history(1 << 20).history_bytes(64 << 20).build();
    let counter = channel.clone();
    tokio::spawn(async move {
        let mut ticks = interval(Duration::from_millis(1));
        for number in 0_u64.. {
            if number % 5 == 0 {
                ticks.tick().await;
            }
            counter.broadcast(number.to_string()).unwrap();
        }
    });
    sse.on_connection(move |client| std::future::ready(channel.join(&client)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sse", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, sse.attach(Router::new())).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_nothing_and_repeat_at_most_the_last_line() {
    let (url, path) = (counting().await, fresh_path("kills"));
    let mut next = 0;
    for run in 0..50 {
        let mut fanfare = following(&url, &path);
        let mut numbers = vec![];
        // A few are killed before they have printed anything.
        for _ in 0..run * 7 % 50 {
            numbers.push(number_in(&fanfare.line().await));
        }
        fanfare.signal(Signal::KILL);
        while let Some(line) = fanfare.maybe_line().await {
            numbers.push(number_in(&line));
        }
        let Some(&first) = numbers.first() else { continue };
        assert!(first == next || first + 1 == next, "{first} after {next} were printed");
        assert!(numbers.iter().copied().eq((first..).take(numbers.len())), "{numbers:?}");
        next = first + numbers.len() as u64;
    }
    assert!(next > 1000, "only {next}");
}
