//! Keys, tokens and requests.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use fanfare_hub::{
    Selector, TopicName,
    auth::{
        Algorithm, Auth, Denial, Grant, Identity, KeySource, Rights, Settings, SigningKey, issue,
    },
    log::Timestamp,
};
use http::{Request, request::Parts};
use ring::hmac;

/// In 2027.
pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);
/// [`NOW`], as tokens tell time.
pub(crate) const NOW_SECONDS: u64 = NOW.0 / 1000;

pub(crate) const SECRET: &str = include_str!("keys/secret.txt").trim_ascii_end();
pub(crate) const RSA: &str = include_str!("keys/rsa.public.pem");
pub(crate) const P256: &str = include_str!("keys/p256.public.pem");
pub(crate) const P384: &str = include_str!("keys/p384.public.pem");
pub(crate) const ED25519: &str = include_str!("keys/ed25519.public.pem");
pub(crate) const JWKS: &str = include_str!("keys/jwks.json");

/// The key for an algorithm, by its name in the JWKS.
pub(crate) fn key_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => "secret",
        Algorithm::Es256 => "p256",
        Algorithm::Es384 => "p384",
        Algorithm::EdDsa => "ed25519",
        _ => "rsa",
    }
}

/// The private key for an algorithm.
pub(crate) fn signing_key(algorithm: Algorithm) -> SigningKey {
    let name = key_name(algorithm);
    let pem = match name {
        "secret" => return SigningKey::from_secret(SECRET, algorithm).unwrap(),
        "p256" => include_str!("keys/p256.private.pem"),
        "p384" => include_str!("keys/p384.private.pem"),
        "ed25519" => include_str!("keys/ed25519.private.pem"),
        _ => include_str!("keys/rsa.private.pem"),
    };
    SigningKey::from_pem(pem, Some(algorithm)).unwrap().with_id(name)
}

/// The private key of somebody whom no hub knows.
pub(crate) fn strangers_key(algorithm: Algorithm) -> SigningKey {
    let pem = match key_name(algorithm) {
        "secret" => return SigningKey::from_secret([b'x'; 64], algorithm).unwrap(),
        "p256" => include_str!("keys/stranger-p256.private.pem"),
        "p384" => include_str!("keys/stranger-p384.private.pem"),
        "ed25519" => include_str!("keys/stranger-ed25519.private.pem"),
        _ => include_str!("keys/stranger-rsa.private.pem"),
    };
    SigningKey::from_pem(pem, Some(algorithm)).unwrap()
}

/// What verifies an algorithm.
pub(crate) fn public_key(algorithm: Algorithm) -> KeySource {
    match key_name(algorithm) {
        "secret" => KeySource::secret(SECRET),
        "p256" => KeySource::pem(P256),
        "p384" => KeySource::pem(P384),
        "ed25519" => KeySource::pem(ED25519),
        _ => KeySource::pem(RSA),
    }
}

pub(crate) fn auth(keys: impl IntoIterator<Item = KeySource>) -> Auth {
    Auth::new(Settings { keys: keys.into_iter().collect(), ..Settings::default() }).unwrap()
}

/// To read `news/*` and write `chat`, for a minute.
pub(crate) fn grant() -> Grant {
    Grant {
        rights: Rights {
            subscribe: vec![selector("news/*")],
            publish: vec![selector("chat")],
            admin: false,
        },
        subject: Some("me".into()),
        expires: Some(Timestamp(NOW.0 + 60_000)),
        ..Grant::default()
    }
}

pub(crate) fn token(algorithm: Algorithm) -> String {
    issue(&signing_key(algorithm), &grant()).unwrap()
}

/// A token of any header and claims, signed with HMAC-SHA-256.
pub(crate) fn signed(header: &str, claims: impl AsRef<[u8]>, secret: impl AsRef<[u8]>) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref());
    format!("{message}.{}", part(hmac::sign(&key, message.as_bytes())))
}

/// A token with these claims, signed with the secret.
pub(crate) fn claiming(claims: impl AsRef<[u8]>) -> String {
    signed(r#"{"alg":"HS256"}"#, claims, SECRET)
}

pub(crate) fn part(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn selector(text: &str) -> Selector {
    Selector::new(text).unwrap()
}

pub(crate) fn topic(text: &str) -> TopicName {
    TopicName::new(text).unwrap()
}

pub(crate) fn bearer(token: &str) -> Parts {
    request(&[("authorization", &format!("Bearer {token}"))])
}

pub(crate) fn request(headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::post("/sse/chat");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// What comes of a token, without any waiting.
pub(crate) fn show(auth: &Auth, token: &str) -> Result<Identity, Denial> {
    at_once(auth.authenticate(&bearer(token), NOW))
}

/// What a future yields when it is first polled.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// Whether it is who [`grant`] is for.
pub(crate) fn assert_granted(identity: &Identity) {
    assert_eq!(identity.subject(), Some("me"));
    identity.check_subscribe(&selector("news/sport")).unwrap();
    identity.check_publish(&topic("chat")).unwrap();
    assert_eq!(identity.check_subscribe(&selector("chat")).unwrap_err().status(), 403);
    assert_eq!(identity.check_publish(&topic("news/sport")).unwrap_err().status(), 403);
    assert_eq!(identity.check_admin().unwrap_err().status(), 403);
}

/// A denial that says the same as all others of wrong signatures, and nothing of the token.
pub(crate) fn assert_unverified(outcome: Result<Identity, Denial>, token: &str) {
    let denial = outcome.expect_err(token);
    assert_eq!(denial.status(), 401);
    assert!(denial.detail().starts_with("No key of this hub verifies"), "{denial}");
    assert_silent(&denial, token);
}

pub(crate) fn assert_silent(denial: &Denial, token: &str) {
    let said = format!("{denial:?} {denial} {:?}", denial.www_authenticate());
    for part in token.split('.').filter(|part| part.len() > 8) {
        assert!(!said.contains(part), "{said}");
    }
}
