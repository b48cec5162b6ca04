//! The smallest server: `/` answers `okay`, and every new client on `/sse` gets `hi there!`.
//!
//! Run it with `cargo run --example basic`, then `curl -N localhost:8080/sse`. `PORT` sets another
//! port.

use axum::{Router, routing::get};
use fanfare::Sse;
use tokio::{net::TcpListener, signal::ctrl_c};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8080);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);

    let app = Router::new().route("/", get(|| async { "okay" }));

    let sse = Sse::new();
    sse.on_connection(|client| async move { client.send("hi there!").await });
    let server =
        axum::serve(listener, sse.attach(app)).with_graceful_shutdown(sse.shutdown_on(ctrl_c()));

    tokio::select! {
        result = server => result,
        () = sse.grace_over() => Ok(()),
    }
}
