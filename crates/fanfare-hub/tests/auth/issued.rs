use fanfare_hub::{
    auth::{Algorithm, Auth, Grant, IssueError, KeySource, Rights, Settings, SigningKey, issue},
    log::Timestamp,
};

use crate::support::*;

#[test]
fn a_token_says_what_was_granted() {
    let grant = Grant {
        rights: Rights { admin: true, ..grant().rights },
        subject: Some("somebody".into()),
        issuer: Some("me".into()),
        audience: Some("hub".into()),
        not_before: Some(Timestamp(NOW.0 - 1)),
        expires: Some(Timestamp(NOW.0 + 5_999)),
    };
    let auth = Auth::new(Settings {
        keys: vec![KeySource::secret(SECRET)],
        issuers: vec!["me".into()],
        audiences: vec!["hub".into()],
        leeway: std::time::Duration::ZERO,
        ..Settings::default()
    })
    .unwrap();
    let token = issue(&signing_key(Algorithm::Hs384), &grant).unwrap();
    let identity = show(&auth, &token).unwrap();
    assert_eq!(identity.rights(), &grant.rights);
    assert_eq!(identity.subject(), Some("somebody"));
    assert_eq!(identity.expires(), Some(Timestamp(NOW.0 + 5_000)));
}

#[test]
fn the_first_algorithm_of_a_key_is_the_default() {
    for (pem, algorithm) in [
        (include_str!("keys/rsa.private.pem"), Algorithm::Rs256),
        (include_str!("keys/rsa-pkcs1.private.pem"), Algorithm::Rs256),
        (include_str!("keys/p256.private.pem"), Algorithm::Es256),
        (include_str!("keys/p384.private.pem"), Algorithm::Es384),
        (include_str!("keys/ed25519.private.pem"), Algorithm::EdDsa),
    ] {
        let key = SigningKey::from_pem(pem, None).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        let token = issue(&key, &grant()).unwrap();
        assert_granted(&show(&auth([public_key(algorithm)]), &token).unwrap());
    }
}

#[test]
fn what_cannot_sign_says_what_to_do() {
    let said = |pem: &str, algorithm| SigningKey::from_pem(pem, algorithm).unwrap_err().to_string();
    assert!(said(include_str!("keys/p256-sec1.private.pem"), None).contains("openssl pkcs8"));
    assert!(said(include_str!("keys/p256-encrypted.private.pem"), None).contains("passphrase"));
    assert!(said(RSA, None).contains("BEGIN PRIVATE KEY"));
    assert!(said("", None).contains("BEGIN PRIVATE KEY"));
    let p256 = include_str!("keys/p256.private.pem");
    assert!(said(p256, Some(Algorithm::Hs256)).ends_with("it could do ES256"));
    assert!(SigningKey::from_secret(SECRET, Algorithm::Rs256).is_err());
    assert!(SigningKey::from_secret("short", Algorithm::Hs256).is_err());
}

#[test]
fn a_token_that_no_hub_reads_is_not_made() {
    let subscribe = (0..1000).map(|number| selector(&format!("topic/{number}"))).collect();
    let rights = Rights { subscribe, ..Rights::none() };
    let outcome = issue(&signing_key(Algorithm::Hs256), &Grant { rights, ..grant() });
    assert!(matches!(outcome, Err(IssueError::TooLong(bytes)) if bytes > 8192), "{outcome:?}");
}

#[test]
fn a_signing_key_prints_no_secret() {
    let printed = format!("{:?}", signing_key(Algorithm::Hs256).with_id("name"));
    assert_eq!(printed, r#"SigningKey { algorithm: Hs256, id: Some("name"), .. }"#);
}
