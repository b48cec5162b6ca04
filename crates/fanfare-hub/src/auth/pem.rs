use rustls_pki_types::pem::{PemObject, SectionKind};
use spki::{
    ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{Decode, Reader, SliceReader, asn1::UintRef},
};

use super::key::{KeyError, Material};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The public keys in PEM text: one at least, and nothing else.
pub(super) fn public_keys(text: &[u8]) -> Result<Vec<Material>, KeyError> {
    let mut keys = vec![];
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        let (kind, der) = section.map_err(|_| KeyError::Pem)?;
        keys.push(public_key(kind, &der)?);
    }
    if keys.is_empty() { Err(nothing_found(text)) } else { Ok(keys) }
}

fn public_key(kind: SectionKind, der: &[u8]) -> Result<Material, KeyError> {
    match kind {
        SectionKind::PublicKey => subject_public_key(der),
        SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
            Err(KeyError::NoPublicKey(
                "this is a private key, which a hub should not have; get the public one with \
                 `openssl pkey -in private.pem -pubout`",
            ))
        }
        SectionKind::Certificate => Err(KeyError::NoPublicKey(
            "this is a certificate; get its key with `openssl x509 -in cert.pem -pubkey -noout`",
        )),
        _ => Err(KeyError::NoPublicKey("this is something else")),
    }
}

/// What is wrong with a text in which no section was recognised.
fn nothing_found(text: &[u8]) -> KeyError {
    let has = |label: &[u8]| text.windows(label.len()).any(|window| window == label);
    if has(b"-----BEGIN RSA PUBLIC KEY-----") {
        KeyError::NoPublicKey("write it as one with `openssl rsa -RSAPublicKey_in -pubout`")
    } else {
        KeyError::Pem
    }
}

fn subject_public_key(der: &[u8]) -> Result<Material, KeyError> {
    let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| KeyError::Malformed)?;
    let key = info.subject_public_key.as_bytes().ok_or(KeyError::Malformed)?;
    match info.algorithm.oid {
        RSA => rsa(key),
        EC => match info.algorithm.parameters_oid() {
            Ok(P256) => Material::p256(key),
            Ok(P384) => Material::p384(key),
            _ => Err(KeyError::UnknownKind),
        },
        ED25519 => Material::ed25519(key),
        _ => Err(KeyError::UnknownKind),
    }
}

fn rsa(der: &[u8]) -> Result<Material, KeyError> {
    let parts = |reader: &mut SliceReader<'_>| {
        reader.sequence(|reader| {
            let (modulus, exponent) = (UintRef::decode(reader)?, UintRef::decode(reader)?);
            Ok::<_, spki::der::Error>(Material::rsa(modulus.as_bytes(), exponent.as_bytes()))
        })
    };
    let mut reader = SliceReader::new(der).map_err(|_| KeyError::Malformed)?;
    let key = parts(&mut reader).map_err(|_| KeyError::Malformed)?;
    reader.finish().map_err(|_| KeyError::Malformed)?;
    key
}
