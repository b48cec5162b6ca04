//! The smallest server: `/` answers `okay`, and every new client on `/sse` gets `hi there!`.
//!
//! Run it with `cargo run --example basic`, then `curl -N localhost:8080/sse`. `PORT` sets another
//! port.

use std::{env, error::Error, process::ExitCode};

use axum::{Router, routing::get, serve::ListenerExt};
use fanfare::Sse;
use tokio::{net::TcpListener, select, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let Err(why) = serve().await else { return ExitCode::SUCCESS };
    eprintln!("Error: {why}");
    ExitCode::FAILURE
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let listener = listen().await?;
    println!("listening on http://{}", listener.local_addr()?);

    let app = Router::new().route("/", get(async || "okay"));

    let sse = Sse::new();
    sse.on_connection(|client| async move { client.send("hi there!").await });

    // Small events go out at once.
    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    let server = axum::serve(listener, sse.attach(app))
        .with_graceful_shutdown(sse.shutdown_on(stop_signal()));
    select! {
        result = server => Ok(result?),
        () = sse.grace_over() => Ok(()),
    }
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
