//! Requests by reqwest: HTTP/1.1 and HTTP/2, TLS, proxies, compression.

use bytes::Bytes;
use http::{Request, Response};
use reqwest::{Body, Client, redirect};

use super::{Sending, Transport, boxed, tls};
use crate::{BoxError, BuildError};

/// A [`Transport`] on [`reqwest`](https://docs.rs/reqwest/0.13).
///
/// A client of your own can be one: turn off its redirects ([`redirect::Policy::none`]), which the
/// event source follows itself, and set no timeout for the whole of an answer.
#[derive(Debug, Clone)]
pub struct Reqwest(Client);

impl Reqwest {
    /// A transport with connections of its own: TLS by rustls and the platform's certificates, the
    /// system's proxies, answers in gzip, brotli and zstd.
    ///
    /// # Errors
    ///
    /// [`BuildError::Transport`] when TLS cannot be set up, for instance without certificates.
    pub fn new() -> Result<Self, BuildError> {
        Self::build().map_err(BuildError::Transport)
    }

    fn build() -> Result<Self, BoxError> {
        let builder = Client::builder().redirect(redirect::Policy::none());
        Ok(Self(builder.tls_backend_preconfigured(tls::config()?).build()?))
    }
}

impl From<Client> for Reqwest {
    fn from(client: Client) -> Self {
        Self(client)
    }
}

impl Transport for Reqwest {
    fn send(&self, request: Request<Bytes>) -> Sending {
        let client = self.0.clone();
        boxed(async move {
            let answer = client.execute(request.try_into()?).await?;
            Ok::<Response<Body>, reqwest::Error>(answer.into())
        })
    }
}
