//! The hub on sockets: connections with bounds, TLS, and an orderly end.
//!
//! HTTP/1.1 and HTTP/2 are served on the same port: over TLS the client chooses, without it HTTP/2
//! begins with its preface. What a connection may cost is bounded by [`Settings`].
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use fanfare::Sse;
//! use fanfare_hub::{
//!     Hub, http::{self, Api}, log::{MemoryLog, Retention, Timestamp}, server::{Server, Settings},
//! };
//! use fanfare_fanout::{Bounds, Epoch};
//! use tokio::net::TcpListener;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let signal = async {};
//! let log = Arc::new(MemoryLog::new(Epoch::from_seed(1), Retention::default()));
//! let hub = Hub::new(log, Bounds::default(), Arc::new(|| Timestamp(0)));
//! let api = Api::new(hub, Sse::new(), http::Settings::default());
//!
//! let settings = Settings { grace: Duration::from_secs(2), ..Settings::default() };
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! Server::new(api, settings).listen(listener).run(signal).await?;
//! # Ok(())
//! # }
//! ```

mod accept;
mod connection;
mod direct;
mod forwarded;
mod handover;
mod open;
mod service;
mod tls;
mod watch;
mod watched;

use std::{
    num::{NonZeroU32, NonZeroUsize},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::future::select;
use tokio::{net::TcpListener, task::JoinSet, time::timeout};

use crate::{http::Api, log::AppendError};

use accept::Acceptor;
use connection::Connector;
use direct::Direct;
use open::OpenConnections;

pub use forwarded::{ForwardingHeader, Network, NetworkError};
pub use tls::{Tls, TlsError};

/// How long connections are waited for that have been told to end at once.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// What a server and its connections may cost.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Connections at once. More wait until one of them ends, in the operating system's queue.
    /// Default: 110,000, which is more than there may be streams, so that with all of them open
    /// others can still publish.
    pub max_connections: NonZeroU32,
    /// The largest head of a request, in bytes; beyond it the answer is 431. Less than 8 KiB counts as
    /// 8 KiB over HTTP/1.1, where as much is kept of an answer that the peer has not read. Default:
    /// 16 KiB.
    pub max_header_bytes: usize,
    /// The time for the head of a request, from its first byte on. A new connection has this time for
    /// its TLS handshake and its first head together. Default: 10 seconds.
    pub header_timeout: Duration,
    /// How long a connection may go without a request. It should be longer than what a proxy in front
    /// keeps its connections for. Default: 75 seconds.
    pub idle_timeout: Duration,
    /// How long a peer may read nothing while there is something for it to read. Its subscription
    /// costs no memory meanwhile, but its connection does. Default: 60 seconds.
    pub write_timeout: Duration,
    /// What is kept of each answer over HTTP/2 that the peer has not read, in bytes. The operating
    /// system keeps some more for each connection. Default: 64 KiB.
    pub write_buffer_bytes: usize,
    /// Requests at once in one HTTP/2 connection. Default: 200.
    pub max_requests_per_connection: u32,
    /// Threads that write streams into plain HTTP/1.1 connections, each of its own; `None`: streams are
    /// written by hyper on tokio's threads, as those over HTTP/2 and TLS always are. Default: one for
    /// each CPU.
    pub engine_threads: Option<NonZeroUsize>,
    /// How long a shutdown may take. Default: 5 seconds.
    pub grace: Duration,
    /// Proxies whose word is taken for the address of a client. Default: none, and then a client's
    /// address is that of the other end of its connection.
    pub trusted_proxies: Vec<Network>,
    /// In which header they tell it. Default: `X-Forwarded-For`.
    pub forwarding_header: ForwardingHeader,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_connections: NonZeroU32::new(110_000).unwrap_or(NonZeroU32::MAX),
            max_header_bytes: 16 * 1024,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_mins(1),
            write_buffer_bytes: 64 * 1024,
            max_requests_per_connection: 200,
            engine_threads: std::thread::available_parallelism().ok(),
            grace: Duration::from_secs(5),
            trusted_proxies: vec![],
            forwarding_header: ForwardingHeader::default(),
        }
    }
}

/// Serves the HTTP interface of a hub on listeners.
#[derive(Debug)]
pub struct Server {
    api: Api,
    settings: Settings,
    listeners: Vec<Listener>,
}

/// Where connections come from.
#[derive(Debug)]
struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<Tls>>,
}

impl Server {
    /// A server that listens nowhere yet.
    pub fn new(api: Api, settings: Settings) -> Self {
        Self { api, settings, listeners: vec![] }
    }

    /// Serves plain HTTP on this listener too.
    pub fn listen(self, listener: TcpListener) -> Self {
        self.listen_on(Listener { tcp: listener, tls: None })
    }

    /// Serves HTTPS on this listener too. The certificate is the one that `tls` has when a connection
    /// begins: [`Tls::reload`] it from elsewhere.
    pub fn listen_tls(self, listener: TcpListener, tls: Arc<Tls>) -> Self {
        self.listen_on(Listener { tcp: listener, tls: Some(tls) })
    }

    fn listen_on(mut self, listener: Listener) -> Self {
        // Now: it gives nothing to connections that are made before.
        #[cfg(target_os = "linux")]
        connection::set_up_listener(&listener.tcp, &self.settings);
        self.listeners.push(listener);
        self
    }

    /// Serves until `shutdown` is ready, then brings everything to an end and closes the log:
    ///
    /// - Nothing more is accepted, `/readyz` says no, and connections without a request are closed.
    /// - Requests are answered, each stream is told when to come back, and they end one after the
    ///   other: see [`Api::begin_shutdown`].
    /// - What has not ended when the grace period is over is cut off.
    ///
    /// Dropping the future stops accepting, and leaves open connections to themselves.
    ///
    /// # Errors
    ///
    /// The log's, when it cannot be closed as it should.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), AppendError> {
        let Self { api, settings, listeners } = self;
        let grace = settings.grace;
        let open = OpenConnections::new(settings.max_connections, api.hub());
        let direct = direct(&api, &settings);
        let connector = Connector::new(api.clone(), settings, direct.clone());
        let acceptor = Acceptor::new(listeners, connector, open.clone());
        // On a worker of the runtime, connections begin where they were accepted.
        let mut accepting = JoinSet::new();
        accepting.spawn(acceptor.run());
        select(pin!(accepting.join_next()), pin!(shutdown)).await;
        // The listeners are closed with it.
        accepting.shutdown().await;
        api.begin_shutdown(grace);
        direct.iter().for_each(Direct::begin_shutdown);
        end(&open, grace).await;
        api.hub().end_streams();
        api.hub().close().await
    }
}

/// What serves streams on plain sockets. Without it hyper does.
fn direct(api: &Api, settings: &Settings) -> Option<Direct> {
    // Elsewhere a poller does not tell of a socket again that has taken a part.
    if cfg!(not(unix)) {
        return None;
    }
    let started = Direct::start(api.clone(), settings, settings.engine_threads?);
    if let Err(error) = &started {
        tracing::warn!(%error, "there is no engine, so each stream costs a task");
    }
    started.ok()
}

/// Ends all connections within the grace period.
async fn end(open: &OpenConnections, grace: Duration) {
    open.drain();
    if timeout(grace, open.all_ended()).await.is_err() {
        tracing::warn!(connections = open.len(), "the grace period is over: the rest is cut off");
        open.cut_off();
        // A task that does not notice is not waited for.
        let _ = timeout(LAST_WAIT, open.all_ended()).await;
    }
}
