use std::sync::Arc;

use fanfare::Sse;
use fanfare_fanout::{Bounds, Epoch};
use fanfare_hub::{
    Hub,
    http::{Api, Settings},
    log::{Limits, MemoryLog, Retention, Timestamp},
};
use http::Request;
use http_body_util::{BodyExt, Empty};
use serde_json::Value;

use crate::support::{Running, metric_in};

#[tokio::test]
async fn what_happens_is_counted() {
    let hub = Running::with_http(Settings::default()).await;
    let mut follower = hub.follow("/sse/a").await;
    let mut other = hub.follow("/sse/*").await;
    hub.publish("a", "one").await;
    let batch = "{\"topic\":\"a\",\"data\":\"two\"}\n{\"topic\":\"b\",\"data\":\"three\"}\n";
    let ndjson = "content-type: application/x-ndjson\r\nidempotency-key: k\r\n";
    for _ in 0..2 {
        assert_eq!(hub.peer().await.post("/sse", ndjson, batch).await.status(), 200);
    }
    for _ in 0..2 {
        follower.event().await;
    }
    for _ in 0..3 {
        other.event().await;
    }
    let (mut gapped, _) = hub.get("/sse/a", "last-event-id: another-1\r\n").await;
    assert_eq!(gapped.event().await.name(), "gap");
    for _ in 0..2 {
        gapped.event().await;
    }
    hub.until("delivered_events_total", 7.0).await;
    let (status, text) = hub.ask("/metrics").await;
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n"), "{text}");
    for (name, value) in [
        ("subscribers", "3"),
        ("publishes_total", "2"),
        ("published_events_total", "3"),
        ("published_bytes_total", "11"),
        ("delivered_events_total", "7"),
        ("lags_total", "0"),
        ("gaps_total{reason=\"unknown\"}", "1"),
        ("gaps_total{reason=\"expired\"}", "0"),
        ("log_events", "3"),
        ("log_bytes", "11"),
        ("log_topics", "2"),
        ("log_append_seconds_count", "3"),
    ] {
        assert_eq!(metric_in(&text, name).to_string(), value, "{name}");
    }
    // Several events may be handed over at once, to one subscriber each.
    let observed = metric_in(&text, "delivery_seconds_bucket{le=\"+Inf\"}");
    assert!((2.0..=5.0).contains(&observed), "{observed}");
    drop(follower);
    hub.until("disconnects_total{reason=\"left\"}", 1.0).await;
    hub.until("subscribers", 2.0).await;
}

#[tokio::test]
async fn who_falls_behind_the_memory_is_counted() {
    let bounds = Bounds { frames: 1, bytes: 1000 };
    let keep = Limits { max_events: Some(2), ..Limits::default() };
    let retention = Retention { total: keep, ..Retention::default() };
    let log = Arc::new(MemoryLog::new(Epoch::from_seed(1), retention));
    let hub = Hub::new(log, bounds, Arc::new(|| Timestamp(1000)));
    let api = Api::new(hub, Sse::new(), Settings::default());
    let ask = async |request: http::request::Builder, body: &str| {
        let body = http_body_util::Full::from(body.to_owned());
        api.answer(request.body(body).unwrap()).await.into_body()
    };
    let mut stream = ask(Request::get("/sse/a"), "").await;
    let mut read = String::new();
    let mut read_up_to = async |text: &str| {
        while !read.contains(text) {
            let frame = stream.frame().await.unwrap().unwrap();
            read.push_str(str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    };
    read_up_to("id: ").await;
    for number in 0..5 {
        ask(Request::post("/sse/a"), &number.to_string()).await;
    }
    read_up_to("data: 4").await;
    let metrics = api.answer(Request::get("/metrics").body(Empty::new()).unwrap()).await;
    assert!(metrics.headers()["content-type"].to_str().unwrap().contains("openmetrics"));
    let text = metrics.into_body().collect().await.unwrap().to_bytes();
    let text = str::from_utf8(&text).unwrap();
    assert_eq!(metric_in(text, "lags_total").to_string(), "1");
    assert_eq!(metric_in(text, "gaps_total{reason=\"lagged\"}").to_string(), "1");
}

#[tokio::test]
async fn the_hub_tells_its_figures_every_second() {
    let hub = Running::with_http(Settings::default()).await;
    hub.publish("a", "hello").await;
    let mut follower = hub.follow("/sse/$stats").await;
    let event = follower.event().await;
    assert_eq!((event.name(), event.id()), ("message", None));
    assert_eq!(follower.decoder.last_event_id(), "", "there is nothing to resume");
    let first: Value = event.parse_json().unwrap();
    assert_eq!(first["published_events"], 1, "{first}");
    assert_eq!(first["log_bytes"], 5);
    assert_eq!(first["subscribers"], 1);
    assert_eq!(first["epoch"], "10000000");
    assert!(first["uptime"].is_u64() && first["version"].is_string(), "{first}");
    assert!(first["memory"].as_u64() > Some(1_000_000), "{first}");
    assert!(first["time"].as_u64() > Some(1_700_000_000_000));
    let second: Value = follower.event().await.parse_json().unwrap();
    let period = second["time"].as_u64().unwrap() - first["time"].as_u64().unwrap();
    assert!((500..5000).contains(&period), "{period} ms");
    let (mut again, _) = hub.get("/sse/$stats?last=2", "").await;
    assert_eq!(again.event().await.parse_json::<Value>().unwrap(), first);
    let (mut envelope, _) = hub.get("/sse/$s*?from=earliest&envelope=json", "").await;
    let envelope: Value = envelope.event().await.parse_json().unwrap();
    assert_eq!(envelope["topic"], "$stats");
    assert!(envelope["data"].as_str().unwrap().starts_with('{'));
    assert_eq!(hub.get("/sse/$unknown", "").await.1.status(), 204);
}

#[tokio::test]
async fn figures_and_other_topics_come_in_one_stream() {
    let hub = Running::with_http(Settings::default()).await;
    hub.publish("a", "before").await;
    let (mut follower, _) = hub.get("/sse?topic=$stats&topic=a&from=earliest", "").await;
    let (mut figures, mut data) = (0, vec![]);
    while figures < 3 || data.len() < 2 {
        let event = follower.event().await;
        if event.data().starts_with('{') {
            figures += 1;
            assert!(figures < 30, "no events but figures: {data:?}");
            continue;
        }
        data.push(event.data().to_owned());
        if data.len() == 1 {
            // The topic ends, the figures go on.
            hub.publish("a?end=true", "last").await;
        }
    }
    assert_eq!(data, ["before", "last"]);
    let id = follower.decoder.last_event_id().to_owned();
    let resume = format!("last-event-id: {id}\r\n");
    let (mut follower, _) = hub.get("/sse?topic=$stats&topic=a", &resume).await;
    assert!(follower.event().await.data().contains("published_events"));
    assert_eq!(hub.get("/sse/a", &resume).await.1.status(), 204);
}
