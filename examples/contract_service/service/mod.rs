//! What the harness asks for: streams to begin, to restart and to close.

mod callbacks;
mod params;
mod stream;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, header::LOCATION},
    response::IntoResponse,
    routing::{get, post},
};
use fanfare_client::{BoxError, transport::Reqwest};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    net::TcpListener,
    select,
    sync::{Notify, oneshot},
    time::sleep,
};

use callbacks::Callbacks;
use params::Params;
use stream::Stream;

/// What the harness is to test beyond the basics.
const CAPABILITIES: [&str; 9] = [
    "bom",
    "comments",
    "headers",
    "last-event-id",
    "post",
    "read-timeout",
    "report",
    "restart",
    "server-directed-shutdown-request",
];

/// Far more than a harness has open at once; one that never closes any is refused then.
const MAX_STREAMS: usize = 100;

/// How long connections may take to end after the service was told to.
const GRACE: Duration = Duration::from_secs(1);

type Refusal = (StatusCode, String);

#[derive(Clone)]
struct Service {
    streams: Arc<Mutex<Streams>>,
    transport: Reqwest,
    stop: Arc<Notify>,
}

#[derive(Default)]
struct Streams {
    newest: u64,
    open: HashMap<String, Stream>,
}

/// What the harness wants a stream to do.
#[derive(Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
enum Command {
    Restart,
    Listen { listen: Listen },
}

/// A type of events to be told of, which takes nothing: events of every type are told.
#[derive(Deserialize)]
struct Listen {
    #[serde(rename = "type")]
    _type: String,
}

/// Serves the harness until it says that this is the end.
pub(crate) async fn serve(listener: TcpListener) -> Result<(), BoxError> {
    let stop = Arc::<Notify>::default();
    let service =
        Service { streams: Arc::default(), transport: Reqwest::new()?, stop: stop.clone() };
    let router = Router::new()
        .route("/", get(status).post(begin).delete(end))
        .route("/streams/{id}", post(command).delete(close))
        .with_state(service);

    let (stopping, stopped) = oneshot::channel();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        stop.notified().await;
        let _ = stopping.send(());
    });
    let grace_over = async {
        let _ = stopped.await;
        sleep(GRACE).await;
    };
    select! {
        result = server => Ok(result?),
        () = grace_over => Ok(()),
    }
}

async fn status() -> impl IntoResponse {
    Json(json!({ "name": "fanfare-client", "capabilities": CAPABILITIES }))
}

/// Answers, and then ends the program.
async fn end(State(service): State<Service>) -> StatusCode {
    service.stop.notify_one();
    StatusCode::NO_CONTENT
}

/// Begins to follow a stream.
async fn begin(State(service): State<Service>, body: Bytes) -> Result<impl IntoResponse, Refusal> {
    let params: Params = read(&body)?;
    let callbacks = Callbacks::new(&params.callback_url, service.transport.clone());
    let callbacks = callbacks.map_err(malformed)?;
    let source = params.into_source(service.transport.clone()).map_err(malformed)?;
    let mut streams = service.streams();
    if streams.open.len() >= MAX_STREAMS {
        return Err((StatusCode::SERVICE_UNAVAILABLE, "too many streams are open\n".to_owned()));
    }
    streams.newest += 1;
    let id = streams.newest.to_string();
    let location = format!("/streams/{id}");
    streams.open.insert(id, Stream::follow(source, callbacks));
    Ok((StatusCode::CREATED, [(LOCATION, location)]))
}

async fn command(
    State(service): State<Service>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let command = read(&body)?;
    let streams = service.streams();
    let stream = streams.open.get(&id).ok_or_else(no_such_stream)?;
    match command {
        Command::Restart => stream.restart(),
        Command::Listen { listen: Listen { .. } } => {}
    }
    Ok(StatusCode::ACCEPTED)
}

async fn close(
    State(service): State<Service>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let stream = service.streams().open.remove(&id);
    stream.ok_or_else(no_such_stream)?.close().await;
    Ok(StatusCode::NO_CONTENT)
}

/// JSON, whatever the content type says.
fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| malformed(error.into()))
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err hands over")]
fn malformed(error: BoxError) -> Refusal {
    (StatusCode::BAD_REQUEST, format!("{}\n", callbacks::with_causes(&*error)))
}

fn no_such_stream() -> Refusal {
    (StatusCode::NOT_FOUND, "there is no such stream\n".to_owned())
}

impl Service {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
