//! The smallest server: `/` answers `okay`, and every new client on `/sse` gets `hi there!`.
//!
//! Run it with `cargo run --example basic`, then `curl -N localhost:8080/sse`. `PORT` sets another
//! port.

#[path = "shared/server.rs"]
mod server;

use axum::{Router, routing::get, serve::ListenerExt};
use fanfare::Sse;
use tokio::select;

use server::Failure;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = server::listen().await?;
    println!("listening on http://{}", listener.local_addr()?);

    let app = Router::new().route("/", get(async || "okay"));

    let sse = Sse::new();
    sse.on_connection(|client| async move { client.send("hi there!").await });

    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    let server = axum::serve(listener, sse.attach(app))
        .with_graceful_shutdown(sse.shutdown_on(server::stop_signal()));
    select! {
        result = server => Ok(result?),
        () = sse.grace_over() => Ok(()),
    }
}
