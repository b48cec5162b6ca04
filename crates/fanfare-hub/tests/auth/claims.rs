use std::time::Duration;

use fanfare_hub::{
    auth::{Algorithm, Auth, Grant, KeySource, Reason, Rights, Settings, Source, issue},
    log::Timestamp,
};

use crate::support::*;

fn settings() -> Settings {
    Settings { keys: vec![KeySource::secret(SECRET)], ..Settings::default() }
}

fn outcome(settings: Settings, claims: &str) -> Result<Option<Timestamp>, Reason> {
    let auth = Auth::new(settings).unwrap();
    let token = claiming(claims);
    match show(&auth, &token) {
        Ok(identity) => Ok(identity.expires()),
        Err(denial) => {
            assert_eq!(denial.status(), 401);
            assert_silent(&denial, &token);
            let challenge = denial.www_authenticate().unwrap();
            assert!(challenge.to_str().unwrap().contains(r#"error="invalid_token""#));
            Err(denial.reason())
        }
    }
}

#[test]
fn the_end_is_exact_to_the_leeway() {
    let lenient = |leeway| Settings { leeway: Duration::from_secs(leeway), ..settings() };
    let exp = |seconds| format!(r#"{{"exp":{seconds}}}"#);
    assert_eq!(outcome(lenient(0), &exp(NOW_SECONDS)), Err(Reason::Expired));
    assert_eq!(outcome(lenient(0), &exp(NOW_SECONDS + 1)), Ok(Some(Timestamp(NOW.0 + 1000))));
    assert_eq!(outcome(lenient(30), &exp(NOW_SECONDS - 30)), Err(Reason::Expired));
    assert_eq!(
        outcome(lenient(30), &exp(NOW_SECONDS - 29)),
        Ok(Some(Timestamp(NOW.0 + 1000))),
        "a stream may go on as long as the token is taken"
    );
}

#[test]
fn the_beginning_is_exact_to_the_leeway() {
    let lenient = |leeway| Settings { leeway: Duration::from_secs(leeway), ..settings() };
    let nbf = |seconds| format!(r#"{{"exp":{},"nbf":{seconds}}}"#, NOW_SECONDS + 1000);
    assert!(outcome(lenient(0), &nbf(NOW_SECONDS)).is_ok());
    assert_eq!(outcome(lenient(0), &nbf(NOW_SECONDS + 1)), Err(Reason::Early));
    assert!(outcome(lenient(30), &nbf(NOW_SECONDS + 30)).is_ok());
    assert_eq!(outcome(lenient(30), &nbf(NOW_SECONDS + 31)), Err(Reason::Early));
}

#[test]
fn a_token_without_an_end_is_taken_if_that_is_configured() {
    assert_eq!(outcome(settings(), "{}"), Err(Reason::Invalid));
    let forever = Settings { is_expiry_required: false, ..settings() };
    assert_eq!(outcome(forever, "{}"), Ok(None));
}

#[test]
fn claims_of_other_shapes_are_no_claims() {
    for claims in [
        "",
        "no JSON",
        "[]",
        "\"x\"",
        "{\"exp\":",
        r#"{"exp":"2000000000"}"#,
        r#"{"exp":[2000000000]}"#,
        r#"{"exp":-1}"#,
        r#"{"exp":2000000000,"nbf":"0"}"#,
        r#"{"exp":2000000000,"sub":{}}"#,
        r#"{"exp":2000000000,"fanfare":["*"]}"#,
        r#"{"exp":2000000000,"fanfare":{"subscribe":"*"}}"#,
        r#"{"exp":2000000000,"fanfare":{"subscribe":[null]}}"#,
        r#"{"exp":2000000000,"fanfare":{"admin":"yes"}}"#,
        r#"{"exp":2000000000,"fanfare":{"subscribe":[""]}}"#,
        r#"{"exp":2000000000,"fanfare":{"publish":["a\u0000"]}}"#,
        r#"{"exp":2000000000,"fanfare":{"Subscribe":["*"]}}"#,
        r#"{"exp":1,"exp":2000000000}"#,
    ] {
        assert_eq!(outcome(settings(), claims), Err(Reason::Invalid), "{claims}");
    }
    let not_utf8 = claiming(b"{\"exp\":2000000000,\"sub\":\"\xff\"}");
    assert_eq!(show(&auth([KeySource::secret(SECRET)]), &not_utf8).unwrap_err().status(), 401);
}

#[test]
fn a_token_for_others_is_not_for_the_hub() {
    let ours = || Settings {
        issuers: vec!["https://login.example".into()],
        audiences: vec!["hub".into()],
        ..settings()
    };
    let claims = |iss, aud| format!(r#"{{"exp":2000000000,"iss":"{iss}","aud":{aud}}}"#);
    assert!(outcome(ours(), &claims("https://login.example", r#"["a","hub"]"#)).is_ok());
    assert!(outcome(ours(), &claims("https://login.example", r#""hub""#)).is_ok());
    assert!(outcome(ours(), &claims("https://login.example/", r#""hub""#)).is_err());
    assert!(outcome(ours(), &claims("https://login.example", r#""bank""#)).is_err());
    assert!(outcome(settings(), &claims("anybody", r#""bank""#)).is_err());
}

#[test]
fn everybody_may_what_the_anonymous_may() {
    let rights = Rights { subscribe: vec![selector("public/*")], ..Rights::none() };
    let auth = Auth::new(Settings { anonymous: rights, ..settings() }).unwrap();

    let anonymous = at_once(auth.authenticate(&request(&[]), NOW)).unwrap();
    assert_eq!((anonymous.source(), anonymous.expires()), (Source::Anonymous, None));
    anonymous.check_subscribe(&selector("public/a")).unwrap();

    let known = show(&auth, &token(Algorithm::Hs256)).unwrap();
    known.check_subscribe(&selector("public/a")).unwrap();
    known.check_subscribe(&selector("news/a")).unwrap();
    assert_eq!(known.expires(), Some(Timestamp(NOW.0 + 60_000 + 30_000)));
}

#[test]
fn who_may_not_is_told_to_send_a_token_or_a_better_one() {
    let auth = auth([KeySource::secret(SECRET)]);
    let anonymous = at_once(auth.authenticate(&request(&[]), NOW)).unwrap();
    let known = show(&auth, &token(Algorithm::Hs256)).unwrap();
    for (identity, status, reason) in
        [(anonymous, 401, Reason::Anonymous), (known, 403, Reason::Forbidden)]
    {
        for denial in [
            identity.check_subscribe(&selector("secret/*")).unwrap_err(),
            identity.check_publish(&topic("secret")).unwrap_err(),
            identity.check_admin().unwrap_err(),
        ] {
            assert_eq!((denial.status().as_u16(), denial.reason()), (status, reason));
            assert!(denial.detail().contains("token"), "{denial}");
            assert!(denial.www_authenticate().is_some());
        }
    }
}

#[test]
fn a_wrong_token_does_not_make_anonymous() {
    let auth = Auth::new(Settings { anonymous: Rights::all(), ..settings() }).unwrap();
    for token in ["x", "a.b.c", &claiming(r#"{"exp":1}"#), &signed("{}", "{}", "wrong")] {
        assert_eq!(show(&auth, token).unwrap_err().status(), 401);
    }
}

#[test]
fn without_keys_tokens_are_not_looked_at() {
    let auth = Auth::new(Settings { anonymous: Rights::all(), ..Settings::default() }).unwrap();
    assert!(!auth.has_keys());
    let identity = show(&auth, "anything").unwrap();
    assert_eq!(identity.source(), Source::Anonymous);
    identity.check_admin().unwrap();
    let nothing = Auth::new(Settings::default()).unwrap();
    assert_eq!(show(&nothing, "x").unwrap().check_admin().unwrap_err().status(), 401);
}

#[test]
fn admin_is_no_right_to_topics() {
    let rights = Rights { admin: true, ..Rights::none() };
    let token = issue(&signing_key(Algorithm::Hs256), &Grant { rights, ..grant() }).unwrap();
    let identity = show(&auth([KeySource::secret(SECRET)]), &token).unwrap();
    identity.check_admin().unwrap();
    assert!(identity.check_subscribe(&selector("a")).is_err());
    assert!(identity.check_publish(&topic("a")).is_err());
}
