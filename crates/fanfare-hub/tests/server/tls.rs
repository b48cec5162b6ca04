use std::{path::Path, sync::Arc, time::Duration};

use ::http::Request;
use base64::{Engine, engine::general_purpose::STANDARD};
use fanfare_hub::{
    http,
    server::{Settings, Tls, TlsError},
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    protocols::{http2, send},
    support::{Running, within},
};

/// Files for a new certificate, and the certificate.
fn write(folder: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".into()]).unwrap();
    std::fs::write(folder.join("cert.pem"), pem("CERTIFICATE", cert.der())).unwrap();
    let key = pem("PRIVATE KEY", &signing_key.serialize_der());
    std::fs::write(folder.join("key.pem"), key).unwrap();
    cert.der().clone()
}

fn pem(label: &str, bytes: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(bytes))
}

fn open(folder: &TempDir) -> Result<Tls, TlsError> {
    Tls::open(folder.path().join("cert.pem"), folder.path().join("key.pem"))
}

async fn start() -> (TempDir, CertificateDer<'static>, Arc<Tls>, Running) {
    let folder = tempfile::tempdir().unwrap();
    let certificate = write(folder.path());
    let tls = Arc::new(open(&folder).unwrap());
    let settings = Settings { header_timeout: Duration::from_millis(500), ..Settings::default() };
    let hub = Running::with_tls(settings, http::Settings::default(), Some(tls.clone())).await;
    (folder, certificate, tls, hub)
}

/// Connects, trusting this certificate only.
async fn connect(
    hub: &Running,
    trusted: &CertificateDer<'static>,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().into()).collect();
    let socket = TcpStream::connect(hub.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

#[tokio::test]
async fn the_client_chooses_http_1_or_http_2() {
    let (_folder, certificate, _tls, hub) = start().await;
    let socket = connect(&hub, &certificate, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(socket.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let response = send(&mut http2(socket).await, Request::get("https://a/healthz"), "").await;
    assert_eq!(response.status(), 200);

    for protocols in [&["http/1.1"][..], &[]] {
        let mut socket = connect(&hub, &certificate, protocols).await.unwrap();
        socket
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        within("an answer", socket.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[tokio::test]
async fn a_certificate_is_exchanged_while_streams_go_on() {
    let (folder, old, tls, hub) = start().await;
    let mut requests = http2(connect(&hub, &old, &["h2"]).await.unwrap()).await;
    let response = send(&mut requests, Request::get("https://a/healthz"), "").await;
    assert_eq!(response.status(), 200);

    let new = write(folder.path());
    assert!(connect(&hub, &new, &[]).await.is_err(), "not before it is told");
    tls.reload().unwrap();
    assert!(connect(&hub, &new, &[]).await.is_ok());
    assert!(connect(&hub, &old, &[]).await.is_err());
    let response = send(&mut requests, Request::get("https://a/healthz"), "").await;
    assert_eq!(response.status(), 200, "open connections go on");

    std::fs::write(folder.path().join("key.pem"), "nonsense").unwrap();
    assert!(matches!(tls.reload().unwrap_err(), TlsError::Key { .. }));
    assert!(connect(&hub, &new, &[]).await.is_ok(), "the certificate stays");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_refused_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(open(&folder).unwrap_err(), TlsError::Certificate { .. }));
    write(folder.path());
    let other = tempfile::tempdir().unwrap();
    write(other.path());
    std::fs::copy(other.path().join("key.pem"), folder.path().join("key.pem")).unwrap();
    let error = open(&folder).unwrap_err();
    assert!(matches!(error, TlsError::Unusable { .. }), "{error:?}");
    assert!(error.to_string().contains("cert.pem"));
    std::fs::write(folder.path().join("cert.pem"), "").unwrap();
    assert!(matches!(open(&folder).unwrap_err(), TlsError::Certificate { .. }));
}

#[tokio::test]
async fn a_handshake_that_does_not_come_or_is_none_ends() {
    let (_folder, _certificate, _tls, hub) = start().await;
    let mut silent = hub.peer().await;
    assert_eq!(silent.rest().await, "");
    hub.until("connections_closed_total{reason=\"header_time\"}", 1.0).await;
    let mut plain = hub.peer().await;
    plain.get("/healthz", "").await;
    let _alert = within("the end", plain.stream.read_to_end(&mut vec![])).await;
    hub.until("connections_closed_total{reason=\"tls\"}", 1.0).await;
}
