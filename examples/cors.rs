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

use std::{env, error::Error, process::ExitCode};

use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method, Uri, header::COOKIE},
    routing::get,
    serve::ListenerExt,
};
use fanfare::{Client, Sse};
use tokio::{net::TcpListener, select, signal};
use tower_http::cors::CorsLayer;

#[tokio::main]
async fn main() -> ExitCode {
    let Err(why) = serve().await else { return ExitCode::SUCCESS };
    eprintln!("Error: {why}");
    ExitCode::FAILURE
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let cors = CorsLayer::new()
        .allow_origin(origin()?)
        .allow_credentials(true)
        .allow_methods([Method::GET])
        .allow_headers([HeaderName::from_static("last-event-id")]);

    let listener = listen().await?;
    println!("listening on http://{}", listener.local_addr()?);

    let sse = Sse::new();
    sse.on_connection(greet);
    // The layer added last is the first to see a request: CORS goes around the event streams.
    let app = Router::new().route("/", get(|| async { "okay" })).layer(sse.clone()).layer(cors);

    // Small events go out at once.
    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    let server = axum::serve(listener, app).with_graceful_shutdown(sse.shutdown_on(stop_signal()));
    select! {
        result = server => Ok(result?),
        () = sse.grace_over() => Ok(()),
    }
}

async fn greet(client: Client) {
    let who = name(&client).unwrap_or("whoever you are").to_owned();
    let _ = client.send(format!("hello, {who}!")).await;
}

fn name(client: &Client) -> Option<&str> {
    let cookies = client.request().headers.get(COOKIE)?.to_str().ok()?;
    cookies.split("; ").find_map(|cookie| cookie.strip_prefix("name="))
}

/// The origin that `ORIGIN` names. `*` would not do where cookies are sent.
fn origin() -> Result<HeaderValue, String> {
    let origin = env::var_os("ORIGIN").unwrap_or("http://127.0.0.1:9000".into());
    let origin = origin.to_string_lossy();
    let header = origin.parse().ok().filter(|_| is_origin(&origin));
    header.ok_or_else(|| format!("ORIGIN must be like https://example.com, not {origin:?}"))
}

/// Browsers compare letter by letter: a path, or a slash at the end, would let nobody in.
fn is_origin(text: &str) -> bool {
    let uri = text.parse::<Uri>().unwrap_or_default();
    let Some((scheme, authority)) = uri.scheme().zip(uri.authority()) else { return false };
    text == format!("{scheme}://{authority}")
}

/// Listens on this machine only, on `PORT` (8080 if not set, any free one if 0).
async fn listen() -> Result<TcpListener, String> {
    let port = env::var_os("PORT").unwrap_or("8080".into());
    let port = port.to_string_lossy();
    let number = port.parse::<u16>();
    let number = number.map_err(|_| format!("PORT must be a number up to 65535, not {port:?}"))?;
    TcpListener::bind(("127.0.0.1", number)).await.map_err(|error| {
        format!("cannot listen on 127.0.0.1:{number}: {error}; PORT sets another port")
    })
}

/// Waits for Ctrl-C, or for the polite end that a service manager sends.
async fn stop_signal() {
    #[cfg(unix)]
    if let Ok(mut terminate) = signal::unix::signal(signal::unix::SignalKind::terminate()) {
        select! {
            _ = signal::ctrl_c() => return,
            _ = terminate.recv() => return,
        }
    }
    let _ = signal::ctrl_c().await;
}
