//! What the examples with pages do around their own work: listen where `PORT` says, stop on SIGINT
//! or SIGTERM, and say clearly why they cannot run.

use std::{env, error::Error, fmt};

use tokio::{net::TcpListener, select, signal};

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
    TcpListener::bind(("127.0.0.1", port)).await.map_err(|error| {
        Failure(format!("cannot listen on 127.0.0.1:{port}: {error}; PORT sets another port"))
    })
}

fn port() -> Result<u16, Failure> {
    let port = env::var_os("PORT").unwrap_or("8080".into());
    let port = port.to_string_lossy();
    port.parse().map_err(|_| Failure(format!("PORT must be a number up to 65535, not {port:?}")))
}

/// Waits for Ctrl-C, or for the polite end that a service manager sends.
pub(crate) async fn stop_signal() {
    #[cfg(unix)]
    if let Ok(mut terminate) = signal::unix::signal(signal::unix::SignalKind::terminate()) {
        select! {
            _ = signal::ctrl_c() => return,
            _ = terminate.recv() => return,
        }
    }
    let _ = signal::ctrl_c().await;
}
