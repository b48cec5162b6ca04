use std::{sync::Arc, time::Duration};

use fanfare_hub::{
    Bounds, Epoch, Hub, TopicName, http,
    log::{Batch, MemoryLog, NewEvent, Retention, Timestamp},
    server::Settings,
};

use crate::{
    decoding::CODINGS,
    support::{Head, Peer, Running, decoded},
};

/// The head and the body of a stream up to its end.
async fn whole(mut peer: Peer, head: Head) -> (Vec<String>, Vec<u8>) {
    let body = peer.chunks().await.unwrap();
    let lines = head.0.lines().filter(|line| !line.is_empty());
    // The engine's socket ends with its stream.
    let own = ["date: ", "connection: close"];
    let lines = lines.filter(|line| own.iter().all(|own| !line.starts_with(own)));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.sort_unstable();
    (lines, body)
}

/// What a hub answers to a list of subscriptions, of which some begin before the events they are given.
async fn answers(has_engine: bool, coding: &str) -> Vec<(Vec<String>, String)> {
    let retry = Duration::from_secs(2);
    let http = http::Settings { retry: retry..=retry, ..http::Settings::default() };
    let engine_threads = Settings::default().engine_threads.filter(|_| has_engine);
    let settings = Settings { engine_threads, ..Settings::default() };
    let log = Arc::new(MemoryLog::new(Epoch::from_seed(1), Retention::default()));
    let hub = Hub::new(log, Bounds::default(), Arc::new(|| Timestamp(1000)));
    let hub = Running::serve(hub, settings, http, None).await;
    for number in 0..5 {
        hub.publish("a", &format!("{number}\nline")).await;
        hub.publish("a", &format!("{number} {}", "and so on ".repeat(100))).await;
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
        let headers = format!("{headers}accept-encoding: {coding}\r\n");
        streams.push(hub.get(target, &headers).await);
    }
    hub.until("subscribers", 7.0).await;
    for (topic, data) in
        [("a", "live"), ("b/1?end=true", "last"), ("a?end=true&event=x&retry=5", "z")]
    {
        hub.publish(topic, data).await;
    }
    let mut answers = vec![];
    for (peer, head) in streams {
        let (lines, body) = whole(peer, head).await;
        // How events share blocks depends on when they come.
        answers.push((lines, decoded(coding, &body)));
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_the_same_whoever_writes_it() {
    let mut plain = vec![];
    for coding in CODINGS {
        let [engine, hyper] = [answers(true, coding).await, answers(false, coding).await];
        assert_eq!(engine, hyper, "{coding}");
        let texts: Vec<_> = engine.iter().map(|(_, text)| text.clone()).collect();
        assert!(texts[1].contains("id: 10000000-1\ndata: 0\ndata: line\n\n"), "{texts:?}");
        assert!(texts.iter().all(|text| text.contains("retry: 5\n")), "{texts:?}");
        if coding == "identity" {
            plain = texts;
        } else {
            assert_eq!(texts, plain, "{coding}");
            let head = format!("content-encoding: {coding}");
            assert!(engine.iter().all(|(lines, _)| lines.contains(&head)), "{engine:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_stream_is_whole_whatever_is_between_its_events() {
    let keep_alive = Duration::from_millis(50);
    let http = http::Settings { keep_alive, ..http::Settings::default() };
    let hub = Running::with_http(http).await;
    let text = "again ".repeat(100);
    for coding in CODINGS {
        let accept = format!("accept-encoding: {coding}\r\n");
        let topic = format!("{coding}/a");
        // By itself, and next to another topic that ends too.
        let targets = [format!("/sse/{topic}"), format!("/sse?topic={topic}&topic={topic}/b")];
        let mut streams = vec![];
        for target in targets {
            let (mut peer, head) = hub.get(&target, &accept).await;
            assert_eq!(head.status(), 200);
            // The opening, the place, and two silences.
            let mut begun = vec![];
            for _ in 0..4 {
                begun.extend(peer.chunk().await.unwrap());
            }
            streams.push((peer, begun));
        }
        for data in [&*text, "short"] {
            hub.publish(&topic, data).await;
        }
        for topic in [&topic, &format!("{topic}/b")] {
            hub.publish(&format!("{topic}?end=true"), &text).await;
        }
        for (mut peer, mut whole) in streams {
            whole.extend(peer.chunks().await.unwrap());
            let whole = decoded(coding, &whole);
            assert!(whole.matches(":\n\n").count() >= 2, "{whole}");
            assert!(whole.matches("again").count() >= 200, "{whole}");
            assert!(whole.contains("data: short\n\n"), "{whole}");
        }
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_more_than_anybody_listens_to_stays() {
    let keep_alive = Duration::from_millis(100);
    for has_engine in [true, false] {
        let engine_threads = Settings::default().engine_threads.filter(|_| has_engine);
        let settings = Settings { engine_threads, ..Settings::default() };
        let http = http::Settings { keep_alive, ..http::Settings::default() };
        let hub = Running::start(settings, http).await;
        let mut peer = hub.follow("/sse/a").await;
        for _ in 0..2 {
            // More than is read at a time.
            peer.write("x".repeat(40_000)).await;
            hub.publish("a", "still there").await;
            while peer.event().await.data() != "still there" {}
        }
        drop(peer);
        hub.until("subscribers", 0.0).await;
    }
}

/// Streams of a hub whose memory holds less than is published, in each coding, up to their end.
async fn overrun(has_engine: bool) {
    let engine_threads = Settings::default().engine_threads.filter(|_| has_engine);
    let settings = Settings { engine_threads, ..Settings::default() };
    let log = Arc::new(MemoryLog::new(Epoch::from_seed(1), Retention::default()));
    let bounds = Bounds { frames: 100, ..Bounds::default() };
    let core = Hub::new(log, bounds, Arc::new(|| Timestamp(1000)));
    let hub = Running::serve(core.clone(), settings, http::Settings::default(), None).await;
    let mut streams = vec![];
    for coding in CODINGS {
        for target in ["/sse/a", "/sse?topic=a&topic=b"] {
            let accept = format!("accept-encoding: {coding}\r\n");
            streams.push((coding, hub.get(target, &accept).await.0));
        }
    }
    hub.until("subscribers", 8.0).await;
    let data = |number: usize| format!("{number} {}", "and so on ".repeat(number % 800));
    let count = 2000;
    for number in 0..count {
        let event = NewEvent {
            topic: TopicName::new("a").unwrap(),
            name: None,
            retry: None,
            data: data(number).into(),
        };
        core.publish(Batch { events: vec![event], ..Batch::default() }).await.unwrap();
    }
    hub.publish("b?end=true", "0").await;
    hub.publish("a?end=true", "the last").await;
    let read = streams.into_iter().map(|(coding, mut peer)| {
        tokio::spawn(async move { (coding, decoded(coding, &peer.chunks().await.unwrap())) })
    });
    for read in read.collect::<Vec<_>>() {
        let (coding, text) = read.await.unwrap();
        let given = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let given: Vec<_> = given.filter(|data| *data != "0").map(str::to_owned).collect();
        let expected: Vec<_> = (0..count).map(data).chain(["the last".to_owned()]).collect();
        assert_eq!(given.len(), expected.len(), "{coding}");
        assert!(given == expected, "{coding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missing_where_compressing_or_reading_does_not_keep_up() {
    overrun(true).await;
    overrun(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_stream_is_resumed_in_the_middle_of_what_others_follow() {
    let hub = Running::with_http(http::Settings::default()).await;
    for coding in CODINGS {
        let accept = format!("accept-encoding: {coding}\r\n");
        let (first, _) = hub.get(&format!("/sse/{coding}"), &accept).await;
        hub.until("subscribers", 1.0).await;
        let mut ids = vec![];
        for number in 0..6 {
            let data = format!("{number} {}", "and so on ".repeat(40 * (number % 2)));
            let mut peer = hub.peer().await;
            let head = peer.post(&format!("/sse/{coding}"), "", &data).await;
            let answer: serde_json::Value = serde_json::from_str(&peer.body(&head).await).unwrap();
            ids.push(answer["id"].as_str().unwrap().to_owned());
        }
        let headers = format!("{accept}last-event-id: {}\r\n", ids[2]);
        let (mut second, _) = hub.get(&format!("/sse/{coding}"), &headers).await;
        hub.until("subscribers", 2.0).await;
        hub.publish(&format!("{coding}?end=true"), "the last").await;
        let text = decoded(coding, &second.chunks().await.unwrap());
        let given: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let begin = |data: &&str| data.split(' ').next().unwrap().to_owned();
        let given: Vec<_> = given.iter().map(begin).collect();
        assert_eq!(given, ["3", "4", "5", "the"], "{coding}");
        drop((first, second));
        hub.until("subscribers", 0.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_stream_says_so_and_ends_in_a_shutdown_as_any_other() {
    let farewell_retry = Duration::from_secs(8)..=Duration::from_secs(8);
    let http = http::Settings { farewell_retry, ..http::Settings::default() };
    let hub = Running::with_http(http).await;
    let mut streams = vec![];
    for coding in CODINGS {
        let accept = format!("accept-encoding: {coding}\r\n");
        let (peer, head) = hub.get("/sse/a", &accept).await;
        let said = (coding != "identity").then_some(coding);
        assert_eq!(head.header("content-encoding"), said);
        assert_eq!(head.header("vary"), Some("accept-encoding"));
        streams.push((coding, peer));
    }
    hub.until("subscribers", 4.0).await;
    hub.publish("a", &"and so on ".repeat(100)).await;
    hub.until("delivered_events_total", 4.0).await;
    let ends = streams.into_iter().map(|(coding, mut peer)| {
        tokio::spawn(async move { decoded(coding, &peer.chunks().await.unwrap()) })
    });
    let ends: Vec<_> = ends.collect();
    drop(hub.signal);
    for text in ends {
        let text = text.await.unwrap();
        assert!(text.contains("data: and so on ") && text.ends_with("retry: 8000\n\n"), "{text}");
    }
}
