//! TLS, with a certificate that can be exchanged while the server runs.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::{Accept, TlsAcceptor};

/// What clients may choose, the best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate with its key, out of two files.
///
/// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1. Clients are not asked for certificates.
///
/// ```no_run
/// # async fn serve(
/// #     api: fanfare_hub::http::Api, listener: tokio::net::TcpListener,
/// #     shutdown: impl Future<Output = ()>, mut renewals: tokio::sync::mpsc::Receiver<()>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use fanfare_hub::server::{Server, Settings, Tls};
///
/// let tls = Arc::new(Tls::open("cert.pem", "key.pem")?);
/// let renewing = tls.clone();
/// tokio::spawn(async move {
///     while renewals.recv().await.is_some() {
///         if let Err(error) = renewing.reload() {
///             eprintln!("the old certificate stays: {error}");
///         }
///     }
/// });
/// Server::new(api, Settings::default()).listen_tls(listener, tls).run(shutdown).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Tls {
    files: Files,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// What new connections are given.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

/// Why a certificate is not used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file is no certificate in PEM, or cannot be read.
    #[error("the certificate {} cannot be read", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        error: pem::Error,
    },
    /// The file is no private key in PEM, or cannot be read.
    #[error("the private key {} cannot be read", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        error: pem::Error,
    },
    /// They are not for each other, or of a kind that is not known.
    #[error("the certificate {} cannot be used with its private key", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// Why not.
        #[source]
        error: rustls::Error,
    },
}

impl Tls {
    /// Reads a certificate, with those between it and the authority behind it, and its private key,
    /// each a file in PEM.
    ///
    /// # Errors
    ///
    /// [`TlsError`] says which file cannot be used, and its source why.
    pub fn open(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        let files = Files { certificate: certificate.into(), key: key.into() };
        let current = Arc::new(Current(RwLock::new(files.read()?)));
        let config = config(current.clone()).map_err(|error| files.unusable(error))?;
        Ok(Self { files, current, config: Arc::new(config) })
    }

    /// Reads the files again. New connections are given what is there now; those that are open go on
    /// with what they have. It reads from the disk meanwhile.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); then the certificate stays the one it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let new = self.files.read()?;
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    pub(super) fn accept(&self, socket: TcpStream) -> Accept<TcpStream> {
        TlsAcceptor::from(self.config.clone()).accept(socket)
    }
}

fn config(current: Arc<Current>) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(current);
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

impl Files {
    fn read(&self) -> Result<Arc<CertifiedKey>, TlsError> {
        let chain = read_chain(&self.certificate)
            .map_err(|error| TlsError::Certificate { path: self.certificate.clone(), error })?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| TlsError::Key { path: self.key.clone(), error })?;
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider());
        certified.map(Arc::new).map_err(|error| self.unusable(error))
    }

    fn unusable(&self, error: rustls::Error) -> TlsError {
        TlsError::Unusable { path: self.certificate.clone(), error }
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)?.collect::<Result<_, _>>()?;
    if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
