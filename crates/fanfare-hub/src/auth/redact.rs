use std::{borrow::Cow, fmt};

use super::token::QUERY_KEY;

/// What stands where a secret was.
const REDACTED: &str = "[redacted]";

/// A URI as it may be logged: without tokens.
///
/// The values of all `access_token` in the query are replaced, however the name is encoded, and with
/// them whatever looks like a token elsewhere, and a user and password before the host.
///
/// ```
/// use fanfare_hub::auth::redact;
///
/// assert_eq!(redact("/sse/a?last=3&access_token=e.y.J"), "/sse/a?last=3&access_token=[redacted]");
/// assert_eq!(redact("/sse/a?access%5Ftoken=x#y"), "/sse/a?access%5Ftoken=[redacted]#y");
/// assert_eq!(redact("/sse/a?last=3"), "/sse/a?last=3");
/// ```
pub fn redact(uri: &str) -> Cow<'_, str> {
    let parts = split(uri);
    if !parts.iter().any(Part::is_secret) {
        return Cow::Borrowed(uri);
    }
    let mut redacted = String::with_capacity(uri.len());
    for part in parts {
        part.write(&mut redacted);
    }
    Cow::Owned(redacted)
}

/// A stretch of a URI. What separates it from the one before stands at its beginning.
enum Part<'a> {
    /// A user and a password.
    User,
    /// Nothing of interest.
    Plain(&'a str),
    /// `key=value`, or a segment of the path.
    Pair(&'a str, &'a str),
}

/// Every byte of the URI is in one part; those of users excepted.
fn split(uri: &str) -> Vec<Part<'_>> {
    let mut parts = vec![];
    let rest = without_user(uri, &mut parts);
    let (path, query) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    pairs(path, &['/'], &mut parts);
    match query.strip_prefix('?') {
        Some(query) => {
            parts.push(Part::Plain("?"));
            pairs(query, &['&', '#'], &mut parts);
        }
        None => pairs(query, &['&', '#'], &mut parts),
    }
    parts
}

/// Splits off the scheme and the user, if there are any.
fn without_user<'a>(uri: &'a str, parts: &mut Vec<Part<'a>>) -> &'a str {
    let (before, _) = uri.split_at(uri.find(['/', '?', '#']).unwrap_or(uri.len()));
    if !before.ends_with(':') || !uri[before.len()..].starts_with("//") {
        return uri;
    }
    let (scheme, rest) = uri.split_at(before.len() + "//".len());
    parts.push(Part::Plain(scheme));
    let host_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..host_end].rfind('@') {
        Some(at) => {
            parts.push(Part::User);
            &rest[at..]
        }
        None => rest,
    }
}

fn pairs<'a>(text: &'a str, separators: &[char], parts: &mut Vec<Part<'a>>) {
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if separators.contains(&first) { first.len_utf8() } else { 0 };
        let end = rest[skipped..].find(separators).map_or(rest.len(), |at| at + skipped);
        parts.push(Part::Pair(&rest[..skipped], &rest[skipped..end]));
        rest = &rest[end..];
    }
}

impl Part<'_> {
    fn is_secret(&self) -> bool {
        match self {
            Self::User => true,
            Self::Plain(_) => false,
            Self::Pair(_, pair) => form_urlencoded::parse(pair.as_bytes()).any(|(key, value)| {
                key.trim_matches([' ', '?']).eq_ignore_ascii_case(QUERY_KEY)
                    || looks_like_token(&key)
                    || looks_like_token(&value)
            }),
        }
    }

    fn write(&self, to: &mut String) {
        match self {
            Self::User => to.push_str(REDACTED),
            Self::Plain(text) => to.push_str(text),
            Self::Pair(separator, pair) => {
                to.push_str(separator);
                to.push_str(&if self.is_secret() { without_value(pair) } else { (*pair).into() });
            }
        }
    }
}

fn without_value(pair: &str) -> Cow<'_, str> {
    match pair.split_once('=') {
        Some((key, _)) if !looks_like_token(key) => format!("{key}={REDACTED}").into(),
        _ => REDACTED.into(),
    }
}

/// Whether it has the beginning of a JSON object in base64, and a point, as a token has.
fn looks_like_token(text: &str) -> bool {
    text.contains("eyJ") && text.contains('.')
}

/// Bytes that nobody should read in a log.
#[derive(Clone)]
pub(super) struct Secret(pub(super) Box<[u8]>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_values_of_tokens_are_replaced_however_they_are_written() {
        for (uri, expected) in [
            ("/?access_token=s3cret", "/?access_token=[redacted]"),
            ("/?access_token=", "/?access_token=[redacted]"),
            ("/?a=1&access_token=s3cret&b=2", "/?a=1&access_token=[redacted]&b=2"),
            (
                "/?access_token=s3cret&access_token=s3cret",
                "/?access_token=[redacted]&access_token=[redacted]",
            ),
            ("/?access%5Ftoken=s3cret", "/?access%5Ftoken=[redacted]"),
            ("/?access%5ftoken=s3cret", "/?access%5ftoken=[redacted]"),
            ("/?%61ccess_token=s3cret", "/?%61ccess_token=[redacted]"),
            ("/?ACCESS_TOKEN=s3cret", "/?ACCESS_TOKEN=[redacted]"),
            ("/?+access_token=s3cret", "/?+access_token=[redacted]"),
            ("/?access_token=s3cret/s3cret?s3cret;s3cret=s3cret", "/?access_token=[redacted]"),
            ("/?x#access_token=s3cret", "/?x#access_token=[redacted]"),
            ("/?topic=a&?access_token=s3cret", "/?topic=a&?access_token=[redacted]"),
            ("/?access_token%3Ds3cret", "/?access_token%3Ds3cret"),
            ("access_token=s3cret", "access_token=[redacted]"),
        ] {
            assert_eq!(redact(uri), expected);
        }
    }

    #[test]
    fn what_looks_like_a_token_is_replaced_anywhere() {
        for (uri, expected) in [
            ("/?token=eyJh.eyJi.c", "/?token=[redacted]"),
            ("/?token=eyJh%2EeyJi%2Ec", "/?token=[redacted]"),
            ("/?access%255Ftoken=eyJh.eyJi.c", "/?access%255Ftoken=[redacted]"),
            ("/?a=b;access_token=eyJh.eyJi.c", "/?a=[redacted]"),
            ("/?eyJh.eyJi.c", "/?[redacted]"),
            ("/?eyJh.eyJi.c=x", "/?[redacted]"),
            ("/sse/eyJh.eyJi.c/x", "/sse/[redacted]/x"),
            ("/sse/news.eyes?last=1.5", "/sse/news.eyes?last=1.5"),
        ] {
            assert_eq!(redact(uri), expected);
        }
    }

    #[test]
    fn users_and_passwords_are_replaced() {
        assert_eq!(redact("http://me:s3cret@host:1/a?b"), "http://[redacted]@host:1/a?b");
        assert_eq!(redact("http://me:s3@cret@host"), "http://[redacted]@host");
        assert_eq!(redact("http://host/a@b"), "http://host/a@b");
        assert_eq!(redact("/a?u=http://me@host"), "/a?u=http://me@host");
        assert_eq!(redact("a//b@c"), "a//b@c");
    }

    proptest! {
        #[test]
        fn no_value_of_a_token_is_left(
            before in "[ -~]{0,20}",
            value in "[A-Za-z0-9_.~%/-]{0,10}SECRET[A-Za-z0-9]{0,10}",
            after in "[ -~]{0,20}",
        ) {
            let uri = format!("/{before}?x=y&access_token={value}&{after}");
            let redacted = redact(&uri);
            prop_assert!(!redacted.contains("SECRET"), "{redacted}");
        }

        #[test]
        fn everything_else_stays(uri in "(/[a-z]{0,3}){0,3}(\\?[a-z=&/?;#%]{0,20})?") {
            prop_assert_eq!(redact(&uri), uri.as_str());
        }

        #[test]
        fn it_takes_any_text(uri in ".{0,60}") {
            let _ = redact(&uri);
        }
    }
}
