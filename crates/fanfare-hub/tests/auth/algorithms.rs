use fanfare_hub::{
    auth::{Algorithm, Auth, KeySource, Rights, Settings, SigningKey, issue},
    log::Timestamp,
};

use crate::support::*;

#[test]
fn every_algorithm_is_verified_by_its_key() {
    for algorithm in Algorithm::ALL {
        let identity = show(&auth([public_key(algorithm)]), &token(algorithm)).unwrap();
        assert_granted(&identity);
    }
}

#[test]
fn every_key_verifies_beside_all_others() {
    let auth = auth([
        KeySource::secret(SECRET),
        KeySource::pem([RSA, P256].concat()),
        KeySource::pem([P384, ED25519].concat()),
    ]);
    for algorithm in Algorithm::ALL {
        assert_granted(&show(&auth, &token(algorithm)).unwrap());
    }
}

#[test]
fn no_algorithm_is_verified_by_another_key() {
    for algorithm in Algorithm::ALL {
        let token = token(algorithm);
        for other in Algorithm::ALL {
            if key_name(other) != key_name(algorithm) {
                assert_unverified(show(&auth([public_key(other)]), &token), &token);
            }
        }
    }
}

#[test]
fn a_key_is_used_with_the_algorithms_that_are_configured_only() {
    for algorithm in Algorithm::ALL {
        for configured in Algorithm::ALL {
            let source = public_key(algorithm).algorithms([configured, algorithm]);
            assert!(show(&auth([source]), &token(algorithm)).is_ok());

            let keys = vec![public_key(algorithm).algorithms([configured])];
            let only = Auth::new(Settings { keys, ..Settings::default() });
            if key_name(configured) == key_name(algorithm) {
                let outcome = show(&only.unwrap(), &token(algorithm));
                assert_eq!(outcome.is_ok(), configured == algorithm, "{algorithm} {configured}");
            } else {
                assert!(only.is_err(), "{algorithm} {configured}");
            }
        }
    }
}

#[test]
fn a_jwks_verifies_by_the_names_of_its_keys() {
    let auth = auth([KeySource::jwks(JWKS)]);
    for algorithm in Algorithm::ALL.into_iter().skip(3) {
        assert_granted(&show(&auth, &token(algorithm)).unwrap());
        let other = issue(&signing_key(algorithm).with_id("other"), &grant()).unwrap();
        assert_unverified(show(&auth, &other), &other);
    }
    let mixed_up = issue(&signing_key(Algorithm::Es256).with_id("rsa"), &grant()).unwrap();
    assert_unverified(show(&auth, &mixed_up), &mixed_up);
}

#[test]
fn a_token_without_a_name_is_tried_with_all_keys() {
    let auth = auth([KeySource::jwks(JWKS)]);
    let key = SigningKey::from_pem(include_str!("keys/ed25519.private.pem"), None).unwrap();
    assert_granted(&show(&auth, &issue(&key, &grant()).unwrap()).unwrap());
}

#[test]
fn a_name_does_not_matter_where_keys_have_none() {
    let key = signing_key(Algorithm::Hs512).with_id("whatever");
    assert_granted(
        &show(&auth([KeySource::secret(SECRET)]), &issue(&key, &grant()).unwrap()).unwrap(),
    );
}

#[test]
fn a_jwks_key_is_used_with_its_own_algorithm_only() {
    let narrowed = JWKS.replace(r#""kid":"rsa","#, r#""kid":"rsa","alg":"PS256","#);
    let auth = auth([KeySource::jwks(narrowed)]);
    assert_granted(&show(&auth, &token(Algorithm::Ps256)).unwrap());
    for algorithm in [Algorithm::Rs256, Algorithm::Ps384, Algorithm::Rs512] {
        assert_unverified(show(&auth, &token(algorithm)), &token(algorithm));
    }
}

#[test]
fn the_tokens_of_openssl_are_verified() {
    let lines: Vec<_> = include_str!("keys/tokens.txt").lines().collect();
    assert_eq!(lines.len(), Algorithm::ALL.len());
    for line in lines {
        let (algorithm, token) = line.split_once(' ').unwrap();
        let identity =
            show(&auth([public_key(algorithm.parse().unwrap())]), token).expect(algorithm);
        assert_eq!(identity.subject(), Some("openssl"));
        assert!(identity.rights().may_publish(&topic("chat")));
    }
}

/// RFC 7515, appendices A.1 to A.3. Its `exp` is in 2011.
#[test]
fn the_tokens_of_rfc_7515_are_verified() {
    let claims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let cases = [
        (
            r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        (
            r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#,
            "eyJhbGciOiJSUzI1NiJ9",
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            "eyJhbGciOiJFUzI1NiJ9",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
    ];
    for (key, header, signature) in cases {
        let auth = auth([KeySource::jwks(format!(r#"{{"keys":[{key}]}}"#))]);
        let parts = bearer(&format!("{header}.{claims}.{signature}"));
        let then = Timestamp(1_300_819_379_000);
        let identity = at_once(auth.authenticate(&parts, then)).expect(header);
        assert_eq!(identity.rights(), &Rights::none());
        assert_eq!(
            at_once(auth.authenticate(&parts, NOW)).unwrap_err().title(),
            "The token has expired"
        );
    }
}
