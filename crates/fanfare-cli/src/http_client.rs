//! HTTP requests other than those of `sub`.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use fanfare_client::BoxError;
use fanfare_hub::auth::MAX_KEY_BYTES;
use http::Uri;
use reqwest::Client;
use rustls::{ClientConfig, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;

/// A client that trusts whom the platform trusts.
pub(crate) fn new() -> Result<Client, BoxError> {
    let provider = Arc::new(ring::default_provider());
    let tls =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let tls = tls.with_platform_verifier()?.with_no_client_auth();
    Ok(Client::builder().tls_backend_preconfigured(tls).build()?)
}

/// Gets a document with keys, and no more of it than one has.
pub(crate) async fn fetch(client: Client, uri: Uri) -> Result<Bytes, BoxError> {
    let mut answer = client.get(uri.to_string()).send().await?.error_for_status()?;
    let mut document = BytesMut::new();
    while let Some(chunk) = answer.chunk().await? {
        document.extend_from_slice(&chunk);
        if document.len() > MAX_KEY_BYTES {
            return Err(format!("it is longer than {MAX_KEY_BYTES} bytes").into());
        }
    }
    Ok(document.freeze())
}
