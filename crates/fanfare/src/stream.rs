//! Streams of events: as a response without a client, and piped to a client.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use fanfare_wire::{Decoder, Event, EventId, EventTooLarge, Item, encode_id, encode_retry};
use futures_core::Stream;
use futures_util::{
    StreamExt,
    future::{ready, select},
    pin_mut, stream,
};
use http::Response;
use http_body::Frame;
use thiserror::Error;

use crate::{
    Client, Closed, Sse,
    body::{Framed, Source},
    response,
};

const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(15);

impl Sse {
    /// A response whose event stream is `events`, with a keep-alive comment every 15 s of silence.
    ///
    /// The response ends with the stream, upon which an `EventSource` asks again. Dropping the
    /// response drops the stream. It belongs to no `Sse` and ends with the shutdown of none; for one
    /// that does there is [`respond`](Self::respond).
    ///
    /// ```
    /// # async fn request(app: axum::Router, target: &str) -> Result<bytes::Bytes, axum::Error> {
    /// #     let request = http::Request::get(target).body(axum::body::Body::empty());
    /// #     let response = tower::ServiceExt::oneshot(app, request.unwrap()).await.unwrap();
    /// #     axum::body::to_bytes(response.into_body(), usize::MAX).await
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::{Router, response::IntoResponse, routing::get};
    /// use fanfare::Sse;
    /// use futures_util::stream;
    ///
    /// async fn countdown() -> impl IntoResponse {
    ///     Sse::stream(stream::iter((1..=2).rev().map(|number| number.to_string())))
    /// }
    ///
    /// let app = Router::new().route("/countdown", get(countdown));
    /// assert_eq!(request(app, "/countdown").await?, ":ok\n\ndata: 2\n\ndata: 1\n\n");
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream<S>(
        events: S,
    ) -> Response<StreamBody<impl Stream<Item = Result<Bytes, Infallible>>>>
    where
        S: Stream,
        S::Item: Into<Event>,
    {
        Self::try_stream(events.map(Ok))
    }

    /// As [`stream`](Self::stream) for a stream that may fail, which breaks the connection off: a
    /// client sees that the stream did not end as it should.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {futures_util::StreamExt, http_body_util::BodyExt, std::pin::pin};
    /// use std::io;
    /// use fanfare::Sse;
    /// use futures_util::stream;
    ///
    /// let rows = stream::iter([Ok("a"), Err(io::Error::other("the database is gone"))]);
    /// let response = Sse::try_stream(rows);
    ///
    /// let mut wire = pin!(response.into_body().into_data_stream());
    /// assert_eq!(wire.next().await.unwrap()?, ":ok\n\n");
    /// assert_eq!(wire.next().await.unwrap()?, "data: a\n\n");
    /// assert!(wire.next().await.unwrap().is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_stream<S, T, E>(
        events: S,
    ) -> Response<StreamBody<impl Stream<Item = Result<Bytes, E>>>>
    where
        S: Stream<Item = Result<T, E>>,
        T: Into<Event>,
    {
        open(encoded(events))
    }

    /// As [`stream`](Self::stream), ending with the shutdown of this `Sse`: with a `retry` like
    /// that of its clients, so that `with_graceful_shutdown` returns.
    ///
    /// ```
    /// # async fn request(app: axum::Router, target: &str) -> Result<bytes::Bytes, axum::Error> {
    /// #     let request = http::Request::get(target).body(axum::body::Body::empty());
    /// #     let response = tower::ServiceExt::oneshot(app, request.unwrap()).await.unwrap();
    /// #     axum::body::to_bytes(response.into_body(), usize::MAX).await
    /// # }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::{Router, extract::State, response::IntoResponse, routing::get};
    /// use fanfare::Sse;
    /// use futures_util::{StreamExt, stream};
    ///
    /// async fn ticks(State(sse): State<Sse>) -> impl IntoResponse {
    ///     sse.respond(stream::repeat("tick").then(async |tick| {
    ///         tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    ///         tick
    ///     }))
    /// }
    ///
    /// let sse = Sse::new();
    /// let app = Router::new().route("/ticks", get(ticks)).with_state(sse.clone());
    /// # tokio::spawn(async move {
    /// #     tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    /// #     sse.begin_shutdown();
    /// # });
    /// // With a shutdown after a second and a half:
    /// assert!(request(app, "/ticks").await?.starts_with(b":ok\n\ndata: tick\n\nretry: "));
    /// # Ok(())
    /// # }
    /// ```
    pub fn respond<S>(
        &self,
        events: S,
    ) -> Response<StreamBody<impl Stream<Item = Result<Bytes, Infallible>> + use<S>>>
    where
        S: Stream,
        S::Item: Into<Event>,
    {
        self.try_respond(events.map(Ok))
    }

    /// As [`respond`](Self::respond) for a stream that may fail, which breaks the connection off.
    pub fn try_respond<S, T, E>(
        &self,
        events: S,
    ) -> Response<StreamBody<impl Stream<Item = Result<Bytes, E>> + use<S, T, E>>>
    where
        S: Stream<Item = Result<T, E>>,
        T: Into<Event>,
    {
        self.respond_encoded(encoded(events))
    }

    /// As [`try_respond`](Self::try_respond), for events that have the form of the wire already:
    /// chunks that each end with the end of an event, and none of them empty.
    pub fn respond_encoded<S, E>(
        &self,
        chunks: S,
    ) -> Response<StreamBody<impl Stream<Item = Result<Bytes, E>> + use<S, E>>>
    where
        S: Stream<Item = Result<Bytes, E>>,
    {
        let sse = self.clone();
        let farewell = async move { sse.has_begun_shutdown().then(|| sse.farewell()) };
        let farewell = stream::once(farewell).filter_map(ready).map(Ok);
        open(chunks.take_until(Box::pin(self.shutdown_begun())).chain(farewell))
    }
}

fn encoded<S, T, E>(events: S) -> impl Stream<Item = Result<Bytes, E>>
where
    S: Stream<Item = Result<T, E>>,
    T: Into<Event>,
{
    events.map(|event| event.map(|event| event.into().to_bytes()))
}

fn open<S, E>(chunks: S) -> Response<StreamBody<impl Stream<Item = Result<Bytes, E>>>>
where
    S: Stream<Item = Result<Bytes, E>>,
{
    let chunks = Chunks { chunks: chunks.fuse() };
    let body = Framed::new(chunks, response::OK, Some(DEFAULT_KEEP_ALIVE));
    response::event_stream(StreamBody { body })
}

pin_project_lite::pin_project! {
    /// The body that carries a stream of events, of the responses that [`Sse::stream`] and its like
    /// make. Dropping it drops the stream.
    ///
    /// ```
    /// # use http_body_util::BodyExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use fanfare::Sse;
    /// use futures_util::stream;
    ///
    /// let response = Sse::stream(stream::iter(["a", "b"]));
    /// let wire = response.into_body().collect().await?.to_bytes();
    /// assert_eq!(wire, ":ok\n\ndata: a\n\ndata: b\n\n");
    /// # Ok(())
    /// # }
    /// ```
    pub struct StreamBody<S> {
        #[pin]
        body: Framed<Chunks<S>>,
    }
}

impl<S> StreamBody<S> {
    /// The same body with a comment after this much silence instead of 15 s; `None`: without.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {futures_util::StreamExt, http_body_util::BodyExt, std::pin::pin};
    /// use std::time::Duration;
    /// use fanfare::Sse;
    /// use futures_util::stream;
    ///
    /// let response = Sse::stream(stream::pending::<&str>())
    ///     .map(|body| body.with_keep_alive(Some(Duration::from_secs(5))));
    /// let mut wire = pin!(response.into_body().into_data_stream());
    /// assert_eq!(wire.next().await.unwrap()?, ":ok\n\n");
    /// assert_eq!(wire.next().await.unwrap()?, ":\n\n"); // 5 s later
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_keep_alive(self, silence: Option<Duration>) -> Self {
        Self { body: self.body.with_keep_alive(silence) }
    }
}

impl<S, E> http_body::Body for StreamBody<S>
where
    S: Stream<Item = Result<Bytes, E>>,
{
    type Data = Bytes;
    type Error = E;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        self.project().body.poll_frame(context)
    }
}

impl<S> fmt::Debug for StreamBody<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamBody").finish_non_exhaustive()
    }
}

pin_project_lite::pin_project! {
    /// Encoded events.
    struct Chunks<S> {
        #[pin]
        chunks: S,
    }
}

impl<S, E> Source for Chunks<S>
where
    S: Stream<Item = Result<Bytes, E>>,
{
    type Error = E;

    fn poll_bytes(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, E>>> {
        self.project().chunks.poll_next(context)
    }
}

/// Why [`Client::pipe_wire`] stopped before the end of its stream.
#[derive(Debug, Error)]
pub enum PipeError<E> {
    /// The client's stream has ended.
    #[error("the client's event stream is closed")]
    Closed,
    /// An event of the source is larger than can be taken.
    #[error("cannot pass on the source's event stream")]
    TooLarge(#[from] EventTooLarge),
    /// The source failed.
    #[error("the source of the event stream failed")]
    Source(#[source] E),
}

/// What a client that is piped to knows of the source's stream.
#[derive(Default)]
struct Told {
    id: EventId,
    retry: Option<Duration>,
}

impl Client {
    /// Sends everything that `events` gives, at the client's pace, and returns at its end. The
    /// stream to the client stays open.
    ///
    /// ```
    /// # use http_body_util::BodyExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sse = fanfare::Sse::new();
    /// # let (client, response) = sse.accept(http::Request::new(()).into_parts().0)?;
    /// use futures_util::stream;
    ///
    /// client.pipe(stream::iter(["a", "b"])).await?;
    /// # client.close();
    /// let wire = response.into_body().collect().await?.to_bytes();
    /// assert_eq!(wire, ":ok\n\ndata: a\n\ndata: b\n\n");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Closed`] as soon as the client is gone, also while `events` has nothing; `events` is
    /// dropped then.
    pub async fn pipe<S>(&self, events: S) -> Result<(), Closed>
    where
        S: Stream,
        S::Item: Into<Event>,
    {
        pin_mut!(events);
        while let Some(event) = self.unless_closed(events.next()).await? {
            self.send(event).await?;
        }
        Ok(())
    }

    /// Sends every event of another event stream, which comes as bytes, such as the body of an
    /// upstream's response. Names, ids and reconnection times go along; comments do not. An event
    /// that is not whole when `chunks` ends is left out.
    ///
    /// ```
    /// # use http_body_util::BodyExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sse = fanfare::Sse::new();
    /// # let (client, response) = sse.accept(http::Request::new(()).into_parts().0)?;
    /// use std::io;
    /// use bytes::Bytes;
    /// use futures_util::stream;
    ///
    /// let chunks = [Bytes::from("id: 7\ndata: a\n\n:a comment\nda"), Bytes::from("ta: b\n\n")];
    /// client.pipe_wire(stream::iter(chunks.map(Ok::<_, io::Error>))).await?;
    /// # client.close();
    /// let wire = response.into_body().collect().await?.to_bytes();
    /// assert_eq!(wire, ":ok\n\nid: 7\ndata: a\n\nid: 7\ndata: b\n\n");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PipeError`]. What was sent before stays sent.
    pub async fn pipe_wire<S, E>(&self, chunks: S) -> Result<(), PipeError<E>>
    where
        S: Stream<Item = Result<Bytes, E>>,
    {
        let mut decoder = Decoder::new();
        let mut told = Told::default();
        pin_mut!(chunks);
        let closed = |Closed| PipeError::Closed;
        while let Some(chunk) = self.unless_closed(chunks.next()).await.map_err(closed)? {
            let mut chunk = chunk.map_err(PipeError::Source)?;
            while let Some(item) = decoder.decode(&mut chunk)? {
                self.pass_on(item, &mut told).await.map_err(closed)?;
            }
            self.pass_on_rest(&decoder, &mut told).await.map_err(closed)?;
        }
        Ok(())
    }

    async fn pass_on(&self, item: Item, told: &mut Told) -> Result<(), Closed> {
        match item {
            Item::Event(event) => {
                told.id = event.id().cloned().unwrap_or_default();
                told.retry = event.retry().or(told.retry);
                self.send(event).await
            }
            Item::Retry(_) | Item::Comment(_) => Ok(()),
        }
    }

    /// Passes on what was set without an event.
    async fn pass_on_rest(&self, decoder: &Decoder, told: &mut Told) -> Result<(), Closed> {
        let mut wire = Vec::new();
        if let Some(retry) = decoder.reconnection_time().filter(|retry| told.retry != Some(*retry))
        {
            told.retry = Some(retry);
            encode_retry(retry, &mut wire);
        }
        if told.id != *decoder.last_event_id() {
            told.id = EventId::new(decoder.last_event_id()).unwrap_or_default();
            encode_id(&told.id, &mut wire);
        }
        if wire.is_empty() { Ok(()) } else { self.send_bytes(&wire).await }
    }

    async fn unless_closed<T>(&self, future: impl Future<Output = T>) -> Result<T, Closed> {
        let closed = self.closed();
        pin_mut!(future, closed);
        match select(closed, future).await {
            futures_util::future::Either::Left(_) => Err(Closed),
            futures_util::future::Either::Right((output, _)) => Ok(output),
        }
    }
}
