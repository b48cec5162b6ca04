//! Accepting connections, and pausing when that is no use.

use std::{
    io,
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::metrics::Pause;

use super::{
    Listener,
    connection::Connector,
    open::{OpenConnections, Room},
};

/// How long the first pause is after the operating system has refused a connection.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Each pause is twice as long as the one before, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Pauses of a kind are logged once in this time.
const LOG_PERIOD: Duration = Duration::from_mins(1);

/// Accepts the connections of all listeners.
pub(super) struct Acceptor {
    listeners: Vec<Listener>,
    /// Which listener is asked first.
    turn: usize,
    connector: Connector,
    open: OpenConnections,
    full: Told,
    failing: Told,
    pause: Duration,
}

/// When something was logged.
#[derive(Debug, Default)]
struct Told(Option<Instant>);

impl Acceptor {
    pub(super) fn new(
        listeners: Vec<Listener>,
        connector: Connector,
        open: OpenConnections,
    ) -> Self {
        Self {
            listeners,
            turn: 0,
            connector,
            open,
            full: Told::default(),
            failing: Told::default(),
            pause: FIRST_PAUSE,
        }
    }

    /// Accepts until it is dropped.
    pub(super) async fn run(mut self) {
        while let Some(room) = self.room().await {
            let (index, socket, peer) = self.accept().await;
            let tls = self.listeners.get(index).and_then(|listener| listener.tls.clone());
            self.connector.connect(socket, peer, tls, self.open.enter(room));
        }
    }

    /// Room for one more connection.
    async fn room(&mut self) -> Option<Room> {
        if let Some(room) = self.open.try_room() {
            return Some(room);
        }
        self.connector.metrics().pauses.count(Pause::Connections);
        if self.full.is_due() {
            tracing::warn!(
                connections = self.open.len(),
                "as many connections are open as may be: more wait until some end"
            );
        }
        self.open.room().await
    }

    /// The next connection, and whose it is.
    async fn accept(&mut self) -> (usize, TcpStream, SocketAddr) {
        loop {
            match std::future::poll_fn(|context| self.poll_accept(context)).await {
                Ok(accepted) => {
                    self.pause = FIRST_PAUSE;
                    return accepted;
                }
                Err(error) if is_of_peer(&error) => {}
                Err(error) => self.back_off(&error).await,
            }
        }
    }

    fn poll_accept(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(usize, TcpStream, SocketAddr)>> {
        let count = self.listeners.len();
        for index in (0..count).map(|offset| (self.turn + offset) % count) {
            if let Poll::Ready(accepted) = self.listeners[index].tcp.poll_accept(context) {
                self.turn = index + 1;
                return Poll::Ready(accepted.map(|(socket, peer)| (index, socket, peer)));
            }
        }
        Poll::Pending
    }

    async fn back_off(&mut self, error: &io::Error) {
        let is_out_of_descriptors = is_out_of_descriptors(error);
        let why = if is_out_of_descriptors { Pause::Descriptors } else { Pause::Failure };
        self.connector.metrics().pauses.count(why);
        if self.failing.is_due() {
            let connections = self.open.len();
            if is_out_of_descriptors {
                tracing::error!(
                    connections,
                    "no file descriptors are left, so connections wait: raise the limit (ulimit -n), \
                     or lower max_connections"
                );
            } else {
                tracing::error!(connections, %error, "connections cannot be accepted, so they wait");
            }
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

impl Told {
    /// Whether it is to be logged again.
    fn is_due(&mut self) -> bool {
        let is_due = self.0.is_none_or(|told| told.elapsed() >= LOG_PERIOD);
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }
}

/// The connection was over before it was accepted.
fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(unix)]
fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(not(unix))]
fn is_out_of_descriptors(_: &io::Error) -> bool {
    false
}
