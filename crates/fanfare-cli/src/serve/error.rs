//! Why a hub cannot serve.

use std::{io, net::SocketAddr};

use fanfare_hub::{
    auth::AuthError,
    log::{AppendError, BoxError, OpenError},
    server::TlsError,
};
use thiserror::Error;

#[derive(Debug, Error)]
pub(crate) enum ServeError {
    #[error(
        "refusing to serve {0} without authentication: whoever reaches that address could follow, \
         publish and erase. Name keys that verify tokens ([auth], or --secret-file FILE), listen on \
         127.0.0.1, or say --insecure if something else protects it"
    )]
    Unprotected(SocketAddr),
    #[error("{address} is in use by another program: stop it, or --listen on another port")]
    Taken { address: SocketAddr },
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("{0}: stop it, or name another folder with --data")]
    Locked(OpenError),
    #[error("the log cannot be opened")]
    Log(#[source] OpenError),
    #[error("the log at {at} cannot be used")]
    Shared {
        at: String,
        #[source]
        error: BoxError,
    },
    #[error(
        "the log has lost events that it had, or is another one: start the hub again, which then goes on \
         with what there is, and tells its subscribers"
    )]
    Replaced,
    #[error("the log could not be closed in good order")]
    Close(#[source] AppendError),
    #[error("authentication is not possible")]
    Auth(#[source] AuthError),
    #[error("TLS is not possible")]
    Tls(#[source] TlsError),
    #[error("HTTP requests are not possible")]
    Client(#[source] fanfare_client::BoxError),
}

impl ServeError {
    pub(crate) fn status(&self) -> u8 {
        if matches!(self, Self::Unprotected(_)) { 2 } else { 1 }
    }

    pub(super) fn of_listen(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::Taken { address },
            _ => Self::Listen { address, source },
        }
    }

    pub(super) fn of_open(error: OpenError) -> Self {
        match error {
            error @ OpenError::InUse { .. } => Self::Locked(error),
            error => Self::Log(error),
        }
    }
}
