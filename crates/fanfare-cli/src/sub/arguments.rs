//! The command line's words as values.

use std::time::Duration;

use fanfare_client::{EventId, IdError};
use http::{HeaderName, HeaderValue, Method};
use url::Url;

#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
}

pub(crate) fn url(text: &str) -> Result<Url, String> {
    let hint = || format!("it begins with http:// or https://, such as http://{text}");
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        Ok(_) | Err(url::ParseError::RelativeUrlWithoutBase) => Err(hint()),
        Err(error) => Err(error.to_string()),
    }
}

pub(crate) fn header(text: &str) -> Result<Header, String> {
    let Some((name, value)) = text.split_once(':') else {
        return Err("a header is written 'Name: value'".into());
    };
    let name = name.trim().parse();
    let name = name.map_err(|_| "its name has characters that no header's name can have")?;
    let value = HeaderValue::from_bytes(value.trim().as_bytes());
    let value = value.map_err(|_| "its value has characters that no header can have")?;
    Ok(Header { name, value })
}

/// In capitals, as methods are, whatever was typed.
pub(super) fn method(text: &str) -> Result<Method, http::method::InvalidMethod> {
    text.to_ascii_uppercase().parse()
}

pub(super) fn id(text: &str) -> Result<EventId, IdError> {
    EventId::new(text.to_owned())
}

pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("nothing comes in no time: it must be longer".into()),
        timeout => timeout.map_err(|error| error.to_string()),
    }
}
