use std::error::Error;

use fanfare_hub::auth::{Algorithm, Auth, KeySource, Settings};

use crate::support::*;

fn said(source: KeySource) -> String {
    let error = Auth::new(Settings { keys: vec![source], ..Settings::default() }).unwrap_err();
    format!("{error}: {}", error.source().unwrap())
}

#[test]
fn what_is_no_public_key_says_what_to_do() {
    for (pem, expected) in [
        (include_str!("keys/rsa.private.pem"), "openssl pkey -in private.pem -pubout"),
        (include_str!("keys/rsa-pkcs1.private.pem"), "openssl pkey -in private.pem -pubout"),
        (include_str!("keys/p256-sec1.private.pem"), "openssl pkey -in private.pem -pubout"),
        (include_str!("keys/p256.certificate.pem"), "openssl x509 -in cert.pem -pubkey"),
        (include_str!("keys/rsa-pkcs1.public.pem"), "openssl rsa -RSAPublicKey_in -pubout"),
        (include_str!("keys/rsa-1024.public.pem"), "has 2048 to 8192 bits, this one has 1024"),
        (include_str!("keys/p521.public.pem"), "P-256, P-384 or Ed25519"),
        ("", "begins with `-----BEGIN PUBLIC KEY-----`"),
        (JWKS, "begins with `-----BEGIN PUBLIC KEY-----`"),
        (&RSA[..RSA.len() - 30], "begins with `-----BEGIN PUBLIC KEY-----`"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "malformed"),
        ("-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n", "begins with"),
    ] {
        let said = said(KeySource::pem(pem));
        assert!(said.contains(expected), "{said}");
        assert!(said.starts_with("the public key cannot be used: "), "{said}");
    }
    let mixed = [RSA, include_str!("keys/p256.private.pem")].concat();
    assert!(said(KeySource::pem(mixed)).contains("private key"), "none is passed over");
}

#[test]
fn a_short_secret_says_how_long_it_should_be() {
    let short = "short but s3cret";
    assert!(said(KeySource::secret(short)).contains("at least 32 bytes long, this one has 16"));
    assert!(!said(KeySource::secret(short)).contains("s3cret"));
    let source = KeySource::secret(&SECRET[..63]).algorithms([Algorithm::Hs256, Algorithm::Hs512]);
    assert!(said(source).contains("HS512 is at least 64 bytes long, this one has 63"));
}

#[test]
fn a_secret_is_for_what_it_is_long_enough_for() {
    let auth = auth([KeySource::secret(&SECRET[..48])]);
    let key = |algorithm, bytes: &[u8]| {
        let key = fanfare_hub::auth::SigningKey::from_secret(bytes, algorithm).unwrap();
        fanfare_hub::auth::issue(&key, &grant()).unwrap()
    };
    let secret = SECRET.as_bytes();
    assert_granted(&show(&auth, &key(Algorithm::Hs256, &secret[..48])).unwrap());
    assert_granted(&show(&auth, &key(Algorithm::Hs384, &secret[..48])).unwrap());
    let long = key(Algorithm::Hs512, &secret[..64]);
    assert_unverified(show(&auth, &long), &long);
}

#[test]
fn algorithms_for_other_keys_are_a_mistake() {
    let said = said(KeySource::pem(P256).algorithms([Algorithm::Rs256, Algorithm::Hs256]));
    assert!(said.ends_with("it could do ES256"), "{said}");
}

#[test]
fn a_jwks_without_usable_keys_is_a_mistake() {
    assert!(said(KeySource::jwks(r#"{"keys":[]}"#)).contains("no key that tokens could be"));
    assert!(said(KeySource::jwks(RSA)).contains("not a JWKS"));
    let only_for_encryption = JWKS.replace(r#""kid""#, r#""use":"enc","kid""#);
    assert!(
        said(KeySource::jwks(only_for_encryption.replace(r#""use":"sig","#, "")))
            .contains("no key")
    );
}

#[test]
fn nothing_prints_secrets() {
    let settings = Settings { keys: vec![KeySource::secret(SECRET)], ..Settings::default() };
    let printed = format!("{settings:?} {:?}", Auth::new(settings.clone()).unwrap());
    assert!(!printed.contains("sixty-four") && !printed.contains("116, 101"), "{printed}");
}
