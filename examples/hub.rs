//! A hub inside a program of your own, beside your own routes.
//!
//! Run it with `cargo run -p fanfare-hub --example hub` and open the address that it prints. Publish
//! with `curl -d hello localhost:8080/sse/news`, follow with `curl -N localhost:8080/sse/news`. `PORT`
//! sets another port than 8080. With a secret in `SECRET` the hub asks for tokens made with it
//! (`fanfare token`).

#[path = "shared/server.rs"]
mod server;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{Router, routing::get, serve::ListenerExt};
use fanfare::Sse;
use fanfare_hub::{
    Bounds, Epoch, Hub,
    auth::{self, Auth, KeySource},
    http::{Api, Settings},
    log::{MemoryLog, Retention, Timestamp},
};
use tokio::select;

use server::Failure;

/// The hub reads no clock itself, so that tests can tell it the time.
fn now() -> Timestamp {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO);
    Timestamp(since_1970.as_millis().try_into().unwrap_or(u64::MAX))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = server::listen().await?;
    println!("listening on http://{}", listener.local_addr()?);

    // A log in memory is a new one with each start: that is what the epoch in its ids says.
    let epoch = Epoch::from_seed(now().0);
    let log = Arc::new(MemoryLog::new(epoch, Retention::default()));
    let hub = Hub::new(log, Bounds::default(), Arc::new(now));
    let sse = Sse::new();
    let mut api = Api::new(hub, sse.clone(), Settings::default());
    if let Ok(secret) = std::env::var("SECRET") {
        let keys = vec![KeySource::secret(&secret)];
        let auth = Auth::new(auth::Settings { keys, ..auth::Settings::default() })?;
        api = api.with_auth(Arc::new(auth));
    }

    // The hub answers what your own routes do not: its page at `/`, `/sse/…`, `/topics`.
    let app = Router::new().route("/hello", get(async || "hello\n")).fallback_service(api);

    // Small events go out at once.
    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    let server =
        axum::serve(listener, app).with_graceful_shutdown(sse.shutdown_on(server::stop_signal()));
    select! {
        result = server => Ok(result?),
        () = sse.grace_over() => Ok(()),
    }
}
