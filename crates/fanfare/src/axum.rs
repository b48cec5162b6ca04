//! For axum: an attached service for `axum::serve`, an extractor, and responses.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use axum::{
    body::HttpBody,
    extract::{FromRef, FromRequestParts, Request},
    response::{IntoResponse, Response},
    serve::{IncomingStream, Listener},
};
use bytes::Bytes;
use futures_util::{TryFutureExt, future::MapOk};
use http::request::Parts;
use tower_service::Service;

use crate::{Attached, AttachedBody, Body, Client, Rejection, Sse, body::BoxError};

/// `axum::serve` asks for a service for each connection.
impl<S, L> Service<IncomingStream<'_, L>> for Attached<S>
where
    S: Clone,
    L: Listener,
{
    type Response = ForAxum<S>;
    type Error = Infallible;
    type Future = Ready<Result<ForAxum<S>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: IncomingStream<'_, L>) -> Self::Future {
        ready(Ok(ForAxum(self.clone())))
    }
}

/// An attached service whose answers are axum's.
#[derive(Debug, Clone)]
pub struct ForAxum<S>(Attached<S>);

type IntoAxum<B> = fn(http::Response<AttachedBody<B>>) -> Response;

impl<S, B> Service<Request> for ForAxum<S>
where
    Attached<S>: Service<Request, Response = http::Response<AttachedBody<B>>>,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = <Attached<S> as Service<Request>>::Error;
    type Future = MapOk<<Attached<S> as Service<Request>>::Future, IntoAxum<B>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.0.call(request).map_ok(IntoResponse::into_response)
    }
}

/// An extractor that makes a [`Client`] of the request, for routes of their own instead of
/// [`attach`](Sse::attach). The handler returns the response; dropping it ends the client.
///
/// The router's state must hold an [`Sse`]. As with [`Sse::accept`], its settings for path and
/// access play no part, nor do its connection handlers.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use {futures_util::StreamExt, http_body_util::BodyExt, tower::ServiceExt};
/// use axum::{Router, body::Body, extract::Path, response::IntoResponse, routing::get};
/// use fanfare::{Accept, Sse};
///
/// async fn room(Path(room): Path<String>, Accept { client, response }: Accept) -> impl IntoResponse {
///     tokio::spawn(async move { client.send(format!("welcome to {room}")).await });
///     response
/// }
///
/// let app: Router = Router::new().route("/rooms/{room}", get(room)).with_state(Sse::new());
/// let request = http::Request::get("/rooms/7").body(Body::empty())?;
/// let mut wire = app.oneshot(request).await?.into_body().into_data_stream();
/// assert_eq!(wire.next().await.unwrap()?, ":ok\n\n");
/// assert_eq!(wire.next().await.unwrap()?, "data: welcome to 7\n\n");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Accept {
    /// The client's side.
    pub client: Client,
    /// What to answer with.
    pub response: http::Response<Body>,
}

impl<S> FromRequestParts<S> for Accept
where
    S: Send + Sync,
    Sse: FromRef<S>,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let (client, response) = Sse::from_ref(state).accept(parts.clone())?;
        Ok(Self { client, response })
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.into_response().map(axum::body::Body::new)
    }
}
