//! Requests by hyper alone: fewer dependencies, no proxies.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tower_http::decompression::Decompression;
use tower_service::Service;

use super::{Sending, Transport, boxed, tls};
use crate::{BoxError, BuildError};

/// A [`Transport`] on hyper and hyper-util.
#[derive(Debug, Clone)]
pub struct Hyper(Decompression<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>);

impl Hyper {
    /// A transport with connections of its own: HTTP/1.1 and HTTP/2, TLS by rustls and the
    /// platform's certificates, answers in gzip, brotli and zstd.
    ///
    /// # Errors
    ///
    /// [`BuildError::Transport`] when TLS cannot be set up, for instance without certificates.
    pub fn new() -> Result<Self, BuildError> {
        Self::build().map_err(BuildError::Transport)
    }

    fn build() -> Result<Self, BoxError> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::config()?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        let client =
            Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Ok(Self(Decompression::new(client)))
    }
}

impl Transport for Hyper {
    fn send(&self, request: Request<Bytes>) -> Sending {
        let mut client = self.0.clone();
        // The client is always ready.
        boxed(client.call(request.map(Full::new)))
    }
}
