//! The hub over HTTP. docs/protocol.md is its reference.

mod cors;
mod look;
mod problem;
mod publish;
mod route;
mod subscribe;

use std::{
    convert::Infallible,
    ops::RangeInclusive,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use fanfare::Sse;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use serde::Serialize;
use tower_service::Service;

use crate::{Hub, log::BoxError};

use problem::Problem;
use route::Route;

pub use cors::Origins;

/// The body of an answer.
pub type AnswerBody = UnsyncBoxBody<Bytes, BoxError>;

/// The body of a request, of whatever server.
type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

type Answer = Result<Response<AnswerBody>, Problem>;

/// Settings of the HTTP interface.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The largest body of a publish that is one event or a batch, in bytes, and the largest event of
    /// a published stream.
    pub max_body_bytes: usize,
    /// How many events a batch may have.
    pub max_batch_events: usize,
    /// How many topics and patterns one subscription may have.
    pub max_topics: usize,
    /// Silence after which a subscriber is sent a comment.
    pub keep_alive: Duration,
    /// The reconnection time that a stream begins with, drawn from this range.
    pub retry: RangeInclusive<Duration>,
    /// Pages of other origins that may use the hub.
    pub origins: Origins,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_body_bytes: 1024 * 1024,
            max_batch_events: 10_000,
            max_topics: 100,
            keep_alive: Duration::from_secs(15),
            retry: Duration::from_secs(1)..=Duration::from_secs(3),
            origins: Origins::None,
        }
    }
}

/// The HTTP interface of a hub: a tower service, for any server.
///
/// Clones are the same interface.
#[derive(Debug, Clone)]
pub struct Api {
    hub: Hub,
    /// Ends the streams in a shutdown.
    sse: Sse,
    settings: Arc<Settings>,
}

impl Api {
    /// The interface of this hub. `sse` ends its streams when its shutdown begins.
    pub fn new(hub: Hub, sse: Sse, settings: Settings) -> Self {
        Self { hub, sse, settings: Arc::new(settings) }
    }

    /// Answers a request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<AnswerBody>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let (parts, body) = request.into_parts();
        let body = body.map_err(Into::into).boxed_unsync();
        let origin = parts.headers.get(header::ORIGIN).cloned();
        let is_head = parts.method == Method::HEAD;
        let answer = self.route(parts, body).await;
        let mut response = answer.unwrap_or_else(Problem::into_response);
        self.settings.origins.allow(origin.as_ref(), response.headers_mut());
        if is_head {
            return response.map(|_| empty());
        }
        response
    }

    async fn route(&self, parts: Parts, body: RequestBody) -> Answer {
        let route = Route::of(&parts)?;
        if parts.method == Method::OPTIONS {
            return Ok(cors::preflight(&route));
        }
        if !route.methods().contains(&parts.method) {
            return Err(Problem::method(&parts.method, route.methods()));
        }
        match route {
            Route::Stream(topic) if parts.method == Method::POST => {
                publish::publish(self, topic, &parts, body).await
            }
            Route::Stream(Some(topic)) if parts.method == Method::DELETE => {
                publish::erase(self, &topic).await
            }
            Route::Stream(topic) => subscribe::subscribe(self, topic, &parts).await,
            Route::Topics => look::topics(self, &parts).await,
            Route::Events(topic) => look::events(self, &topic, &parts).await,
            Route::Health => Ok(text(StatusCode::OK, "ok\n")),
            Route::Ready => Ok(look::ready(self)),
        }
    }
}

impl<B> Service<Request<B>> for Api
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let api = self.clone();
        Box::pin(async move { Ok(api.answer(request).await) })
    }
}

fn empty() -> AnswerBody {
    full(Bytes::new())
}

fn full(bytes: impl Into<Bytes>) -> AnswerBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn text(status: StatusCode, text: &'static str) -> Response<AnswerBody> {
    with_type(status, "text/plain; charset=utf-8", text)
}

fn json<T: Serialize>(value: &T) -> Answer {
    let bytes = serde_json::to_vec(value).map_err(|error| Problem::internal(&error))?;
    Ok(with_type(StatusCode::OK, "application/json", bytes))
}

fn with_type(
    status: StatusCode,
    media_type: &'static str,
    bytes: impl Into<Bytes>,
) -> Response<AnswerBody> {
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
