use std::sync::LazyLock;

use fanfare_hub::auth::{Algorithm, Auth, KeySource, Rights, Settings, Source};
use http::{HeaderValue, Request};
use proptest::prelude::*;

use crate::support::*;

/// Knows all keys, and lets the anonymous do nothing.
static AUTH: LazyLock<Auth> = LazyLock::new(|| {
    auth([KeySource::secret(SECRET), KeySource::jwks(JWKS), KeySource::pem([RSA, P256].concat())])
});

static TOKENS: LazyLock<Vec<String>> =
    LazyLock::new(|| Algorithm::ALL.into_iter().map(token).collect());

fn is_denied(token: &str) -> Result<(), TestCaseError> {
    if let Err(denial) = show(&AUTH, token) {
        prop_assert!([400, 401].contains(&denial.status().as_u16()));
        prop_assert!(denial.www_authenticate().is_some());
        assert_silent(&denial, token);
    } else {
        prop_assert!(false, "{token} was let through");
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_in_a_header_give_no_right(
        name in prop_oneof![Just("authorization"), Just("cookie")],
        before in prop_oneof![Just("Bearer "), Just("fanfare_token="), Just("")],
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [before.as_bytes(), &bytes].concat();
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let (parts, ()) = Request::get("/").header(name, value).body(()).unwrap().into_parts();
            match at_once(AUTH.authenticate(&parts, NOW)) {
                Ok(identity) => {
                    prop_assert_eq!(identity.source(), Source::Anonymous);
                    prop_assert_eq!(identity.rights(), &Rights::none());
                }
                Err(denial) => prop_assert!([400, 401].contains(&denial.status().as_u16())),
            }
        }
    }

    #[test]
    fn any_query_gives_no_right(query in "[!-~]{0,100}") {
        let uri = format!("/?access_token={query}");
        if let Ok(request) = Request::get(uri).body(()) {
            let (parts, ()) = request.into_parts();
            if let Ok(identity) = at_once(AUTH.authenticate(&parts, NOW)) {
                prop_assert_eq!(identity.rights(), &Rights::none());
            }
        }
    }

    #[test]
    fn anything_of_three_parts_gives_no_right(
        header in prop_oneof![
            Just(r#"{"alg":"HS256"}"#.to_owned()),
            Just(r#"{"alg":"RS256","kid":"rsa"}"#.to_owned()),
            Just(r#"{"alg":"EdDSA","kid":"ed25519"}"#.to_owned()),
            ".{0,40}",
        ],
        claims in prop::collection::vec(any::<u8>(), 0..60),
        signature in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        is_denied(&format!("{}.{}.{}", part(header), part(claims), part(signature)))?;
    }

    #[test]
    fn a_token_with_one_other_letter_gives_no_right(
        which in 0..Algorithm::ALL.len(),
        at in any::<prop::sample::Index>(),
        letter in "[A-Za-z0-9_.=+/~-]",
    ) {
        let mut token = TOKENS[which].clone();
        let at = at.index(token.len());
        if token[at..=at] != letter {
            token.replace_range(at..=at, &letter);
            is_denied(&token)?;
        }
    }

    #[test]
    fn any_claims_that_are_signed_are_read_or_denied(
        claims in prop_oneof![
            ".{0,60}",
            r#"\{"exp":-?[0-9]{1,22}(\.[0-9]{1,3})?(e[0-9]{1,3})?,"fanfare":\{"(subscribe|publish)":\["[a$*/]{0,4}"\]\}\}"#,
        ],
        now in any::<u64>(),
        leeway in any::<u64>(),
    ) {
        let auth = Auth::new(Settings {
            keys: vec![KeySource::secret(SECRET)],
            leeway: std::time::Duration::from_millis(leeway),
            ..Settings::default()
        });
        let now = fanfare_hub::log::Timestamp(now);
        match at_once(auth.unwrap().authenticate(&bearer(&claiming(claims)), now)) {
            Ok(identity) => prop_assert!(identity.expires().is_some_and(|end| end > now)),
            Err(denial) => prop_assert_eq!(denial.status(), 401),
        }
    }
}
