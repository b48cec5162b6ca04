//! Who may have an event stream.

use std::{fmt, pin::Pin};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request::Parts};

use crate::Body;

type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Verify = dyn Fn(&Parts) -> bool + Send + Sync;
type VerifyAsync = dyn Fn(Parts) -> Answer<bool> + Send + Sync;
type Authorize = dyn Fn(Parts) -> Answer<Result<Parts, Rejection>> + Send + Sync;

/// The application's own conditions.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) verify: Option<Box<Verify>>,
    pub(crate) verify_async: Option<Box<VerifyAsync>>,
    pub(crate) authorize: Option<Box<Authorize>>,
}

impl Gate {
    /// Whether the request may be for an event stream, as far as can be told without waiting.
    pub(crate) fn may_admit(&self, request: &Parts) -> bool {
        self.verify.as_ref().is_none_or(|verify| verify(request))
    }

    /// Whether the request is for an event stream at all.
    pub(crate) async fn admits(&self, request: &Parts) -> bool {
        match &self.verify_async {
            Some(verify) => verify(request.clone()).await,
            None => true,
        }
    }

    pub(crate) async fn authorize(&self, request: Parts) -> Result<Parts, Rejection> {
        match &self.authorize {
            Some(authorize) => authorize(request).await,
            None => Ok(request),
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("verify", &self.verify.is_some())
            .field("verify_async", &self.verify_async.is_some())
            .field("authorize", &self.authorize.is_some())
            .finish()
    }
}

/// The answer to a request that gets no event stream.
///
/// Made from a status, or a whole response. Any status but 200 and that of a redirect makes an
/// `EventSource` give up for good; 204 is the one that says so.
///
/// ```
/// use fanfare::Rejection;
/// use http::{Response, StatusCode};
///
/// let plain = Rejection::from(StatusCode::FORBIDDEN);
/// assert_eq!(plain.status(), 403);
///
/// let slow_down = Response::builder().status(429).header("retry-after", "10").body("slow down\n")?;
/// assert_eq!(Rejection::from(slow_down).status(), 429);
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Debug)]
pub struct Rejection(Box<Response<Bytes>>);

impl Rejection {
    /// The server has as many clients as it takes.
    pub(crate) fn full() -> Self {
        let mut rejection = Self::from(StatusCode::SERVICE_UNAVAILABLE);
        rejection.0.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        rejection
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The answer, for routes of your own.
    ///
    /// ```
    /// use fanfare::{Body, Sse};
    /// use http::{Response, request::Parts};
    ///
    /// fn route(sse: &Sse, request: Parts) -> Response<Body> {
    ///     match sse.accept(request) {
    ///         Ok((_client, response)) => response,
    ///         Err(rejection) => rejection.into_response(),
    ///     }
    /// }
    ///
    /// let full = Sse::builder().max_clients(0).build();
    /// # let request = http::Request::new(()).into_parts().0;
    /// assert_eq!(route(&full, request).headers()["retry-after"], "5");
    /// ```
    pub fn into_response(self) -> Response<Body> {
        self.0.map(Body::whole)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no event stream is given: {}", self.status())
    }
}

impl std::error::Error for Rejection {}

impl From<StatusCode> for Rejection {
    /// An answer of this status, which its text names, unless the status allows none.
    fn from(status: StatusCode) -> Self {
        let text = match status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => String::new(),
            status => format!("{status}\n"),
        };
        let mut response = Response::new(Bytes::from(text));
        *response.status_mut() = status;
        Self(Box::new(response))
    }
}

impl<T: Into<Bytes>> From<Response<T>> for Rejection {
    fn from(response: Response<T>) -> Self {
        Self(Box::new(response.map(Into::into)))
    }
}
