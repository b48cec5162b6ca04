//! Whether an answer brings an event stream.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::Error;

/// 200 and the media type `text/event-stream`, whatever its parameters, readable as it is.
///
/// Standard: [9.2.3 Processing model](https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model).
pub(crate) fn check(status: StatusCode, headers: &HeaderMap) -> Result<(), Error> {
    if status != StatusCode::OK {
        return Err(Error::Status { status, retry_after: retry_after(headers) });
    }
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let found = headers.get(header::CONTENT_TYPE);
    if !found.is_some_and(|found| is_event_stream(found.as_bytes())) {
        return Err(Error::ContentType { found: found.map(text) });
    }
    // What a transport decompresses, it takes out.
    match headers.get(header::CONTENT_ENCODING).map(text) {
        Some(found) if !found.eq_ignore_ascii_case("identity") => {
            Err(Error::ContentEncoding { found })
        }
        _ => Ok(()),
    }
}

fn is_event_stream(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(fanfare_wire::MEDIA_TYPE.as_bytes())
}

/// Seconds, or a date. A date is compared with that of the answer, so that no clock is needed, and
/// that of the client may be wrong.
///
/// RFC 9110, 10.2.3.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let value = text(header::RETRY_AFTER)?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let [until, now] = [value, text(header::DATE)?].map(httpdate::parse_http_date);
    Some(until.ok()?.duration_since(now.ok()?).unwrap_or_default())
}
