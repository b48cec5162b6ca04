//! What a server tells of the other end of a connection, and what that must not leave open.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use http::{Extensions, Version, header, request::Parts};

use super::Problem;
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

/// Refuses a request for more than one host, or for none where there has to be one (RFC 9112, section
/// 3.2): a proxy in front may have sent it here for another one than this server takes it for.
pub(super) fn check_host(request: &Parts) -> Result<(), Problem> {
    let hosts = request.headers.get_all(header::HOST).iter().count();
    // Without the hub's own server there may have been no head.
    let is_own = request.extensions.get::<CutOff>().is_some();
    let least = usize::from(is_own && request.version == Version::HTTP_11);
    if (least..=1).contains(&hosts) {
        return Ok(());
    }
    let detail = "a request has one Host header";
    Err(Problem::bad_request(detail).closing(request.version))
}
