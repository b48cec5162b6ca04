use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    liar::{Liar, Lie},
    support::{End, Folder, output, within},
};

const HONEST: Lie = |_, number| vec![number];

/// The report, of which there is one even if something was wrong.
fn report(end: &End) -> Value {
    serde_json::from_str(&end.stdout).unwrap_or_else(|_| panic!("no report: {end:?}"))
}

async fn bench(url: &str, publish: &str, more: &[&str]) -> End {
    let words = [&["bench", url, "--publish", publish, "--json"], more].concat();
    Folder::new().run(&words).await
}

fn wrong(report: &Value) -> [u64; 5] {
    ["lost", "doubled", "out_of_order", "astray", "ended_streams"]
        .map(|kind| report["wrong"][kind].as_u64().unwrap())
}

#[tokio::test]
async fn a_hub_gives_every_event_to_every_subscriber() {
    let folder = Folder::new();
    let hub = folder.serve(&["--memory"]).await;
    let url = hub.url("/sse/bench-{topic}");
    let id = hub.id().to_string();
    let more = ["-s", "50", "-t", "3", "--events", "200", "-r", "max", "--pid", &id];
    let end = bench(&url, &url, &more).await;
    assert_eq!((end.status, &*end.stderr), (Some(0), ""), "{end:?}");
    let report = report(&end);
    // 17, 17 and 16 subscribers of topics with 67, 67 and 66 events.
    assert_eq!(report["delivered"]["events"], 17 * 67 + 17 * 67 + 16 * 66);
    assert_eq!(report["published"]["events"], 200);
    assert_eq!(wrong(&report), [0; 5]);
    let latency = |whom: &str, which: &str| report["latency"][whom][which].as_u64().unwrap();
    let [first, each, last] =
        ["first_subscriber", "subscriber", "last_subscriber"].map(|whom| latency(whom, "p50"));
    assert!(
        0 < first && first <= each && each <= last && last <= latency("last_subscriber", "max"),
        "{report}"
    );
    assert!(latency("answer", "p99.9") > 0, "{report}");
    if cfg!(target_os = "linux") {
        let server = &report["server"];
        assert!(server["memory_connected"].as_u64().unwrap() > 1_000_000, "{report}");
        assert!(server["cpu_seconds"].as_f64().unwrap() >= 0.0, "{report}");
    }
}

#[tokio::test]
async fn subscribers_are_spread_over_addresses() {
    let folder = Folder::new();
    let hubs = [folder.serve(&["--memory"]).await, folder.serve(&["--memory"]).await];
    let urls = hubs.each_ref().map(|hub| hub.url("/sse/bench-{topic}"));
    // What is published to one hub does not come to the subscribers of the other.
    for (topics, lost) in [("1", 20 * 10), ("2", 10 * 10)] {
        let more = ["-s", "20", "-t", topics, "--events", "20", "--patience", "1s"];
        let words = [&["bench", &*urls[0], &urls[1], "--json", "--publish", &urls[0]], &more[..]];
        let end = folder.run(&words.concat()).await;
        assert_eq!(wrong(&report(&end)), [lost, 0, 0, 0, 0], "{end:?}");
    }
    let mixed = [&*urls[0], &hubs[1].url("/sse/bench")];
    let end = folder.run(&["bench", mixed[0], mixed[1]]).await;
    assert_eq!(end.status, Some(2), "{end:?}");
}

#[tokio::test]
async fn several_publishers_and_a_warm_up_count_right() {
    let folder = Folder::new();
    let hub = folder.serve(&["--memory"]).await;
    let (all, each) = (hub.url("/sse/bench/*"), hub.url("/sse/bench/{topic}"));
    let more = ["-s", "5", "-t", "3", "--events", "100", "-r", "2000", "--publishers", "4"];
    let end = bench(&all, &each, &[&more[..], &["--warm-up", "100ms"]].concat()).await;
    assert_eq!(end.status, Some(0), "{end:?}");
    let report = report(&end);
    assert_eq!(report["published"]["events"], 100);
    assert_eq!(report["delivered"]["events"], 500);
    assert_eq!(wrong(&report), [0; 5]);
}

#[tokio::test]
async fn a_time_ends_a_run_too() {
    let folder = Folder::new();
    let hub = folder.serve(&["--memory"]).await;
    let url = hub.url("/sse/bench");
    let end = bench(&url, &url, &["-s", "3", "--rate", "100", "--duration", "200ms"]).await;
    assert_eq!(end.status, Some(0), "{end:?}");
    let events = report(&end)["published"]["events"].as_u64().unwrap();
    // On a machine that is busy with something else fewer.
    assert!((1..=20).contains(&events), "{events}");
}

#[tokio::test]
async fn what_a_server_does_wrong_is_found_out() {
    // One subscriber is not given event 5; all are given 7 twice, and 10 before 9.
    let lie: Lie = |subscriber, number| match (subscriber, number) {
        (1, 5) | (_, 9) => vec![],
        (_, 7) => vec![7, 7],
        (_, 10) => vec![10, 9],
        (_, number) => vec![number],
    };
    let liar = Liar::start(lie).await;
    let more = ["-s", "4", "--events", "20", "--rate", "max", "--patience", "2s"];
    let end = bench(&liar.address, &liar.address, &more).await;
    assert_eq!(end.status, Some(5), "{end:?}");
    let expected = "fanfare: not every subscriber was given every event once and in order\n";
    assert_eq!(end.stderr, expected);
    let report = report(&end);
    assert_eq!(wrong(&report), [1, 4, 4, 0, 0], "{report}");
    assert_eq!(report["delivered"]["events"], 4 * 20 - 1 + 4);
    let first = report["wrong"]["first"].as_array().unwrap();
    assert_eq!(first.len(), 5);
    assert!(first.iter().all(|named| named["number"] == 7 || named["number"] == 9), "{report}");
}

#[tokio::test]
async fn the_last_event_is_seen_to_come_twice() {
    let liar = Liar::start(|_, number| vec![number; 1 + number / 4]).await;
    let more = ["-s", "50", "--events", "5", "-r", "max"];
    let end = bench(&liar.address, &liar.address, &more).await;
    assert_eq!((end.status, wrong(&report(&end))), (Some(5), [0, 50, 0, 0, 0]), "{end:?}");
}

#[tokio::test]
async fn a_lost_event_is_named() {
    let liar = Liar::start(|_, number| if number == 3 { vec![] } else { vec![number] }).await;
    let words = ["bench", &liar.address, "--publish", &liar.address, "-s", "1"];
    let more = ["--events", "5", "-r", "max", "--patience", "1s"];
    let end = Folder::new().run(&[&words[..], &more].concat()).await;
    assert_eq!(end.status, Some(5), "{end:?}");
    assert!(end.stdout.contains("checked         1 lost\n"), "{}", end.stdout);
    let named = "lost: event 3 of publisher 0 to topic 0, at subscriber 0\n";
    assert!(end.stdout.contains(named), "{}", end.stdout);
}

#[tokio::test]
async fn events_of_other_topics_are_astray() {
    // It knows no topics.
    let liar = Liar::start(HONEST).await;
    let url = format!("{}/{{topic}}", liar.address);
    let end = bench(&url, &url, &["-s", "2", "-t", "2", "--events", "6", "-r", "max"]).await;
    assert_eq!((end.status, wrong(&report(&end))), (Some(5), [0, 0, 0, 6, 0]), "{end:?}");
}

#[tokio::test]
async fn requests_are_as_they_are_told() {
    let liar = Liar::start(HONEST).await;
    let body = r#"{"text":"{payload}","to":{topic}}"#;
    let publish = format!("put {}/say?x=1", liar.address);
    let more = ["--publish-body", body, "--publish-header", "Content-Type: application/json"];
    let load = ["-s", "20", "--events", "1", "--payload", "60", "--source", "127.0.0.0/29"];
    let end = bench(&liar.address, &publish, &[&more[..], &load].concat()).await;
    assert_eq!((end.status, wrong(&report(&end))), (Some(0), [0; 5]), "{end:?}");
    let head = liar.last_head();
    assert!(head.starts_with("PUT /say?x=1 HTTP/1.1\r\nhost: 127.0.0.1:"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(!head.contains("text/plain"), "{head}");
    let body: Value = serde_json::from_str(&liar.last_body()).unwrap();
    assert_eq!((body["text"].as_str().unwrap().len(), &body["to"]), (60, &Value::from(0)));
    if cfg!(target_os = "linux") {
        assert_eq!(liar.sources().len(), 6);
    }
}

#[tokio::test]
async fn a_server_may_close_after_each_answer() {
    for path in ["old", "closed"] {
        let liar = Liar::start(HONEST).await;
        let publish = format!("{}/{path}", liar.address);
        let end = bench(&liar.address, &publish, &["-s", "2", "--events", "5", "-r", "max"]).await;
        assert_eq!((end.status, wrong(&report(&end))), (Some(0), [0; 5]), "{path}: {end:?}");
    }
}

#[tokio::test]
async fn publishing_without_an_answer_is_an_error() {
    let liar = Liar::start(HONEST).await;
    let silent = format!("{}/silent", liar.address);
    // A stream never ends, so it is no answer to publishing.
    let folder = Folder::new();
    let hub = folder.serve(&["--memory"]).await;
    let endless = format!("GET {}", hub.url("/sse/$stats"));
    for (publish, why) in [(silent, "the connection was closed"), (endless, "it took too long")] {
        let end = bench(&liar.address, &publish, &["-s", "2", "--patience", "1500ms"]).await;
        assert_eq!((end.status, &*end.stdout), (Some(4), ""), "{end:?}");
        let text = "was not answered, 0 events before it were: ";
        assert!(end.stderr.contains(&format!("{text}{why}")), "{end:?}");
    }
}

#[tokio::test]
async fn without_a_publisher_events_are_counted() {
    let folder = Folder::new();
    let hub = folder.serve(&["--memory"]).await;
    let end = folder.run(&["pub", &hub.url("/sse/a"), "hello"]).await;
    assert_eq!(end.status, Some(0), "{end:?}");
    let url = hub.url("/sse/a?from=earliest");
    let end = folder.run(&["bench", &url, "-s", "3", "--idle", "1ms", "--json"]).await;
    assert_eq!(end.status, Some(0), "{end:?}");
    let idle = report(&end);
    assert!(idle["delivered"].is_null() && idle["wrong"].is_null(), "{idle}");
    // One figure a second for each.
    let url = hub.url("/sse/$stats");
    let end = folder.run(&["bench", &url, "-s", "3", "-d", "2500ms", "--json"]).await;
    assert_eq!(end.status, Some(0), "{end:?}");
    let events = report(&end)["delivered"]["events"].as_u64().unwrap();
    assert!(events >= 3, "{events}");
}

#[tokio::test]
async fn what_stops_it_is_told() {
    let folder = Folder::new();
    let hub = folder.serve(&["--memory"]).await;
    let (url, absent) = (hub.url("/sse/a"), hub.url("/nothing"));
    let no_stream = hub.url("/healthz");
    let cases: [(&[&str], i32, &str); 11] = [
        (&[&absent], 3, "GET http"),
        (&[&absent], 3, "was refused: 404 Not Found: {\"type\""),
        (&[&url, "--publish", &absent], 3, "was refused: 4"),
        (&[&no_stream], 3, "which is no event stream"),
        (&["http://127.0.0.1:1/"], 4, "cannot be reached at 127.0.0.1:1: is it running?"),
        (&["https://127.0.0.1/"], 2, "TLS is not measured"),
        (&["http://127.0.0.1:1/{topic}", "--publish", &url, "-t", "2"], 2, "must have {topic}"),
        (&["http://127.0.0.1:1/", "--events", "5"], 2, "it needs --publish"),
        (&["http://127.0.0.1:1/", "--publish", &url, "--rate", "0"], 2, "above 0, or max"),
        (&["http://127.0.0.1:1/", "--source", "192.0.2.77"], 1, "one of this machine's"),
        (&[&url, "--idle", "1ms", "--pid", "4294967295"], 1, "no process 4294967295"),
    ];
    for (words, status, text) in cases {
        let end = folder.run(&[&["bench"], words, &["-s", "2"]].concat()).await;
        assert_eq!((end.status, &*end.stdout), (Some(status), ""), "{words:?}: {end:?}");
        assert!(end.stderr.contains(text), "{words:?}: {end:?}");
    }
}

#[tokio::test]
async fn too_few_open_files_are_told() {
    let liar = Liar::start(HONEST).await;
    let folder = Folder::new();
    let fanfare = env!("CARGO_BIN_EXE_fanfare");
    let line = format!("ulimit -n 40; exec '{fanfare}' bench {} --idle 1ms -s 100", liar.address);
    let end = output(folder.shell(&line)).await;
    assert_eq!(end.status, Some(1), "{end:?}");
    assert!(end.stderr.contains("connections are as many as this process may have"), "{end:?}");
}

#[tokio::test]
async fn streams_that_end_are_counted() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = async {
        for end in ["", "Content-Length: 0\r\n"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            // One that is closed with something unread is reset.
            let mut request = vec![];
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{end}\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
        }
    };
    let folder = Folder::new();
    let words = ["bench", &url, "-s", "2", "--idle", "1m", "--json"];
    let (end, ()) = within("the end", async { tokio::join!(folder.run(&words), server) }).await;
    // They came to their end by a length, and with the connection, and there is no more to wait for.
    assert_eq!((end.status, wrong(&report(&end))), (Some(5), [0, 0, 0, 0, 2]), "{end:?}");
}

#[tokio::test]
async fn it_measures_itself() {
    let folder = Folder::new();
    let words = ["bench", "--measure-itself", "-s", "3", "--duration", "50ms", "--json"];
    let end = folder.run(&words).await;
    assert_eq!((end.status, &*end.stderr), (Some(0), ""), "{end:?}");
    for kind in ["runs", "singles"] {
        assert!(report(&end)[kind]["per_second"].as_f64().unwrap() > 0.0, "{end:?}");
    }
}
