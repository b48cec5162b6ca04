//! The server side of event streams: settings, who is connected, and the end of all of it.

use std::{
    fmt,
    future::{Future, poll_fn},
    ops::RangeInclusive,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use fanfare_fanout::{Epoch, Positions};
use fanfare_wire::encode_retry;
use futures_core::Stream;
use futures_util::future::select;
use http::{Method, Response, request::Parts};
use slab::Slab;
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    time::{Instant, sleep},
};

use crate::{
    Body, Client, End, Rejection, body::Outlet, feed::Feed, gate::Gate, path::PathPattern, response,
};

/// New clients that wait in one [`Connections`].
const CONNECTIONS_QUEUE: usize = 1024;

/// Event streams for an HTTP server.
///
/// Attach it to a server that exists ([`attach`](Self::attach)), and it answers `/sse` with an
/// event stream, gives a [`Client`] for each to [`on_connection`](Self::on_connection), and leaves
/// every other request to the server. Clones are the same `Sse`.
///
/// Dropping all handles ends nothing: streams go on while the server that it is attached to runs.
/// It works on a tokio runtime with time enabled.
///
/// ```no_run
/// # async fn main_() -> std::io::Result<()> {
/// use axum::{Router, routing::get};
/// use fanfare::Sse;
///
/// let app = Router::new().route("/", get(|| async { "okay" }));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
///
/// let sse = Sse::new();
/// sse.on_connection(|client| async move { client.send("hi there!").await });
/// axum::serve(listener, sse.attach(app)).await
/// # }
/// ```
#[derive(Clone)]
pub struct Sse(Arc<Shared>);

/// An [`Sse`] that is not kept by it.
pub(crate) struct WeakSse(Weak<Shared>);

struct Shared {
    settings: Settings,
    epoch: Epoch,
    positions: Positions,
    listeners: Mutex<Vec<Listener>>,
    clients: Mutex<Slab<Client>>,
    /// When the shutdown began.
    closing: OnceLock<Instant>,
    begun: Notify,
}

/// A handler's work for one client.
type Handling = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) path: PathPattern,
    pub(crate) gate: Gate,
    keep_alive: Option<Duration>,
    retry: Option<RangeInclusive<Duration>>,
    farewell_retry: RangeInclusive<Duration>,
    grace: Duration,
    queue_bytes: u32,
    max_clients: usize,
}

/// Who wants to know of new clients.
#[derive(Clone)]
enum Listener {
    Handler(Arc<dyn Fn(Client) -> Handling + Send + Sync>),
    Queue(mpsc::Sender<Client>),
}

/// A client's place among all.
pub(crate) struct Slot {
    sse: Sse,
    key: usize,
}

impl Sse {
    /// With the settings of [`builder`](Self::builder).
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Settings: the path `/sse`, everybody let in, keep-alive comments every 15 s, no initial
    /// `retry`, a grace period of 5 s, 64 KiB of queue a client, 100,000 clients.
    pub fn builder() -> Builder {
        Builder {
            settings: Settings {
                path: PathPattern::new("/sse"),
                gate: Gate::default(),
                keep_alive: Some(Duration::from_secs(15)),
                retry: None,
                farewell_retry: Duration::from_secs(1)..=Duration::from_secs(5),
                grace: Duration::from_secs(5),
                queue_bytes: 64 * 1024,
                max_clients: 100_000,
            },
        }
    }

    /// Has `handler` called for each new client of the server that this is attached to.
    ///
    /// What the future does before it first waits is done before the stream is read, such as
    /// joining channels (those of a client that resumes at once, by [`Client::join_all`]). From there on
    /// it runs on a task of its own, which is not stopped when the client leaves: sends fail with
    /// [`Closed`](crate::Closed) from then on. What it returns is ignored. The stream stays open
    /// when it is done. Several handlers each get every client.
    ///
    /// ```
    /// # use {axum::{Router, body::Body}, http::{Request, Response}, tower::ServiceExt};
    /// # async fn get(sse: &fanfare::Sse, target: &str) -> Response<impl Sized> {
    /// #     let request = Request::get(target).body(Body::empty()).unwrap();
    /// #     sse.attach(Router::new()).oneshot(request).await.unwrap()
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use fanfare::{Channel, End, JoinError, Sse};
    ///
    /// let sse = Sse::new();
    /// let news = Channel::new(&sse);
    /// let everybody = news.clone();
    /// sse.on_connection(move |client| {
    ///     let everybody = everybody.clone();
    ///     async move {
    ///         everybody.join(&client)?; // before the stream is read
    ///         Ok::<End, JoinError>(client.closed().await) // on a task of its own
    ///     }
    /// });
    /// # let _response = get(&sse, "/sse").await;
    /// assert_eq!(news.len(), 1); // as soon as there is a response
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_connection<F, R>(&self, handler: F)
    where
        F: Fn(Client) -> R + Send + Sync + 'static,
        R: Future<Output: Send> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let handler = move |client| {
            let handler = handler.clone();
            Box::pin(async move { drop(handler(client).await) }) as Handling
        };
        self.listeners().push(Listener::Handler(Arc::new(handler)));
    }

    /// The new clients of the server that this is attached to, as a stream.
    ///
    /// 1,024 wait in it at most; when it is full, requests for event streams wait until it is
    /// read, or the shutdown begins, when they are answered without being put into it. It ends when
    /// no handle of this `Sse` is left, nor a server that it is attached to. The stream of a client
    /// may be read before the client is taken from here: have it join its channels at once, by
    /// [`Client::join_all`].
    ///
    /// Dropping it gives it up: new clients are no longer put into it, and those in it stay
    /// connected.
    ///
    /// ```
    /// # use {axum::{Router, body::Body}, http::{Request, Response}, tower::ServiceExt};
    /// # async fn get(sse: &fanfare::Sse, target: &str) -> Response<impl Sized> {
    /// #     let request = Request::get(target).body(Body::empty()).unwrap();
    /// #     sse.attach(Router::new()).oneshot(request).await.unwrap()
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use fanfare::Sse;
    /// use futures_util::StreamExt;
    ///
    /// let sse = Sse::new();
    /// let mut connections = sse.connections();
    /// # let _response = get(&sse, "/sse?name=Ada").await;
    /// let client = connections.next().await.unwrap();
    /// assert_eq!(client.query().get("name").unwrap(), "Ada");
    /// client.send("hi there!").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn connections(&self) -> Connections {
        let (sender, receiver) = mpsc::channel(CONNECTIONS_QUEUE);
        self.listeners().push(Listener::Queue(sender));
        Connections(receiver)
    }

    /// Makes a client for a request that your own routing has found to want an event stream, and
    /// the response to answer it with. Handlers of [`on_connection`](Self::on_connection) and the
    /// settings for path and access play no part in it.
    ///
    /// Dropping the response ends the client.
    ///
    /// ```
    /// use fanfare::Sse;
    ///
    /// let (parts, ()) = http::Request::get("/any/path?room=7").body(())?.into_parts();
    /// let sse = Sse::new();
    /// let (client, response) = sse.accept(parts)?;
    /// assert_eq!(client.query().get("room").unwrap(), "7");
    /// assert_eq!(response.headers()["content-type"], "text/event-stream");
    /// assert_eq!(sse.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A [`Rejection`] with status 503, to answer with, when there are as many clients as
    /// [`max_clients`](Builder::max_clients) allows.
    pub fn accept(&self, request: Parts) -> Result<(Client, Response<Body>), Rejection> {
        let keeps_connection = response::keeps_connection(&request);
        let client = Client::new(request, self.clone(), self.0.settings.queue_bytes);
        let slot = self.register(&client)?;
        let feed = Feed::new(self.0.epoch, self.0.positions.clone());
        let outlet = Outlet::new(client.clone(), feed, slot);
        let body = Body::stream(outlet, self.opening(), self.0.settings.keep_alive);
        let mut response = response::event_stream(body);
        if keeps_connection {
            response::keep_connection(&mut response);
        }
        Ok((client, response))
    }

    /// How many clients are connected.
    ///
    /// ```
    /// # let request = http::Request::new(()).into_parts().0;
    /// let sse = fanfare::Sse::new();
    /// let (client, response) = sse.accept(request)?;
    /// assert_eq!(sse.len(), 1);
    /// drop(response); // the client's end, whoever holds handles of it
    /// assert!(sse.is_empty());
    /// # Ok::<(), fanfare::Rejection>(())
    /// ```
    pub fn len(&self) -> usize {
        self.registry().len()
    }

    /// Whether no client is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The clients that are connected now.
    ///
    /// ```
    /// # let request = http::Request::get("/sse?room=7").body(())?.into_parts().0;
    /// let sse = fanfare::Sse::new();
    /// let (client, _response) = sse.accept(request)?;
    /// for client in sse.clients() {
    ///     if client.query().get("room").as_deref() == Some("7") {
    ///         client.close();
    ///     }
    /// }
    /// assert!(client.is_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clients(&self) -> Vec<Client> {
        self.registry().iter().map(|(_, client)| client.clone()).collect()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.0.epoch
    }

    pub(crate) fn positions(&self) -> &Positions {
        &self.0.positions
    }

    pub(crate) fn downgrade(&self) -> WeakSse {
        WeakSse(Arc::downgrade(&self.0))
    }

    /// Answers a request that the settings let in.
    pub(crate) async fn connect(&self, request: Parts) -> Result<Response<Body>, Rejection> {
        if request.method == Method::HEAD {
            return Ok(response::event_stream(Body::whole(Bytes::new())));
        }
        let (client, response) = self.accept(request)?;
        let listeners = self.listeners().clone();
        for listener in listeners {
            let notified = pin!(listener.notify(client.clone()));
            // What waits for room must not hold up the end of the server.
            select(notified, pin!(self.shutdown_begun())).await;
        }
        Ok(response)
    }

    fn opening(&self) -> Bytes {
        let Some(retry) = &self.0.settings.retry else { return response::OK };
        let mut opening = BytesMut::from(&response::OK[..]);
        encode_retry(pick(retry), &mut opening);
        opening.freeze()
    }

    fn register(&self, client: &Client) -> Result<Slot, Rejection> {
        let mut registry = self.registry();
        if registry.len() >= self.0.settings.max_clients {
            return Err(Rejection::full());
        }
        let key = registry.insert(client.clone());
        // Inside the lock, so that `begin_shutdown` or this sees the other.
        let is_closing = self.has_begun_shutdown();
        drop(registry);
        if is_closing {
            self.bid_farewell(client);
        }
        Ok(Slot { sse: self.clone(), key })
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Listener>> {
        let mut listeners = self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| !listener.is_gone());
        listeners
    }

    fn registry(&self) -> MutexGuard<'_, Slab<Client>> {
        self.0.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of all streams.
impl Sse {
    /// Ends every stream, now and from now on: each gets what was sent and broadcast before, a
    /// `retry` with jitter, so that clients do not come back in the same instant, and its end. Does
    /// not wait for it. The grace period begins. From the second time on it does nothing.
    ///
    /// ```
    /// # use http_body_util::BodyExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sse = fanfare::Sse::new();
    /// # let (client, response) = sse.accept(http::Request::new(()).into_parts().0)?;
    /// use fanfare::{Closed, End};
    ///
    /// client.send("before").await?;
    /// sse.begin_shutdown();
    /// assert_eq!(client.send("too late").await, Err(Closed));
    ///
    /// let wire = response.into_body().collect().await?.to_bytes();
    /// assert!(wire.starts_with(b":ok\n\ndata: before\n\nretry: "));
    /// assert_eq!(client.closed().await, End::Shutdown);
    /// # Ok(())
    /// # }
    /// ```
    pub fn begin_shutdown(&self) {
        let registry = self.registry();
        if self.0.closing.set(Instant::now()).is_err() {
            return;
        }
        let clients: Vec<Client> = registry.iter().map(|(_, client)| client.clone()).collect();
        drop(registry);
        self.0.begun.notify_waiters();
        for client in &clients {
            self.bid_farewell(client);
        }
    }

    /// Waits for `signal`, then [begins to shut down](Self::begin_shutdown) and returns at once:
    /// the future that axum's `with_graceful_shutdown` wants.
    ///
    /// ```no_run
    /// # async fn run(listener: tokio::net::TcpListener, app: axum::Router) -> std::io::Result<()> {
    /// # let sse = fanfare::Sse::new();
    /// # async fn interrupted() {}
    /// let server = axum::serve(listener, sse.attach(app))
    ///     .with_graceful_shutdown(sse.shutdown_on(interrupted()));
    /// tokio::select! {
    ///     result = server => result,
    ///     () = sse.grace_over() => Ok(()), // a peer that reads nothing cannot hold up the exit
    /// }
    /// # }
    /// ```
    pub fn shutdown_on<F>(&self, signal: F) -> impl Future<Output = ()> + Send + use<F>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let sse = self.clone();
        async move {
            signal.await;
            sse.begin_shutdown();
        }
    }

    /// Waits until the shutdown begins: to end work that is not a client's stream.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # async fn rebuild_an_index() -> &'static str { std::future::pending().await }
    /// use fanfare::Sse;
    ///
    /// let sse = Sse::new();
    /// let begun = sse.shutdown_begun();
    /// let working = tokio::spawn(async move {
    ///     tokio::select! {
    ///         () = begun => "stopped",
    ///         done = rebuild_an_index() => done,
    ///     }
    /// });
    /// sse.begin_shutdown();
    /// assert_eq!(working.await?, "stopped");
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown_begun(&self) -> impl Future<Output = ()> + Send + use<> {
        let begun = self.when_shutdown_begun();
        async move {
            begun.await;
        }
    }

    fn when_shutdown_begun(&self) -> impl Future<Output = Instant> + Send + use<> {
        let sse = self.clone();
        async move {
            loop {
                let begun = sse.0.begun.notified();
                if let Some(instant) = sse.0.closing.get() {
                    return *instant;
                }
                begun.await;
            }
        }
    }

    /// Waits until the grace period after the beginning of a shutdown is over. A peer that does not
    /// read keeps its connection busy longer than that: give up the server then, as
    /// [`shutdown_on`](Self::shutdown_on) shows.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use fanfare::Sse;
    /// use tokio::time::Instant;
    ///
    /// let sse = Sse::builder().grace(Duration::from_secs(3)).build();
    /// let start = Instant::now();
    /// sse.begin_shutdown();
    /// sse.grace_over().await;
    /// assert!(start.elapsed() >= Duration::from_secs(3));
    /// # Ok(())
    /// # }
    /// ```
    pub fn grace_over(&self) -> impl Future<Output = ()> + Send + use<> {
        let begun = self.when_shutdown_begun();
        let grace = self.0.settings.grace;
        async move {
            let gone = begun.await.elapsed();
            sleep(grace.saturating_sub(gone)).await;
        }
    }

    /// Whether the shutdown has begun.
    pub fn has_begun_shutdown(&self) -> bool {
        self.0.closing.get().is_some()
    }

    /// The last words to a stream.
    pub(crate) fn farewell(&self) -> Bytes {
        let mut farewell = BytesMut::new();
        encode_retry(pick(&self.0.settings.farewell_retry), &mut farewell);
        farewell.freeze()
    }

    fn bid_farewell(&self, client: &Client) {
        client.end(End::Shutdown, &self.farewell());
    }
}

impl Default for Sse {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sse").field("clients", &self.len()).finish_non_exhaustive()
    }
}

impl WeakSse {
    pub(crate) fn is_of(&self, sse: &Sse) -> bool {
        self.0.as_ptr() == Arc::as_ptr(&sse.0)
    }
}

impl Listener {
    /// Waits while the queue is full.
    async fn notify(&self, client: Client) {
        match self {
            Self::Handler(handler) => {
                let mut work = handler(client);
                // What it does at first, such as joining channels, is done before the stream is
                // read.
                let first = poll_fn(|context| {
                    // A panic is the handler's own affair, as it is on a task.
                    let poll = AssertUnwindSafe(|| work.as_mut().poll(context));
                    Poll::Ready(catch_unwind(poll).is_ok_and(|poll| poll.is_pending()))
                });
                if first.await {
                    tokio::spawn(work);
                }
            }
            // Its receiver has been dropped: it is forgotten with the next client.
            Self::Queue(queue) => drop(queue.send(client).await),
        }
    }

    fn is_gone(&self) -> bool {
        matches!(self, Self::Queue(queue) if queue.is_closed())
    }
}

impl Slot {
    /// To be called once, when the client has ended.
    pub(crate) fn give_back(&self) {
        let client = self.sse.registry().try_remove(self.key);
        // Outside the lock: it may be the last handle, with values whose drop does anything.
        drop(client);
    }
}

/// New clients, from [`Sse::connections`], which has an example.
#[derive(Debug)]
pub struct Connections(mpsc::Receiver<Client>);

impl Stream for Connections {
    type Item = Client;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Client>> {
        self.0.poll_recv(context)
    }
}

/// A time between both ends of the range, at random.
fn pick(range: &RangeInclusive<Duration>) -> Duration {
    let spread = range.end().saturating_sub(*range.start());
    range.start().saturating_add(spread.mul_f64(fastrand::f64()))
}

/// Settings for a new [`Sse`].
///
/// ```
/// use std::time::Duration;
/// use fanfare::Sse;
/// use http::StatusCode;
///
/// let sse = Sse::builder()
///     .path("/rooms/*/events")
///     .retry(Duration::from_secs(2)..=Duration::from_secs(4))
///     .authorize(|request| async move {
///         match request.headers.contains_key("authorization") {
///             true => Ok(request),
///             false => Err(StatusCode::UNAUTHORIZED.into()),
///         }
///     })
///     .build();
/// assert!(sse.is_empty());
/// ```
#[derive(Debug)]
pub struct Builder {
    settings: Settings,
}

impl Builder {
    /// The path of the event stream (`/sse` if not set), percent-encoded as in a request. `*` stands
    /// for any text; leading slashes count as one, a query does not matter.
    ///
    /// ```
    /// # use fanfare::Sse;
    /// # use {axum::{Router, body::Body}, http::{Request, Response}, tower::ServiceExt};
    /// # async fn get(sse: &Sse, target: &str) -> Response<impl Sized> {
    /// #     let request = Request::get(target).body(Body::empty()).unwrap();
    /// #     sse.attach(Router::new()).oneshot(request).await.unwrap()
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sse = Sse::builder().path("/rooms/*/events").build();
    /// assert_eq!(get(&sse, "/rooms/7/events").await.status(), 200);
    /// assert_eq!(get(&sse, "/rooms/7").await.status(), 404); // for the server behind it
    /// # Ok(())
    /// # }
    /// ```
    pub fn path(mut self, path: &str) -> Self {
        self.settings.path = PathPattern::new(path);
        self
    }

    /// Lets only those requests have an event stream for which `verify` says so. The others go on
    /// to the server that this is attached to.
    ///
    /// ```
    /// # use {axum::{Router, body::Body}, http::{Request, Response}, tower::ServiceExt};
    /// # async fn get(sse: &fanfare::Sse, target: &str) -> Response<impl Sized> {
    /// #     let request = Request::get(target).body(Body::empty()).unwrap();
    /// #     sse.attach(Router::new()).oneshot(request).await.unwrap()
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use fanfare::{Query, Sse};
    ///
    /// let sse = Sse::builder()
    ///     .verify(|request| Query::of(&request.uri).get("room").is_some())
    ///     .build();
    /// assert_eq!(get(&sse, "/sse?room=7").await.status(), 200);
    /// assert_eq!(get(&sse, "/sse").await.status(), 404); // from the server behind it
    /// # Ok(())
    /// # }
    /// ```
    pub fn verify(mut self, verify: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.settings.gate.verify = Some(Box::new(verify));
        self
    }

    /// As [`verify`](Self::verify), for a decision that has to wait for something. Asked after
    /// `verify`, with a copy of the request. When the peer leaves meanwhile, the future is dropped.
    ///
    /// ```
    /// # use fanfare::Sse;
    /// # use {axum::{Router, body::Body}, http::{Request, Response}, tower::ServiceExt};
    /// # async fn get(sse: &Sse, target: &str) -> Response<impl Sized> {
    /// #     let request = Request::get(target).body(Body::empty()).unwrap();
    /// #     sse.attach(Router::new()).oneshot(request).await.unwrap()
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # async fn is_there_a_room(uri: http::Uri) -> bool { uri.path() == "/rooms/7" }
    /// let sse = Sse::builder()
    ///     .path("/rooms/*")
    ///     .verify_async(|request| is_there_a_room(request.uri)) // in a database, say
    ///     .build();
    /// assert_eq!(get(&sse, "/rooms/7").await.status(), 200);
    /// assert_eq!(get(&sse, "/rooms/8").await.status(), 404); // from the server behind it
    /// # Ok(())
    /// # }
    /// ```
    pub fn verify_async<F, R>(mut self, verify: F) -> Self
    where
        F: Fn(Parts) -> R + Send + Sync + 'static,
        R: Future<Output = bool> + Send + 'static,
    {
        self.settings.gate.verify_async = Some(Box::new(move |request| Box::pin(verify(request))));
        self
    }

    /// Answers requests with a status of its own instead of an event stream: 401, 403, 429, or 204,
    /// which tells an `EventSource` to stop asking. Asked after `verify` and `verify_async`. When
    /// the peer leaves meanwhile, the future is dropped.
    ///
    /// The request that `authorize` returns is the client's [`request`](Client::request): its
    /// extensions are the place for what has been found out about the user.
    ///
    /// ```
    /// # use {axum::{Router, body::Body}, http::{Request, Response}, tower::ServiceExt};
    /// # async fn get(sse: &fanfare::Sse, target: &str) -> Response<impl Sized> {
    /// #     let request = Request::get(target).body(Body::empty()).unwrap();
    /// #     sse.attach(Router::new()).oneshot(request).await.unwrap()
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use fanfare::{Query, Sse};
    /// use http::StatusCode;
    ///
    /// #[derive(Debug, Clone, PartialEq)]
    /// struct User(String);
    ///
    /// let sse = Sse::builder()
    ///     .authorize(|mut request| async move {
    ///         let user = Query::of(&request.uri).get("user").map(|name| User(name.into_owned()));
    ///         request.extensions.insert(user.ok_or(StatusCode::UNAUTHORIZED)?);
    ///         Ok(request)
    ///     })
    ///     .build();
    /// assert_eq!(get(&sse, "/sse").await.status(), 401);
    ///
    /// let _response = get(&sse, "/sse?user=Ada").await;
    /// let user = sse.clients()[0].request().extensions.get().cloned();
    /// assert_eq!(user, Some(User("Ada".to_owned())));
    /// # Ok(())
    /// # }
    /// ```
    pub fn authorize<F, R>(mut self, authorize: F) -> Self
    where
        F: Fn(Parts) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Parts, Rejection>> + Send + 'static,
    {
        self.settings.gate.authorize = Some(Box::new(move |request| Box::pin(authorize(request))));
        self
    }

    /// Sends a comment after this much silence (15 s if not set, at least 1 ms), or an id without
    /// data, which dispatches nothing either, when events passed that were not meant for the client.
    /// `None` sends none; a peer that is gone without a word is then only noticed when an event
    /// cannot be delivered.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {futures_util::StreamExt, http_body_util::BodyExt};
    /// use std::{pin::pin, time::Duration};
    /// use fanfare::Sse;
    ///
    /// let sse = Sse::builder().keep_alive(Duration::from_secs(5)).build();
    /// # let request = http::Request::new(()).into_parts().0;
    /// let (_client, response) = sse.accept(request)?;
    /// let mut wire = pin!(response.into_body().into_data_stream());
    /// assert_eq!(wire.next().await.unwrap()?, ":ok\n\n");
    /// assert_eq!(wire.next().await.unwrap()?, ":\n\n"); // 5 s later
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep_alive(mut self, silence: impl Into<Option<Duration>>) -> Self {
        self.settings.keep_alive = silence.into();
        self
    }

    /// Opens each stream with a reconnection time out of this range (none if not set), so that
    /// clients which lose their connections together do not come back together. In whole
    /// milliseconds.
    ///
    /// ```
    /// # use http_body_util::BodyExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use fanfare::Sse;
    ///
    /// let sse = Sse::builder().retry(Duration::from_secs(2)..=Duration::from_secs(4)).build();
    /// # let request = http::Request::new(()).into_parts().0;
    /// let (client, response) = sse.accept(request)?;
    /// client.close();
    /// let wire = response.into_body().collect().await?.to_bytes();
    /// assert!(wire.starts_with(b":ok\n\nretry: ")); // 2000 to 4000
    /// # Ok(())
    /// # }
    /// ```
    pub fn retry(mut self, range: RangeInclusive<Duration>) -> Self {
        self.settings.retry = Some(range);
        self
    }

    /// The reconnection times with which streams end in a shutdown (1 s to 5 s if not set). In whole
    /// milliseconds.
    ///
    /// ```
    /// # use http_body_util::BodyExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use fanfare::Sse;
    ///
    /// let always = Duration::from_secs(3);
    /// let sse = Sse::builder().farewell_retry(always..=always).build();
    /// # let request = http::Request::new(()).into_parts().0;
    /// let (_client, response) = sse.accept(request)?;
    /// sse.begin_shutdown();
    /// let wire = response.into_body().collect().await?.to_bytes();
    /// assert_eq!(wire, ":ok\n\nretry: 3000\n\n");
    /// # Ok(())
    /// # }
    /// ```
    pub fn farewell_retry(mut self, range: RangeInclusive<Duration>) -> Self {
        self.settings.farewell_retry = range;
        self
    }

    /// How long after the beginning of a shutdown [`Sse::grace_over`] comes (5 s if not set), which
    /// has an example.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// How many bytes on the wire may wait for one client (64 KiB if not set, at least 1), before
    /// [`Client::send`] waits. A larger event passes when nothing else waits.
    ///
    /// ```
    /// use fanfare::{Sse, TrySendError};
    ///
    /// let sse = Sse::builder().queue_bytes(16).build();
    /// # let request = http::Request::new(()).into_parts().0;
    /// let (client, _response) = sse.accept(request)?;
    /// client.try_send("first")?; // 13 bytes on the wire
    /// assert!(matches!(client.try_send("second"), Err(TrySendError::Full(_))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn queue_bytes(mut self, bytes: u32) -> Self {
        let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        self.settings.queue_bytes = bytes.clamp(1, most);
        self
    }

    /// How many clients there may be (100,000 if not set). Others are answered 503 with a
    /// `Retry-After` of 5 s, upon which an `EventSource` gives up for good: the page has to make
    /// another one.
    ///
    /// ```
    /// use fanfare::Sse;
    ///
    /// # let request = || http::Request::new(()).into_parts().0;
    /// let sse = Sse::builder().max_clients(1).build();
    /// let (_client, response) = sse.accept(request())?;
    /// assert_eq!(sse.accept(request()).unwrap_err().status(), 503);
    /// drop(response); // gives its place back
    /// assert!(sse.accept(request()).is_ok());
    /// # Ok::<(), fanfare::Rejection>(())
    /// ```
    pub fn max_clients(mut self, clients: usize) -> Self {
        self.settings.max_clients = clients;
        self
    }

    /// The `Sse`. Its epoch, which makes event ids its own, is drawn at random.
    pub fn build(self) -> Sse {
        Sse(Arc::new(Shared {
            settings: self.settings,
            epoch: Epoch::from_seed(fastrand::u64(..)),
            positions: Positions::new(),
            listeners: Mutex::default(),
            clients: Mutex::default(),
            closing: OnceLock::new(),
            begun: Notify::new(),
        }))
    }
}
