use std::fmt;

use ring::{
    hmac,
    rsa::PublicKeyComponents,
    signature::{self, RsaParameters, UnparsedPublicKey, VerificationAlgorithm},
};
use thiserror::Error;

use super::{algorithm::Algorithm, redact::Secret};
use crate::log::BoxError;

/// The sizes of RSA keys that are good for something, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Why a key, or a document with keys, cannot be used. It never holds a part of it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The secret can be guessed faster than the hash can be broken.
    #[error(
        "a secret for {algorithm} is at least {least} bytes long, this one has {found}: make a new one, \
         for example with `openssl rand -base64 {least}`"
    )]
    ShortSecret {
        /// The algorithm that it is too short for.
        algorithm: Algorithm,
        /// What it takes, in bytes.
        least: usize,
        /// What it has, in bytes.
        found: usize,
    },
    /// The algorithms that are allowed are for other keys.
    #[error("the key is for none of the algorithms that are allowed; it could do {0}")]
    Unsuited(String),
    /// The PEM text cannot be read.
    #[error("this is not PEM text: a public key begins with `-----BEGIN PUBLIC KEY-----`")]
    Pem,
    /// The PEM text holds other things.
    #[error("there is no `PUBLIC KEY` in it: {0}")]
    NoPublicKey(&'static str),
    /// The PEM text holds no private key that can be read.
    #[error("there is no private key in it that can be used: {0}")]
    NoPrivateKey(&'static str),
    /// The key cannot be read, or is of a kind that no algorithm takes.
    #[error("the key is neither an RSA key, nor one on the curves P-256, P-384 or Ed25519")]
    UnknownKind,
    /// The RSA key is too small to be safe, or too large to be quick.
    #[error("an RSA key has 2048 to 8192 bits, this one has {0}")]
    RsaSize(usize),
    /// The parts of a key do not make one.
    #[error("the key is malformed")]
    Malformed,
    /// The document is no JWKS.
    #[error("this is not a JWKS, which is a JSON object with an array `keys`")]
    Jwks,
    /// No key of the JWKS can be used.
    #[error("the JWKS has no key that tokens could be verified with")]
    NoUsableKey,
    /// There are more keys than a token should be tried with.
    #[error("there are more than {0} keys")]
    TooMany(usize),
    /// The document is too large to be one with keys.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// The keys come over a connection that anybody on the way can change.
    #[error("keys are fetched by https, unless from this machine or if plain HTTP is allowed")]
    PlainHttp,
    /// The file cannot be read, or the URL not fetched.
    #[error("it cannot be read")]
    Unreadable(#[source] BoxError),
    /// The fetch took too long, or was given up.
    #[error("there was no answer in time")]
    NoAnswer,
}

/// What verifies signatures. What it is decides about the algorithms, never a token.
#[derive(Debug)]
pub(super) struct Key {
    id: Option<String>,
    material: Material,
    algorithms: Vec<Algorithm>,
}

impl Key {
    /// A key for those of the algorithms that it suits; `None`: for all of these.
    pub(super) fn new(
        id: Option<String>,
        material: Material,
        allowed: Option<&[Algorithm]>,
    ) -> Result<Self, KeyError> {
        let suited = Algorithm::ALL.into_iter().filter(|algorithm| material.suits(*algorithm));
        let (algorithms, others): (Vec<_>, Vec<_>) =
            suited.partition(|algorithm| allowed.is_none_or(|allowed| allowed.contains(algorithm)));
        if algorithms.is_empty() {
            let others: Vec<_> = others.into_iter().map(Algorithm::name).collect();
            return Err(KeyError::Unsuited(others.join(", ")));
        }
        Ok(Self { id, material, algorithms })
    }

    /// Whether it is the one that a token names.
    pub(super) fn is_named(&self, id: &str) -> bool {
        self.id.as_deref() == Some(id)
    }

    /// Whether it made the signature. A token that names a key is verified by keys of that name, and by
    /// those that have none.
    pub(super) fn verifies(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let is_meant = id.is_none_or(|id| self.id.is_none() || self.is_named(id));
        is_meant
            && self.algorithms.contains(&algorithm)
            && self.material.verifies(algorithm, message, signature)
    }
}

/// A key by its kind. It prints as its kind only.
pub(super) enum Material {
    Secret(Secret),
    Rsa(PublicKeyComponents<Box<[u8]>>),
    P256(Box<[u8]>),
    P384(Box<[u8]>),
    Ed25519(Box<[u8]>),
}

impl Material {
    /// An RSA key of modulus and exponent, big-endian.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let (n, e) = (without_zeros(modulus), without_zeros(exponent));
        let bits = bit_length(n);
        if !RSA_BITS.contains(&bits) {
            return Err(KeyError::RsaSize(bits));
        }
        let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        if !is_odd(n) || !is_odd(e) || e == [1] || e.len() > 4 {
            return Err(KeyError::Malformed);
        }
        Ok(Self::Rsa(PublicKeyComponents { n: n.into(), e: e.into() }))
    }

    /// A point on P-256, not compressed.
    pub(super) fn p256(point: &[u8]) -> Result<Self, KeyError> {
        is_point(point, 32).then(|| Self::P256(point.into())).ok_or(KeyError::Malformed)
    }

    /// A point on P-384, not compressed.
    pub(super) fn p384(point: &[u8]) -> Result<Self, KeyError> {
        is_point(point, 48).then(|| Self::P384(point.into())).ok_or(KeyError::Malformed)
    }

    pub(super) fn ed25519(key: &[u8]) -> Result<Self, KeyError> {
        (key.len() == 32).then(|| Self::Ed25519(key.into())).ok_or(KeyError::Malformed)
    }

    fn suits(&self, algorithm: Algorithm) -> bool {
        match self {
            Self::Secret(secret) => {
                algorithm.least_secret_bytes().is_some_and(|least| secret.0.len() >= least)
            }
            Self::Rsa(_) => rsa_parameters(algorithm).is_some(),
            Self::P256(_) => algorithm == Algorithm::Es256,
            Self::P384(_) => algorithm == Algorithm::Es384,
            Self::Ed25519(_) => algorithm == Algorithm::EdDsa,
        }
    }

    /// Each kind knows its own algorithms, so that none can be mistaken for another.
    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let by = |scheme: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(scheme, key).verify(message, signature).is_ok()
        };
        match (self, algorithm) {
            (Self::Secret(secret), _) => hmac_algorithm(algorithm).is_some_and(|hash| {
                hmac::verify(&hmac::Key::new(hash, &secret.0), message, signature).is_ok()
            }),
            (Self::Rsa(key), _) => rsa_parameters(algorithm)
                .is_some_and(|parameters| key.verify(parameters, message, signature).is_ok()),
            (Self::P256(key), Algorithm::Es256) => by(&signature::ECDSA_P256_SHA256_FIXED, key),
            (Self::P384(key), Algorithm::Es384) => by(&signature::ECDSA_P384_SHA384_FIXED, key),
            (Self::Ed25519(key), Algorithm::EdDsa) => by(&signature::ED25519, key),
            (Self::P256(_) | Self::P384(_) | Self::Ed25519(_), _) => false,
        }
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret",
            Self::Rsa(_) => "Rsa",
            Self::P256(_) => "P256",
            Self::P384(_) => "P384",
            Self::Ed25519(_) => "Ed25519",
        })
    }
}

pub(super) fn hmac_algorithm(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::Hs256 => Some(hmac::HMAC_SHA256),
        Algorithm::Hs384 => Some(hmac::HMAC_SHA384),
        Algorithm::Hs512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

/// A secret that is long enough for the algorithms that are allowed for it, or for one at least if
/// none are named.
pub(super) fn check_secret(secret: &[u8], allowed: Option<&[Algorithm]>) -> Result<(), KeyError> {
    for algorithm in allowed.unwrap_or(&[Algorithm::Hs256]) {
        if let Some(least) = algorithm.least_secret_bytes().filter(|least| secret.len() < *least) {
            return Err(KeyError::ShortSecret {
                algorithm: *algorithm,
                least,
                found: secret.len(),
            });
        }
    }
    Ok(())
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

fn bit_length(number: &[u8]) -> usize {
    let leading = number.first().map_or(0, |first| first.leading_zeros() as usize);
    number.len() * 8 - leading
}

fn is_point(bytes: &[u8], coordinate_bytes: usize) -> bool {
    bytes.first() == Some(&4) && bytes.len() == 1 + 2 * coordinate_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(bytes: usize) -> Material {
        Material::Secret(Secret(vec![b's'; bytes].into()))
    }

    fn algorithms(material: Material, allowed: Option<&[Algorithm]>) -> Vec<&'static str> {
        let key = Key::new(None, material, allowed).unwrap();
        key.algorithms.into_iter().map(Algorithm::name).collect()
    }

    #[test]
    fn the_kind_of_a_key_decides_about_its_algorithms() {
        let modulus = [0xff; 256];
        assert_eq!(
            algorithms(Material::rsa(&modulus, &[1, 0, 1]).unwrap(), None),
            ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
        );
        assert_eq!(algorithms(secret(32), None), ["HS256"]);
        assert_eq!(algorithms(secret(63), None), ["HS256", "HS384"]);
        assert_eq!(algorithms(secret(64), None), ["HS256", "HS384", "HS512"]);
        assert_eq!(algorithms(Material::p256(&[4; 65]).unwrap(), None), ["ES256"]);
        assert_eq!(algorithms(Material::p384(&[4; 97]).unwrap(), None), ["ES384"]);
        assert_eq!(algorithms(Material::ed25519(&[4; 32]).unwrap(), None), ["EdDSA"]);
    }

    #[test]
    fn what_is_allowed_narrows_and_never_widens() {
        use Algorithm::{Es256, Hs384, Hs512, Rs256};

        assert_eq!(algorithms(secret(64), Some(&[Hs384, Rs256])), ["HS384"]);
        let error = Key::new(None, secret(32), Some(&[Rs256, Es256])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the key is for none of the algorithms that are allowed; it could do HS256"
        );
        assert!(Key::new(None, secret(32), Some(&[Hs512])).is_err(), "too short for it");
        assert!(Key::new(None, secret(64), Some(&[])).is_err());
    }

    #[test]
    fn a_secret_is_as_long_as_the_hash() {
        for (algorithm, least) in
            [(Algorithm::Hs256, 32), (Algorithm::Hs384, 48), (Algorithm::Hs512, 64)]
        {
            let check = |bytes| check_secret(&vec![b's'; bytes], Some(&[algorithm]));
            assert!(check(least).is_ok());
            let error = check(least - 1).unwrap_err().to_string();
            assert!(error.contains(&format!("{algorithm} is at least {least} bytes")), "{error}");
            assert!(!error.contains("sss"), "{error}");
        }
        assert!(check_secret(&[b's'; 32], None).is_ok());
        assert!(check_secret(&[b's'; 31], None).is_err());
        assert!(check_secret(b"", None).is_err());
    }

    #[test]
    fn rsa_keys_have_a_size_and_are_odd() {
        let size = |bytes: &[u8]| match Material::rsa(bytes, &[1, 0, 1]) {
            Err(KeyError::RsaSize(bits)) => bits,
            _ => 0,
        };
        assert_eq!(size(&[0xff; 128]), 1024);
        assert_eq!(size(&[0xff; 1025]), 8200);
        assert_eq!(size(&[]), 0);
        let (mut padded, mut small) = (vec![0; 9], vec![0x7f]);
        padded.extend([0xff; 256]);
        small.extend([0xff; 255]);
        assert!(Material::rsa(&padded, &[0, 1, 0, 1]).is_ok());
        assert_eq!(size(&small), 2047);
        for exponent in [&[][..], &[0], &[1], &[2], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
            assert!(Material::rsa(&padded, exponent).is_err(), "{exponent:?}");
        }
        assert!(Material::rsa(&[0xfe; 256], &[1, 0, 1]).is_err());
    }

    #[test]
    fn points_have_their_curves_size() {
        assert!(Material::p256(&[4; 97]).is_err());
        assert!(Material::p256(&[2; 65]).is_err());
        assert!(Material::p256(&[]).is_err());
        assert!(Material::p384(&[4; 65]).is_err());
        assert!(Material::ed25519(&[0; 33]).is_err());
    }

    #[test]
    fn a_kind_of_key_refuses_what_is_for_others_by_itself() {
        use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

        let random = ring::rand::SystemRandom::new();
        let scheme = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(scheme, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(scheme, pkcs8.as_ref(), &random).unwrap();
        let key = Material::p256(pair.public_key().as_ref()).unwrap();
        let signature = pair.sign(&random, b"message").unwrap();
        for algorithm in Algorithm::ALL {
            let is_verified = key.verifies(algorithm, b"message", signature.as_ref());
            assert_eq!(is_verified, algorithm == Algorithm::Es256, "{algorithm}");
        }
    }

    #[test]
    fn keys_print_no_bytes() {
        let key = Key::new(Some("k".into()), secret(64), None).unwrap();
        let printed = format!("{key:?} {:?}", Secret(b"115".as_slice().into()));
        assert!(!printed.contains("115"), "{printed}");
    }
}
