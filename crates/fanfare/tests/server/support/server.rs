//! Servers on a port of their own.

use std::{convert::Infallible, net::SocketAddr};

use axum::{Router, body::Body, response::Response, routing::get};
use bytes::Bytes;
use fanfare::Sse;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinHandle},
};
use tower::Service;

use super::Peer;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A server that listens until this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    accepting: AbortHandle,
}

impl Server {
    /// `sse` in front of [`okay`], on `axum::serve`.
    pub(crate) async fn of(sse: &Sse) -> Self {
        Self::with_app(sse, okay()).await
    }

    /// `sse` in front of `app`, on `axum::serve`.
    pub(crate) async fn with_app(sse: &Sse, app: Router) -> Self {
        let listener = listener().await;
        let address = listener.local_addr().unwrap();
        let server = axum::serve(listener, sse.attach(app));
        Self::running(address, &tokio::spawn(async { server.await.unwrap() }))
    }

    /// A router on `axum::serve`.
    pub(crate) async fn of_router(router: Router) -> Self {
        let listener = listener().await;
        let address = listener.local_addr().unwrap();
        let server = axum::serve(listener, router);
        Self::running(address, &tokio::spawn(async { server.await.unwrap() }))
    }

    /// A hyper service on hyper, over HTTP/1 and HTTP/2.
    pub(crate) async fn of_hyper<S, B>(service: S) -> Self
    where
        S: hyper::service::Service<hyper::Request<Incoming>, Response = hyper::Response<B>>,
        S: Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let listener = listener().await;
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = service.clone();
                tokio::spawn(async move {
                    let http = auto::Builder::new(TokioExecutor::new());
                    // A peer that breaks the connection off makes it an error.
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self::running(address, &accepting)
    }

    /// A tower service on hyper.
    pub(crate) async fn of_tower<S, B>(service: S) -> Self
    where
        S: Service<hyper::Request<Incoming>, Response = hyper::Response<B>>,
        S: Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self::of_hyper(TowerToHyperService::new(service)).await
    }

    fn running<T>(address: SocketAddr, accepting: &JoinHandle<T>) -> Self {
        Self { address, accepting: accepting.abort_handle() }
    }

    /// A peer that has said nothing yet.
    pub(crate) async fn peer(&self) -> Peer {
        Peer::connect(self.address).await
    }

    /// A peer that has asked for `target`, and read the head of an event stream and its `:ok`.
    pub(crate) async fn open(&self, target: &str) -> Peer {
        self.open_with(target, "").await
    }

    /// The same with more header lines, each with its line end.
    pub(crate) async fn open_with(&self, target: &str, headers: &str) -> Peer {
        let mut peer = self.peer().await;
        peer.get(target, headers).await;
        let head = peer.head().await;
        assert_eq!(head.status(), 200, "{head:?}");
        assert_eq!(peer.chunk().await.unwrap().unwrap(), ":ok\n\n");
        peer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

pub(crate) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// An app whose `/` is `okay`.
pub(crate) fn okay() -> Router {
    Router::new().route("/", get(|| async { "okay" }))
}

/// A service that answers with the request's own body, piece by piece, and with its method and
/// target as headers.
pub(crate) async fn echo<B>(request: hyper::Request<B>) -> Result<Response, Infallible>
where
    B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (method, target) = (request.method().to_string(), request.uri().to_string());
    let mut response = Response::new(Body::new(request.into_body()));
    response.headers_mut().insert("x-method", method.parse().unwrap());
    response.headers_mut().insert("x-target", target.parse().unwrap());
    Ok(response)
}
