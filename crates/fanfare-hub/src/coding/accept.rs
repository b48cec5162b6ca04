//! Which coding a client is given: the `Accept-Encoding` of RFC 9110, section 12.5.3.

use http::{HeaderMap, header::ACCEPT_ENCODING};

use super::Coding;

/// What a client says that it can read, and how much it likes it.
struct Accepted<'a> {
    token: &'a str,
    /// From 0, not at all, to 1.
    quality: f32,
}

/// The coding that the client likes best of those that are offered, the first of them if it likes
/// several as much; identity, if it likes that better, or none of them.
pub(crate) fn choose(offered: &[Coding], headers: &HeaderMap) -> Coding {
    let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let accepted: Vec<_> = lines.flat_map(|line| line.split(',')).filter_map(parse).collect();
    let mut best = (Coding::Identity, quality(&accepted, Coding::Identity));
    for coding in offered.iter().rev() {
        let quality = quality(&accepted, *coding);
        if quality > 0.0 && quality >= best.1 {
            best = (*coding, quality);
        }
    }
    best.0
}

fn parse(item: &str) -> Option<Accepted<'_>> {
    let mut parts = item.split(';').map(str::trim);
    let token = parts.next().filter(|token| !token.is_empty())?;
    // What cannot be read is not asked for.
    let quality = parts.next().map_or(1.0, |weight| parse_weight(weight).unwrap_or(0.0));
    Some(Accepted { token, quality })
}

fn parse_weight(text: &str) -> Option<f32> {
    let (name, value) = text.split_once('=')?;
    let quality = value.trim().parse().ok()?;
    (name.trim().eq_ignore_ascii_case("q") && (0.0..=1.0).contains(&quality)).then_some(quality)
}

fn quality(accepted: &[Accepted<'_>], coding: Coding) -> f32 {
    let of = |token: &str| {
        let is_same = |one: &&Accepted<'_>| one.token.eq_ignore_ascii_case(token);
        accepted.iter().find(is_same).map(|one| one.quality)
    };
    let alias = if coding == Coding::Gzip { of("x-gzip") } else { None };
    let named = of(coding.token()).or(alias);
    // Identity is always accepted unless it is named; whoever names others likes them better.
    let others = if coding == Coding::Identity { Some(0.0) } else { of("*") };
    named.or(others).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn chosen(lines: &[&'static str]) -> &'static str {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_static(line));
        }
        choose(&Coding::COMPRESSED, &headers).token()
    }

    #[test]
    fn the_best_of_what_is_accepted_is_chosen() {
        assert_eq!(chosen(&[]), "identity");
        assert_eq!(chosen(&[""]), "identity");
        assert_eq!(chosen(&["gzip, deflate, br, zstd"]), "zstd");
        assert_eq!(chosen(&["gzip, deflate", "br"]), "br");
        assert_eq!(chosen(&["GZIP"]), "gzip");
        assert_eq!(chosen(&["deflate"]), "identity");
        assert_eq!(chosen(&["*"]), "zstd");
    }

    #[test]
    fn a_client_says_what_it_likes() {
        assert_eq!(chosen(&["gzip;q=1.0, zstd;q=0.5"]), "gzip");
        assert_eq!(chosen(&["zstd;q=0, *"]), "br");
        assert_eq!(chosen(&["gzip;q=0"]), "identity");
        assert_eq!(chosen(&["gzip ; q=0.5 , identity"]), "identity");
        for nothing in ["much", "5", "-1", "NaN", "inf", ""] {
            let line = format!("gzip;q={nothing}, identity;q=0.5").leak();
            assert_eq!(chosen(&[line]), "identity", "{nothing}");
        }
        assert_eq!(chosen(&["gzip;q =0"]), "identity");
        assert_eq!(chosen(&["gzip;level=1"]), "identity");
        assert_eq!(chosen(&["x-gzip"]), "gzip");
        assert_eq!(chosen(&["identity;q=0"]), "identity", "there is nothing else to give");
        assert_eq!(chosen(&["*;q=0"]), "identity");
    }

    #[test]
    fn what_is_not_offered_is_not_chosen() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd"));
        assert_eq!(choose(&[Coding::Gzip], &headers), Coding::Gzip);
        assert_eq!(choose(&[], &headers), Coding::Identity);
    }
}
