//! A chat with rooms, history, and nothing lost or doubled when a connection breaks.
//!
//! Run it with `cargo run --release --example chat` and open the address that it prints, twice.
//! `PORT` sets another port than 8080. With `CHAT_FILE=messages.jsonl` the rooms remember what was
//! said when the program is started again, and browsers go on where they were.

#[path = "../shared/page.rs"]
mod page;
mod people;
mod rooms;
#[path = "../shared/server.rs"]
mod server;

use std::{
    env,
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRef, Path, State},
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
    serve::ListenerExt,
};
use fanfare::{Accept, Sse};
use serde::Serialize;
use tokio::select;

use people::People;
use rooms::{Rooms, Said};
use server::Failure;

const MAX_BODY_BYTES: usize = 16 * 1024;

type Refusal = (StatusCode, &'static str);
const NO_SUCH_ROOM: Refusal = (StatusCode::NOT_FOUND, "there is no such room\n");

#[derive(Clone)]
struct Chat {
    sse: Sse,
    rooms: Arc<Rooms>,
    people: People,
}

impl FromRef<Chat> for Sse {
    fn from_ref(chat: &Chat) -> Self {
        chat.sse.clone()
    }
}

/// What a page has to know first.
#[derive(Serialize)]
struct Overview {
    rooms: Vec<&'static str>,
    in_memory_only: bool,
}

async fn overview(State(chat): State<Chat>) -> Json<Overview> {
    Json(Overview {
        rooms: chat.rooms.names().collect(),
        in_memory_only: chat.rooms.are_in_memory_only(),
    })
}

/// Lets a client listen to what is said in a room, from where it was if it has been here before.
async fn listen(
    State(chat): State<Chat>,
    Path(room): Path<String>,
    Accept { client, response }: Accept,
) -> Result<impl IntoResponse, Refusal> {
    let (name, room) = chat.rooms.get(&room).ok_or(NO_SUCH_ROOM)?;
    let who = client.query().get("name").unwrap_or_default();
    let who = rooms::check_name(&who).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
    // It fails when the server is about to stop, and the response is about to say so.
    let _ = room.join(&client);
    chat.people.enter(client, name, who);
    Ok(response)
}

/// Says something in a room.
async fn say(
    State(chat): State<Chat>,
    Path(room): Path<String>,
    Json(said): Json<Said>,
) -> Result<StatusCode, Refusal> {
    let (room, _) = chat.rooms.get(&room).ok_or(NO_SUCH_ROOM)?;
    let said = said.check().map_err(|why| (StatusCode::BAD_REQUEST, why))?;
    chat.rooms.say(room, said, milliseconds_since_1970()).map_err(|error| {
        let _ = writeln!(io::stderr(), "cannot write a message down: {error}");
        (StatusCode::INTERNAL_SERVER_ERROR, "the message could not be kept\n")
    })?;
    Ok(StatusCode::CREATED)
}

#[expect(clippy::disallowed_methods, reason = "a request comes from outside, and so does its time")]
fn milliseconds_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn open_rooms(sse: &Sse) -> io::Result<Rooms> {
    let file = env::var_os("CHAT_FILE").map(PathBuf::from);
    Rooms::open(sse, file.as_deref()).map_err(|error| {
        let file = file.unwrap_or_default();
        io::Error::other(format!("cannot use CHAT_FILE={}: {error}", file.display()))
    })
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let sse = Sse::builder().retry(Duration::from_secs(1)..=Duration::from_secs(2)).build();
    let rooms = open_rooms(&sse)?;
    let people = People::new(&sse);
    let chat = Chat { sse: sse.clone(), rooms: Arc::new(rooms), people };

    let listener = server::listen().await?;
    println!("listening on http://{}", listener.local_addr()?);

    let app = Router::new()
        .route("/rooms", get(overview))
        .route("/rooms/{room}/events", get(listen))
        .route("/rooms/{room}/messages", post(say))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(chat)
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
