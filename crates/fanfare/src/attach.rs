//! Event streams in front of a service that exists.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{
    TryFutureExt,
    future::{self, MapOk},
};
use http::{Method, Request, Response, request::Parts};
use http_body_util::Either;
use tower_layer::Layer;
use tower_service::Service;

use crate::{Body, Rejection, Sse};

impl Sse {
    /// Puts this in front of a service: it takes the requests for event streams (GET and HEAD of
    /// its path), every other request reaches the service as before. HEAD is answered with the
    /// head of a stream, and makes no client.
    ///
    /// What comes out is a tower service; with the feature `axum` it goes right into
    /// `axum::serve`, and with the feature `hyper`, around a hyper service, it is one too. `Sse`
    /// is also a tower [`Layer`] that does the same.
    ///
    /// Layers around it see the event stream's response: CORS, for instance, belongs there. Layers
    /// inside the service see the other requests only. A layer that compresses has to flush after
    /// each event, or leave `text/event-stream` alone, as tower-http's does.
    ///
    /// A layer of an axum `Router` is around the routes and the fallback that the router has by then:
    /// add it last, behind `fallback`, and not to a router that is nested or merged into another.
    /// Attaching to the finished router has no such conditions.
    ///
    /// When the peer leaves before there is an answer, the server drops the request's future: a
    /// client that there is by then ends.
    ///
    /// ```
    /// # use tower::ServiceExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::{Router, routing::get};
    /// use fanfare::Sse;
    ///
    /// # let request = |target: &str| http::Request::get(target).body(axum::body::Body::empty());
    /// let app = Router::new().route("/", get(|| async { "okay" }));
    /// let service = Sse::new().attach(app);
    /// let stream = service.clone().oneshot(request("/sse")?).await?;
    /// assert_eq!(stream.headers()["content-type"], "text/event-stream");
    /// let page = service.oneshot(request("/")?).await?;
    /// assert_eq!(page.headers()["content-length"], "4");
    /// # Ok(())
    /// # }
    /// ```
    pub fn attach<S>(&self, service: S) -> Attached<S> {
        Attached { service, sse: self.clone() }
    }
}

/// A service with event streams in front; made by [`Sse::attach`].
#[derive(Debug, Clone)]
pub struct Attached<S> {
    service: S,
    sse: Sse,
}

impl<S> Layer<S> for Sse {
    type Service = Attached<S>;

    fn layer(&self, service: S) -> Attached<S> {
        self.attach(service)
    }
}

/// The body of an answer: an event stream's, or the service's own.
pub type AttachedBody<B> = Either<Body, B>;

type Wrap<B> = fn(Response<B>) -> Response<AttachedBody<B>>;
type Answer<B, E> = Pin<Box<dyn Future<Output = Result<Response<AttachedBody<B>>, E>> + Send>>;

/// What answers a request: the service, with nothing added, or the event stream's side.
type Answering<F, B, E> = future::Either<MapOk<F, Wrap<B>>, Answer<B, E>>;

impl<S, Q, B> Service<Request<Q>> for Attached<S>
where
    S: Service<Request<Q>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    Q: Send + 'static,
{
    type Response = Response<AttachedBody<B>>;
    type Error = S::Error;
    type Future = Answering<S::Future, B, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        // The clone stays behind: it is the original that was polled ready.
        let clone = self.service.clone();
        let mut service = mem::replace(&mut self.service, clone);
        self.sse.clone().route(request, move |request| service.call(request))
    }
}

impl Sse {
    /// Has `request` answered by the event stream or by `service`.
    fn route<Q, F, B, E>(
        self,
        request: Request<Q>,
        service: impl FnOnce(Request<Q>) -> F + Send + 'static,
    ) -> Answering<F, B, E>
    where
        Q: Send + 'static,
        F: Future<Output = Result<Response<B>, E>> + Send,
    {
        let (parts, body) = request.into_parts();
        if !self.is_concerned(&parts) {
            let own: Wrap<B> = |response| response.map(Either::Right);
            return future::Either::Left(service(Request::from_parts(parts, body)).map_ok(own));
        }
        future::Either::Right(Box::pin(async move {
            if self.settings().gate.admits(&parts).await {
                return Ok(self.answer(parts).await.map(Either::Left));
            }
            let response = service(Request::from_parts(parts, body)).await?;
            Ok(response.map(Either::Right))
        }))
    }

    fn is_concerned(&self, request: &Parts) -> bool {
        matches!(request.method, Method::GET | Method::HEAD)
            && self.settings().path.matches(request.uri.path())
            && self.settings().gate.may_admit(request)
    }

    async fn answer(&self, request: Parts) -> Response<Body> {
        let outcome = match self.settings().gate.authorize(request).await {
            Ok(request) => self.connect(request).await,
            Err(rejection) => Err(rejection),
        };
        outcome.unwrap_or_else(Rejection::into_response)
    }
}

#[cfg(feature = "hyper")]
impl<S, Q, B> hyper::service::Service<Request<Q>> for Attached<S>
where
    S: hyper::service::Service<Request<Q>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    Q: Send + 'static,
{
    type Response = Response<AttachedBody<B>>;
    type Error = S::Error;
    type Future = Answering<S::Future, B, S::Error>;

    fn call(&self, request: Request<Q>) -> Self::Future {
        let service = self.service.clone();
        self.sse.clone().route(request, move |request| service.call(request))
    }
}
