use fanfare_hub::auth::{Algorithm, Auth, Identity, KeySource, Origins, Reason, Settings, Source};
use http::Request;

use crate::support::*;

fn trusting() -> Auth {
    Auth::new(Settings {
        keys: vec![KeySource::secret(SECRET)],
        origins: Origins::new(["https://app.example"]).unwrap(),
        ..Settings::default()
    })
    .unwrap()
}

fn with_cookie(headers: &[(&str, &str)]) -> Identity {
    let cookie = format!("a=b; fanfare_token={}", token(Algorithm::Hs256));
    let headers = [headers, &[("cookie", &*cookie)]].concat();
    at_once(trusting().authenticate(&request(&headers), NOW)).unwrap()
}

#[test]
fn a_cookie_acts_for_trusted_sites_and_own_pages() {
    for headers in [
        [("origin", "https://app.example"), ("sec-fetch-site", "cross-site")],
        [("origin", "https://hub.example"), ("sec-fetch-site", "same-origin")],
        [("origin", "http://hub.example"), ("host", "hub.example")],
    ] {
        let identity = with_cookie(&headers);
        assert_eq!(identity.source(), Source::Cookie);
        assert_granted(&identity);
    }
}

#[test]
fn a_cookie_only_reads_for_others() {
    for headers in [
        &[("origin", "https://evil.example"), ("host", "hub.example")][..],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
        &[("origin", "null")],
        &[],
    ] {
        let identity = with_cookie(headers);
        identity.check_subscribe(&selector("news/sport")).unwrap();
        for denial in
            [identity.check_publish(&topic("chat")), identity.check_admin()].map(Result::unwrap_err)
        {
            assert_eq!((denial.status().as_u16(), denial.reason()), (403, Reason::Origin));
            assert_eq!(denial.www_authenticate(), None);
        }
    }
}

#[test]
fn tokens_that_pages_have_to_send_themselves_need_no_origin() {
    let token = token(Algorithm::Hs256);
    let evil = ("origin", "https://evil.example");
    let bearer = request(&[("authorization", &format!("Bearer {token}")), evil]);
    let identity = at_once(trusting().authenticate(&bearer, NOW)).unwrap();
    assert_eq!(identity.source(), Source::Bearer);
    assert_granted(&identity);

    let query = Request::post(format!("/sse/chat?access_token={token}")).header(evil.0, evil.1);
    let (query, ()) = query.body(()).unwrap().into_parts();
    let identity = at_once(trusting().authenticate(&query, NOW)).unwrap();
    assert_eq!(identity.source(), Source::Query);
    assert_granted(&identity);
}

#[test]
fn two_tokens_that_differ_are_no_token() {
    let cookie = format!("fanfare_token={}", token(Algorithm::Hs256));
    let bearer = format!("Bearer {}", token(Algorithm::Hs512));
    let parts = request(&[("cookie", &cookie), ("authorization", &bearer)]);
    let denial = at_once(trusting().authenticate(&parts, NOW)).unwrap_err();
    assert_eq!((denial.status().as_u16(), denial.reason()), (400, Reason::Ambiguous));
    let challenge = denial.www_authenticate().unwrap();
    assert!(challenge.to_str().unwrap().contains(r#"error="invalid_request""#));
}
