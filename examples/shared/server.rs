//! What every example does around its own work: listen where `PORT` says, stop on SIGINT or
//! SIGTERM, and say clearly why it cannot run.

use std::{env, error::Error, fmt, future};

use tokio::{net::TcpListener, select, signal};

const DEFAULT_PORT: u16 = 8080;

/// Why the program cannot run. `main` prints an error by its `Debug`, so that is the message.
pub(crate) struct Failure(String);

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Listens on this machine only, on `PORT` (8080 if not set, any free one if 0).
pub(crate) async fn listen() -> Result<TcpListener, Failure> {
    let port = port()?;
    let bound = TcpListener::bind(("127.0.0.1", port)).await;
    bound.map_err(|error| Failure(format!("cannot listen on 127.0.0.1:{port}: {error}")))
}

fn port() -> Result<u16, Failure> {
    let Ok(port) = env::var("PORT") else { return Ok(DEFAULT_PORT) };
    port.parse().map_err(|_| Failure(format!("PORT must be a number up to 65535, not {port:?}")))
}

/// Waits for Ctrl-C, or for the polite end that a service manager sends.
pub(crate) async fn stop_signal() {
    select! {
        _ = signal::ctrl_c() => (),
        () = terminate() => (),
    }
}

#[cfg(unix)]
async fn terminate() {
    match signal::unix::signal(signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => drop(terminate.recv().await),
        Err(_) => future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminate() {
    future::pending().await
}
