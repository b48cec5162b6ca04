//! What the service tells of a stream.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    routing::post,
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::yield_now,
};

use super::within;

/// Takes the callbacks of one stream.
pub(crate) struct Callbacks {
    pub(crate) url: String,
    taken: UnboundedReceiver<(usize, Value)>,
    number: usize,
    under_way: Arc<UnderWay>,
}

/// How many callbacks were under way at once: now, and at most.
#[derive(Default)]
struct UnderWay {
    now: AtomicUsize,
    most: AtomicUsize,
}

type Taking = (UnboundedSender<(usize, Value)>, Arc<UnderWay>);

impl Callbacks {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/callbacks", listener.local_addr().unwrap());
        let (taking, taken) = unbounded_channel();
        let under_way = Arc::<UnderWay>::default();
        let router = Router::new()
            .route("/callbacks/{number}", post(take))
            .layer(DefaultBodyLimit::disable())
            .with_state((taking, under_way.clone()));
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Self { url, taken, number: 0, under_way }
    }

    /// The next callback, which has the next number.
    pub(crate) async fn next(&mut self) -> Value {
        let (number, told) = within("a callback", self.taken.recv()).await.unwrap();
        self.number += 1;
        assert_eq!(number, self.number, "the number of {told}");
        assert_eq!(self.under_way.most.load(Ordering::SeqCst), 1, "one callback at a time");
        told
    }
}

/// Takes its time, so that a callback that does not wait for the one before is noticed.
async fn take(
    State((taking, under_way)): State<Taking>,
    Path(number): Path<usize>,
    Json(told): Json<Value>,
) -> StatusCode {
    let now = under_way.now.fetch_add(1, Ordering::SeqCst) + 1;
    under_way.most.fetch_max(now, Ordering::SeqCst);
    // The test may be over.
    let _ = taking.send((number, told));
    for _ in 0..20 {
        yield_now().await;
    }
    under_way.now.fetch_sub(1, Ordering::SeqCst);
    StatusCode::ACCEPTED
}

/// What tells of an event.
pub(crate) fn event(name: &str, data: &str, id: &str) -> Value {
    json!({ "kind": "event", "event": { "type": name, "data": data, "id": id } })
}

/// What tells of a comment.
pub(crate) fn comment(text: &str) -> Value {
    json!({ "kind": "comment", "comment": text })
}
