//! Twenty event streams of one page over a single connection: HTTP/2 over TLS.
//!
//! Over HTTP/1.1 each event stream holds a connection, and a browser opens at most six to a server,
//! for all tabs together. Run this with `cargo run --release --example http2` and open the address
//! that it prints; the certificate is made at start, so the browser asks whether to trust it.
//! `PORT` sets another port than 8080.

#[path = "../shared/page.rs"]
mod page;
#[path = "../shared/server.rs"]
mod server;
mod tls;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    routing::get,
    serve::{Listener, ListenerExt},
};
use fanfare::{Channel, Closed, LagPolicy, Sse};
use serde::Serialize;
use tokio::{select, time::interval};

use server::Failure;
use tls::TlsListener;

const TICK: Duration = Duration::from_millis(100);

#[derive(Serialize)]
struct Counts {
    /// Connections since the start.
    connections: usize,
    /// Event streams that are open now.
    streams: usize,
}

/// Counts, for everybody.
async fn tick(channel: Channel) -> Result<(), Closed> {
    let mut interval = interval(TICK);
    for count in 0_u64.. {
        interval.tick().await;
        channel.broadcast(count.to_string())?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = TlsListener::new(server::listen().await?)?;
    println!("listening on https://{}", listener.local_addr()?);

    let connections = Arc::<AtomicUsize>::default();
    let listener = listener.tap_io({
        let connections = connections.clone();
        move |_| {
            connections.fetch_add(1, Ordering::Relaxed);
        }
    });

    let sse = Sse::builder().retry(Duration::from_secs(1)..=Duration::from_secs(2)).build();
    // Only the newest count matters.
    let ticks =
        Channel::builder(&sse).without_ids().history(1).lag_policy(LagPolicy::Latest).build();
    tokio::spawn(tick(ticks.clone()));
    sse.on_connection(move |client| {
        let joined = ticks.join(&client);
        async move { joined }
    });

    let counts = {
        let sse = sse.clone();
        async move || {
            let connections = connections.load(Ordering::Relaxed);
            Json(Counts { connections, streams: sse.len() })
        }
    };
    let app = Router::new()
        .route("/counts", get(counts))
        .route("/", page::html(include_str!("index.html")))
        .route("/page.css", page::css(include_str!("page.css")))
        .route("/page.js", page::javascript(include_str!("page.js")))
        .merge(page::shared());

    let server = axum::serve(listener, sse.attach(app))
        .with_graceful_shutdown(sse.shutdown_on(server::stop_signal()));
    select! {
        result = server => Ok(result?),
        () = sse.grace_over() => Ok(()),
    }
}
