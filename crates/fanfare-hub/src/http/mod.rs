//! The hub over HTTP. docs/protocol.md is its reference.

mod closing;
mod cors;
mod detached;
mod edge;
mod expiry;
mod incoming;
mod kept_alive;
mod look;
mod page;
mod peer;
mod problem;
mod publish;
mod route;
mod stream;
mod subscribe;
mod topics;

use std::{
    convert::Infallible,
    ops::RangeInclusive,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use fanfare::Sse;
use fanfare_wire::encode_retry;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use serde::Serialize;
use tower_service::Service;

use crate::{
    Coding, Hub,
    auth::{Auth, Identity, Rights, redact},
    limits::{self, Limits},
    log::BoxError,
};

use closing::Closing;
use problem::Problem;
use route::Route;

pub(crate) use detached::{Detached, OnSocket};
pub(crate) use peer::CutOff;
pub(crate) use stream::{Parked, Reading, Streaming};

pub use cors::Origins;
pub use peer::ClientAddress;

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
    /// How many streams there may be, and how fast may be published.
    pub limits: limits::Settings,
    /// The time for the whole body of a publish that is one event or a batch. Default: 60 seconds.
    pub body_timeout: Duration,
    /// The longest pause in such a body. Default: 10 seconds.
    pub body_idle_timeout: Duration,
    /// The longest pause in an event stream that is published, which may take as long as it likes.
    /// Default: 5 minutes.
    pub stream_idle_timeout: Duration,
    /// Silence after which a subscriber is sent a comment.
    pub keep_alive: Duration,
    /// The reconnection time that a stream begins with, drawn from this range.
    pub retry: RangeInclusive<Duration>,
    /// The reconnection time that a stream is told when a shutdown begins, drawn from this range.
    /// Default: 1 to 5 seconds.
    pub farewell_retry: RangeInclusive<Duration>,
    /// The codings in which subscribers are given compressed streams, if they accept any; of those that
    /// they like as much, the first. Default: all.
    pub codings: Vec<Coding>,
    /// Pages of other origins that may use the hub.
    pub origins: Origins,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_body_bytes: 1024 * 1024,
            max_batch_events: 10_000,
            max_topics: 100,
            limits: limits::Settings::default(),
            body_timeout: Duration::from_mins(1),
            body_idle_timeout: Duration::from_secs(10),
            stream_idle_timeout: Duration::from_mins(5),
            keep_alive: Duration::from_secs(15),
            retry: Duration::from_secs(1)..=Duration::from_secs(3),
            farewell_retry: Duration::from_secs(1)..=Duration::from_secs(5),
            codings: Coding::COMPRESSED.to_vec(),
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
    /// Makes the streams' bodies, and ends them all at once if its shutdown begins.
    sse: Sse,
    /// Ends the streams one after the other in a shutdown.
    closing: Closing,
    limits: Arc<Limits>,
    settings: Arc<Settings>,
    /// Without it everybody may do everything.
    auth: Option<Arc<Auth>>,
    /// When it began, in milliseconds since 1970: what the log counts is counted anew by a later one.
    run: u64,
}

impl Api {
    /// The interface of this hub, for everybody. `sse` ends its streams, all at once, when its shutdown begins;
    /// [`begin_shutdown`](Self::begin_shutdown) is gentler.
    pub fn new(hub: Hub, sse: Sse, mut settings: Settings) -> Self {
        // That one is given without being offered.
        settings.codings.retain(|coding| *coding != Coding::Identity);
        let limits = Arc::new(Limits::new(settings.limits.clone()));
        let run = hub.now().0;
        Self {
            hub,
            sse,
            closing: Closing::default(),
            limits,
            settings: Arc::new(settings),
            auth: None,
            run,
        }
    }

    /// The interface for those who may.
    ///
    /// Following and reading a topic takes the right to subscribe to it, publishing that to publish,
    /// and erasing that to administer the hub. The list of topics holds what may be read. `/metrics`
    /// takes the right to subscribe to `$stats`. The page, `/healthz` and `/readyz` are everybody's.
    /// A stream ends when its token expires.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use fanfare_hub::{Bounds, Epoch, Hub, http::{Api, Settings}, log::{MemoryLog, Retention, Timestamp}};
    /// # use http::Request;
    /// # use http_body_util::Empty;
    /// use fanfare_hub::auth::{self, Auth, Rights};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let log = Arc::new(MemoryLog::new(Epoch::from_seed(1), Retention::default()));
    /// # let hub = Hub::new(log, Bounds::default(), Arc::new(|| Timestamp(0)));
    /// let anonymous: Rights = serde_json::from_str(r#"{"subscribe": ["news/*"]}"#)?;
    /// let auth = Auth::new(auth::Settings { anonymous, ..auth::Settings::default() })?;
    /// let api = Api::new(hub, fanfare::Sse::new(), Settings::default()).with_auth(Arc::new(auth));
    ///
    /// let get = async |path: &str| {
    ///     api.answer(Request::get(path).body(Empty::new()).unwrap()).await.status()
    /// };
    /// assert_eq!(get("/sse/news/sport").await, 200);
    /// assert_eq!(get("/sse/chat").await, 401);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_auth(self, auth: Arc<Auth>) -> Self {
        Self { auth: Some(auth), ..self }
    }

    /// The hub behind it.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Begins the end of all streams, and does not wait for it. Each is told at once when to come
    /// back, and ends at a random moment within four fifths of the grace period, or sooner if there
    /// are few. There are no new ones from now on, and `/readyz` says so. Bodies that are still coming
    /// after four fifths of the grace period are given up.
    ///
    /// ```
    /// # use std::{sync::Arc, time::Duration};
    /// # use fanfare_hub::{Bounds, Epoch, Hub, http::{Api, Settings}, log::{MemoryLog, Retention, Timestamp}};
    /// # use http::Request;
    /// # use http_body_util::{BodyExt, Empty};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), fanfare_hub::log::BoxError> {
    /// # let log = Arc::new(MemoryLog::new(Epoch::from_seed(1), Retention::default()));
    /// # let hub = Hub::new(log, Bounds::default(), Arc::new(|| Timestamp(0)));
    /// let api = Api::new(hub, fanfare::Sse::new(), Settings::default());
    /// let get = async |path: &str| {
    ///     api.answer(Request::get(path).body(Empty::new()).unwrap()).await
    /// };
    /// let stream = get("/sse/news").await;
    ///
    /// api.begin_shutdown(Duration::from_secs(5));
    ///
    /// assert_eq!(get("/readyz").await.status(), 503);
    /// assert_eq!(get("/sse/news").await.status(), 503);
    /// let wire = stream.into_body().collect().await?.to_bytes();
    /// assert!(wire.ends_with(b"\n\n"), "it has an end");
    /// # Ok(())
    /// # }
    /// ```
    pub fn begin_shutdown(&self, grace: Duration) {
        self.closing.begin(grace, self.limits.clients());
    }

    pub(crate) fn has_begun_shutdown(&self) -> bool {
        self.closing.has_begun() || self.sse.has_begun_shutdown()
    }

    /// The last words to a stream.
    fn farewell(&self) -> Bytes {
        retry(&self.settings.farewell_retry)
    }

    /// Answers a request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<AnswerBody>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let (parts, body) = request.into_parts();
        let body = body.map_err(Into::into).boxed_unsync();
        let answer = self.route(&parts, body).await;
        let mut response = answer.unwrap_or_else(|problem| self.refuse(problem));
        let origin = parts.headers.get(header::ORIGIN);
        self.settings.origins.allow(origin, response.headers_mut());
        report(&parts, response.status());
        if parts.method == Method::HEAD {
            return response.map(|_| empty());
        }
        response
    }

    /// The whole of a stream whose body was detached.
    pub(crate) fn attach(
        &self,
        head: http::response::Parts,
        streaming: Streaming,
    ) -> Response<AnswerBody> {
        Response::from_parts(head, subscribe::body(self, streaming))
    }

    /// The silence after which a stream is sent a comment.
    pub(crate) fn keep_alive(&self) -> Duration {
        self.settings.keep_alive
    }

    /// What a stream begins with.
    fn opening(&self) -> Bytes {
        [b":ok\n\n", &retry(&self.settings.retry)[..]].concat().into()
    }

    fn refuse(&self, problem: Problem) -> Response<AnswerBody> {
        problem.count(self.hub.metrics());
        problem.into_response()
    }

    /// Who sent a request.
    async fn identify(&self, request: &Parts) -> Result<Identity, Problem> {
        match &self.auth {
            None => Ok(Identity::anonymous(Rights::all())),
            Some(auth) => Ok(auth.authenticate(request, self.hub.now()).await?),
        }
    }

    async fn route(&self, parts: &Parts, body: RequestBody) -> Answer {
        peer::check_host(parts)?;
        incoming::check_encoding(parts)?;
        let route = Route::of(parts)?;
        if parts.method == Method::OPTIONS {
            return Ok(cors::preflight(&route));
        }
        if !route.methods().contains(&parts.method) {
            return Err(Problem::method(&parts.method, route.methods()));
        }
        match route {
            Route::Page(file) => Ok(page::answer(file, parts)),
            Route::Stream(topic) => {
                let identity = self.identify(parts).await?;
                self.stream(topic, parts, &identity, body).await
            }
            Route::Topics => topics::topics(self, parts, &self.identify(parts).await?).await,
            Route::Events(topic) => {
                look::events(self, &topic, parts, &self.identify(parts).await?).await
            }
            Route::Log => edge::answer(self, parts, &self.identify(parts).await?).await,
            Route::Health => Ok(text(StatusCode::OK, "ok\n")),
            Route::Ready => Ok(look::ready(self)),
            Route::Metrics => look::metrics(self, &self.identify(parts).await?).await,
        }
    }

    async fn stream(
        &self,
        topic: Option<String>,
        parts: &Parts,
        identity: &Identity,
        body: RequestBody,
    ) -> Answer {
        match (&parts.method, topic) {
            (&Method::POST, topic) => publish::publish(self, topic, parts, identity, body).await,
            (&Method::DELETE, Some(topic)) => publish::erase(self, &topic, identity).await,
            (_, topic) => subscribe::subscribe(self, topic, parts, identity).await,
        }
    }
}

/// Tells the operator who looks for it of each request, without what opens doors.
fn report(request: &Parts, status: StatusCode) {
    tracing::debug!(
        method = %request.method,
        uri = %redact(&request.uri.to_string()),
        status = status.as_u16(),
        "answered"
    );
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

/// A reconnection time out of the range, at random, on the wire.
fn retry(range: &RangeInclusive<Duration>) -> Bytes {
    let spread = range.end().saturating_sub(*range.start());
    let time = range.start().saturating_add(spread.mul_f64(fastrand::f64()));
    let mut bytes = BytesMut::new();
    encode_retry(time, &mut bytes);
    bytes.freeze()
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
