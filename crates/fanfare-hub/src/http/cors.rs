//! Pages of other origins.
//!
//! Standard: [Fetch, CORS protocol](https://fetch.spec.whatwg.org/#http-cors-protocol).

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::{AnswerBody, empty, route::Route};

const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, cache-control, content-type, idempotency-key, last-event-id",
);
/// What a browser may remember the answer for, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Whose pages may use the hub.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origins {
    /// Those that the hub serves itself.
    #[default]
    None,
    /// All, without cookies.
    Any,
    /// These, such as `https://example.com`, with cookies.
    These(Vec<HeaderValue>),
}

impl Origins {
    /// Whether pages of this origin may use the hub.
    pub fn allows(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::None => false,
            Self::Any => true,
            Self::These(origins) => origins.contains(origin),
        }
    }

    /// Adds to an answer what lets a page of `origin` see it.
    pub(crate) fn allow(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if *self == Self::None {
            return;
        }
        if *self == Self::Any {
            let any = HeaderValue::from_static("*");
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
            return;
        }
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = origin.filter(|origin| self.allows(origin)) {
            let yes = HeaderValue::from_static("true");
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
    }
}

/// The answer to an OPTIONS request.
pub(crate) fn preflight(route: &Route) -> Response<AnswerBody> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let names: Vec<&str> = route.methods().iter().map(Method::as_str).collect();
    let headers = response.headers_mut();
    if let Ok(methods) = HeaderValue::try_from(names.join(", ")) {
        headers.insert(header::ALLOW, methods.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    response
}
