//! docs/protocol.md and docs/operating.md against the code.

#![cfg(test)]

/// The examples of docs/protocol.md, as they stand there.
mod examples;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use fanfare::Sse;
use fanfare_hub::{
    Bounds, Epoch, Hub,
    http::{AnswerBody, Api, Settings},
    log::{MemoryLog, Retention, Timestamp},
};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tokio::time::timeout;

use examples::examples;

const PROTOCOL: &str = include_str!("../../../../docs/protocol.md");
const OPERATING: &str = include_str!("../../../../docs/operating.md");

fn api() -> Api {
    let log = Arc::new(MemoryLog::new(Epoch::from_seed(1), Retention::default()));
    let hub = Hub::new(log, Bounds::default(), Arc::new(|| Timestamp(1_750_000_000_000)));
    let two = Duration::from_secs(2);
    Api::new(hub, Sse::new(), Settings { retry: two..=two, ..Settings::default() })
}

async fn ask(api: &Api, method: Method, target: &str) -> Response<AnswerBody> {
    let request = Request::builder().method(method).uri(target);
    api.answer(request.body(Full::from("")).unwrap()).await
}

/// The body up to its end, or up to this many bytes.
async fn text(answer: Response<AnswerBody>, most: usize) -> String {
    let (mut body, mut text) = (answer.into_body(), vec![]);
    while text.len() < most {
        let frame = timeout(Duration::from_secs(30), body.frame()).await;
        let Some(frame) = frame.expect("more of the body") else { break };
        text.extend(frame.unwrap().into_data().unwrap());
    }
    String::from_utf8(text).unwrap()
}

/// What stands in backticks between two texts.
fn quoted(text: &str, from: &str, to: &str) -> BTreeSet<String> {
    let part = text.split_once(from).unwrap().1.split_once(to).unwrap().0;
    part.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_examples_are_true() {
    let api = api();
    let examples = examples(PROTOCOL);
    assert!(examples.len() > 10, "{}", examples.len());
    for example in examples {
        example.check(&api).await;
    }
}

/// `METHOD /path` in the documents' tables, with a topic where one is asked for.
fn documented() -> BTreeSet<(String, String)> {
    let quotes = PROTOCOL.split('`').skip(1).step_by(2);
    let requests = quotes.filter_map(|quote| quote.split_once(' '));
    let requests =
        requests.filter(|(method, _)| method.bytes().all(|one| one.is_ascii_uppercase()));
    requests
        .filter_map(|(method, path)| {
            let path = path.split(['?', '…']).next()?.trim_end_matches('/');
            let path = if path.is_empty() { "/" } else { path };
            // The hub's own topics are not for every method of others.
            let is_path = path.starts_with('/') && !path.contains('$');
            is_path.then(|| (path.replace("{topic}", "a"), method.to_owned()))
        })
        .collect()
}

#[tokio::test]
async fn what_is_documented_is_answered_and_nothing_else() {
    let api = api();
    let documented = documented();
    let paths: BTreeSet<&str> = documented.iter().map(|(path, _)| &**path).collect();
    assert!(paths.contains("/topics/a/events") && paths.len() == 9, "{paths:?}");
    for path in paths {
        for method in ["GET", "POST", "DELETE", "PUT", "PATCH"] {
            let answer = ask(&api, method.parse().unwrap(), path).await;
            let is_documented = documented.contains(&(path.to_owned(), method.to_owned()));
            assert_eq!(answer.status() != 405, is_documented, "{method} {path}");
        }
    }
    assert_eq!(ask(&api, Method::GET, "/other").await.status(), 404);
}

#[tokio::test]
async fn the_figures_are_those_that_are_documented() {
    let answer = ask(&api(), Method::GET, "/sse/$stats").await;
    let wire = text(answer, 300).await;
    let data = wire.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let figures: Value = serde_json::from_str(data).unwrap();
    let mut told: BTreeSet<String> = figures.as_object().unwrap().keys().cloned().collect();
    // The log of this hub has no disk.
    told.insert("log_disk_bytes".to_owned());
    assert_eq!(told, quoted(PROTOCOL, "Figures: ", "since the start."));
}

#[tokio::test]
async fn the_metrics_to_watch_are_there() {
    let metrics = text(ask(&api(), Method::GET, "/metrics").await, usize::MAX).await;
    let named = quoted(OPERATING, "Worth an alarm:", "`/healthz`");
    assert!(named.iter().filter(|word| word.starts_with("fanfare_")).count() > 5, "{named:?}");
    for word in named.iter().filter(|word| word.starts_with("fanfare_")) {
        assert!(metrics.contains(word), "{word} in {metrics}");
    }
}
