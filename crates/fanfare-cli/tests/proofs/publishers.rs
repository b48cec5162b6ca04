use std::{
    fmt::Write,
    sync::{Arc, Mutex},
};

use fastrand::Rng;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;

use crate::support::{parts, within};

pub(crate) const TOPICS: [&str; 4] = ["a", "b", "news/x", "news/y"];

/// The life of a hub that is up, one of many.
#[derive(Debug, Clone, Default)]
pub(crate) struct Life {
    /// 0: there was none yet.
    pub(crate) number: u32,
    pub(crate) url: String,
    /// The newest position that its predecessors have left.
    pub(crate) inherited: u64,
    /// Nobody is to publish anything new.
    pub(crate) is_last_call: bool,
}

/// A publish.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) publisher: usize,
    /// Topic and data, which no other event has.
    pub(crate) events: Vec<(&'static str, String)>,
    shape: Shape,
    key: Option<String>,
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

pub(crate) struct Publisher {
    pub(crate) number: usize,
    pub(crate) random: Rng,
    pub(crate) client: Client,
    pub(crate) lives: watch::Receiver<Life>,
    pub(crate) ledger: Ledger,
}

#[derive(Deserialize)]
struct Answer {
    id: String,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { sent: Arc::default(), answers: watch::Sender::new(0) }
    }

    fn note(&self, request: Request, fate: Fate) {
        self.sent.lock().unwrap().push(Sent { request, fate });
        if fate != Fate::Unanswered {
            self.answers.send_modify(|answers| *answers += 1);
        }
    }

    /// Waits until so many more requests have been answered.
    pub(crate) async fn more_answers(&self, count: usize) {
        let mut answers = self.answers.subscribe();
        let target = *answers.borrow() + count;
        within("answers", answers.wait_for(|&answers| answers >= target)).await.unwrap();
    }
}

impl Publisher {
    pub(crate) async fn run(mut self) {
        let mut lost = 0;
        for number in 0_u64.. {
            let life = self.life_after(lost).await;
            if life.is_last_call {
                return;
            }
            let request = self.draw(number);
            let fate = self.publish(&request, life, &mut lost).await;
            self.ledger.note(request, fate);
        }
    }

    /// A hub that has come up since the one with this number was lost.
    async fn life_after(&mut self, lost: u32) -> Life {
        self.lives.wait_for(|life| life.number > lost).await.unwrap().clone()
    }

    fn draw(&mut self, number: u64) -> Request {
        let Self { random, number: publisher, .. } = self;
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
        let key = random.bool().then(|| format!("{publisher}.{number}"));
        Request { publisher: *publisher, events, shape, key }
    }

    /// Repeats it until it is answered, if it has a key.
    async fn publish(&mut self, request: &Request, mut life: Life, lost: &mut u32) -> Fate {
        if let Some(last) = self.ask(request, &life).await {
            self.repeat_idly(request, &life, last).await;
            return Fate::Acknowledged(last);
        }
        loop {
            *lost = life.number;
            if request.key.is_none() {
                return Fate::Unanswered;
            }
            life = self.life_after(*lost).await;
            if let Some(last) = self.ask(request, &life).await {
                return Fate::Repeated { last, was_kept: last <= life.inherited };
            }
        }
    }

    /// Repeats some requests although they were answered.
    async fn repeat_idly(&mut self, request: &Request, life: &Life, last: u64) {
        if request.key.is_some()
            && self.random.u8(..4) == 0
            && let Some(again) = self.ask(request, life).await
        {
            assert_eq!(again, last, "the answer to a repeated {request:?}");
        }
    }

    /// The position that is answered; `None` when the hub is lost before.
    async fn ask(&self, request: &Request, life: &Life) -> Option<u64> {
        let path = match request.shape {
            Shape::Single | Shape::OneTopic => format!("/sse/{}", request.events[0].0),
            Shape::ManyTopics => "/sse".to_owned(),
        };
        let mut post = self.client.post(format!("{}{path}", life.url)).body(request.body());
        if !matches!(request.shape, Shape::Single) {
            post = post.header("content-type", "application/x-ndjson");
        }
        if let Some(key) = &request.key {
            post = post.header("idempotency-key", key);
        }
        let answer = within("an answer", post.send()).await.ok()?;
        let status = answer.status();
        let text = answer.text().await.ok()?;
        assert_eq!(status, StatusCode::OK, "{text}");
        let Answer { id } = serde_json::from_str(&text).unwrap();
        Some(parts(&id).1)
    }
}

impl Request {
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
