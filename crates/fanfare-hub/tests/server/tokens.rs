use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use fanfare::Sse;
use fanfare_fanout::{Bounds, Epoch};
use fanfare_hub::{
    Hub, Selector,
    auth::{self, Algorithm, Auth, Grant, KeySource, Rights, SigningKey, issue},
    http::{AnswerBody, Api, Settings},
    log::{MemoryLog, Retention, Timestamp},
    server,
};
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::{Value, json};

use crate::{
    decoding::CODINGS,
    support::{Running, decoded, events, metric_in, noise, within},
};

const SECRET: &str = "a secret of thirty-two bytes or more";
const START: u64 = 1_000_000;

/// A hub that asks for tokens, by a clock that is set.
struct Guarded {
    api: Api,
    now: Arc<AtomicU64>,
}

fn selectors(texts: &[&str]) -> Vec<Selector> {
    texts.iter().map(|text| Selector::new(text).unwrap()).collect()
}

fn reader(topics: &[&str]) -> Rights {
    Rights { subscribe: selectors(topics), ..Rights::none() }
}

fn token_until(rights: &Rights, expires: u64) -> String {
    let key = SigningKey::from_secret(SECRET, Algorithm::Hs256).unwrap();
    let rights = rights.clone();
    let expires = Some(Timestamp(expires));
    issue(&key, &Grant { rights, expires, ..Grant::default() }).unwrap()
}

fn token(rights: &Rights) -> String {
    token_until(rights, START + 3_600_000)
}

impl Guarded {
    fn new(anonymous: Rights) -> Self {
        let keys = vec![KeySource::secret(SECRET)];
        let leeway = std::time::Duration::ZERO;
        Self::with(auth::Settings { keys, anonymous, leeway, ..auth::Settings::default() })
    }

    fn with(settings: auth::Settings) -> Self {
        let now = Arc::new(AtomicU64::new(START));
        let log = Arc::new(MemoryLog::new(Epoch::from_seed(1), Retention::default()));
        let clock = now.clone();
        let clock = Arc::new(move || Timestamp(clock.load(Ordering::SeqCst)));
        let hub = Hub::new(log, Bounds::default(), clock);
        let auth = Arc::new(Auth::new(settings).unwrap());
        Self { api: Api::new(hub, Sse::new(), Settings::default()).with_auth(auth), now }
    }

    async fn ask(&self, request: http::request::Builder, body: &str) -> Response<AnswerBody> {
        let answer = self.api.answer(request.body(Full::from(body.to_owned())).unwrap());
        within("an answer", answer).await
    }

    /// `GET /path`, or with another method before it, as whoever has these rights.
    async fn as_one(&self, rights: &Rights, what: &str, body: &str) -> Response<AnswerBody> {
        self.ask(request(what).header("authorization", format!("Bearer {}", token(rights))), body)
            .await
    }

    async fn publish(&self, topic: &str, data: &str) {
        let answer = self.as_one(&Rights::all(), &format!("POST /sse/{topic}"), data).await;
        assert_eq!(answer.status(), 200);
    }

    async fn json(&self, rights: &Rights, what: &str) -> Value {
        let answer = self.as_one(rights, what, "").await;
        assert_eq!(answer.status(), 200, "{what}");
        serde_json::from_str(&text(answer).await).unwrap()
    }
}

fn request(what: &str) -> http::request::Builder {
    let (method, target) = what.split_once(' ').unwrap_or(("GET", what));
    Request::builder().method(method).uri(target)
}

async fn text(answer: Response<AnswerBody>) -> String {
    let body = within("a body", answer.into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn next(body: &mut AnswerBody) -> Option<Bytes> {
    let frame = within("a frame", body.frame()).await?;
    Some(frame.unwrap().into_data().unwrap())
}

#[tokio::test]
async fn each_request_takes_its_right() {
    let hub = Guarded::new(Rights::none());
    let publisher = Rights { publish: selectors(&["a/*"]), ..Rights::none() };
    let admin = Rights { admin: true, ..Rights::none() };
    hub.publish("a/1", "x").await;
    hub.publish("b", "x").await;
    for (rights, what, body, status) in [
        (reader(&["a/*"]), "/sse/a/1", "", 200),
        (reader(&["a/*"]), "/sse/a/*", "", 200),
        (reader(&["a/*"]), "HEAD /sse/a/1", "", 200),
        (reader(&["a/*"]), "/sse/a*", "", 403),
        (reader(&["a/*"]), "/sse/*", "", 403),
        (reader(&["a/*"]), "HEAD /sse/b", "", 403),
        (reader(&["a/*"]), "/sse?topic=a/1&topic=b", "", 403),
        (reader(&["a/*"]), "/sse/a/1?topic=b", "", 403),
        (reader(&["a/*"]), "/topics/a%2F1/events", "", 200),
        (reader(&["a/*"]), "/topics/b/events", "", 403),
        (reader(&["*"]), "/sse/$stats", "", 403),
        (reader(&["*"]), "/metrics", "", 403),
        (reader(&["$stats"]), "/sse/$stats", "", 200),
        (reader(&["$stats"]), "/metrics", "", 200),
        (reader(&["*"]), "POST /sse/a/1", "x", 403),
        (reader(&["*"]), "DELETE /sse/a/1", "", 403),
        (publisher.clone(), "POST /sse/a/1", "x", 200),
        (publisher.clone(), "POST /sse/b", "x", 403),
        (publisher.clone(), "/sse/a/1", "", 403),
        (publisher.clone(), "DELETE /sse/a/1", "", 403),
        (publisher, "/topics", "", 403),
        (admin.clone(), "/metrics", "", 200),
        (admin.clone(), "/sse/$*", "", 200),
        (admin.clone(), "/sse/a/1", "", 403),
        (admin.clone(), "POST /sse/a/1", "x", 403),
        (admin.clone(), "/topics/a%2F1/events", "", 403),
        (admin, "DELETE /sse/a/1", "", 204),
    ] {
        let answer = hub.as_one(&rights, what, body).await;
        assert_eq!(answer.status(), status, "{what} as {rights:?}");
        let is_challenged = answer.headers().contains_key("www-authenticate");
        assert_eq!(is_challenged, status == 403, "{what} as {rights:?}");
    }
}

#[tokio::test]
async fn without_a_token_there_is_what_is_everybodys() {
    let hub = Guarded::new(reader(&["news"]));
    for (what, status) in [
        ("/", 200),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/sse/news", 200),
        ("OPTIONS /sse/chat", 204),
        ("/sse/chat", 401),
        ("POST /sse/news", 401),
        ("/metrics", 401),
    ] {
        assert_eq!(hub.ask(request(what), "").await.status(), status, "{what}");
    }
    let denied = hub.ask(request("/sse/chat"), "").await;
    assert_eq!(denied.headers()["www-authenticate"], "Bearer realm=\"fanfare\"");
    assert_eq!(denied.headers()["content-type"], "application/problem+json");
    let problem: Value = serde_json::from_str(&text(denied).await).unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("Authorization: Bearer"), "{problem}");
    let forged = hub.ask(request("/sse/news?access_token=x.y.z"), "").await;
    assert_eq!(forged.status(), 401, "a wrong token is not the same as none");
    let metrics = hub.as_one(&reader(&["$stats"]), "/metrics", "").await;
    let metrics = text(metrics).await;
    assert_eq!(metric_in(&metrics, "denials_total{reason=\"anonymous\"}").to_string(), "4");
    assert_eq!(metric_in(&metrics, "denials_total{reason=\"invalid\"}").to_string(), "1");
}

#[tokio::test]
async fn a_batch_takes_the_right_to_each_of_its_topics() {
    let hub = Guarded::new(Rights::none());
    let rights = Rights { publish: selectors(&["a"]), ..reader(&["*"]) };
    let bearer = format!("Bearer {}", token(&rights));
    for (what, line, status) in [
        ("POST /sse", r#"{"topic":"b","data":"2"}"#, StatusCode::FORBIDDEN),
        ("POST /sse/a", r#"{"topic":"b","data":"2"}"#, StatusCode::FORBIDDEN),
        ("POST /sse", r#"{"topic":"a","data":"2"}"#, StatusCode::OK),
    ] {
        let post = request(what).header("authorization", &bearer);
        let post = post.header("content-type", "application/x-ndjson");
        let body = format!("{}\n{line}\n", r#"{"topic":"a","data":"1"}"#);
        assert_eq!(hub.ask(post, &body).await.status(), status, "{what} {line}");
    }
    let kept = hub.json(&rights, "/topics/a/events").await;
    assert_eq!(kept["events"].as_array().unwrap().len(), 2, "all or nothing: {kept}");
}

#[tokio::test]
async fn the_list_holds_what_may_be_read() {
    let hub = Guarded::new(reader(&["news"]));
    for topic in ["a/1", "a/2", "b", "news", "secret"] {
        hub.publish(topic, "x").await;
    }
    let list = async |rights: &Rights, query: &str| {
        let page = hub.json(rights, &format!("/topics{query}")).await;
        let names = page["topics"].as_array().unwrap().iter().map(|topic| topic["topic"].clone());
        (names.collect::<Vec<Value>>(), page["next"].clone())
    };
    let some = reader(&["b", "a/*", "unknown"]);
    assert_eq!(
        list(&some, "").await,
        (vec!["a/1".into(), "a/2".into(), "b".into(), "news".into()], Value::Null)
    );
    assert_eq!(list(&some, "?limit=2").await, (vec!["a/1".into(), "a/2".into()], "a/2".into()));
    assert_eq!(
        list(&some, "?limit=2&after=a/2").await,
        (vec!["b".into(), "news".into()], "news".into())
    );
    assert_eq!(list(&some, "?limit=2&after=news").await, (vec![], Value::Null));
    let admin = Rights { admin: true, ..Rights::none() };
    assert_eq!(list(&admin, "").await.0.len(), 5);
}

#[tokio::test]
async fn a_cookie_acts_for_its_own_site_only() {
    let hub = Guarded::new(Rights::none());
    let cookie = format!("fanfare_token={}", token(&Rights::all()));
    let ask = async |what: &str, origin: &str| {
        let request = request(what).header("cookie", &cookie).header("host", "hub.example");
        hub.ask(request.header("origin", origin), "x").await.status()
    };
    assert_eq!(ask("POST /sse/a", "https://hub.example").await, 200);
    assert_eq!(ask("POST /sse/a", "https://evil.example").await, 403);
    assert_eq!(ask("DELETE /sse/a", "https://evil.example").await, 403);
    assert_eq!(ask("/sse/a", "https://evil.example").await, 200, "CORS keeps it from that page");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_token() {
    let hub = Guarded::new(Rights::none());
    let expires = START + 100_000;
    let target = format!("/sse/a?access_token={}", token_until(&reader(&["a"]), expires));
    let mut body = hub.ask(request(&target), "").await.into_body();
    let mut wire = vec![];
    let lasting = hub.as_one(&reader(&["a"]), "/sse/a", "").await;
    hub.publish("a", "before").await;
    while !wire.ends_with(b"data: before\n\n") {
        wire.extend(next(&mut body).await.unwrap());
    }
    hub.now.store(expires, Ordering::SeqCst);
    let last = loop {
        match next(&mut body).await.unwrap() {
            keep_alive if keep_alive.starts_with(b":") => {}
            event => break event,
        }
    };
    let detail = json!({"detail": "The token has expired: connect again with a new one."});
    assert_eq!(last, format!("event: expired\ndata: {detail}\n\n"));
    assert_eq!(next(&mut body).await, None);
    drop(body);
    let again = hub.ask(request(&target), "").await;
    assert_eq!(again.status(), 401);
    assert!(text(again).await.contains("has expired"));
    let metrics = text(hub.as_one(&Rights::all(), "/metrics", "").await).await;
    assert_eq!(metric_in(&metrics, "disconnects_total{reason=\"expired\"}").to_string(), "1");
    assert_eq!(metric_in(&metrics, "subscribers").to_string(), "1");
    drop(lasting);
}

/// Streams on sockets, in each coding, whose peers read nothing before their token has expired.
async fn expire(has_engine: bool) {
    let guarded = Guarded::new(reader(&["$stats"]));
    let engine_threads = server::Settings::default().engine_threads.filter(|_| has_engine);
    let settings = server::Settings { engine_threads, ..server::Settings::default() };
    let hub = Running::serve_api(guarded.api.clone(), settings, None).await;
    let expires = START + 1000;
    // It is looked that often whether the hub's clock says so.
    guarded.now.store(expires - 50, Ordering::SeqCst);
    let target = format!("/sse/a?access_token={}", token_until(&reader(&["a"]), expires));
    let mut streams = vec![];
    for coding in CODINGS {
        let accept = format!("accept-encoding: {coding}\r\n");
        let (peer, head) = hub.get(&target, &accept).await;
        assert_eq!(head.status(), 200, "{head:?}");
        streams.push((coding, peer));
    }
    // The last is more than a socket holds.
    let published = ["short".to_owned(), "and so on ".repeat(100), noise(512 * 1024, 1)];
    for (data, given) in published.iter().zip([4.0, 8.0, 12.0]) {
        guarded.publish("a", data).await;
        hub.until("delivered_events_total", given).await;
    }
    guarded.now.store(expires, Ordering::SeqCst);
    for (coding, mut peer) in streams {
        let text = decoded(coding, &peer.chunks().await.expect("an orderly end"));
        let (given, name) = data_and_last_name(&text);
        assert!(given[..3] == published, "{coding}: {} events", given.len());
        assert_eq!((given.len(), &*name), (4, "expired"), "{coding}");
    }
    hub.until("disconnects_total{reason=\"expired\"}", 4.0).await;
}

/// The data of all events of a stream, and the name of the last one.
fn data_and_last_name(text: &str) -> (Vec<String>, String) {
    let events = events(text);
    let name = events.last().unwrap().name().to_owned();
    (events.iter().map(|event| event.data().to_owned()).collect(), name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_stream_is_whole_when_its_token_expires() {
    expire(true).await;
    expire(false).await;
}

#[tokio::test]
async fn a_published_stream_ends_with_its_token_too() {
    let hub = Guarded::new(Rights::none());
    let expires = START + 1000;
    let rights = Rights { publish: selectors(&["a"]), ..Rights::none() };
    let now = hub.now.clone();
    let chunks = stream::iter(["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"]).enumerate();
    let chunks = chunks.map(move |(index, chunk)| {
        if index == 2 {
            now.store(expires, Ordering::SeqCst);
        }
        Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from_static(chunk.as_bytes())))
    });
    let post = request("POST /sse/a?end=true").header("content-type", "text/event-stream");
    let post = post.header("authorization", format!("Bearer {}", token_until(&rights, expires)));
    let answer = hub.api.answer(post.body(StreamBody::new(chunks)).unwrap()).await;
    assert_eq!(answer.status(), 401);
    let problem = text(answer).await;
    assert!(problem.contains("get a new one; 2 events have been published"), "{problem}");
    let kept = hub.json(&reader(&["a"]), "/topics").await;
    assert_eq!(
        (&kept["topics"][0]["events"], &kept["topics"][0]["ended"]),
        (&json!(2), &json!(false))
    );
}

#[tokio::test]
async fn a_hub_without_its_keys_is_not_ready() {
    let fetch = |_| async { Err::<Bytes, _>("not now".into()) };
    let keys = vec![KeySource::jwks_url(http::Uri::from_static("https://keys.example/"), fetch)];
    let hub = Guarded::with(auth::Settings { keys, ..auth::Settings::default() });
    assert_eq!(hub.ask(request("/healthz"), "").await.status(), 200);
    assert_eq!(hub.ask(request("/readyz"), "").await.status(), 503);
    let denied = hub.as_one(&Rights::all(), "/sse/a", "").await;
    assert_eq!(denied.status(), 503);
    assert!(denied.headers().contains_key("retry-after"));
}
