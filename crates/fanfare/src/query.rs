//! The query of a request's URI.

use std::borrow::Cow;

use http::Uri;

/// The parsed query of the URI with which a client asked for its stream.
///
/// ```
/// let uri: http::Uri = "/sse?room=caf%C3%A9&tag=a&tag=b".parse()?;
/// let query = fanfare::Query::of(&uri);
/// assert_eq!(query.get("room").as_deref(), Some("café"));
/// assert_eq!(query.get_all("tag").collect::<Vec<_>>(), ["a", "b"]);
/// assert_eq!(query.get("none"), None);
/// # Ok::<(), http::uri::InvalidUri>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// The query of `uri`; empty where it has none.
    pub fn of(uri: &'a Uri) -> Self {
        Self(uri.query().unwrap_or_default())
    }

    /// The first value under this name.
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get_all(name).next()
    }

    /// All values under this name, in their order.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
        self.pairs().filter(move |(key, _)| key == name).map(|(_, value)| value)
    }

    /// All names and values, in their order.
    pub fn pairs(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        form_urlencoded::parse(self.0.as_bytes())
    }
}
