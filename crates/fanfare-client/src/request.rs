//! The request for the stream, and where redirects lead it.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;
use url::{Position, Url};

use crate::{Error, RedirectError};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static(fanfare_wire::MEDIA_TYPE);
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// What is for one origin only.
const CREDENTIALS: [HeaderName; 3] =
    [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// What describes a body.
const ABOUT_BODY: [HeaderName; 5] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_TYPE,
];

/// Methods whose requests say how long their body is, also when there is none.
const HAVE_BODIES: [Method; 3] = [Method::POST, Method::PUT, Method::PATCH];

/// What to ask for, again and again. There are no credentials in the URL.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) url: Url,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Ask {
    pub(crate) fn new(url: Url) -> Self {
        let headers = HeaderMap::from_iter([
            (header::ACCEPT, EVENT_STREAM),
            (header::CACHE_CONTROL, NO_CACHE),
        ]);
        let mut ask = Self { url, method: Method::GET, headers, body: Bytes::new() };
        ask.move_credentials();
        ask
    }

    /// Sets a header; one with credentials is not printed.
    pub(crate) fn set_header(&mut self, name: HeaderName, mut value: HeaderValue) {
        value.set_sensitive(CREDENTIALS.contains(&name));
        self.headers.insert(name, value);
    }

    /// The request, with the id as UTF-8 bytes unless it is empty.
    pub(crate) fn to_request(&self, last_event_id: &str) -> Result<Request<Bytes>, Error> {
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri_of(&self.url).map_err(|error| Error::Connection(error.into()))?;
        request.headers_mut().clone_from(&self.headers);
        if self.body.is_empty() && HAVE_BODIES.contains(&self.method) {
            request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        if !last_event_id.is_empty() {
            let value = HeaderValue::from_bytes(last_event_id.as_bytes())
                .map_err(|_| Error::UnsendableId { id: last_event_id.to_owned() })?;
            request.headers_mut().insert(LAST_EVENT_ID, value);
        }
        Ok(request)
    }

    /// Where a redirect leads, as the Fetch standard has it: a POST that was answered 301 or 302, and
    /// anything but GET and HEAD that was answered 303, becomes a GET; another origin gets no
    /// credentials.
    ///
    /// Standard: [HTTP-redirect fetch](https://fetch.spec.whatwg.org/#http-redirect-fetch).
    pub(crate) fn redirected(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Self, RedirectError> {
        let location = headers.get(header::LOCATION).map(HeaderValue::as_bytes);
        let location = location.filter(|location| !location.is_empty());
        let location = location.ok_or(RedirectError::NoLocation(status))?;
        let mut next = Self { url: self.join(location)?, ..self.clone() };
        let becomes_get = match status {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            StatusCode::SEE_OTHER => !matches!(self.method, Method::GET | Method::HEAD),
            _ => false,
        };
        if becomes_get {
            next.method = Method::GET;
            next.body = Bytes::new();
            next.without(&ABOUT_BODY);
        }
        if next.url.origin() != self.url.origin() {
            next.without(&CREDENTIALS);
        }
        next.move_credentials();
        Ok(next)
    }

    /// Makes a header of the user and password in the URL, if there are any.
    fn move_credentials(&mut self) {
        let password = self.url.password();
        if self.url.username().is_empty() && password.is_none() {
            return;
        }
        let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
        let user =
            [decoded(self.url.username()), decoded(password.unwrap_or_default())].join(&b':');
        let value = format!("Basic {}", BASE64_STANDARD.encode(user));
        if let Ok(value) = HeaderValue::try_from(value) {
            self.set_header(header::AUTHORIZATION, value);
        }
        // An http URL can be without them.
        let _ = self.url.set_username("");
        let _ = self.url.set_password(None);
    }

    fn join(&self, location: &[u8]) -> Result<Url, RedirectError> {
        let location = String::from_utf8_lossy(location);
        let url = self.url.join(&location).ok().filter(is_http);
        url.ok_or_else(|| RedirectError::BadLocation { location: location.into_owned() })
    }

    fn without(&mut self, names: &[HeaderName]) {
        for name in names {
            self.headers.remove(name);
        }
    }
}

/// Whether a request can go there.
pub(crate) fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

/// The URL without its fragment, which no request line has.
fn uri_of(url: &Url) -> Result<Uri, http::uri::InvalidUri> {
    url[..Position::AfterQuery].parse()
}
