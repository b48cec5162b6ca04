use fanfare_hub::auth::{Algorithm, KeySource, MAX_TOKEN_BYTES, Reason, issue};

use crate::support::*;

const CLAIMS: &str =
    r#"{"exp":2000000000,"fanfare":{"subscribe":["*"],"publish":["*"],"admin":true}}"#;

#[test]
fn a_strangers_signature_is_worth_nothing() {
    for algorithm in Algorithm::ALL {
        let forged = issue(&strangers_key(algorithm), &grant()).unwrap();
        assert_unverified(show(&auth([public_key(algorithm)]), &forged), &forged);
        assert_unverified(show(&auth([KeySource::jwks(JWKS)]), &forged), &forged);
    }
}

#[test]
fn a_strangers_signature_under_a_known_name_is_worth_nothing() {
    let auth = auth([KeySource::jwks(JWKS)]);
    for (algorithm, id) in
        [(Algorithm::Rs256, "rsa"), (Algorithm::Es256, "p256"), (Algorithm::EdDsa, "ed25519")]
    {
        let forged = issue(&strangers_key(algorithm).with_id(id), &grant()).unwrap();
        assert_unverified(show(&auth, &forged), &forged);
    }
}

#[test]
fn a_signature_is_for_its_own_claims() {
    for algorithm in Algorithm::ALL {
        let token = token(algorithm);
        let (header, rest) = token.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        let forged = format!("{header}.{}.{signature}", part(CLAIMS));
        assert_unverified(show(&auth([public_key(algorithm)]), &forged), &forged);
    }
}

/// The oldest trick: a token without a signature.
#[test]
fn none_is_no_algorithm() {
    for name in ["none", "None", "NONE", "nOnE", "", "HS", "hs256", "HS256 ", "RS1", "ES512", "dir"]
    {
        let header = part(format!(r#"{{"alg":"{name}"}}"#));
        for signature in [String::new(), part("x"), part([0; 32])] {
            let forged = format!("{header}.{}.{signature}", part(CLAIMS));
            for auth in [auth([KeySource::secret(SECRET)]), auth([KeySource::jwks(JWKS)])] {
                let denial = show(&auth, &forged).unwrap_err();
                assert_eq!((denial.status().as_u16(), denial.reason()), (401, Reason::Invalid));
            }
        }
    }
    for header in ["{}", r#"{"alg":null}"#, r#"{"alg":["none"]}"#, r#"{"ALG":"HS256"}"#] {
        let forged = signed(header, CLAIMS, SECRET);
        assert_eq!(show(&auth([KeySource::secret(SECRET)]), &forged).unwrap_err().status(), 401);
    }
}

/// The second oldest: the public key, which anybody has, as the secret of an HMAC.
#[test]
fn a_public_key_is_no_secret() {
    let spellings = |pem: &str| {
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der =
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &body).unwrap();
        [
            pem.as_bytes().to_vec(),
            pem.trim().into(),
            pem.replace('\n', "\r\n").into(),
            body.into(),
            der,
        ]
    };
    for pem in [RSA, P256, P384, ED25519] {
        for secret in spellings(pem) {
            let forged = signed(r#"{"alg":"HS256"}"#, CLAIMS, secret);
            assert_unverified(show(&auth([KeySource::pem(pem)]), &forged), &forged);
            assert_unverified(show(&auth([KeySource::jwks(JWKS)]), &forged), &forged);
        }
    }
    for id in ["rsa", "p256", "p384", "ed25519"] {
        let forged = signed(&format!(r#"{{"alg":"HS256","kid":"{id}"}}"#), CLAIMS, JWKS);
        assert_unverified(show(&auth([KeySource::jwks(JWKS)]), &forged), &forged);
    }
}

/// A token that brings its key along, or says where it lies.
#[test]
fn a_token_does_not_choose_its_key() {
    let auth = auth([KeySource::secret(SECRET), KeySource::jwks(JWKS)]);
    for header in [
        r#"{"alg":"HS256","jwk":{"kty":"oct","k":"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg"}}"#,
        r#"{"alg":"HS256","jku":"https://evil.example/jwks.json"}"#,
        r#"{"alg":"HS256","x5u":"https://evil.example/cert.pem"}"#,
        r#"{"alg":"HS256","x5c":["AAAA"]}"#,
        r#"{"alg":"HS256","kid":"../../../../dev/null"}"#,
        r#"{"alg":"HS256","kid":"' OR 1=1 --"}"#,
        r#"{"alg":"HS256","kid":""}"#,
    ] {
        for secret in ["xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", ""] {
            let forged = signed(header, CLAIMS, secret);
            assert_unverified(show(&auth, &forged), &forged);
        }
    }
}

#[test]
fn extensions_that_must_be_understood_are_not() {
    let auth = auth([KeySource::secret(SECRET)]);
    for header in [
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":"x"}"#,
    ] {
        let denial = show(&auth, &signed(header, CLAIMS, SECRET)).unwrap_err();
        assert!(denial.detail().contains("crit"), "{denial}");
    }
}

/// A signature of no length, of zeros, and the one of ECDSA that old Java took.
#[test]
fn empty_signatures_are_none() {
    for algorithm in Algorithm::ALL {
        let token = token(algorithm);
        let (message, _) = token.rsplit_once('.').unwrap();
        for length in [0, 1, 32, 64, 96, 255, 256, 257, 512] {
            let forged = format!("{message}.{}", part(vec![0; length]));
            assert_unverified(show(&auth([public_key(algorithm)]), &forged), &forged);
        }
    }
}

#[test]
fn a_cut_token_is_none() {
    for algorithm in [Algorithm::Hs256, Algorithm::Es256, Algorithm::Rs256] {
        let (token, auth) = (token(algorithm), auth([public_key(algorithm)]));
        for length in 1..token.len() {
            let denial = show(&auth, &token[..length]).unwrap_err();
            assert_eq!(denial.status(), 401);
            assert_silent(&denial, &token);
        }
        assert!(show(&auth, &format!("{token}A")).is_err());
        assert!(show(&auth, &format!("{token}.")).is_err());
        assert!(show(&auth, &format!("{token}.{token}")).is_err());
    }
}

#[test]
fn a_signature_has_one_spelling() {
    let (token, auth) = (token(Algorithm::Hs256), auth([public_key(Algorithm::Hs256)]));
    for spelling in [
        format!("{token}="),
        format!("{token}=="),
        token.replace('-', "+"),
        token.replace('_', "/"),
        token.replace('.', "%2E"),
        format!("\"{token}\""),
        format!("{token}\u{a0}"),
    ] {
        if spelling != token {
            assert!(show(&auth, &spelling).is_err(), "{spelling}");
        }
    }
}

#[test]
fn a_token_has_a_size() {
    let auth = auth([KeySource::secret(SECRET)]);
    let of_size = |bytes: usize| {
        let mut tokens = (bytes * 3 / 4 - 100..bytes).map(|padding| {
            claiming(format!(r#"{{"exp":2000000000,"x":"{}"}}"#, "x".repeat(padding)))
        });
        tokens.find(|token| token.len() >= bytes).unwrap()
    };
    let longest = of_size(MAX_TOKEN_BYTES);
    assert_eq!(longest.len(), MAX_TOKEN_BYTES);
    assert!(show(&auth, &longest).is_ok());
    let longer = of_size(MAX_TOKEN_BYTES + 1);
    assert!(show(&auth, &longer).unwrap_err().detail().contains("8 KiB"));
}

/// Nothing tells an attacker which of their guesses came closer.
#[test]
fn what_is_wrong_with_a_signature_is_not_told() {
    let auth = auth([KeySource::jwks(JWKS)]);
    let denials = [
        issue(&strangers_key(Algorithm::Rs256).with_id("rsa"), &grant()).unwrap(),
        issue(&strangers_key(Algorithm::Rs256).with_id("other"), &grant()).unwrap(),
        issue(&strangers_key(Algorithm::Es256).with_id("rsa"), &grant()).unwrap(),
        issue(&strangers_key(Algorithm::Hs256), &grant()).unwrap(),
        claiming(r#"{"exp":1}"#),
        claiming("no JSON"),
    ]
    .map(|token| show(&auth, &token).unwrap_err());
    assert!(denials.iter().all(|denial| *denial == denials[0]));
}
