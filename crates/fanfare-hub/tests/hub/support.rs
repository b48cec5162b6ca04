use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use fanfare::Sse;
use fanfare_fanout::{Bounds, Epoch};
use fanfare_hub::{
    Hub,
    http::{AnswerBody, Api, Settings},
    log::{Log, MemoryLog, Retention, Timestamp},
};
use fanfare_wire::{Decoder, Event, Item};
use http::{Request, Response, request};
use http_body_util::{BodyExt, Full};
use tokio::time::timeout;

/// Longer than anything takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(30);

/// A hub in memory, with a clock that is told the time.
pub(crate) struct Subject {
    pub(crate) hub: Hub,
    pub(crate) api: Api,
    pub(crate) clock: Arc<AtomicU64>,
}

impl Subject {
    pub(crate) fn new() -> Self {
        Self::with(Retention::default(), Bounds::default())
    }

    /// `window` is what each channel keeps in memory.
    pub(crate) fn with(retention: Retention, window: Bounds) -> Self {
        Self::on(Arc::new(MemoryLog::new(Epoch::from_seed(1), retention)), window)
    }

    pub(crate) fn on(log: Arc<dyn Log>, window: Bounds) -> Self {
        let clock = Arc::new(AtomicU64::new(1000));
        let told = clock.clone();
        let tell = move || Timestamp(told.load(Ordering::SeqCst));
        let hub = Hub::new(log, window, Arc::new(tell));
        let api = Api::new(hub.clone(), Sse::new(), Settings::default());
        Self { hub, api, clock }
    }

    pub(crate) async fn ask(&self, request: request::Builder, body: &str) -> Response<AnswerBody> {
        self.api.answer(request.body(Full::from(body.to_owned())).unwrap()).await
    }

    /// Publishes, and tells the status and the answer.
    pub(crate) async fn post(&self, target: &str, body: &str) -> (u16, String) {
        answer(self.ask(Request::post(target), body).await).await
    }

    pub(crate) async fn get(&self, target: &str) -> (u16, String) {
        answer(self.ask(Request::get(target), "").await).await
    }

    /// Publishes one event and tells its id.
    pub(crate) async fn publish(&self, topic: &str, data: &str) -> String {
        let (status, answer) = self.post(&format!("/sse/{topic}"), data).await;
        assert_eq!(status, 200, "{answer}");
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn follow(&self, target: &str) -> Follower {
        self.follow_after(target, "").await
    }

    pub(crate) async fn follow_after(&self, target: &str, id: &str) -> Follower {
        let request = Request::get(target);
        let request = if id.is_empty() { request } else { request.header("last-event-id", id) };
        let response = self.ask(request, "").await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Follower {
            body: Box::pin(response.into_body()),
            chunk: Bytes::new(),
            decoder: Decoder::new(),
        }
    }
}

pub(crate) async fn answer(response: Response<AnswerBody>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// Reads a stream.
pub(crate) struct Follower {
    body: Pin<Box<AnswerBody>>,
    chunk: Bytes,
    pub(crate) decoder: Decoder,
}

impl Follower {
    /// The next event; `None` at the end of the stream.
    /// The next event; comments alone are not waited for without end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        timeout(PATIENCE, self.next_at_last()).await.expect("another event, or the end")
    }

    async fn next_at_last(&mut self) -> Option<Event> {
        loop {
            if let Some(item) = self.decoder.decode(&mut self.chunk).unwrap() {
                if let Item::Event(event) = item {
                    return Some(event);
                }
                continue;
            }
            self.chunk = self.body.frame().await?.unwrap().into_data().unwrap();
        }
    }

    pub(crate) async fn data(&mut self) -> String {
        self.next().await.expect("an event before the end").into_data().to_string()
    }

    /// The data of this many events.
    pub(crate) async fn several(&mut self, count: usize) -> Vec<String> {
        let mut data = vec![];
        for _ in 0..count {
            data.push(self.data().await);
        }
        data
    }

    /// Reads up to the place that is told when the stream opens.
    pub(crate) async fn place(&mut self) -> String {
        while self.decoder.last_event_id().is_empty() {
            let frame = timeout(PATIENCE, self.body.frame()).await.expect("a place");
            self.chunk = frame.unwrap().unwrap().into_data().unwrap();
            while let Some(item) = self.decoder.decode(&mut self.chunk).unwrap() {
                assert!(matches!(item, Item::Retry(_)), "{item:?}");
            }
        }
        self.decoder.last_event_id().to_owned()
    }
}
