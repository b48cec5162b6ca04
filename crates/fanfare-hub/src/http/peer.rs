//! What a server tells of the other end of a connection.

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use http::Extensions;

use super::stream::Streaming;
use crate::metrics::Disconnect;

/// The address of whoever sent a request, among the request's extensions: what is bounded by
/// address counts by it. [`Server`](crate::server::Server) puts it there; another server has to do it
/// itself, or nothing is bounded by address; [`limits::Settings`](crate::limits::Settings) has an
/// example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    pub(crate) fn of(extensions: &Extensions) -> Option<IpAddr> {
        extensions.get::<Self>().map(|address| address.0)
    }
}

/// Why a connection is cut off, said before it is: so that its streams know why they are dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct CutOff(Arc<OnceLock<Disconnect>>);

impl CutOff {
    pub(crate) fn because(&self, reason: Disconnect) {
        // The first reason counts.
        let _ = self.0.set(reason);
    }

    pub(crate) fn reason(&self) -> Option<Disconnect> {
        self.0.get().copied()
    }
}

/// Among the extensions of a request: the server can write a stream into its socket itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnSocket;

/// Among the extensions of a response: the stream that the server is to write.
#[derive(Clone)]
pub(crate) struct Detached(Arc<Mutex<Option<Streaming>>>);

impl Detached {
    pub(super) fn new(streaming: Streaming) -> Self {
        Self(Arc::new(Mutex::new(Some(streaming))))
    }

    /// The stream, for who asks first.
    pub(crate) fn take(&self) -> Option<Streaming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Detached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Detached")
    }
}
