use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use fanfare_fanout::Position;
use fanfare_hub::{
    Selection, Selector, TopicName,
    auth::{self, Algorithm, Auth, Grant, KeySource, Rights, SigningKey, issue},
    log::{Batch, NewEvent, Read, Retention, Timestamp},
};
use ring::hmac;
use tokio::{io::AsyncReadExt, net::TcpStream};

use crate::{
    answer::{Answer, find, show},
    fuzz::{Sent, extent, send_all},
    grammar::Words,
    support::{NOW, Running, until, within},
};

const SECRET: &str = "a secret of thirty-two bytes or more";
/// In the data of secret topics, and in the name of one.
const MARK: &str = "xyzzy-8c1f";
/// In data that may be read.
const OPEN: &str = "plugh-17ab";
const SECRET_TOPICS: [&str; 4] = ["secret/plain", "secret/xyzzy-8c1f", "b", "a"];

/// What clients ask for. None of it holds the mark.
const TOPICS: [&str; 16] = [
    "a/1",
    "a/1",
    "a/2",
    "a/*",
    "a/",
    "a",
    "a*",
    "b",
    "secret/plain",
    "secret/*",
    "secret/",
    "s*",
    "*",
    "",
    "$stats",
    "$*",
];
const IDS: [&str; 6] =
    ["10000000-0", "10000000-1", "10000000-5", "10000000-99999", "00000000-1", "x"];

/// Requests to one hub.
const REQUESTS: u64 = 8000;
/// Streams that are held open up to its end: all that there are, unless a hub lets in whom it should not.
const HELD: usize = 300;

/// Tokens, by what they are good for.
struct Tokens {
    reader: String,
    writer: String,
    both: String,
    /// For nothing.
    forged: Vec<String>,
}

fn selectors(texts: &[&str]) -> Vec<Selector> {
    texts.iter().map(|text| Selector::new(text).unwrap()).collect()
}

fn token_of(secret: &str, rights: Rights, expires: u64) -> String {
    let key = SigningKey::from_secret(secret, Algorithm::Hs256).unwrap();
    issue(&key, &Grant { rights, expires: Some(Timestamp(expires)), ..Grant::default() }).unwrap()
}

fn part(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signed(header: &str, claims: &str, key: &[u8]) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    format!("{message}.{}", part(hmac::sign(&key, message.as_bytes())))
}

impl Tokens {
    fn new() -> Self {
        let later = NOW.0 + 3_600_000;
        let reader = Rights { subscribe: selectors(&["a/*"]), ..Rights::none() };
        let writer = Rights { publish: selectors(&["a/*"]), ..Rights::none() };
        let both = Rights { publish: selectors(&["a/*"]), ..reader.clone() };
        let [reader, writer, both] =
            [reader, writer, both].map(|rights| token_of(SECRET, rights, later));
        Self { forged: forged(&reader, later), reader, writer, both }
    }

    /// The good ones so often that they come up twice as often as the others.
    fn all(&self) -> Vec<String> {
        let good = [&self.reader, &self.writer, &self.both];
        let good = good.into_iter().cycle().take(2 * self.forged.len());
        self.forged.iter().chain(good).cloned().collect()
    }

    fn may_read(&self, request: &[u8]) -> bool {
        [&self.reader, &self.both]
            .into_iter()
            .any(|token| find(request, token.as_bytes()).is_some())
    }

    fn may_publish(&self, request: &[u8]) -> bool {
        [&self.writer, &self.both]
            .into_iter()
            .any(|token| find(request, token.as_bytes()).is_some())
    }
}

/// Tokens that claim all rights.
fn forged(good: &str, later: u64) -> Vec<String> {
    let all =
        r#"{"exp":99999999999,"fanfare":{"subscribe":["*","$*"],"publish":["*"],"admin":true}}"#;
    let (message, signature) = good.rsplit_once('.').unwrap();
    let header = message.split_once('.').unwrap().0;
    let early = all.replacen('{', r#"{"nbf":9999999999,"#, 1);
    let endless = r#"{"fanfare":{"subscribe":["*"]}}"#;
    let hs256 = r#"{"alg":"HS256"}"#;
    vec![
        token_of(SECRET, Rights::all(), NOW.0 - 3_600_000),
        token_of("another secret of thirty-two bytes", Rights::all(), later),
        format!("{}.{}.", part(r#"{"alg":"none"}"#), part(all)),
        format!("{}.{}.", part(r#"{"alg":"None","typ":"JWT"}"#), part(all)),
        format!("{}.{}.{signature}", part(r#"{"alg":"none"}"#), part(all)),
        signed(hs256, all, b""),
        signed(hs256, all, b"secret"),
        signed(r#"{"alg":"HS512"}"#, all, SECRET.as_bytes()),
        signed(r#"{"alg":"RS256"}"#, all, SECRET.as_bytes()),
        signed(r#"{"alg":"HS256","jwk":{"kty":"oct","k":""}}"#, all, b""),
        signed(r#"{"alg":"HS256","crit":["exp"]}"#, all, b"x"),
        format!("{header}.{}.{signature}", part(all)),
        format!("{good}{}", part(all)),
        format!("{message}.{}", part("forged")),
        signed(hs256, endless, SECRET.as_bytes()),
        signed(hs256, &early, SECRET.as_bytes()),
        "x".to_owned(),
        String::new(),
    ]
}

async fn fill(hub: &Running, mark: &str, names: &[&str]) {
    let events = names.iter().map(|name| NewEvent {
        topic: TopicName::new(name).unwrap(),
        name: None,
        retry: None,
        data: format!("{mark} in {name}").into(),
    });
    hub.hub.publish(Batch { events: events.collect(), ..Batch::default() }).await.unwrap();
}

async fn guarded() -> Running {
    let keys = vec![KeySource::secret(SECRET)];
    let auth = Auth::new(auth::Settings { keys, ..auth::Settings::default() }).unwrap();
    let hub = Running::start(Retention::default(), Some(auth)).await;
    for _ in 0..3 {
        fill(&hub, MARK, &SECRET_TOPICS).await;
        fill(&hub, OPEN, &["a/1", "a/2"]).await;
    }
    hub
}

/// What whoever has this token is given, if it is looked for everywhere.
async fn given(hub: &Running, token: &str) -> Vec<u8> {
    let mut wire = vec![];
    for target in ["/topics", "/topics/a/1/events", "/topics/b/events", "/sse/a/*", "/sse/*"] {
        let request = format!(
            "GET {target}?from=earliest HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
             authorization: Bearer {token}\r\n\r\n"
        );
        let (mut given, mut stream) = hub.send(&request).await;
        if find(&given, b":ok\n\n").is_some() {
            until(&mut stream, &mut given, b" in a/2").await;
        }
        wire.extend(given);
    }
    wire
}

/// Nothing was told, published or erased that needs another right.
fn is_harmless(tokens: &Tokens, Sent { request, wire, answers, .. }: &Sent) {
    let tells = |mark: &str| find(wire, mark.as_bytes()).is_some();
    assert!(!tells(MARK), "a secret is told: {}", show(wire));
    assert!(!tells(OPEN) || tokens.may_read(request), "without a right to read: {}", show(wire));
    let first = answers.iter().find(|answer| answer.status >= 200);
    let is_done = first.is_some_and(|answer| answer.status < 300);
    let begins = |method: &[u8]| request.trim_ascii_start().starts_with(method);
    assert!(!is_done || !begins(b"DELETE "), "it was erased");
    assert!(!is_done || !begins(b"POST ") || tokens.may_publish(request), "it was published");
}

/// All events outside of what may be published to.
async fn guarded_records(hub: &Running) -> Vec<(TopicName, String)> {
    let selection = Selection::new(selectors(&["*", "$*"]));
    let (after, until) = (Position::START, Position::END);
    let (max_events, max_bytes) = (usize::MAX, usize::MAX);
    let mut read = Read { selection, after, until, max_events, max_bytes };
    let mut records = vec![];
    while read.after < hub.hub.log().newest() {
        let page = hub.hub.log().read(read.clone()).await.unwrap();
        let events = page.records.into_iter().map(|record| record.event);
        let guarded = events.filter(|event| !event.topic.as_str().starts_with("a/"));
        records.extend(guarded.map(|event| (event.topic, event.data.to_string())));
        read.after = page.through;
    }
    records
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_of_topics_or_writes_to_them_without_the_right() {
    let (seed, hubs) = extent(1, 40);
    for number in 0..hubs {
        let first = seed + number * REQUESTS;
        one_hub(first..first + REQUESTS).await;
    }
}

async fn one_hub(seeds: Range<u64>) {
    let hub = Arc::new(guarded().await);
    let tokens = Arc::new(Tokens::new());
    let everything = token_of(SECRET, Rights::all(), NOW.0 + 3_600_000);
    let told = given(&hub, &everything).await;
    assert!(find(&told, MARK.as_bytes()).is_some(), "it could be found: {}", show(&told));
    let told = given(&hub, &tokens.reader).await;
    assert!(find(&told, OPEN.as_bytes()).is_some() && find(&told, MARK.as_bytes()).is_none());
    let before = guarded_records(&hub).await;

    let words = Arc::new(Words {
        topics: &TOPICS,
        ids: &IDS,
        tokens: Vec::leak(tokens.all()),
        is_guarded: true,
    });
    let held: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let (holding, judges) = (held.clone(), tokens.clone());
    let check = move |sent: Sent| {
        is_harmless(&judges, &sent);
        let mut held = holding.lock().unwrap();
        if sent.answers.last().is_some_and(Answer::is_stream) && held.len() < HELD {
            held.push(sent.socket);
        }
    };
    let statuses = send_all(&hub, &words, seeds.clone(), check).await;
    let count = held.lock().unwrap().len();
    println!(
        "{seeds:?} with all kinds of tokens were answered {statuses:?}, {count} with a stream"
    );
    assert!([200, 400, 401, 403].iter().all(|status| statuses.contains_key(status)));
    assert_eq!(guarded_records(&hub).await, before, "nothing was published there, or erased");

    // What is live is kept from them too.
    let held = std::mem::take(&mut *held.lock().unwrap());
    assert!(held.len() > 10, "too few have got a stream");
    fill(&hub, MARK, &SECRET_TOPICS).await;
    fill(&hub, OPEN, &["a/1", "a/2"]).await;
    let told = given(&hub, &tokens.both).await;
    assert!(find(&told, OPEN.as_bytes()).is_some(), "it still works");
    let ends = held.into_iter().map(|mut stream| async move {
        let mut wire = vec![];
        within("the end of a stream", stream.read_to_end(&mut wire)).await.unwrap();
        wire
    });
    let ends = tokio::spawn(futures_util::future::join_all(ends));
    Arc::into_inner(hub).unwrap().shut_down().await;
    let ends = ends.await.unwrap();
    assert!(ends.iter().all(|wire| find(wire, MARK.as_bytes()).is_none()), "a secret is told live");
    assert!(ends.iter().any(|wire| find(wire, OPEN.as_bytes()).is_some()), "none was live");
}
