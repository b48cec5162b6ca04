//! What carries requests and answers.

#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(any(feature = "hyper", feature = "reqwest"))]
mod tls;

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};

use crate::{BuildError, error::BoxError};

#[cfg(feature = "hyper")]
pub use hyper::Hyper;
#[cfg(feature = "reqwest")]
pub use reqwest::Reqwest;

/// The body of an answer.
pub type AnswerBody = UnsyncBoxBody<Bytes, BoxError>;

/// A request on its way to its answer.
pub type Sending =
    Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, BoxError>> + Send + 'static>>;

/// What an [`EventSource`](crate::EventSource) sends its requests with.
///
/// The contract:
///
/// - `send` returns at once; the work is done by the future, on the task that polls it.
/// - The future is ready with the answer's head as soon as that has come, whatever its status. The
///   transport follows no redirects and tries nothing again: the event source does.
/// - The body gives bytes as they come, and does not gather them. Where the answer is compressed, it
///   gives the decompressed bytes.
/// - The end of the body is its orderly end; a connection that broke is an error.
/// - Dropping the future or the body ends the exchange at once, and its connection where that cannot
///   be used for another.
///
/// A function from a request to a future is a transport, which is all that a test needs:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use fanfare_client::{BoxError, EventSource, Item};
/// use futures_util::StreamExt;
/// use http::{Request, Response};
/// use http_body_util::Full;
///
/// let mut source = EventSource::builder("http://test/")
///     .transport(|_: Request<bytes::Bytes>| async {
///         let answer = Response::builder().header("content-type", "text/event-stream");
///         Ok::<_, BoxError>(answer.body(Full::from("data: a\n\n"))?)
///     })
///     .build()?;
/// assert!(matches!(source.next().await, Some(Ok(Item::Opened(_)))));
/// assert!(matches!(source.next().await, Some(Ok(Item::Event(event))) if event.data() == "a"));
/// # Ok(())
/// # }
/// ```
pub trait Transport: Send + Sync {
    /// Sends a request.
    fn send(&self, request: Request<Bytes>) -> Sending;
}

impl<F, A, B, E> Transport for F
where
    F: Fn(Request<Bytes>) -> A + Send + Sync,
    A: Future<Output = Result<Response<B>, E>> + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    E: Into<BoxError>,
{
    fn send(&self, request: Request<Bytes>) -> Sending {
        boxed(self(request))
    }
}

fn boxed<B, E>(answer: impl Future<Output = Result<Response<B>, E>> + Send + 'static) -> Sending
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    E: Into<BoxError>,
{
    Box::pin(async move {
        let answer = answer.await.map_err(Into::into)?;
        Ok(answer.map(|body| body.map_err(Into::into).boxed_unsync()))
    })
}

impl fmt::Debug for dyn Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

static SHARED: OnceLock<Arc<dyn Transport>> = OnceLock::new();

/// The one that the crate was built with. It is made once, so that event sources share connections.
pub(crate) fn shared() -> Result<Arc<dyn Transport>, BuildError> {
    if let Some(shared) = SHARED.get() {
        return Ok(shared.clone());
    }
    let new = built_in()?;
    Ok(SHARED.get_or_init(|| new).clone())
}

#[cfg(feature = "reqwest")]
fn built_in() -> Result<Arc<dyn Transport>, BuildError> {
    Ok(Arc::new(Reqwest::new()?))
}

#[cfg(all(feature = "hyper", not(feature = "reqwest")))]
fn built_in() -> Result<Arc<dyn Transport>, BuildError> {
    Ok(Arc::new(Hyper::new()?))
}

#[cfg(not(any(feature = "hyper", feature = "reqwest")))]
fn built_in() -> Result<Arc<dyn Transport>, BuildError> {
    Err(BuildError::NoTransport)
}
