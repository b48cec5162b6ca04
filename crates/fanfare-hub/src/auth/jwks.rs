use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;
use tracing::{debug, warn};

use super::{
    algorithm::Algorithm,
    key::{Key, KeyError, Material, check_secret},
    object::Object,
    redact::Secret,
};

/// Whether a JWKS may hold secrets: one that is fetched may not, because what anybody can fetch is
/// no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    Taken,
    Refused,
}

/// The keys of a JWKS that can verify tokens. As RFC 7517 wants it, keys that are for something else
/// or of an unknown kind are passed over; broken ones are too, with a warning.
pub(super) fn keys(
    document: &[u8],
    secrets: Secrets,
    allowed: Option<&[Algorithm]>,
) -> Result<Vec<Key>, KeyError> {
    let Object::<Set>(set) = serde_json::from_slice(document).map_err(|_| KeyError::Jwks)?;
    let read = |value| match key(value, secrets, allowed) {
        Ok(key) => Some(key),
        Err(Skipped::Other(why)) => {
            debug!(why, "a key of the JWKS is passed over");
            None
        }
        Err(Skipped::Broken(error)) => {
            warn!(%error, "a key of the JWKS cannot be used");
            None
        }
    };
    Ok(set.keys.into_iter().filter_map(read).collect())
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    used_for: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

enum Skipped {
    Other(&'static str),
    Broken(KeyError),
}

impl From<KeyError> for Skipped {
    fn from(error: KeyError) -> Self {
        Self::Broken(error)
    }
}

fn key(value: Value, secrets: Secrets, allowed: Option<&[Algorithm]>) -> Result<Key, Skipped> {
    let Object::<Jwk>(jwk) = serde_json::from_value(value).map_err(|_| KeyError::Malformed)?;
    check_use(&jwk)?;
    let algorithms = algorithms(&jwk, allowed)?;
    let material = material(&jwk, secrets)?;
    match Key::new(jwk.kid, material, algorithms.as_deref()) {
        Err(KeyError::Unsuited(_)) if jwk.alg.is_none() => {
            Err(Skipped::Other("none of the algorithms that are allowed is for it"))
        }
        outcome => Ok(outcome?),
    }
}

fn check_use(jwk: &Jwk) -> Result<(), Skipped> {
    if jwk.used_for.as_deref().is_some_and(|used_for| used_for != "sig") {
        return Err(Skipped::Other("its `use` is not `sig`"));
    }
    if jwk.key_ops.as_ref().is_some_and(|operations| !operations.iter().any(|it| it == "verify")) {
        return Err(Skipped::Other("its `key_ops` have no `verify`"));
    }
    Ok(())
}

/// The algorithms that key and configuration both allow.
fn algorithms(jwk: &Jwk, allowed: Option<&[Algorithm]>) -> Result<Option<Vec<Algorithm>>, Skipped> {
    let Some(name) = &jwk.alg else { return Ok(allowed.map(<[_]>::to_vec)) };
    let algorithm = name.parse().map_err(|_| Skipped::Other("its `alg` is not known"))?;
    if allowed.is_some_and(|allowed| !allowed.contains(&algorithm)) {
        return Err(Skipped::Other("its `alg` is not allowed"));
    }
    Ok(Some(vec![algorithm]))
}

fn material(jwk: &Jwk, secrets: Secrets) -> Result<Material, Skipped> {
    match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => Ok(Material::rsa(&bytes(jwk.n.as_ref())?, &bytes(jwk.e.as_ref())?)?),
        ("EC", Some("P-256")) => Ok(Material::p256(&point(jwk, 32)?)?),
        ("EC", Some("P-384")) => Ok(Material::p384(&point(jwk, 48)?)?),
        ("OKP", Some("Ed25519")) => Ok(Material::ed25519(&bytes(jwk.x.as_ref())?)?),
        ("oct", _) if secrets == Secrets::Taken => Ok(secret(&bytes(jwk.k.as_ref())?)?),
        ("oct", _) => Err(Skipped::Other("it is a secret, but everybody can fetch it")),
        _ => Err(Skipped::Other("its `kty` or `crv` is not known")),
    }
}

fn secret(bytes: &[u8]) -> Result<Material, KeyError> {
    check_secret(bytes, None)?;
    Ok(Material::Secret(Secret(bytes.into())))
}

fn point(jwk: &Jwk, coordinate_bytes: usize) -> Result<Vec<u8>, KeyError> {
    let (x, y) = (bytes(jwk.x.as_ref())?, bytes(jwk.y.as_ref())?);
    if x.len() != coordinate_bytes || y.len() != coordinate_bytes {
        return Err(KeyError::Malformed);
    }
    Ok([&[4], &x[..], &y].concat())
}

fn bytes(text: Option<&String>) -> Result<Vec<u8>, KeyError> {
    let text = text.ok_or(KeyError::Malformed)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

    fn usable(key: &str) -> usize {
        let key = key.replace("POINT", &format!(r#""kty":"EC","crv":"P-256","x":"{X}","y":"{Y}""#));
        let document = format!(r#"{{"keys":[{key}]}}"#);
        keys(document.as_bytes(), Secrets::Taken, None).unwrap().len()
    }

    #[test]
    fn keys_for_verifying_are_taken() {
        for key in [
            "{POINT}",
            r#"{POINT,"use":"sig"}"#,
            r#"{POINT,"alg":"ES256","kid":"a","x5c":["…"],"other":{}}"#,
            r#"{POINT,"key_ops":["sign","verify"]}"#,
            r#"{"kty":"OKP","crv":"Ed25519","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","alg":"Ed25519"}"#,
            r#"{"kty":"oct","k":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}"#,
        ] {
            assert_eq!(usable(key), 1, "{key}");
        }
    }

    #[test]
    fn other_keys_are_passed_over() {
        for key in [
            r#"{POINT,"use":"enc"}"#,
            r#"{POINT,"use":"other"}"#,
            r#"{POINT,"key_ops":["sign"]}"#,
            r#"{POINT,"key_ops":[]}"#,
            r#"{POINT,"alg":"ES384"}"#,
            r#"{POINT,"alg":"HS256"}"#,
            r#"{POINT,"alg":"RS256"}"#,
            r#"{POINT,"alg":"none"}"#,
            r#"{POINT,"alg":"RSA-OAEP"}"#,
            r#"{POINT,"kid":7}"#,
            r#"{"kty":"EC","crv":"secp256k1","x":"a","y":"b"}"#,
            r#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}"#,
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH","y":"8UTNG72bfocs3-257rn0s2ldbqkLJK2KRiMohYjlrQ"}"#,
            r#"{"kty":"EC","crv":"P-256"}"#,
            r#"{"kty":"OKP","crv":"X25519","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}"#,
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
            r#"{"kty":"oct","k":"c2hvcnQ"}"#,
            r#"{"kty":"oct","k":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU="}"#,
            r#"{"kty":"oct","k":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","alg":"HS512"}"#,
            r#"{"kty":"new"}"#,
            "{}",
            "7",
        ] {
            assert_eq!(usable(key), 0, "{key}");
            assert_eq!(usable(&format!("{key},{{POINT}}")), 1, "{key}");
        }
    }

    #[test]
    fn a_secret_that_was_fetched_is_none() {
        let document = format!(r#"{{"keys":[{{"kty":"oct","k":"{X}"}}]}}"#);
        assert!(keys(document.as_bytes(), Secrets::Refused, None).unwrap().is_empty());
    }

    #[test]
    fn the_configuration_narrows_what_keys_are_for() {
        for algorithm in ["", r#","alg":"ES256""#] {
            let key = format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}","y":"{Y}"{algorithm}}}"#);
            let document = format!(r#"{{"keys":[{key}]}}"#);
            let count = |allowed: &[Algorithm]| {
                keys(document.as_bytes(), Secrets::Refused, Some(allowed)).unwrap().len()
            };
            assert_eq!(count(&[Algorithm::Es256, Algorithm::Rs256]), 1);
            assert_eq!(count(&[Algorithm::Rs256]), 0);
        }
    }

    #[test]
    fn what_is_no_jwks_is_an_error() {
        for document in [
            "",
            "{}",
            "[]",
            "[[]]",
            r#"{"keys":{}}"#,
            r#"{"keys":[}"#,
            r#"{"error":"x"}"#,
            "\u{feff}",
        ] {
            let error = keys(document.as_bytes(), Secrets::Taken, None).unwrap_err();
            assert!(matches!(error, KeyError::Jwks), "{document}");
        }
    }
}
