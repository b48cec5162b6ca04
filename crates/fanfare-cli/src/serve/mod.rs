//! `fanfare serve`: a hub, from its settings to its end.

// From the command line to settings.
mod options;

// From settings to the parts of a hub.
mod error;
mod messages;
mod origin;
mod parts;

// While it serves.
mod greeting;
mod relay;
mod signals;
mod upkeep;

use std::{
    cell::Cell,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use fanfare::Sse;
use fanfare_hub::{
    Clock, Hub,
    auth::Auth,
    http::Api,
    log::Timestamp,
    server::{Server, Tls},
};
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime,
};

pub(crate) use error::ServeError;
pub(crate) use options::Options;

use crate::{
    config::{self, Loaded, Settings},
    descriptors,
    failure::Failure,
    output, stderr,
};
use greeting::Greeting;
use parts::OpenedLog;
use upkeep::Upkeep;

/// Connections that wait to be accepted; the operating system has a bound of its own.
const BACKLOG: u32 = 4096;

pub(crate) fn run(options: &Options, now: fn() -> SystemTime) -> Result<(), Failure> {
    let loaded = config::load(&options.sources())?;
    if options.print_config {
        loaded.warnings.iter().for_each(stderr::say);
        return output::print(config::print(&loaded.settings).as_bytes());
    }
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::Begin)?;
    let outcome = runtime.block_on(serve(&loaded, Arc::new(move || timestamp(now()))));
    // What still reads from a disk is not waited for.
    runtime.shutdown_background();
    outcome
}

async fn serve(loaded: &Loaded, clock: Clock) -> Result<(), Failure> {
    let settings = &loaded.settings;
    messages::begin(settings);
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    descriptors::raise_limit();
    let auth = parts::auth(settings)?.map(Arc::new);
    let tls = parts::tls(settings)?;
    protect(settings, auth.as_deref())?;
    let listener = listen(*settings.server.listen)?;
    // From here on a signal ends it in good order.
    let ending = signals::ending().map_err(Failure::Begin)?;
    let opened = parts::log(settings, fastrand::u64(..)).await?;
    report(&opened);
    let address = listener.local_addr().map_err(Failure::Begin)?;
    greet(settings, address, &opened, auth.as_deref())?;
    let log = opened.log();
    let (name, window) = (parts::name(settings, address), parts::window(&settings.log));
    let hub = Hub::with_name(name, log.clone(), window, clock.clone());
    let relays = relay::begin(settings, &hub)?;
    let api = Api::new(hub.clone(), Sse::new(), parts::http(settings));
    let api = auth.clone().into_iter().fold(api, Api::with_auth);
    let upkeep = Upkeep { hub, auth, tls: tls.clone(), clock };
    let upkeep = upkeep.begin(*settings.log.trim_every).map_err(Failure::Begin)?;
    let is_replaced = Cell::new(false);
    let ending = async {
        tokio::select! {
            () = ending => {}
            () = log.replaced() => is_replaced.set(true),
        }
        // They would find the log closed.
        upkeep.abort();
        drop(relays);
    };
    let served = server(settings, api, listener, tls).run(ending).await;
    served.map_err(ServeError::Close)?;
    if is_replaced.get() {
        return Err(ServeError::Replaced.into());
    }
    tracing::info!("ended in good order");
    Ok(())
}

/// Others than this machine are served only if tokens decide what they may do.
fn protect(settings: &Settings, auth: Option<&Auth>) -> Result<(), ServeError> {
    let address = *settings.server.listen;
    let is_protected = auth.is_some_and(Auth::has_keys);
    if address.ip().to_canonical().is_loopback() || is_protected {
        return Ok(());
    }
    if *settings.server.insecure {
        tracing::warn!(%address, "others are served without authentication");
        return Ok(());
    }
    Err(ServeError::Unprotected(address))
}

/// After a restart all clients come back within seconds.
fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let listening = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listening().map_err(|error| ServeError::of_listen(address, error))
}

/// Says what opening the log has found.
fn report(opened: &OpenedLog) {
    match opened {
        OpenedLog::Embedded(_, opened) if opened.was_open || opened.was_unfinished => {
            tracing::warn!("{opened}");
        }
        OpenedLog::Embedded(_, opened) => tracing::info!("{opened}"),
        OpenedLog::Memory(_) | OpenedLog::Shared(_) => {}
    }
}

fn greet(
    settings: &Settings,
    address: SocketAddr,
    opened: &OpenedLog,
    auth: Option<&Auth>,
) -> Result<(), Failure> {
    let asks_for_tokens = auth.is_some_and(Auth::has_keys);
    let greeting = Greeting { settings, address, opened, asks_for_tokens };
    match output::print(greeting.to_string().as_bytes()) {
        // Nobody listens to it; the hub serves all the same.
        Err(Failure::Stdout(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

fn server(settings: &Settings, api: Api, listener: TcpListener, tls: Option<Arc<Tls>>) -> Server {
    let server = Server::new(api, parts::server(settings));
    match tls {
        None => server.listen(listener),
        Some(tls) => server.listen_tls(listener, tls),
    }
}

fn timestamp(now: SystemTime) -> Timestamp {
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp(since_1970.as_millis().try_into().unwrap_or(u64::MAX))
}
