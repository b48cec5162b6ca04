//! Errors, as problem details that say what to do (RFC 9457).

use std::{error::Error, fmt::Write};

use http::{HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};
use serde::Serialize;

use super::{AnswerBody, with_type};
use crate::{
    TopicError,
    auth::{Denial, Reason},
    limits::Refused,
    log::{AppendError, ReadError},
    metrics::{Metrics, Refusal},
};

/// How long to wait before asking a log again that does not work, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Why a request was not done.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What it is counted as.
    counted: Option<Counted>,
}

/// What problems are counted by.
#[derive(Debug, Clone, Copy)]
enum Counted {
    /// The bound that the request was beyond.
    Bound(Refusal),
    /// The right that was missing.
    Denial(Reason),
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), headers: vec![], counted: None }
    }

    /// The request was beyond a bound, which counts it.
    pub(crate) fn beyond(bound: Refusal, status: StatusCode, detail: impl Into<String>) -> Self {
        Self { counted: Some(Counted::Bound(bound)), ..Self::new(status, detail) }
    }

    pub(crate) fn count(&self, metrics: &Metrics) {
        match self.counted {
            Some(Counted::Bound(bound)) => metrics.refusals.count(bound),
            Some(Counted::Denial(reason)) => metrics.denials.count(reason),
            None => {}
        }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let detail =
            format!("more than {limit} bytes: publish it in smaller parts, or raise the limit");
        Self::beyond(Refusal::BodySize, StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// A body does not come, or too slowly. What else may come of it is not waited for.
    pub(crate) fn slow_body(detail: impl Into<String>, version: Version) -> Self {
        Self::beyond(Refusal::BodyTime, StatusCode::REQUEST_TIMEOUT, detail).closing(version)
    }

    /// Nothing more is read of the connection.
    pub(crate) fn closing(self, version: Version) -> Self {
        let close = (header::CONNECTION, HeaderValue::from_static("close"));
        // HTTP/2 has no such header: there the stream is reset.
        self.with_headers((version <= Version::HTTP_11).then_some(close))
    }

    /// There are no new streams, and no long publishes.
    pub(crate) fn shutting_down(detail: impl Into<String>) -> Self {
        Self::beyond(Refusal::Shutdown, StatusCode::SERVICE_UNAVAILABLE, detail)
            .with_headers([(header::RETRY_AFTER, RETRY_AFTER)])
    }

    pub(crate) fn method(method: &Method, allowed: &[Method]) -> Self {
        let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        let names = names.join(", ");
        let detail = format!("{method} means nothing here: use {names}");
        let allow = HeaderValue::try_from(names).ok().map(|names| (header::ALLOW, names));
        Self::new(StatusCode::METHOD_NOT_ALLOWED, detail).with_headers(allow)
    }

    /// What goes wrong inside is told in the hub's own log, not to the client.
    pub(crate) fn internal(error: &dyn Error) -> Self {
        tracing::error!(error = chain(error), "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "something is wrong with the hub: see its log")
    }

    /// The same problem, with more about it.
    pub(crate) fn with_detail(mut self, more: &str) -> Self {
        self.detail = format!("{}; {more}", self.detail.trim_end_matches('.'));
        self
    }

    /// The same problem, of a line of a batch.
    pub(crate) fn in_line(mut self, number: usize) -> Self {
        self.detail = format!("line {number}: {}", self.detail);
        self
    }

    pub(crate) fn with_headers(
        mut self,
        headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    ) -> Self {
        self.headers.extend(headers);
        self
    }

    pub(crate) fn into_response(self) -> Response<AnswerBody> {
        let body = Body {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        // Strings and numbers always serialise.
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = with_type(self.status, "application/problem+json", bytes);
        response.headers_mut().extend(self.headers);
        response
    }
}

/// An error and what is beneath it, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string does not fail.
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}

impl From<Refused> for Problem {
    fn from(Refused { bound, retry_after }: Refused) -> Self {
        let detail = match bound {
            Refusal::ClientsPerAddress => {
                "there are as many streams from your address as may be: close one, or share one"
            }
            Refusal::PublishRate => "this is faster than one address may publish: slow down",
            _ => "there are as many streams as may be: try again later, or raise the limit",
        };
        // Rounded up, so that whoever comes back then is let in.
        let seconds = retry_after.as_millis().div_ceil(1000).max(1);
        let header = HeaderValue::try_from(seconds.to_string()).unwrap_or(RETRY_AFTER);
        Self::beyond(bound, StatusCode::TOO_MANY_REQUESTS, detail)
            .with_headers([(header::RETRY_AFTER, header)])
    }
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Self {
        let reason = denial.reason();
        let retry_after = (reason == Reason::Unready).then_some((header::RETRY_AFTER, RETRY_AFTER));
        let challenge = denial.www_authenticate();
        let challenge = challenge.map(|challenge| (header::WWW_AUTHENTICATE, challenge));
        let problem = Self::new(denial.status(), denial.detail());
        Self { counted: Some(Counted::Denial(reason)), ..problem }
            .with_headers(challenge)
            .with_headers(retry_after)
    }
}

impl From<TopicError> for Problem {
    fn from(error: TopicError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        tracing::error!(error = chain(&error), "the log cannot be read");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the log cannot be read: try again later")
            .with_headers([(header::RETRY_AFTER, RETRY_AFTER)])
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        match &error {
            AppendError::Ended(topic) => Self::new(
                StatusCode::CONFLICT,
                format!("the topic {topic} has ended: DELETE it to begin it anew"),
            ),
            AppendError::TooLarge(error) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("{error}: publish less at once"))
            }
            AppendError::Elsewhere(origin) => Self::new(
                StatusCode::MISDIRECTED_REQUEST,
                format!("this hub has its log from {origin}: publish and erase there"),
            ),
            AppendError::Full(why) => {
                tracing::error!(error = chain(&error), "nothing can be published");
                Self::new(
                    StatusCode::INSUFFICIENT_STORAGE,
                    format!("the log has no room, nothing was published: {why}"),
                )
            }
            _ => {
                tracing::error!(error = chain(&error), "nothing can be published");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the log does not work, nothing was acknowledged: try again later",
                )
            }
        }
        .with_headers(
            matches!(error, AppendError::Full(_) | AppendError::Unavailable(_))
                .then_some((header::RETRY_AFTER, RETRY_AFTER)),
        )
    }
}
