//! One connection: TLS, HTTP, and the watch over both.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, PoisonError},
    task::{Context, Poll, ready},
};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use crate::{
    http::{Api, CutOff},
    metrics::{Closing, Disconnect, Metrics},
};

use super::{
    Settings,
    direct::Direct,
    forwarded::Forwarding,
    handover::{Answered, Handover},
    open::{Entered, Phase},
    service::PeerService,
    tls::Tls,
    watch::{Patience, Watch},
    watched::{Home, Watched},
};

/// The least that hyper takes for a buffer, in bytes.
const SMALLEST_BUFFER: usize = 8 * 1024;

type Http = auto::Builder<TokioExecutor>;
type HttpConnection<'a, S> = auto::Connection<'a, TokioIo<Watched<S>>, PeerService, TokioExecutor>;

/// Makes connections out of sockets, each on a task of its own.
pub(super) struct Connector(Arc<Shared>);

struct Shared {
    api: Api,
    http: Http,
    patience: Patience,
    forwarding: Arc<Forwarding>,
    /// Serves streams on plain sockets; without it hyper does.
    direct: Option<Direct>,
}

/// How a connection has ended.
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is made")]
enum Outcome {
    /// As HTTP says.
    Over,
    /// By a failure of the network or the peer.
    Failed(Box<dyn Error + Send + Sync>),
    /// By the hub.
    CutOff(Closing),
    /// What it answers last needs no HTTP any more.
    Detached(Answered),
}

impl Connector {
    pub(super) fn new(api: Api, settings: Settings, direct: Option<Direct>) -> Self {
        let http = http(&settings);
        let patience = Patience {
            header: settings.header_timeout,
            idle: settings.idle_timeout,
            write: settings.write_timeout,
        };
        let forwarding = Forwarding::new(settings.trusted_proxies, settings.forwarding_header);
        let forwarding = Arc::new(forwarding);
        Self(Arc::new(Shared { api, http, patience, forwarding, direct }))
    }

    pub(super) fn metrics(&self) -> &Metrics {
        self.0.api.hub().metrics()
    }

    /// Serves a connection.
    pub(super) fn connect(
        &self,
        socket: TcpStream,
        peer: SocketAddr,
        tls: Option<Arc<Tls>>,
        entered: Entered,
    ) {
        let shared = self.0.clone();
        tokio::spawn(async move {
            #[cfg(not(target_os = "linux"))]
            set_up(&socket);
            match tls {
                None => shared.serve_plain(socket, peer, entered).await,
                Some(tls) => shared.serve_tls(socket, peer, &tls, &entered).await,
            }
        });
    }
}

fn http(settings: &Settings) -> Http {
    let header_bytes = u32::try_from(settings.max_header_bytes).unwrap_or(u32::MAX);
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        // The watch knows when a head begins.
        .header_read_timeout(None)
        // The buffer of a connection, in which a head has to fit.
        .max_buf_size(settings.max_header_bytes.max(SMALLEST_BUFFER));
    http.http2()
        .timer(TokioTimer::new())
        .max_header_list_size(header_bytes)
        .max_concurrent_streams(settings.max_requests_per_connection)
        .max_send_buf_size(settings.write_buffer_bytes.min(u32::MAX as usize));
    http
}

/// What cannot be set stays as it is: connections work all the same. Linux gives the connections of a
/// listener what is set on that.
#[cfg(target_os = "linux")]
pub(super) fn set_up_listener(listener: &tokio::net::TcpListener, settings: &Settings) {
    use rustix::net::sockopt;

    let _ = sockopt::set_tcp_nodelay(listener, true);
    // A peer that is gone without a word confirms nothing. It may take twice as long as one that
    // reads nothing, so that the watch sees those first.
    let millis = u32::try_from(settings.write_timeout.as_millis()).unwrap_or(u32::MAX);
    let _ = sockopt::set_tcp_user_timeout(listener, millis.saturating_mul(2));
    // Otherwise the kernel keeps up to some MiB for each peer that does not read. It doubles the number,
    // for what it needs itself.
    let _ = sockopt::set_socket_send_buffer_size(listener, settings.write_buffer_bytes / 2);
}

#[cfg(not(target_os = "linux"))]
fn set_up(socket: &TcpStream) {
    let _ = socket.set_nodelay(true);
}

impl Shared {
    async fn serve_plain(&self, socket: TcpStream, peer: SocketAddr, entered: Entered) {
        let handover = self.direct.as_ref().filter(|direct| direct.is_able());
        let handover = handover.map(|_| Handover::default());
        let left = self.serve(socket, peer, &entered, Instant::now(), handover).await;
        if let (Some(direct), Some((socket, answered))) = (self.direct.clone(), left) {
            direct.serve(socket, answered, entered).await;
        }
    }

    async fn serve_tls(&self, socket: TcpStream, peer: SocketAddr, tls: &Tls, entered: &Entered) {
        let begun = Instant::now();
        match self.handshake(socket, tls, entered, begun).await {
            Some(Ok(socket)) => {
                // Its streams need TLS, and are never detached.
                self.serve(socket, peer, entered, begun, None).await;
            }
            Some(Err(error)) => {
                tracing::debug!(%error, %peer, "a TLS handshake failed");
                self.api.hub().metrics().closings.count(Closing::Tls);
            }
            None => {}
        }
    }

    /// `None` when there is no time for it.
    async fn handshake(
        &self,
        socket: TcpStream,
        tls: &Tls,
        entered: &Entered,
        begun: Instant,
    ) -> Option<io::Result<tokio_rustls::server::TlsStream<TcpStream>>> {
        let mut handshake = pin!(tls.accept(socket));
        let mut deadline = Alarm::default();
        std::future::poll_fn(|context| {
            entered.waking().register(context.waker());
            if let Poll::Ready(outcome) = handshake.as_mut().poll(context) {
                return Poll::Ready(Some(outcome));
            }
            if entered.phase() != Phase::Serving {
                return Poll::Ready(None);
            }
            let Some(due) = begun.checked_add(self.patience.header) else { return Poll::Pending };
            ready!(deadline.poll(due, context));
            self.api.hub().metrics().closings.count(Closing::HeaderTime);
            Poll::Ready(None)
        })
        .await
    }

    /// Serves a connection up to its end, or up to where a stream is left that needs no HTTP any more.
    async fn serve<S>(
        &self,
        socket: S,
        peer: SocketAddr,
        entered: &Entered,
        begun: Instant,
        handover: Option<Handover>,
    ) -> Option<(S, Answered)>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let cut_off = CutOff::default();
        let watch = Arc::new(Watch::new(begun, self.patience, entered.waking().clone()));
        let service = PeerService {
            api: self.api.clone(),
            watch: watch.clone(),
            peer: peer.ip(),
            forwarding: self.forwarding.clone(),
            cut_off: cut_off.clone(),
            handover: handover.clone(),
        };
        let home = Home::default();
        let io = TokioIo::new(Watched::new(socket, watch.clone(), home.clone()));
        let outcome = {
            let connection = pin!(self.http.serve_connection(io, service));
            attend(connection, &watch, entered, &cut_off, handover.as_ref()).await
        };
        let Outcome::Detached(answered) = outcome else {
            self.note(outcome, peer);
            return None;
        };
        // The connection is dropped, and has brought it home.
        let socket = home.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some((socket, answered))
    }

    fn note(&self, outcome: Outcome, peer: SocketAddr) {
        let closings = &self.api.hub().metrics().closings;
        match outcome {
            Outcome::Over | Outcome::Detached(_) => {}
            Outcome::CutOff(why) => {
                tracing::debug!(?why, %peer, "a connection was cut off");
                closings.count(why);
            }
            Outcome::Failed(error) => {
                let failed = error.downcast_ref::<hyper::Error>();
                if failed.is_some_and(hyper::Error::is_parse_too_large) {
                    closings.count(Closing::HeaderSize);
                }
                tracing::debug!(error, %peer, "a connection failed");
            }
        }
    }
}

/// Has a connection go on while it may.
async fn attend<S>(
    mut connection: Pin<&mut HttpConnection<'_, S>>,
    watch: &Watch,
    entered: &Entered,
    cut_off: &CutOff,
    handover: Option<&Handover>,
) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut alarm = Alarm::default();
    let (mut is_leaving, mut was_idle) = (false, false);
    std::future::poll_fn(|context| {
        entered.waking().register(context.waker());
        let phase = entered.phase();
        if phase == Phase::CutOff {
            cut_off.because(Disconnect::Shutdown);
            return Poll::Ready(Outcome::CutOff(Closing::Grace));
        }
        if phase == Phase::Draining && !is_leaving {
            is_leaving = true;
            leave(connection.as_mut(), watch);
        }
        loop {
            if let Poll::Ready(outcome) = connection.as_mut().poll(context) {
                return Poll::Ready(match outcome {
                    _ if was_idle => Outcome::CutOff(Closing::Idle),
                    Ok(()) => Outcome::Over,
                    Err(error) => Outcome::Failed(error),
                });
            }
            if let Some(offer) = handover.and_then(Handover::take) {
                if is_leaving || watch.has_unsent() {
                    offer.refuse();
                    continue;
                }
                return Poll::Ready(Outcome::Detached(offer.accept()));
            }
            let Some((due, why)) = watch.deadline() else { return Poll::Pending };
            ready!(alarm.poll(due, context));
            if why == Closing::Idle && !is_leaving {
                (is_leaving, was_idle) = (true, true);
                leave(connection.as_mut(), watch);
                continue;
            }
            if why == Closing::Stalled {
                cut_off.because(Disconnect::Stalled);
            }
            return Poll::Ready(Outcome::CutOff(why));
        }
    })
    .await
}

/// Ends the connection with what it is doing.
fn leave<S>(connection: Pin<&mut HttpConnection<'_, S>>, watch: &Watch)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    watch.leave();
    connection.graceful_shutdown();
}

/// Wakes its task at a moment that moves on. It is set anew only when it has rung, or is late.
#[derive(Default)]
struct Alarm {
    set_for: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Ready when `due` has come.
    fn poll(&mut self, due: Instant, context: &mut Context<'_>) -> Poll<()> {
        let mut now = Instant::now();
        while now < due {
            if self.set_for.is_some_and(|set_for| now < set_for && set_for <= due) {
                return Poll::Pending;
            }
            ready!(self.set(due).poll(context));
            self.set_for = None;
            now = Instant::now();
        }
        Poll::Ready(())
    }

    fn set(&mut self, due: Instant) -> Pin<&mut Sleep> {
        self.set_for = Some(due);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        sleep.as_mut().reset(due);
        sleep.as_mut()
    }
}
