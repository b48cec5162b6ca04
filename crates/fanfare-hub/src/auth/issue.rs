use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    error::Unspecified,
    hmac,
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
        RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
    },
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde::Serialize;
use thiserror::Error;

use super::{
    algorithm::Algorithm,
    jwt::MAX_TOKEN_BYTES,
    key::{KeyError, check_secret, hmac_algorithm},
    rights::Rights,
};
use crate::log::Timestamp;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grant {
    /// What its bearer may do.
    pub rights: Rights,
    /// Who its bearer is (`sub`).
    pub subject: Option<String>,
    /// Who made it (`iss`).
    pub issuer: Option<String>,
    /// Whom it is for (`aud`).
    pub audience: Option<String>,
    /// From when on it is valid (`nbf`), to the second.
    pub not_before: Option<Timestamp>,
    /// Until when it is valid (`exp`), to the second.
    pub expires: Option<Timestamp>,
}

/// Why no token was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IssueError {
    /// It would be longer than a hub reads.
    #[error("the token would be {0} bytes long, and a hub reads {MAX_TOKEN_BYTES}: grant less")]
    TooLong(usize),
    /// The signature could not be made.
    #[error("the token could not be signed")]
    Signing,
}

/// Makes a token, to try a hub out or to test with. In production, tokens are made by whoever knows
/// the users.
///
/// ```
/// use fanfare_hub::{Selector, auth::{Algorithm, Grant, Rights, SigningKey, issue}, log::Timestamp};
///
/// let key = SigningKey::from_secret("a secret of thirty-two bytes or more", Algorithm::Hs256)?;
/// let rights = Rights { subscribe: vec![Selector::new("news/*")?], ..Rights::none() };
/// let grant = Grant { rights, expires: Some(Timestamp(1_800_000_000_000)), ..Grant::default() };
/// let token = issue(&key, &grant)?;
/// assert!(token.starts_with("eyJ"));
/// assert_eq!(token.split('.').count(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`IssueError`] if there is more in it than a hub reads, or the system has no randomness.
pub fn issue(key: &SigningKey, grant: &Grant) -> Result<String, IssueError> {
    let header = Header { alg: key.algorithm.name(), typ: "JWT", kid: key.id.as_deref() };
    let mut token = format!("{}.{}", part(&header)?, part(&Claims::from(grant))?);
    let signature = key.pair.sign(key.algorithm, token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature.map_err(|_| IssueError::Signing)?, &mut token);
    if token.len() > MAX_TOKEN_BYTES { Err(IssueError::TooLong(token.len())) } else { Ok(token) }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    fanfare: &'a Rights,
}

impl<'a> From<&'a Grant> for Claims<'a> {
    fn from(grant: &'a Grant) -> Self {
        let seconds = |time: Timestamp| time.0 / 1000;
        Self {
            iss: grant.issuer.as_deref(),
            sub: grant.subject.as_deref(),
            aud: grant.audience.as_deref(),
            nbf: grant.not_before.map(seconds),
            exp: grant.expires.map(seconds),
            fanfare: &grant.rights,
        }
    }
}

fn part(value: &impl Serialize) -> Result<String, IssueError> {
    let json = serde_json::to_vec(value).map_err(|_| IssueError::Signing)?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// What tokens are signed with. It prints as its algorithm only.
pub struct SigningKey {
    algorithm: Algorithm,
    id: Option<String>,
    pair: Pair,
}

enum Pair {
    Secret(Box<[u8]>),
    Rsa(Box<rsa::KeyPair>),
    P256(Box<EcdsaKeyPair>),
    P384(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl SigningKey {
    /// A secret that is shared with the hub.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if it is shorter than the algorithm's hash, or the algorithm takes none.
    pub fn from_secret(secret: impl AsRef<[u8]>, algorithm: Algorithm) -> Result<Self, KeyError> {
        let secret = secret.as_ref();
        check_secret(secret, Some(&[algorithm]))?;
        Self::new(Pair::Secret(secret.into()), Some(algorithm))
    }

    /// A private key as PEM text: RSA (PKCS #8 or PKCS #1), P-256, P-384 or Ed25519 (PKCS #8). Without
    /// an algorithm, the first that the key is for is taken, such as RS256.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if there is no such key in it, or the algorithm is not for it.
    pub fn from_pem(
        text: impl AsRef<[u8]>,
        algorithm: Option<Algorithm>,
    ) -> Result<Self, KeyError> {
        let pair = match PrivateKeyDer::from_pem_slice(text.as_ref()) {
            Ok(PrivateKeyDer::Pkcs8(key)) => Pair::from_pkcs8(key.secret_pkcs8_der())?,
            Ok(PrivateKeyDer::Pkcs1(key)) => Pair::Rsa(Box::new(
                rsa::KeyPair::from_der(key.secret_pkcs1_der()).map_err(|_| rsa_rejected())?,
            )),
            Ok(_) => {
                return Err(KeyError::NoPrivateKey(
                    "write it as PKCS #8 with `openssl pkcs8 -topk8 -nodes -in key.pem`",
                ));
            }
            Err(_) => {
                return Err(KeyError::NoPrivateKey(
                    "it should begin with `-----BEGIN PRIVATE KEY-----`, without a passphrase",
                ));
            }
        };
        Self::new(pair, algorithm)
    }

    fn new(pair: Pair, algorithm: Option<Algorithm>) -> Result<Self, KeyError> {
        let mut suited = Algorithm::ALL.into_iter().filter(|algorithm| pair.suits(*algorithm));
        let is_wanted = |suited: &Algorithm| algorithm.is_none_or(|wanted| wanted == *suited);
        let algorithm = suited.find(is_wanted).ok_or_else(|| {
            let suited = Algorithm::ALL.into_iter().filter(|algorithm| pair.suits(*algorithm));
            KeyError::Unsuited(suited.map(Algorithm::name).collect::<Vec<_>>().join(", "))
        })?;
        Ok(Self { algorithm, id: None, pair })
    }

    /// Names the key in tokens (`kid`), which tells a hub with several keys which one it is.
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The algorithm that it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Pair {
    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let ecdsa = |scheme| EcdsaKeyPair::from_pkcs8(scheme, der, &random).map(Box::new);
        if let Ok(pair) = ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING) {
            return Ok(Self::P256(pair));
        }
        if let Ok(pair) = ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING) {
            return Ok(Self::P384(pair));
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Ok(Self::Ed25519(Box::new(pair)));
        }
        rsa::KeyPair::from_pkcs8(der)
            .map(|pair| Self::Rsa(Box::new(pair)))
            .map_err(|_| rsa_rejected())
    }

    fn suits(&self, algorithm: Algorithm) -> bool {
        match self {
            Self::Secret(secret) => {
                algorithm.least_secret_bytes().is_some_and(|least| secret.len() >= least)
            }
            Self::Rsa(_) => rsa_encoding(algorithm).is_some(),
            Self::P256(_) => algorithm == Algorithm::Es256,
            Self::P384(_) => algorithm == Algorithm::Es384,
            Self::Ed25519(_) => algorithm == Algorithm::EdDsa,
        }
    }

    fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        match self {
            Self::Secret(secret) => {
                let hash = hmac_algorithm(algorithm).ok_or(Unspecified)?;
                Ok(hmac::sign(&hmac::Key::new(hash, secret), message).as_ref().to_vec())
            }
            Self::Rsa(pair) => {
                let encoding = rsa_encoding(algorithm).ok_or(Unspecified)?;
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &random, message, &mut signature)?;
                Ok(signature)
            }
            Self::P256(pair) | Self::P384(pair) => {
                Ok(pair.sign(&random, message)?.as_ref().to_vec())
            }
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

fn rsa_rejected() -> KeyError {
    KeyError::NoPrivateKey(
        "it is neither an RSA key of 2048 to 4096 bits, nor one on the curves P-256, P-384 or Ed25519",
    )
}

fn rsa_encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        Algorithm::Rs256 => Some(&RSA_PKCS1_SHA256),
        Algorithm::Rs384 => Some(&RSA_PKCS1_SHA384),
        Algorithm::Rs512 => Some(&RSA_PKCS1_SHA512),
        Algorithm::Ps256 => Some(&RSA_PSS_SHA256),
        Algorithm::Ps384 => Some(&RSA_PSS_SHA384),
        Algorithm::Ps512 => Some(&RSA_PSS_SHA512),
        _ => None,
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
