use std::sync::Arc;

use fanfare_fanout::Bounds;
use fanfare_hub::log::{EmbeddedLog, Options};
use fanfare_wire::Event;
use http::Request;

use crate::support::{Subject, answer};

#[tokio::test]
async fn what_is_published_is_followed() {
    let subject = Subject::new();
    let mut follower = subject.follow("/sse/news").await;
    let id = subject.publish("news", "hello").await;
    let event = follower.next().await.unwrap();
    assert_eq!((event.name(), event.data()), (Event::DEFAULT_NAME, "hello"));
    assert_eq!(event.id().unwrap().as_str(), id);
    assert!(id.ends_with("-1"), "{id}");
}

#[tokio::test]
async fn event_and_retry_are_in_the_query() {
    let subject = Subject::new();
    let mut follower = subject.follow("/sse/news").await;
    subject.post("/sse/news?event=price&retry=1500", "a\nb").await;
    let event = follower.next().await.unwrap();
    assert_eq!((event.name(), event.data()), ("price", "a\nb"));
    assert_eq!(event.retry().unwrap().as_millis(), 1500);
}

#[tokio::test]
async fn topics_are_any_text_in_the_path() {
    let subject = Subject::new();
    for path in ["a/b/c", "a//b", "..%2F..", "%C3%BC%20x", "/a", "%2A%2Fa", "a%3Fb"] {
        let mut follower = subject.follow(&format!("/sse/{path}?from=earliest")).await;
        subject.publish(path, path).await;
        assert_eq!(follower.data().await, path);
    }
}

#[tokio::test]
async fn several_topics_and_patterns_come_in_the_order_of_the_log() {
    let subject = Subject::new();
    let mut follower = subject.follow("/sse?topic=a&topic=b/*&topic=b/1&topic=c*").await;
    let topics = ["a", "b/1", "x", "c", "b/2", "c/d", "$x", "a"];
    for (number, topic) in topics.iter().enumerate() {
        subject.post(&format!("/sse/{topic}"), &format!("{number}")).await;
    }
    assert_eq!(follower.several(6).await, ["0", "1", "3", "4", "5", "7"]);
}

#[tokio::test]
async fn an_envelope_says_where_an_event_comes_from() {
    let subject = Subject::new();
    let mut follower = subject.follow("/sse/a*?envelope=json").await;
    subject.post("/sse/a/b?event=x", "\"1\"").await;
    let event = follower.next().await.unwrap();
    assert_eq!(event.name(), Event::DEFAULT_NAME);
    assert_eq!(event.data(), r#"{"topic":"a/b","event":"x","data":"\"1\"","time":1000}"#);
}

#[tokio::test]
async fn a_batch_is_published_whole_or_not_at_all() {
    let subject = Subject::new();
    let mut follower = subject.follow("/sse/*").await;
    let ndjson = || Request::post("/sse").header("content-type", "application/x-ndjson");
    let bad = "{\"topic\":\"a\",\"data\":\"1\"}\n{\"topic\":\"b\"}\n";
    let (status, problem) = answer(subject.ask(ndjson(), bad).await).await;
    assert_eq!(status, 400);
    assert!(problem.contains("line 2: missing field `data`"), "{problem}");
    let bad = "{\"topic\":\"a\",\"data\":\"1\"}\n{\"topic\":\"b*\",\"data\":\"1\"}\n";
    let (_, problem) = answer(subject.ask(ndjson(), bad).await).await;
    assert!(problem.contains("line 2: a trailing * selects many topics"), "{problem}");

    let good = "{\"topic\":\"a\",\"data\":\"1\"}\n\n{\"topic\":\"b\",\"event\":\"e\",\"data\":{\"x\": [1]}}";
    let (status, published) = answer(subject.ask(ndjson(), good).await).await;
    assert_eq!((status, published.contains("\"count\":2")), (200, true), "{published}");
    assert_eq!(follower.several(2).await, ["1", "{\"x\": [1]}"]);
}

#[tokio::test]
async fn an_event_stream_is_published_as_events_and_can_end_its_topic() {
    let subject = Subject::new();
    let stream = |target: &str| Request::post(target).header("content-type", "text/event-stream");
    let body = "event: x\ndata: a\n\nretry: 7\nid: ignored\ndata: b\n\ndata: cut off";
    let (status, _) = answer(subject.ask(stream("/sse/x?end=true"), body).await).await;
    assert_eq!(status, 200);
    let mut follower = subject.follow("/sse/x?from=earliest").await;
    let event = follower.next().await.unwrap();
    assert_eq!((event.name(), event.data()), ("x", "a"));
    let event = follower.next().await.unwrap();
    assert_eq!(
        (event.name(), event.data(), event.retry().unwrap().as_millis()),
        ("message", "b", 7)
    );
    let id = event.id().unwrap().to_string();
    assert_eq!(follower.next().await, None, "the topic has ended");

    let again = Request::get("/sse/x").header("last-event-id", &id);
    assert_eq!(answer(subject.ask(again, "").await).await, (204, String::new()));
    assert_eq!(subject.post("/sse/x", "more").await.0, 409);
}

#[tokio::test]
async fn the_end_of_a_topic_ends_the_streams_of_its_followers_but_not_of_patterns() {
    let subject = Subject::new();
    let mut follower = subject.follow("/sse/a").await;
    let mut both = subject.follow("/sse?topic=a&topic=b").await;
    let mut pattern = subject.follow("/sse/*").await;
    subject.post("/sse/a?end=true", "last").await;
    subject.publish("b", "b").await;
    assert_eq!(follower.data().await, "last");
    assert_eq!(follower.next().await, None);
    assert_eq!(both.several(2).await, ["last", "b"]);
    assert_eq!(pattern.several(2).await, ["last", "b"]);
}

#[tokio::test]
async fn erasing_a_topic_forgets_its_events_and_its_end() {
    let subject = Subject::new();
    subject.post("/sse/a?end=true", "old").await;
    assert_eq!(subject.ask(Request::delete("/sse/a"), "").await.status(), 204);
    assert_eq!(subject.ask(Request::delete("/sse/never"), "").await.status(), 404);
    let mut follower = subject.follow("/sse/a?from=earliest").await;
    subject.publish("a", "new").await;
    assert_eq!(follower.data().await, "new");
    assert_eq!(subject.ask(Request::delete("/sse/a"), "").await.status(), 204);
    assert_eq!(follower.next().await, None, "streams end");
}

#[tokio::test]
async fn whoever_follows_several_topics_follows_one_that_begins_anew() {
    let subject = Subject::new();
    let mut erased = subject.follow("/sse?topic=a&topic=b").await;
    subject.post("/sse/ended?end=true", "last").await;
    let mut ended = subject.follow("/sse?topic=ended&topic=b*").await;
    for topic in ["a", "ended"] {
        subject.post(&format!("/sse/{topic}"), "old").await;
        assert_eq!(subject.ask(Request::delete(format!("/sse/{topic}")), "").await.status(), 204);
        subject.publish(topic, topic).await;
    }
    subject.publish("b", "b").await;
    assert_eq!(erased.several(3).await, ["old", "a", "b"]);
    assert_eq!(ended.several(2).await, ["ended", "b"]);
}

#[tokio::test]
async fn the_last_end_of_several_topics_ends_the_stream() {
    let subject = Subject::new();
    let mut follower = subject.follow("/sse?topic=a&topic=b").await;
    subject.post("/sse/a?end=true", "a").await;
    assert_eq!(follower.data().await, "a");
    subject.post("/sse/b?end=true", "b").await;
    assert_eq!(follower.data().await, "b");
    assert_eq!(follower.next().await, None);
}

#[tokio::test]
async fn a_repeated_key_publishes_once() {
    let subject = Subject::new();
    let mut follower = subject.follow("/sse/*").await;
    let with_key = |target: &str| Request::post(target).header("idempotency-key", "k1");
    let first = answer(subject.ask(with_key("/sse/a"), "1").await).await;
    let second = answer(subject.ask(with_key("/sse/a"), "1 again").await).await;
    assert_eq!(first, second);
    answer(subject.ask(with_key("/sse/b"), "another topic").await).await;
    assert_eq!(follower.several(2).await, ["1", "another topic"]);
}

#[tokio::test]
async fn what_cannot_be_done_is_said_with_what_to_do() {
    let subject = Subject::new();
    let large = "x".repeat(1024 * 1024 + 1);
    for (request, body, status, words) in [
        (Request::get("/nothing"), "", 404, "/sse/{topic}"),
        (Request::put("/sse/a"), "", 405, "GET, HEAD, POST, DELETE, OPTIONS"),
        (Request::post("/topics"), "", 405, "GET"),
        (Request::post("/sse/$stats"), "x", 403, "the hub's own"),
        (Request::post("/sse/a*"), "x", 400, "trailing *"),
        (Request::post("/sse"), "x", 400, "no topic"),
        (Request::get("/sse"), "", 400, "no topic"),
        (Request::get("/sse/%FF"), "", 400, "no UTF-8"),
        (Request::get("/sse/a%00b"), "", 400, "control character"),
        (Request::get("/sse/a?from=middle"), "", 400, "earliest or latest"),
        (Request::get("/sse/a?envelope=xml"), "", 400, "json"),
        (Request::post("/sse/a?event=a%0Ab"), "x", 400, "line end"),
        (Request::post("/sse/a?retry=soon"), "x", 400, "milliseconds"),
        (Request::post("/sse/a"), &large, 413, "1048576 bytes"),
        (Request::get("/topics?limit=0"), "", 400, "1 to 1000"),
    ] {
        let response = subject.ask(request, body).await;
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let (found, problem) = answer(response).await;
        assert_eq!(found, status, "{problem}");
        let problem: serde_json::Value = serde_json::from_str(&problem).unwrap();
        assert_eq!(problem["status"], status);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{detail:?} has no {words:?}");
    }
}

#[tokio::test]
async fn what_there_is_no_room_for_is_said_with_what_to_do() {
    for (options, words) in [
        (Options { max_topics: 0, reserve_bytes: 0, ..Options::default() }, "log.max_topics"),
        (Options { reserve_bytes: u64::MAX, ..Options::default() }, "log.reserve"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = EmbeddedLog::open(folder.path(), 1, options).unwrap();
        let subject = Subject::on(Arc::new(log), Bounds::default());
        let (status, problem) = subject.post("/sse/a", "x").await;
        assert_eq!(status, 507, "{problem}");
        assert!(problem.contains(words), "{problem}");
    }
}

#[tokio::test]
async fn topics_and_their_events_can_be_looked_at() {
    let subject = Subject::new();
    subject.publish("a", "1").await;
    let id = subject.publish("a", "22").await;
    subject.publish("b/c", "3").await;
    let _follower = subject.follow("/sse/a").await;
    let (_, topics) = subject.get("/topics").await;
    let topics: serde_json::Value = serde_json::from_str(&topics).unwrap();
    let first = &topics["topics"][0];
    assert_eq!(first["topic"], "a");
    assert_eq!((&first["events"], &first["bytes"]), (&2.into(), &3.into()));
    assert_eq!(first["newest"], id);
    assert_eq!(first["subscribers"], 1);
    assert_eq!(topics["topics"][1]["topic"], "b/c");

    let (_, events) = subject.get("/topics/b/c/events").await;
    let events: serde_json::Value = serde_json::from_str(&events).unwrap();
    assert_eq!(events["events"][0]["data"], "3");
    let (_, events) = subject.get(&format!("/topics/a/events?after={id}")).await;
    assert!(events.contains("\"events\":[]"), "{events}");
}

#[tokio::test]
async fn it_says_whether_it_works() {
    let subject = Subject::new();
    assert_eq!(subject.get("/healthz").await, (200, "ok\n".into()));
    assert_eq!(subject.get("/readyz").await, (200, "ready\n".into()));
}
