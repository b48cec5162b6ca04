//! What a server tells of the other end of a connection.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use http::Extensions;

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
