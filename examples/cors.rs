//! Event streams for a page that comes from another origin, and who it is by its cookie.
//!
//! `ORIGIN` is the origin that is let in, `http://127.0.0.1:9000` if not set. To see it, serve any
//! folder there (`python3 -m http.server 9000 --bind 127.0.0.1`), run
//! `cargo run --example cors`, open the page, and say in the browser's console:
//!
//! ```js
//! document.cookie = 'name=Ada'
//! const events = new EventSource('http://127.0.0.1:8080/sse', { withCredentials: true })
//! events.onmessage = event => console.log(event.data)
//! ```

#[path = "shared/server.rs"]
mod server;

use std::env;

use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method, header::COOKIE},
    routing::get,
    serve::ListenerExt,
};
use fanfare::{Client, Sse};
use tokio::select;
use tower_http::cors::CorsLayer;

use server::Failure;

async fn greet(client: Client) {
    let who = name(&client).unwrap_or("whoever you are").to_owned();
    let _ = client.send(format!("hello, {who}!")).await;
}

fn name(client: &Client) -> Option<&str> {
    let cookies = client.request().headers.get(COOKIE)?.to_str().ok()?;
    cookies.split("; ").find_map(|cookie| cookie.strip_prefix("name="))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = server::listen().await?;
    println!("listening on http://{}", listener.local_addr()?);

    let origin = env::var("ORIGIN");
    let origin = HeaderValue::from_str(origin.as_deref().unwrap_or("http://127.0.0.1:9000"))?;
    let cors = CorsLayer::new()
        .allow_origin(origin)
        .allow_credentials(true)
        .allow_methods([Method::GET])
        .allow_headers([HeaderName::from_static("last-event-id")]);

    let sse = Sse::new();
    sse.on_connection(greet);
    // The layer added last is the first to see a request: CORS goes around the event streams.
    let app = Router::new().route("/", get(|| async { "okay" })).layer(sse.clone()).layer(cors);

    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    let server =
        axum::serve(listener, app).with_graceful_shutdown(sse.shutdown_on(server::stop_signal()));
    select! {
        result = server => Ok(result?),
        () = sse.grace_over() => Ok(()),
    }
}
