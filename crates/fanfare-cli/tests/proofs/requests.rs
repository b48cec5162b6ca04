use std::{
    fmt::Write,
    sync::{Arc, Mutex},
};

use fastrand::Rng;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;

use crate::{
    audit::{Audit, Fates},
    support::{parts, within},
};

pub(crate) const TOPICS: [&str; 4] = ["a", "b", "news/x", "news/y"];

/// A publish.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) publisher: usize,
    /// Topic and data, which no other event has.
    pub(crate) events: Vec<(&'static str, String)>,
    shape: Shape,
    pub(crate) key: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    /// The body is the data of one event.
    Single,
    /// Lines, of the path's topic.
    OneTopic,
    /// Lines that name their topics.
    ManyTopics,
}

/// Whether a request has an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    All,
    /// One in two.
    Some,
}

/// What a publisher knows of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was answered with the position of its last event.
    Acknowledged(u64),
    /// It was answered when it was repeated under its key.
    Repeated {
        last: u64,
        /// The hub that was killed had kept it, and only its answer was lost.
        was_kept: bool,
    },
    /// It was not answered, and not repeated.
    Unanswered,
}

#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) request: Request,
    pub(crate) fate: Fate,
}

/// What all publishers have sent; each one's requests in their order.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    pub(crate) sent: Arc<Mutex<Vec<Sent>>>,
    answers: watch::Sender<usize>,
}

/// What a hub has answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    text: String,
}

#[derive(Deserialize)]
struct Published {
    id: String,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { sent: Arc::default(), answers: watch::Sender::new(0) }
    }

    pub(crate) fn note(&self, request: Request, fate: Fate) {
        self.sent.lock().unwrap().push(Sent { request, fate });
        if fate != Fate::Unanswered {
            self.answers.send_modify(|answers| *answers += 1);
        }
    }

    /// The newest position that was answered.
    pub(crate) fn newest(&self) -> u64 {
        let sent = self.sent.lock().unwrap();
        sent.iter().filter_map(|sent| sent.fate.last()).max().unwrap_or_default()
    }

    /// The log has each request as it was answered, in its publisher's order, and nothing else.
    pub(crate) fn held_against(&self, audit: &Audit) -> Fates {
        let sent = self.sent.lock().unwrap();
        audit.check_order(&sent);
        let fates = audit.check(&sent);
        assert_eq!(fates.events, audit.entries.len(), "the log has what nobody has sent");
        fates
    }

    /// Waits until so many more requests have been answered.
    pub(crate) async fn more_answers(&self, count: usize) {
        let mut answers = self.answers.subscribe();
        let target = *answers.borrow() + count;
        within("answers", answers.wait_for(|&answers| answers >= target)).await.unwrap();
    }
}

impl Fate {
    /// The position that was answered.
    fn last(self) -> Option<u64> {
        match self {
            Self::Acknowledged(last) | Self::Repeated { last, .. } => Some(last),
            Self::Unanswered => None,
        }
    }
}

impl Request {
    pub(crate) fn draw(random: &mut Rng, publisher: usize, number: u64, keys: Keys) -> Self {
        let shape = [Shape::Single, Shape::OneTopic, Shape::ManyTopics][random.usize(..3)];
        let count = if matches!(shape, Shape::Single) { 1 } else { random.usize(1..6) };
        let path = *random.choice(&TOPICS).unwrap();
        let mut event = |index| {
            let topic = match shape {
                Shape::Single | Shape::OneTopic => path,
                Shape::ManyTopics => *random.choice(&TOPICS).unwrap(),
            };
            (topic, format!("{publisher}.{number}.{index} {}", "x".repeat(random.usize(..200))))
        };
        let events = (0..count).map(&mut event).collect();
        let has_key = keys == Keys::All || random.bool();
        let key = has_key.then(|| format!("{publisher}.{number}"));
        Self { publisher, events, shape, key }
    }

    /// Sends it to the hub at this URL; `None` when that is lost before it has answered.
    pub(crate) async fn send(&self, client: &Client, url: &str) -> Option<Answer> {
        let path = match self.shape {
            Shape::Single | Shape::OneTopic => format!("/sse/{}", self.events[0].0),
            Shape::ManyTopics => "/sse".to_owned(),
        };
        let mut post = client.post(format!("{url}{path}")).body(self.body());
        if !matches!(self.shape, Shape::Single) {
            post = post.header("content-type", "application/x-ndjson");
        }
        if let Some(key) = &self.key {
            post = post.header("idempotency-key", key);
        }
        let answer = post.send().await.ok()?;
        Some(Answer { status: answer.status(), text: answer.text().await.ok()? })
    }

    fn body(&self) -> String {
        let mut lines = String::new();
        for (topic, data) in &self.events {
            match self.shape {
                Shape::Single => return data.clone(),
                Shape::OneTopic => writeln!(lines, "{}", json!({ "data": data })).unwrap(),
                Shape::ManyTopics => {
                    writeln!(lines, "{}", json!({ "topic": topic, "data": data })).unwrap();
                }
            }
        }
        lines
    }
}

impl Answer {
    /// The position of the last event, which has been published.
    pub(crate) fn last(&self) -> u64 {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        let Published { id } = serde_json::from_str(&self.text).unwrap();
        parts(&id).1
    }
}
