use std::{error::Error, fs, path::PathBuf, time::Duration};

use fanfare_hub::{
    auth::{Algorithm, Auth, KeySource, Settings, issue},
    log::Timestamp,
};

use crate::support::*;

fn file(name: &str, text: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("auth");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn after(duration: Duration) -> Timestamp {
    Timestamp(NOW.0 + u64::try_from(duration.as_millis()).unwrap())
}

#[tokio::test]
async fn keys_in_files_are_read_again_when_the_operator_asks() {
    let path = file("public.pem", P256);
    let auth = auth([KeySource::pem_file(&path)]);
    assert!(show(&auth, &token(Algorithm::Es256)).is_ok());

    fs::write(&path, ED25519).unwrap();
    auth.refresh(NOW).await.unwrap();
    assert!(show(&auth, &token(Algorithm::Es256)).is_err());
    assert!(show(&auth, &token(Algorithm::EdDsa)).is_ok());
}

#[tokio::test]
async fn keys_in_files_are_read_again_when_their_time_has_come() {
    let path = file("secret.txt", &format!("{SECRET}\n"));
    let auth = auth([KeySource::secret_file(&path).refresh_every(Duration::from_secs(5))]);
    assert!(show(&auth, &token(Algorithm::Hs512)).is_ok());
    auth.refresh_due(NOW).await;

    fs::write(&path, "x".repeat(64)).unwrap();
    auth.refresh_due(after(Duration::from_millis(4_999))).await;
    assert!(show(&auth, &token(Algorithm::Hs512)).is_ok());
    auth.refresh_due(after(Duration::from_secs(5))).await;
    assert!(show(&auth, &token(Algorithm::Hs512)).is_err());
    assert!(show(&auth, &issue(&strangers_key(Algorithm::Hs512), &grant()).unwrap()).is_ok());
}

#[tokio::test]
async fn an_unknown_name_makes_a_jwks_file_be_read_again() {
    let path = file("jwks.json", &JWKS.replace(r#""kid":"p256""#, r#""kid":"old""#));
    let auth = auth([KeySource::jwks_file(&path)]);
    let parts = bearer(&token(Algorithm::Es256));
    assert!(auth.authenticate(&parts, NOW).await.is_err());

    fs::write(&path, JWKS).unwrap();
    assert!(auth.authenticate(&parts, NOW).await.is_err(), "it was read just now");
    assert!(auth.authenticate(&parts, after(Duration::from_secs(30))).await.is_ok());
}

#[tokio::test]
async fn a_file_that_breaks_leaves_the_keys_as_they_were() {
    let path = file("broken.json", JWKS);
    let auth = auth([KeySource::jwks_file(&path)]);
    for broken in ["", "{", r#"{"keys":7}"#] {
        fs::write(&path, broken).unwrap();
        let error = auth.refresh(NOW).await.unwrap_err();
        assert!(error.to_string().contains("broken.json"), "{error}");
        assert!(show(&auth, &token(Algorithm::Es256)).is_ok());
    }
    fs::remove_file(&path).unwrap();
    let error = auth.refresh(NOW).await.unwrap_err();
    assert!(error.source().unwrap().source().is_some(), "what the system says");
    assert!(show(&auth, &token(Algorithm::Es256)).is_ok());
}

#[test]
fn a_file_that_is_not_there_is_named_at_the_start() {
    let keys = vec![KeySource::pem_file("nowhere/public.pem")];
    let error = Auth::new(Settings { keys, ..Settings::default() }).unwrap_err();
    assert_eq!(error.to_string(), "the public key in nowhere/public.pem cannot be used");
}
