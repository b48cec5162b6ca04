use std::{
    error::Error,
    future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use fanfare_hub::{
    auth::{Algorithm, Auth, KeyError, KeySource, Reason, Settings, SigningKey, issue},
    log::{BoxError, Timestamp},
};
use http::Uri;
use tokio::{sync::Notify, task::JoinSet};

use crate::support::*;

/// Who publishes a JWKS, as a hub sees it.
#[derive(Clone)]
struct Issuer(Arc<State>);

struct State {
    answer: Mutex<Answer>,
    fetches: AtomicUsize,
    go_on: Notify,
}

#[derive(Clone)]
enum Answer {
    Document(String),
    /// The document, when it is told to go on.
    Slow(String),
    Failure,
    Panic,
    Never,
}

impl Issuer {
    fn new(answer: Answer) -> Self {
        let (fetches, go_on) = (AtomicUsize::new(0), Notify::new());
        Self(Arc::new(State { answer: Mutex::new(answer), fetches, go_on }))
    }

    fn answers(&self, answer: Answer) {
        *self.0.answer.lock().unwrap() = answer;
    }

    fn fetches(&self) -> usize {
        self.0.fetches.load(Ordering::SeqCst)
    }

    async fn fetch(self) -> Result<Bytes, BoxError> {
        self.0.fetches.fetch_add(1, Ordering::SeqCst);
        let answer = self.0.answer.lock().unwrap().clone();
        match answer {
            Answer::Document(document) => Ok(document.into()),
            Answer::Slow(document) => {
                self.0.go_on.notified().await;
                Ok(document.into())
            }
            Answer::Failure => Err("503 Service Unavailable".into()),
            Answer::Panic => panic!("a bug of whoever fetches"),
            Answer::Never => future::pending().await,
        }
    }

    fn source(&self) -> KeySource {
        let uri: Uri = "https://login.example/jwks.json".parse().unwrap();
        let issuer = self.clone();
        KeySource::jwks_url(uri, move |_| issuer.clone().fetch())
    }

    fn auth(&self) -> Auth {
        auth([self.source()])
    }
}

fn jwks() -> Answer {
    Answer::Document(JWKS.into())
}

/// The JWKS without the key of this name.
fn jwks_without(id: &str) -> Answer {
    let name = format!(r#""kid":"{id}""#);
    Answer::Document(
        JWKS.replace(&name, r#""use":"enc","kid":"gone""#).replace(r#""use":"sig","#, ""),
    )
}

fn after(seconds: u64) -> Timestamp {
    Timestamp(NOW.0 + seconds * 1000)
}

fn named(id: &str) -> String {
    issue(&strangers_key(Algorithm::Es256).with_id(id), &grant()).unwrap()
}

/// Until they wait for something, on the one thread that there is.
async fn let_others_run() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn keys_are_fetched_when_the_first_token_needs_them() {
    let issuer = Issuer::new(jwks());
    let auth = issuer.auth();
    assert_eq!(issuer.fetches(), 0);
    for _ in 0..3 {
        let parts = bearer(&token(Algorithm::Es256));
        assert_granted(&auth.authenticate(&parts, NOW).await.unwrap());
    }
    let anonymous = at_once(auth.authenticate(&request(&[]), NOW)).unwrap();
    assert_eq!(anonymous.subject(), None);
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn keys_are_fetched_for_a_token_that_names_none() {
    let auth = Issuer::new(jwks()).auth();
    let key = SigningKey::from_pem(include_str!("keys/p256.private.pem"), None).unwrap();
    let parts = bearer(&issue(&key, &grant()).unwrap());
    assert_granted(&auth.authenticate(&parts, NOW).await.unwrap());
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let issuer = Issuer::new(jwks_without("p256"));
    let auth = issuer.auth();
    auth.refresh(NOW).await.unwrap();
    issuer.answers(jwks());
    let parts = bearer(&token(Algorithm::Es256));
    assert!(auth.authenticate(&parts, after(29)).await.is_err(), "it was asked just now");
    assert!(auth.authenticate(&parts, after(30)).await.is_ok());
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn unknown_names_do_not_flood_the_issuer() {
    let issuer = Issuer::new(jwks());
    let auth = auth([issuer.source().refresh_pause(Duration::from_mins(1))]);
    for number in 0..200 {
        let forged = named(&format!("unknown-{number}"));
        assert_unverified(auth.authenticate(&bearer(&forged), after(number)).await, &forged);
    }
    assert_eq!(issuer.fetches(), 4, "at 0, 60, 120 and 180 seconds");
}

#[tokio::test]
async fn forged_tokens_of_known_or_no_name_fetch_nothing() {
    let issuer = Issuer::new(jwks());
    let auth = issuer.auth();
    auth.refresh(NOW).await.unwrap();
    let nameless = issue(&strangers_key(Algorithm::Es256), &grant()).unwrap();
    for forged in [named("p256"), named("rsa"), nameless, "x".into(), "a.b.c".into()] {
        assert!(at_once(auth.authenticate(&bearer(&forged), after(1000))).is_err());
    }
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn tokens_that_other_keys_verify_fetch_nothing() {
    let issuer = Issuer::new(Answer::Never);
    let auth = auth([issuer.source(), KeySource::secret(SECRET)]);
    assert_granted(&show(&auth, &token(Algorithm::Hs256)).unwrap());
    assert_eq!(issuer.fetches(), 0);
}

#[tokio::test]
async fn a_failure_leaves_the_keys_as_they_were() {
    let issuer = Issuer::new(jwks());
    let auth = issuer.auth();
    auth.refresh(NOW).await.unwrap();
    let too_long = Answer::Document(" ".repeat(fanfare_hub::auth::MAX_KEY_BYTES + 1));
    let no_jwks = Answer::Document("<html>".into());
    for answer in [Answer::Failure, Answer::Panic, too_long, no_jwks] {
        issuer.answers(answer);
        let error = auth.refresh(NOW).await.unwrap_err();
        assert_eq!(error.to_string(), "the JWKS at https://login.example/jwks.json cannot be used");
        auth.refresh_due(after(10_000)).await;
        assert!(auth.authenticate(&bearer(&token(Algorithm::Es256)), NOW).await.is_ok());
    }
    issuer.answers(Answer::Failure);
    let error = auth.refresh(NOW).await.unwrap_err();
    let reason = error.source().and_then(Error::source).unwrap();
    assert_eq!(reason.to_string(), "503 Service Unavailable");
    issuer.answers(jwks());
    auth.refresh(NOW).await.unwrap();
}

#[tokio::test]
async fn an_issuer_that_is_down_at_the_start_is_asked_again() {
    let issuer = Issuer::new(Answer::Failure);
    let auth = issuer.auth();
    assert!(auth.refresh(NOW).await.is_err());
    assert!(!auth.is_ready());
    let parts = bearer(&token(Algorithm::Es256));
    issuer.answers(jwks());
    for seconds in [1, 29] {
        let denial = auth.authenticate(&parts, after(seconds)).await.unwrap_err();
        assert_eq!((denial.status().as_u16(), denial.reason()), (503, Reason::Unready));
    }
    assert!(auth.authenticate(&parts, after(30)).await.is_ok());
    assert!(auth.is_ready());
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_without_an_answer_ends() {
    let issuer = Issuer::new(Answer::Never);
    let auth = issuer.auth();
    let begun = tokio::time::Instant::now();
    let error = auth.refresh(NOW).await.unwrap_err();
    assert!(matches!(error.reason(), KeyError::NoAnswer));
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn withdrawn_keys_are_gone_after_a_refresh() {
    let issuer = Issuer::new(jwks());
    let auth = issuer.auth();
    let parts = bearer(&token(Algorithm::Es256));
    assert!(auth.authenticate(&parts, NOW).await.is_ok());
    for answer in [jwks_without("p256"), Answer::Document(r#"{"keys":[]}"#.into())] {
        issuer.answers(answer);
        auth.refresh(NOW).await.unwrap();
        assert!(auth.authenticate(&parts, NOW).await.is_err());
    }
}

#[tokio::test]
async fn keys_are_fetched_again_when_their_time_has_come() {
    let issuer = Issuer::new(jwks());
    let auth = auth([issuer.source().refresh_every(Duration::from_mins(10))]);
    for (seconds, fetches) in [(0, 1), (1, 1), (599, 1), (600, 2), (1199, 2), (1200, 3)] {
        auth.refresh_due(after(seconds)).await;
        assert_eq!(issuer.fetches(), fetches, "{seconds}");
    }
    auth.refresh_due(after(100)).await;
    assert_eq!(issuer.fetches(), 4, "a clock that was set back does not stop it");
    auth.refresh_due(after(101)).await;
    assert_eq!(issuer.fetches(), 4);
}

#[tokio::test]
async fn many_who_wait_share_one_fetch() {
    let issuer = Issuer::new(Answer::Slow(JWKS.into()));
    let auth = Arc::new(issuer.auth());
    let token = token(Algorithm::Es256);
    let mut all = JoinSet::new();
    for _ in 0..100 {
        let (auth, parts) = (Arc::clone(&auth), bearer(&token));
        all.spawn(async move { auth.authenticate(&parts, NOW).await.is_ok() });
    }
    let_others_run().await;
    issuer.0.go_on.notify_one();
    assert_eq!(all.join_all().await, [true; 100]);
    assert_eq!(issuer.fetches(), 1);
}

/// Else a client that asks for an unknown key and leaves at once would keep new keys from everybody.
#[tokio::test]
async fn who_leaves_does_not_break_off_a_fetch() {
    let issuer = Issuer::new(Answer::Slow(JWKS.into()));
    let auth = issuer.auth();
    {
        let forged = bearer(&named("unknown"));
        let leaver = auth.authenticate(&forged, NOW);
        tokio::select! {
            biased;
            _ = leaver => panic!("it does not wait"),
            () = tokio::task::yield_now() => (),
        }
    }
    issuer.0.go_on.notify_one();
    let parts = bearer(&token(Algorithm::Es256));
    assert!(auth.authenticate(&parts, after(1)).await.is_ok());
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn an_operators_refresh_sees_what_is_there_now() {
    let issuer = Issuer::new(Answer::Slow(r#"{"keys":[]}"#.into()));
    let auth = issuer.auth();
    let parts = bearer(&named("unknown"));
    let asked = async {
        let_others_run().await;
        issuer.answers(jwks());
        let refresh = auth.refresh(NOW);
        let go_on = async { issuer.0.go_on.notify_one() };
        tokio::join!(refresh, go_on).0.unwrap();
    };
    let (denied, ()) = tokio::join!(auth.authenticate(&parts, NOW), asked);
    assert!(denied.is_err());
    assert_eq!(issuer.fetches(), 2, "the one that was under way may have been too early");
    assert!(auth.authenticate(&bearer(&token(Algorithm::Es256)), NOW).await.is_ok());
}

#[tokio::test]
async fn a_secret_that_anybody_can_fetch_is_no_key() {
    let set = format!(r#"{{"keys":[{{"kty":"oct","k":"{}"}}]}}"#, part(SECRET));
    let auth = Issuer::new(Answer::Document(set)).auth();
    auth.refresh(NOW).await.unwrap();
    let forged = token(Algorithm::Hs256);
    assert_unverified(auth.authenticate(&bearer(&forged), NOW).await, &forged);
}

#[test]
fn plain_http_is_refused_at_the_start() {
    let uri = "http://login.example/jwks.json".parse().unwrap();
    let source = KeySource::jwks_url(uri, |_| future::ready(Ok(Bytes::new())));
    let settings = |source| Settings { keys: vec![source], ..Settings::default() };
    let error = Auth::new(settings(source.clone())).unwrap_err();
    assert!(matches!(error.reason(), KeyError::PlainHttp));
    assert!(Auth::new(settings(source.allow_plain_http())).is_ok());
}
