use std::borrow::Cow;

use http::{
    header::{AUTHORIZATION, COOKIE},
    request::Parts,
};

use super::denial::{Denial, Reason};

/// The cookie that a token is taken from.
pub const COOKIE_NAME: &str = "fanfare_token";

/// The key in the query that a token is taken from.
pub const QUERY_KEY: &str = "access_token";

/// What a request has shown who sent it with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A token in `Authorization: Bearer`.
    Bearer,
    /// A token in the cookie `fanfare_token`, which a browser sends whether or not the page may.
    Cookie,
    /// A token in the query's `access_token`.
    Query,
    /// Nothing.
    Anonymous,
}

/// The token of a request and where it was found: the first of `Authorization: Bearer`, cookie and
/// query. An empty one is none. There may be several if they are the same.
pub(super) fn find(parts: &Parts) -> Result<Option<(Cow<'_, str>, Source)>, Denial> {
    let mut tokens = bearers(parts).chain(cookies(parts)).chain(queries(parts));
    let Some(first) = tokens.next() else { return Ok(None) };
    if tokens.any(|(other, _)| other != first.0) {
        return Err(Denial::new(
            Reason::Ambiguous,
            "The request holds two tokens that differ: send one, in the header Authorization, or \
             the cookie fanfare_token, or as access_token in the query.",
        ));
    }
    Ok(Some(first))
}

type Found<'a> = (Cow<'a, str>, Source);

/// Of other schemes than `Bearer` nothing is taken: they are for somebody else.
fn bearers(parts: &Parts) -> impl Iterator<Item = Found<'_>> {
    parts.headers.get_all(AUTHORIZATION).iter().filter_map(|value| {
        let value = value.as_bytes();
        let (scheme, token) = value.split_at_checked(6)?;
        let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer") && token.first()? == &b' ';
        let token = token.trim_ascii();
        (is_bearer && !token.is_empty()).then(|| (String::from_utf8_lossy(token), Source::Bearer))
    })
}

fn cookies(parts: &Parts) -> impl Iterator<Item = Found<'_>> {
    let headers = parts.headers.get_all(COOKIE).iter();
    let pairs = headers.flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| {
        let (name, value) = pair.split_at_checked(pair.iter().position(|byte| *byte == b'=')?)?;
        let value = unquoted(value[1..].trim_ascii());
        let is_token = name.trim_ascii() == COOKIE_NAME.as_bytes() && !value.is_empty();
        is_token.then(|| (String::from_utf8_lossy(value), Source::Cookie))
    })
}

/// RFC 6265 allows quotes around a cookie's value.
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

fn queries(parts: &Parts) -> impl Iterator<Item = Found<'_>> {
    let query = parts.uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .filter(|(key, value)| key == QUERY_KEY && !value.is_empty())
        .map(|(_, value)| (value, Source::Query))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;

    fn parts(uri: &str, headers: &[(&str, &[u8])]) -> Parts {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
        }
        request.body(()).unwrap().into_parts().0
    }

    fn found(uri: &str, headers: &[(&str, &[u8])]) -> Option<(String, Source)> {
        let parts = parts(uri, headers);
        find(&parts).unwrap().map(|(token, source)| (token.into_owned(), source))
    }

    fn of(token: &str, source: Source) -> (String, Source) {
        (token.to_owned(), source)
    }

    #[test]
    fn a_bearer_is_found_whatever_its_case_and_space() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c  "] {
            let headers = [("authorization", value.as_bytes())];
            assert_eq!(found("/", &headers), Some(of("a.b.c", Source::Bearer)), "{value}");
        }
        for value in ["Bearer", "Bearer ", "Basic YTpi", "Bearera.b.c", "", "Bea", "Bearer\ta.b.c"]
        {
            assert_eq!(found("/", &[("authorization", value.as_bytes())]), None, "{value}");
        }
    }

    #[test]
    fn other_schemes_do_not_hide_a_bearer() {
        let headers: [(&str, &[u8]); 2] =
            [("authorization", b"Basic YTpi"), ("authorization", b"Bearer a.b.c")];
        assert_eq!(found("/", &headers), Some(of("a.b.c", Source::Bearer)));
    }

    #[test]
    fn cookies_are_read_as_browsers_and_proxies_write_them() {
        for value in [
            "fanfare_token=a.b.c",
            "x=1; fanfare_token=a.b.c; y=2",
            "x=1;fanfare_token=a.b.c;y=2",
            "  fanfare_token = a.b.c  ",
            "fanfare_token=\"a.b.c\"",
            "; ;=;x; fanfare_token=a.b.c",
            "fanfare_token=; fanfare_token=a.b.c",
            "fanfare_token=a.b.c; fanfare_token=a.b.c",
        ] {
            let headers = [("cookie", value.as_bytes())];
            assert_eq!(found("/", &headers), Some(of("a.b.c", Source::Cookie)), "{value}");
        }
        for value in [
            "",
            "fanfare_token",
            "fanfare_token=",
            "Fanfare_Token=a",
            "xfanfare_token=a",
            "x=fanfare_token=a",
        ] {
            assert_eq!(found("/", &[("cookie", value.as_bytes())]), None, "{value}");
        }
        let several: [(&str, &[u8]); 2] = [("cookie", b"x=1"), ("cookie", b"fanfare_token=a=b")];
        assert_eq!(found("/", &several), Some(of("a=b", Source::Cookie)), "HTTP/2 sends crumbs");
    }

    #[test]
    fn bytes_that_are_no_text_do_not_matter() {
        assert_eq!(
            found("/", &[("cookie", b"\xff\xfe=1; fanfare_token=a")]),
            Some(of("a", Source::Cookie))
        );
        assert_eq!(
            found("/", &[("cookie", b"fanfare_token=\xff")]),
            Some(of("\u{fffd}", Source::Cookie))
        );
        assert_eq!(found("/", &[("authorization", b"\xff\xfe\xfd\xfc\xfb\xfa\xf9")]), None);
    }

    #[test]
    fn the_query_is_decoded() {
        for uri in [
            "/?access_token=a.b.c",
            "/?x=1&access_token=a.b.c&y",
            "/?access%5Ftoken=a%2Eb.c",
            "/?access_token=&access_token=a.b.c",
        ] {
            assert_eq!(found(uri, &[]), Some(of("a.b.c", Source::Query)), "{uri}");
        }
        for uri in
            ["/", "/?", "/?access_token", "/?access_token=", "/?Access_Token=a", "/access_token=a"]
        {
            assert_eq!(found(uri, &[]), None, "{uri}");
        }
        assert_eq!(found("/?access_token=%ff%00+", &[]), Some(of("\u{fffd}\0 ", Source::Query)));
    }

    #[test]
    fn the_first_of_several_equal_ones_counts() {
        let headers: [(&str, &[u8]); 2] =
            [("cookie", b"fanfare_token=a"), ("authorization", b"Bearer a")];
        assert_eq!(found("/?access_token=a", &headers), Some(of("a", Source::Bearer)));
        assert_eq!(found("/?access_token=a", &headers[..1]), Some(of("a", Source::Cookie)));
    }

    #[test]
    fn two_that_differ_are_refused() {
        let cookie: (&str, &[u8]) = ("cookie", b"fanfare_token=a");
        let bearer: (&str, &[u8]) = ("authorization", b"Bearer b");
        let requests = [
            parts("/", &[cookie, bearer]),
            parts("/?access_token=b", &[cookie]),
            parts("/?access_token=a", &[bearer]),
            parts("/?access_token=a&access%5Ftoken=b", &[]),
            parts("/", &[("cookie", b"fanfare_token=a; fanfare_token=b")]),
            parts("/", &[("authorization", b"Bearer a"), bearer]),
        ];
        for request in requests {
            let denial = find(&request).unwrap_err();
            assert_eq!((denial.status().as_u16(), denial.reason()), (400, Reason::Ambiguous));
        }
    }
}
