//! The answers to a request for an event stream.

use bytes::Bytes;
use fanfare_wire::MEDIA_TYPE;
use http::{HeaderName, HeaderValue, Response, Version, header};

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

/// Asks proxies of HTTP/1.1 to keep the connection; the header is an error in HTTP/2.
pub(crate) fn keep_connection<B>(response: &mut Response<B>, version: Version) {
    if version == Version::HTTP_11 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("keep-alive"));
    }
}
