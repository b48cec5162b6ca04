//! The answer of a language model, word by word. It survives what happens to its connection: the
//! page is reloaded, the connection is cut, the server starts anew, and the text goes on where it
//! was.
//!
//! Run it with `cargo run --release --example llm` and open the address that it prints. `PORT` sets
//! another port than 8080.

mod answers;
mod model;
#[path = "../shared/page.rs"]
mod page;
#[path = "../shared/server.rs"]
mod server;

use std::time::Duration;

use axum::{
    Router,
    extract::{FromRef, Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
    serve::ListenerExt,
};
use fanfare::{Accept, Sse};
use serde::Deserialize;
use tokio::select;

use answers::Answers;
use server::Failure;

const MAX_ID_BYTES: usize = 64;
const MAX_QUESTION_BYTES: usize = 2_000;

#[derive(Clone)]
struct App {
    sse: Sse,
    answers: Answers,
}

impl FromRef<App> for Sse {
    fn from_ref(app: &App) -> Self {
        app.sse.clone()
    }
}

#[derive(Deserialize)]
struct Prompt {
    question: String,
}

/// The words of an answer, from the first or from where the client was. The page makes up the id,
/// so that it asks for the same answer when it asks again.
async fn answer(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(Prompt { question }): Query<Prompt>,
    Accept { client, response }: Accept,
) -> Response {
    if id.len() > MAX_ID_BYTES || question.len() > MAX_QUESTION_BYTES {
        return (StatusCode::BAD_REQUEST, "the question is too long\n").into_response();
    }
    let last = client.last_event_id().unwrap_or_default();
    if last == answers::DONE.as_str() {
        // It has everything, and is to stop asking.
        return StatusCode::NO_CONTENT.into_response();
    }
    let channel = app.answers.get_or_begin(&id, &question, last.parse().unwrap_or(0));
    // It fails when the server is about to stop, and the response is about to say so.
    let _ = channel.join(&client);
    response.into_response()
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = server::listen().await?;
    println!("listening on http://{}", listener.local_addr()?);

    let sse = Sse::builder().retry(Duration::from_secs(1)..=Duration::from_secs(2)).build();
    let app = Router::new()
        .route("/answers/{id}", get(answer))
        .with_state(App { sse: sse.clone(), answers: Answers::new(&sse) })
        .route("/", page::html(include_str!("index.html")))
        .route("/page.css", page::css(include_str!("page.css")))
        .route("/page.js", page::javascript(include_str!("page.js")))
        .merge(page::shared());

    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    let server =
        axum::serve(listener, app).with_graceful_shutdown(sse.shutdown_on(server::stop_signal()));
    select! {
        result = server => Ok(result?),
        () = sse.grace_over() => Ok(()),
    }
}
