use http::{
    HeaderName, HeaderValue, Uri,
    header::{HOST, ORIGIN},
    request::Parts,
};
use thiserror::Error;

use super::denial::{Denial, Reason};

/// Of which kind of site a request is, in a browser's own words.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The sites that are trusted, by their origins: scheme, host and port.
///
/// ```
/// use fanfare_hub::auth::Origins;
///
/// let origins = Origins::new(["https://App.example:443", "http://localhost:3000"])?;
/// assert!(origins.contains("https://app.example"));
/// assert!(!origins.contains("http://app.example"));
/// assert!(Origins::new(["*"]).is_err(), "any site could use everybody's cookies");
/// # Ok::<(), fanfare_hub::auth::OriginError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins(Vec<Box<str>>);

/// A text is no origin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{text:?} is not an origin: write scheme, host and port as in https://app.example or \
     http://localhost:3000, without a path and without a star"
)]
pub struct OriginError {
    /// The text.
    pub text: String,
}

impl Origins {
    /// Reads origins.
    ///
    /// # Errors
    ///
    /// [`OriginError`] tells which text is none.
    pub fn new<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, OriginError> {
        let read = |text: T| {
            let text = text.as_ref();
            canonical(text).ok_or_else(|| OriginError { text: text.to_owned() })
        };
        texts.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a request's header `Origin` is that of one of them.
    pub fn contains(&self, origin: &str) -> bool {
        self.0.iter().any(|known| **known == *origin)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The origin as browsers write it.
fn canonical(text: &str) -> Option<Box<str>> {
    let uri: Uri = text.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let authority = uri.authority()?;
    let rest = text.get(scheme.len() + "://".len()..)?;
    let is_bare = rest.len() == authority.as_str().len() && !rest.contains(['@', '*']);
    if !is_bare || authority.host().is_empty() {
        return None;
    }
    let host = authority.host().to_ascii_lowercase();
    let port = authority.port();
    match port.as_ref().map(http::uri::Port::as_str) {
        None => Some(format!("{scheme}://{host}").into()),
        Some(port) if is_default(&scheme, port) => Some(format!("{scheme}://{host}").into()),
        Some(port) => Some(format!("{scheme}://{host}:{port}").into()),
    }
}

fn is_default(scheme: &str, port: &str) -> bool {
    matches!((scheme, port), ("http", "80") | ("https", "443"))
}

/// Whether a request may act with the cookie that it brings: it comes from a trusted site, or from the
/// hub's own pages.
///
/// A browser adds cookies to what any page in the world sends. What tells the hub's own pages from
/// others is what no page can choose: `Origin` and `Sec-Fetch-Site`. Old browsers, and all of them on
/// plain HTTP, leave the latter out; then `Origin` has to name the host that the request is for. A
/// program that is no browser sends its token in `Authorization` instead, which needs no such proof.
///
/// [`Auth::authenticate`](super::Auth::authenticate) calls it for tokens from cookies.
///
/// ```
/// use fanfare_hub::auth::{Origins, check_origin};
///
/// let request = |name, value| http::Request::post("/sse/a").header(name, value).body(()).unwrap();
/// let trusted = Origins::new(["https://app.example"])?;
/// let (own, _) = request("sec-fetch-site", "same-origin").into_parts();
/// assert!(check_origin(&own, &trusted).is_ok());
/// let (evil, _) = request("origin", "https://evil.example").into_parts();
/// assert_eq!(check_origin(&evil, &trusted).unwrap_err().status(), 403);
/// # Ok::<(), fanfare_hub::auth::OriginError>(())
/// ```
///
/// # Errors
///
/// A [`Denial`] with status 403.
pub fn check_origin(parts: &Parts, trusted: &Origins) -> Result<(), Denial> {
    let origin = only(parts, &ORIGIN);
    let is_trusted = origin.is_some_and(|origin| trusted.contains(origin));
    if is_trusted || is_own_page(parts, origin) {
        return Ok(());
    }
    Err(Denial::new(
        Reason::Origin,
        "The cookie counts for reading only, because the request does not come from a trusted site: \
         list the site's origin in the hub's configuration, or send the token in the header \
         Authorization.",
    ))
}

fn is_own_page(parts: &Parts, origin: Option<&str>) -> bool {
    if parts.headers.contains_key(SEC_FETCH_SITE) {
        return only(parts, &SEC_FETCH_SITE) == Some("same-origin");
    }
    let host = origin.and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    host.is_some_and(|host| !host.is_empty() && asked_host(parts) == Some(host))
}

/// The host that the request is for, with its port.
fn asked_host(parts: &Parts) -> Option<&str> {
    match parts.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => only(parts, &HOST),
    }
}

/// A header's value, if it is there once.
fn only<'a>(parts: &'a Parts, name: &HeaderName) -> Option<&'a str> {
    let mut values = parts.headers.get_all(name).iter();
    let first = values.next().map(HeaderValue::to_str)?.ok()?;
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        for (text, expected) in [
            ("https://app.example", "https://app.example"),
            ("HTTPS://APP.example:443", "https://app.example"),
            ("http://app.example:80", "http://app.example"),
            ("http://app.example:443", "http://app.example:443"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert!(Origins::new([text]).unwrap().contains(expected), "{text}");
        }
        for text in [
            "",
            "*",
            "null",
            "app.example",
            "app.example:80",
            "//app.example",
            "https://",
            "https://*",
            "https://*.example",
            "https://app.example/",
            "https://app.example/a",
            "https://a@app.example",
            "https://app.example?a",
            "https://app.example#a",
            "https://b\u{fc}cher.example",
            "https://:80",
        ] {
            assert_eq!(Origins::new([text]), Err(OriginError { text: text.into() }));
        }
    }

    fn is_let_through(uri: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        check_origin(&parts, &Origins::new(["https://app.example"]).unwrap()).is_ok()
    }

    #[test]
    fn trusted_sites_and_own_pages_are_let_through() {
        for headers in [
            [("origin", "https://app.example"), ("sec-fetch-site", "cross-site")],
            [("origin", "https://app.example"), ("host", "hub.example")],
            [("origin", "https://hub.example"), ("sec-fetch-site", "same-origin")],
            [("x", ""), ("sec-fetch-site", "same-origin")],
            [("origin", "http://hub.example:8080"), ("host", "hub.example:8080")],
        ] {
            assert!(is_let_through("/", &headers), "{headers:?}");
        }
        assert!(
            is_let_through("http://hub.example/", &[("origin", "http://hub.example")]),
            "HTTP/2"
        );
    }

    #[test]
    fn everything_else_is_not() {
        let cases: &[&[(&str, &str)]] = &[
            &[],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "null"), ("host", "null")],
            &[("origin", "https://"), ("host", "")],
            &[("origin", "http://app.example")],
            &[("origin", "https://app.example.evil.example")],
            &[("origin", "https://app.example/")],
            &[("origin", "https://app.example, https://evil.example")],
            &[("origin", "https://app.example"), ("origin", "https://evil.example")],
            &[("origin", "https://hub.example"), ("host", "hub.example"), ("host", "evil.example")],
            &[("origin", "https://evil.example"), ("host", "hub.example")],
            &[
                ("origin", "https://hub.example"),
                ("host", "hub.example"),
                ("sec-fetch-site", "same-site"),
            ],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "Same-Origin")],
            &[("referer", "https://app.example/"), ("host", "hub.example")],
        ];
        for headers in cases {
            assert!(!is_let_through("/", headers), "{headers:?}");
        }
    }
}
