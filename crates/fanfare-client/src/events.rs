//! Reading one answer: a stream of events that ends with its body and never reconnects.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use fanfare_wire::{Decoder, Event, EventTooLarge, Item};
use futures_core::Stream;
use http::Response;
use http_body_util::BodyDataStream;
use thiserror::Error;

use crate::{Error, response, source::MAX_IN_VAIN};

/// Why reading an answer failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError<E> {
    /// The body broke off. What came of the event that was under way is dropped.
    #[error("the answer broke off")]
    Body(#[source] E),
    /// An event is larger than the limit and was left out. Reading goes on.
    #[error(transparent)]
    TooLarge(#[from] EventTooLarge),
    /// The body ended without the event that was to be the last: something is missing.
    #[error("the answer ended before {last:?} came")]
    CutShort {
        /// The data of the event that was to come.
        last: String,
    },
    /// An event's data is not the JSON that was expected. Reading goes on.
    #[cfg(feature = "serde")]
    #[error("an event's data is not the JSON that was expected: {data:?}")]
    Json {
        /// The data.
        data: fanfare_wire::ByteString,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

pin_project_lite::pin_project! {
    /// The events of one answer, such as that of an LLM to a POST.
    ///
    /// Made from chunks of bytes ([`new`](Self::new)) or from a whole response
    /// ([`of_response`](Self::of_response)). Items are views of the chunks, without copies, as
    /// [`Decoder`] gives them. Dropping it drops the body.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use fanfare_client::Events;
    /// use futures_util::{StreamExt, TryStreamExt, stream};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Token {
    ///     text: String,
    /// }
    ///
    /// let chunks = ["data: {\"text\":\"Hel\"}\n\nda", "ta: {\"text\":\"lo\"}\n\ndata: [DONE]\n\n"];
    /// let chunks = stream::iter(chunks).map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk)));
    ///
    /// let tokens = Events::new(chunks).until("[DONE]").json::<Token>();
    /// let answer: String = tokens.map_ok(|token| token.text).try_collect().await?;
    /// assert_eq!(answer, "Hello");
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Debug)]
    pub struct Events<S> {
        #[pin]
        chunks: S,
        decoder: Decoder,
        chunk: Bytes,
        last: Option<String>,
        is_over: bool,
    }
}

impl<S> Events<S> {
    /// The events in a stream of chunks, which may be cut anywhere.
    pub fn new(chunks: S) -> Self {
        Self { chunks, decoder: Decoder::new(), chunk: Bytes::new(), last: None, is_over: false }
    }

    /// The same, ending before the event whose data is `last`: a mark such as `[DONE]`. When the
    /// body ends without it, that is [`ReadError::CutShort`].
    pub fn until(self, last: impl Into<String>) -> Self {
        Self { last: Some(last.into()), ..self }
    }

    /// The same with another limit for the size of one event, in bytes (16 MiB otherwise).
    pub fn with_max_event_bytes(self, bytes: usize) -> Self {
        Self { decoder: self.decoder.with_max_event_bytes(bytes), ..self }
    }

    /// The id of the last event that was given, or a later one that came without an event; empty
    /// when there is none.
    pub fn last_event_id(&self) -> &str {
        self.decoder.last_event_id()
    }
}

impl<B> Events<BodyDataStream<B>>
where
    B: http_body::Body<Data = Bytes>,
{
    /// The events of a response, whatever made it: hyper, or reqwest by `response.into()`.
    ///
    /// # Errors
    ///
    /// [`Error::Status`] and [`Error::ContentType`] when it is no event stream.
    pub fn of_response(response: Response<B>) -> Result<Self, Error> {
        response::check(response.status(), response.headers())?;
        Ok(Self::new(BodyDataStream::new(response.into_body())))
    }
}

impl<S, E> Stream for Events<S>
where
    S: Stream<Item = Result<Bytes, E>>,
{
    type Item = Result<Event, ReadError<E>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        for _ in 0..MAX_IN_VAIN {
            if *this.is_over {
                return Poll::Ready(None);
            }
            while let Some(item) = this.decoder.decode(this.chunk).transpose() {
                match item {
                    Ok(Item::Event(event)) if this.last.as_deref() == Some(event.data()) => {
                        *this.is_over = true;
                        return Poll::Ready(None);
                    }
                    Ok(Item::Event(event)) => return Poll::Ready(Some(Ok(event))),
                    Ok(Item::Comment(_) | Item::Retry(_)) => {}
                    Err(too_large) => return Poll::Ready(Some(Err(too_large.into()))),
                }
            }
            match ready!(this.chunks.as_mut().poll_next(context)) {
                Some(Ok(chunk)) => *this.chunk = chunk,
                end => {
                    *this.is_over = true;
                    let cut_short = || this.last.take().map(|last| ReadError::CutShort { last });
                    let error = end.and_then(Result::err).map(ReadError::Body).or_else(cut_short);
                    return Poll::Ready(error.map(Err));
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
