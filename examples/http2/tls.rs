//! TLS under `axum::serve`, with a certificate of the program's own.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::serve::Listener;
use rcgen::generate_simple_self_signed;
use tokio::{
    net::{TcpListener, TcpStream},
    select,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
    server::TlsStream,
};

use crate::server::Failure;

const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
const MAX_HANDSHAKES: usize = 256;

type Handshake = Option<(TlsStream<TcpStream>, SocketAddr)>;

/// Shakes hands with many clients at a time, so that a slow one holds up nobody.
pub(crate) struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
    handshakes: JoinSet<Handshake>,
}

impl TlsListener {
    pub(crate) fn new(tcp: TcpListener) -> Result<Self, Failure> {
        let acceptor = TlsAcceptor::from(Arc::new(self_signed()?));
        Ok(Self { tcp, acceptor, handshakes: JoinSet::new() })
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            select! {
                (stream, address) = Listener::accept(&mut self.tcp),
                    if self.handshakes.len() < MAX_HANDSHAKES =>
                {
                    let shake = shake_hands(self.acceptor.clone(), stream, address);
                    self.handshakes.spawn(shake);
                }
                Some(shaken) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = shaken {
                        return connection;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

async fn shake_hands(acceptor: TlsAcceptor, stream: TcpStream, address: SocketAddr) -> Handshake {
    // Small events go out at once.
    let _ = stream.set_nodelay(true);
    let handshake = timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await;
    Some((handshake.ok()?.ok()?, address))
}

/// What browsers ask the user about. A server that others use has a certificate that they trust.
fn self_signed() -> Result<ServerConfig, Failure> {
    let certificate = generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()])?;
    let key = PrivateKeyDer::Pkcs8(certificate.signing_key.serialize_der().into());
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.into()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
