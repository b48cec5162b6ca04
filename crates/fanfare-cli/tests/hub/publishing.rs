use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::support::{Folder, numbers, within};

/// The events without their ids.
fn without_ids(events: &[String]) -> Vec<&str> {
    events.iter().map(|event| event.split(",\"id\"").next().unwrap()).collect()
}

#[tokio::test]
async fn one_event_has_its_fields_and_its_id_is_printed() {
    let folder = Folder::new();
    let hub = folder.serve(&["--memory"]).await;
    let url = hub.url("/sse/news of today");
    let words = ["pub", &url, "--event", "greet", "--retry", "3s", "--end", "hello\nworld"];
    let published = folder.run(&words).await;
    assert_eq!((published.status, &*published.stderr), (Some(0), ""));
    let id = published.stdout.trim_end();
    let words = ["sub", &hub.url("/sse/news%20of%20today?from=earliest"), "--raw", "--quiet"];
    let stream = folder.run(&words).await;
    let event = format!("event: greet\nretry: 3000\nid: {id}\ndata: hello\ndata: world\n\n");
    assert!(stream.stdout.ends_with(&event), "{stream:?}");
}

#[tokio::test]
async fn all_of_stdin_can_be_one_event() {
    let folder = Folder::new();
    let hub = folder.serve(&["--memory"]).await;
    let end = folder.feed(&["pub", &hub.url("/sse/a"), "-"], "a\nb\n").await;
    assert_eq!(end.status, Some(0), "{end:?}");
    let events = folder.events(&hub, "/sse/a?from=earliest", 1).await;
    assert_eq!(without_ids(&events), ["{\"event\":\"message\",\"data\":\"a\\nb\\n\""]);
}

#[tokio::test]
async fn a_key_publishes_once() {
    let folder = Folder::new();
    let hub = folder.serve(&["--memory"]).await;
    let words = ["pub", &hub.url("/sse/a"), "x", "--idempotency-key", "k"];
    let (first, second) = (folder.run(&words).await, folder.run(&words).await);
    assert_eq!((first.status, &first.stdout), (Some(0), &second.stdout), "{second:?}");
}

#[tokio::test]
async fn lines_are_events_and_a_line_waits_for_no_other() {
    let folder = Folder::new();
    let hub = folder.serve(&["--memory"]).await;
    let mut command =
        folder.command(&["pub", &hub.url("/sse/a"), "--lines", "--event", "log", "--end"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut ids = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in ["a\n", "\u{fc} \"b\"\r\n"] {
        stdin.write_all(line.as_bytes()).await.unwrap();
        // Stdin is still open.
        let id = within("an id", ids.next_line()).await.unwrap().unwrap();
        assert!(id.contains('-'), "{id}");
    }
    stdin.write_all(numbers(5000).as_bytes()).await.unwrap();
    drop(stdin);
    assert!(within("its end", child.wait()).await.unwrap().success());
    let words = ["sub", &hub.url("/sse/a?from=earliest"), "--quiet", "--json"];
    let end = folder.run(&words).await;
    let events: Vec<String> = end.stdout.lines().map(str::to_owned).collect();
    let events = without_ids(&events);
    assert_eq!(events.len(), 5002);
    assert_eq!(events[0], "{\"event\":\"log\",\"data\":\"a\"");
    assert_eq!(events[1], "{\"event\":\"log\",\"data\":\"\u{fc} \\\"b\\\"\"");
    assert_eq!(events[5001], "{\"event\":\"log\",\"data\":\"4999\"");
}

#[tokio::test]
async fn an_event_stream_is_published_as_it_comes() {
    let folder = Folder::new();
    let hub = folder.serve(&["--memory"]).await;
    let mut command = folder.command(&["pub", &hub.url("/sse/a"), "--stream", "--end"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"event: x\ndata: a\n\n").await.unwrap();
    let first = folder.events(&hub, "/sse/a?from=earliest", 1).await;
    assert_eq!(without_ids(&first), ["{\"event\":\"x\",\"data\":\"a\""]);
    stdin.write_all(b"data: b\n\n").await.unwrap();
    drop(stdin);
    assert!(within("its end", child.wait()).await.unwrap().success());
    let words = ["sub", &hub.url("/sse/a?from=earliest"), "--quiet", "--json"];
    assert_eq!(folder.run(&words).await.stdout.lines().count(), 2);
}

#[tokio::test]
async fn a_topic_can_just_end() {
    let folder = Folder::new();
    let hub = folder.serve(&["--memory"]).await;
    let url = hub.url("/sse/a");
    assert_eq!(folder.run(&["pub", &url, "x"]).await.status, Some(0));
    assert_eq!(folder.run(&["pub", &url, "--end"]).await.status, Some(0));
    let refused = folder.run(&["pub", &url, "y"]).await;
    let expected = "fanfare: the hub refused: 409 Conflict: the topic a has ended: DELETE it to begin it anew\n";
    assert_eq!((refused.status, &*refused.stderr), (Some(3), expected));
}

#[tokio::test]
async fn what_goes_wrong_is_told() {
    let folder = Folder::new();
    let hub = folder.serve(&["--memory"]).await;
    let bad = folder.feed(&["pub", &hub.url("/sse"), "--json"], "{\"data\":1}\n").await;
    assert_eq!(bad.status, Some(3));
    assert!(bad.stderr.contains("line 1: it names no topic, nor does the path"), "{bad:?}");
    assert_eq!(folder.run(&["pub", &hub.url("/sse/a")]).await.status, Some(2));
    assert_eq!(folder.run(&["pub", "localhost/sse/a", "x"]).await.status, Some(2));
    let url = hub.url("/sse/a");
    hub.stop().await;
    let gone = folder.run(&["pub", &url, "x"]).await;
    assert_eq!(gone.status, Some(4));
    assert!(gone.stderr.contains("the hub cannot be reached at 127.0.0.1:"), "{gone:?}");
}
