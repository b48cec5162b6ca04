use std::{sync::Arc, time::Duration};

use fanfare_hub::{
    Bounds, Epoch, Hub, http,
    log::{MemoryLog, Retention, Timestamp},
    server::Settings,
};

use crate::support::{Head, Peer, Running};

/// The head and the body of a stream up to its end.
async fn whole(mut peer: Peer, head: Head) -> (Vec<String>, String) {
    let mut body = vec![];
    loop {
        let chunk = peer.chunk().await.unwrap();
        if chunk.is_empty() {
            break;
        }
        body.extend(chunk);
    }
    let lines = head.0.lines().filter(|line| !line.is_empty());
    // The engine's socket ends with its stream.
    let own = ["date: ", "connection: close"];
    let lines = lines.filter(|line| own.iter().all(|own| !line.starts_with(own)));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.sort_unstable();
    (lines, String::from_utf8(body).unwrap())
}

/// What a hub answers to a list of subscriptions, of which some begin before the events they are given.
async fn answers(has_engine: bool) -> Vec<(Vec<String>, String)> {
    let retry = Duration::from_secs(2);
    let http = http::Settings { retry: retry..=retry, ..http::Settings::default() };
    let engine_threads = Settings::default().engine_threads.filter(|_| has_engine);
    let settings = Settings { engine_threads, ..Settings::default() };
    let log = Arc::new(MemoryLog::new(Epoch::from_seed(1), Retention::default()));
    let hub = Hub::new(log, Bounds::default(), Arc::new(|| Timestamp(1000)));
    let hub = Running::serve(hub, settings, http, None).await;
    for number in 0..5 {
        hub.publish("a", &format!("{number}\nline")).await;
        hub.publish("b/1", &format!("{number}")).await;
    }
    let targets = [
        ("/sse/a", ""),
        ("/sse/a?from=earliest", ""),
        ("/sse/a?last=2&envelope=json", ""),
        ("/sse/a", "last-event-id: 10000000-3\r\n"),
        ("/sse/a", "last-event-id: another-3\r\n"),
        ("/sse?topic=a&topic=b/1&from=earliest", ""),
        ("/sse?topic=a&topic=b/1", "origin: https://a.example\r\n"),
    ];
    let mut streams = vec![];
    for (target, headers) in targets {
        streams.push(hub.get(target, headers).await);
    }
    hub.until("subscribers", 7.0).await;
    for (topic, data) in
        [("a", "live"), ("b/1?end=true", "last"), ("a?end=true&event=x&retry=5", "z")]
    {
        hub.publish(topic, data).await;
    }
    let mut answers = vec![];
    for (peer, head) in streams {
        answers.push(whole(peer, head).await);
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_the_same_whoever_writes_it() {
    let [engine, hyper] = [answers(true).await, answers(false).await];
    assert_eq!(engine, hyper);
    assert!(engine[1].1.contains("id: 10000000-1\ndata: 0\ndata: line\n\n"), "{engine:?}");
    assert!(engine.iter().all(|(_, body)| body.contains("retry: 5\n")), "{engine:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_is_kept_alive_and_who_hangs_up_is_noticed() {
    let keep_alive = Duration::from_millis(100);
    let http = http::Settings { keep_alive, ..http::Settings::default() };
    let hub = Running::with_http(http).await;
    for target in ["/sse/a", "/sse/a*", "/sse?topic=a&topic=b", "/sse/$unknown?topic=a"] {
        let mut peer = hub.follow(target).await;
        while peer.chunk().await.unwrap() != ":\n\n" {}
        drop(peer);
        hub.until("subscribers", 0.0).await;
        hub.until("connections", 0.0).await;
    }
    hub.until("disconnects_total{reason=\"left\"}", 4.0).await;
}
