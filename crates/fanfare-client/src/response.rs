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
    let types = headers.get_all(header::CONTENT_TYPE);
    if !is_event_stream(types.iter().map(HeaderValue::as_bytes)) {
        let found: Vec<String> = types.iter().map(text).collect();
        return Err(Error::ContentType { found: (!found.is_empty()).then(|| found.join(", ")) });
    }
    // What a transport decompresses, it takes out.
    match headers.get(header::CONTENT_ENCODING).map(text) {
        Some(found) if !found.eq_ignore_ascii_case("identity") => {
            Err(Error::ContentEncoding { found })
        }
        _ => Ok(()),
    }
}

/// Of several types, the last counts.
///
/// Standard: [extract a MIME type](https://fetch.spec.whatwg.org/#concept-header-extract-mime-type).
fn is_event_stream<'a>(content_types: impl Iterator<Item = &'a [u8]>) -> bool {
    let types = content_types.flat_map(|value| {
        let mut is_quoted = false;
        value.split(move |&byte| {
            is_quoted ^= byte == b'"';
            byte == b',' && !is_quoted
        })
    });
    let essences = types.filter_map(|value| value.split(|&byte| byte == b';').next());
    let last = essences.map(<[u8]>::trim_ascii).filter(|essence| essence.contains(&b'/')).last();
    last.is_some_and(|last| last.eq_ignore_ascii_case(fanfare_wire::MEDIA_TYPE.as_bytes()))
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
