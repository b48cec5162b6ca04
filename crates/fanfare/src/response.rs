//! The answers to a request for an event stream.

use bytes::Bytes;
use fanfare_wire::MEDIA_TYPE;
use http::{HeaderName, HeaderValue, Response, Version, header, request::Parts};

/// What a stream opens with, so that its head is flushed at once: a comment.
pub(crate) const OK: Bytes = Bytes::from_static(b":ok\n\n");

const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("no-cache, no-transform");
/// nginx, and proxies that learned it from nginx, pass on each byte as it comes.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The head of an event stream.
pub(crate) fn event_stream<B>(body: B) -> Response<B> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// Whether the connection goes on behind the answer, as far as the request says. In HTTP/2 the
/// header that says so is an error.
pub(crate) fn keeps_connection(request: &Parts) -> bool {
    let options = request.headers.get_all(header::CONNECTION).iter();
    let mut options = options.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    request.version == Version::HTTP_11
        && !options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// Asks proxies to keep the connection.
pub(crate) fn keep_connection<B>(response: &mut Response<B>) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("keep-alive"));
}
