use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Number;

use super::{
    algorithm::Algorithm,
    denial::{Denial, Reason},
    object::Object,
    rights::{RawRights, Rights, RightsError},
};
use crate::log::Timestamp;

/// The longest token that is read, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// A token in its three parts, whose signature nobody has looked at. Only its header is read.
pub(super) struct Jwt<'a> {
    pub(super) algorithm: Algorithm,
    /// The key that it names.
    pub(super) key_id: Option<String>,
    /// What is signed.
    pub(super) message: &'a str,
    pub(super) signature: Vec<u8>,
    claims: &'a str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'a> Jwt<'a> {
    pub(super) fn read(token: &'a str) -> Result<Self, Denial> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Denial::invalid(
                "The token is longer than 8 KiB: ask for one with less in it.",
            ));
        }
        let (message, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = message.split_once('.').ok_or_else(malformed)?;
        if claims.contains('.') {
            return Err(malformed());
        }
        let header: Header = json(header).ok_or_else(malformed)?;
        if header.crit.is_some() {
            return Err(Denial::invalid(
                "The token's header asks for an extension (`crit`), and this hub knows none: ask for \
                 a token without.",
            ));
        }
        let algorithm = header.alg.parse().map_err(|_| unknown_algorithm())?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;
        Ok(Self { algorithm, key_id: header.kid, message, signature, claims })
    }

    /// What it claims; to be believed if the signature is right.
    pub(super) fn claims(&self) -> Result<Claims, Denial> {
        json(self.claims).ok_or_else(|| {
            Denial::invalid(
                "The token's claims are not what they should be: `exp` and `nbf` are numbers of \
                 seconds, `iss` and `sub` texts, `aud` a text or several, and `fanfare` is \
                 {\"subscribe\": [patterns], \"publish\": [patterns], \"admin\": true or false}.",
            )
        })
    }
}

fn json<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    let Object(value) = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()?;
    Some(value)
}

fn malformed() -> Denial {
    Denial::invalid(
        "The token is malformed: a JSON Web Token is three parts in base64url without padding, with \
         points between them. Send it as you got it.",
    )
}

fn unknown_algorithm() -> Denial {
    Denial::invalid(
        "The token is not signed in a way that this hub knows: ask for one with an `alg` of HS256, \
         HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA.",
    )
}

/// The claims that matter to the hub.
#[derive(Deserialize)]
pub(super) struct Claims {
    exp: Option<Number>,
    nbf: Option<Number>,
    iss: Option<String>,
    aud: Option<Audience>,
    pub(super) sub: Option<String>,
    fanfare: Option<Object<RawRights>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// What tokens have to fulfil.
#[derive(Debug)]
pub(super) struct Conditions {
    pub(super) leeway: Duration,
    pub(super) is_expiry_required: bool,
    pub(super) issuers: Vec<String>,
    pub(super) audiences: Vec<String>,
}

impl Claims {
    /// The rights, or what is wrong with them.
    pub(super) fn rights(&mut self) -> Result<Rights, Denial> {
        let Some(rights) = self.fanfare.take() else { return Ok(Rights::none()) };
        rights.try_into().map_err(|error: RightsError| {
            Denial::invalid(format!("The token's claim `fanfare` cannot be used: {error}."))
        })
    }

    /// Whether the token is for this hub and for now; and if so, from when on it will not be.
    pub(super) fn check(
        &self,
        conditions: &Conditions,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Denial> {
        self.check_issuer(&conditions.issuers)?;
        self.check_audience(&conditions.audiences)?;
        self.check_beginning(conditions.leeway, now)?;
        self.check_end(conditions, now)
    }

    fn check_issuer(&self, issuers: &[String]) -> Result<(), Denial> {
        let is_known = self.iss.as_ref().is_some_and(|issuer| issuers.contains(issuer));
        if issuers.is_empty() || is_known {
            return Ok(());
        }
        Err(Denial::invalid("The token is from an issuer (`iss`) that this hub does not trust."))
    }

    /// By RFC 7519 a token that says whom it is for is for nobody else.
    fn check_audience(&self, audiences: &[String]) -> Result<(), Denial> {
        let is_for_us = match &self.aud {
            None => audiences.is_empty(),
            Some(Audience::One(audience)) => audiences.contains(audience),
            Some(Audience::Several(several)) => several.iter().any(|it| audiences.contains(it)),
        };
        if is_for_us {
            return Ok(());
        }
        Err(Denial::invalid(if audiences.is_empty() {
            "The token is for somebody (`aud`), and this hub has no name: configure the audience, or \
             ask for a token without."
        } else {
            "The token is not for this hub: ask for one with the hub's audience in `aud`."
        }))
    }

    fn check_beginning(&self, leeway: Duration, now: Timestamp) -> Result<(), Denial> {
        let Some(beginning) = self.nbf.as_ref().map(timestamp).transpose()? else { return Ok(()) };
        if later(now, leeway) >= beginning {
            return Ok(());
        }
        Err(Denial::new(
            Reason::Early,
            "The token is not valid yet (`nbf`): wait, or set the clocks of the hub and the issuer.",
        ))
    }

    fn check_end(
        &self,
        conditions: &Conditions,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Denial> {
        let end = self.exp.as_ref().map(timestamp).transpose()?;
        let end = end.map(|end| later(end, conditions.leeway));
        match end {
            None if conditions.is_expiry_required => Err(Denial::invalid(
                "The token never expires, and this hub wants that it does: ask for one with `exp`.",
            )),
            Some(end) if now >= end => Err(Denial::expired()),
            end => Ok(end),
        }
    }
}

/// Seconds since 1970, or a part of one more.
fn timestamp(seconds: &Number) -> Result<Timestamp, Denial> {
    let since_1970 = match (seconds.as_u64(), seconds.as_f64()) {
        (Some(seconds), _) => Some(Duration::from_secs(seconds)),
        (None, Some(seconds)) => Duration::try_from_secs_f64(seconds).ok(),
        (None, None) => None,
    };
    let since_1970 = since_1970
        .ok_or_else(|| Denial::invalid("The token's `exp` or `nbf` is not a time after 1970."))?;
    Ok(later(Timestamp(0), since_1970))
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    Timestamp(time.0.saturating_add(by))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn claims(json: &str) -> Result<Claims, Denial> {
        let claims = &URL_SAFE_NO_PAD.encode(json);
        let (message, signature) = ("", vec![]);
        Jwt { algorithm: Algorithm::Hs256, key_id: None, message, signature, claims }.claims()
    }

    fn check(json: &str, leeway_ms: u64) -> Result<Option<Timestamp>, Reason> {
        let conditions = Conditions {
            leeway: Duration::from_millis(leeway_ms),
            is_expiry_required: false,
            issuers: vec![],
            audiences: vec![],
        };
        claims(json).unwrap().check(&conditions, NOW).map_err(|denial| denial.reason())
    }

    #[test]
    fn it_expires_when_its_leeway_is_over() {
        assert_eq!(check(r#"{"exp": 1000000.001}"#, 0), Ok(Some(Timestamp(1_000_000_001))));
        assert_eq!(check(r#"{"exp": 1000000}"#, 0), Err(Reason::Expired));
        assert_eq!(check(r#"{"exp": 1000000}"#, 1), Ok(Some(Timestamp(1_000_000_001))));
        assert_eq!(check(r#"{"exp": 999970}"#, 30_000), Err(Reason::Expired));
        assert_eq!(check(r#"{"exp": 999970}"#, 30_001), Ok(Some(Timestamp(1_000_000_001))));
        assert_eq!(check(r#"{"exp": 0}"#, 30_000), Err(Reason::Expired));
        assert_eq!(check("{}", 0), Ok(None));
    }

    #[test]
    fn it_begins_a_leeway_early() {
        assert_eq!(check(r#"{"nbf": 1000000}"#, 0), Ok(None));
        assert_eq!(check(r#"{"nbf": 1000000.001}"#, 0), Err(Reason::Early));
        assert_eq!(check(r#"{"nbf": 1000030}"#, 30_000), Ok(None));
        assert_eq!(check(r#"{"nbf": 1000030.001}"#, 30_000), Err(Reason::Early));
    }

    #[test]
    fn the_end_of_time_is_no_overflow() {
        let end = Ok(Some(Timestamp(u64::MAX)));
        assert_eq!(check(r#"{"exp": 18446744073709551615}"#, u64::MAX), end);
        assert_eq!(check(r#"{"exp": 1e19}"#, 1), end);
        assert_eq!(check(r#"{"nbf": 18446744073709551615}"#, 1), Err(Reason::Early));
        for time in ["-1", "-0.5", "1e20", "1e308", "18446744073709551616000"] {
            assert_eq!(check(&format!(r#"{{"exp": {time}}}"#), 0), Err(Reason::Invalid), "{time}");
        }
    }

    #[test]
    fn claims_have_their_shapes() {
        for json in [
            "",
            "7",
            "[]",
            "null",
            "{",
            "{}{}",
            r#"{"exp": "1000000"}"#,
            r#"{"exp": true}"#,
            r#"{"exp": {}}"#,
            r#"{"nbf": "x"}"#,
            r#"{"exp": 1e400}"#,
            r#"{"exp": 1, "exp": 2000000}"#,
            r#"{"sub": 7}"#,
            r#"{"iss": ["a"]}"#,
            r#"{"aud": 7}"#,
            r#"{"aud": [7]}"#,
            r#"{"fanfare": []}"#,
            r#"{"fanfare": [["*"], ["*"], true]}"#,
            "[null, null, null, null, null, null]",
            r#"{"fanfare": "subscribe"}"#,
            r#"{"fanfare": {"subscribe": {}}}"#,
            r#"{"fanfare": {"admin": 1}}"#,
            r#"{"fanfare": {}, "fanfare": {"admin": true}}"#,
            r#"{"fanfare": {"other": []}}"#,
        ] {
            assert!(claims(json).is_err_and(|denial| denial.reason() == Reason::Invalid), "{json}");
        }
        for json in
            ["{}", r#"{"exp": null, "other": {"x": []}}"#, r#"{"fanfare": null, "aud": []}"#]
        {
            assert_eq!(claims(json).unwrap().rights(), Ok(Rights::none()), "{json}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_pattern_is_said_without_it() {
        let mut claims = claims(r#"{"fanfare": {"publish": ["a", "secret\u0000"]}}"#).unwrap();
        let denial = claims.rights().unwrap_err();
        assert!(denial.detail().contains("number 2 of `publish`"), "{denial}");
        assert!(!denial.detail().contains("secret"), "{denial}");
    }

    #[test]
    fn issuer_and_audience_are_checked() {
        let check = |json: &str, issuers: &[&str], audiences: &[&str]| {
            let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
            let (issuers, audiences) = (texts(issuers), texts(audiences));
            let leeway = Duration::ZERO;
            let conditions = Conditions { leeway, is_expiry_required: false, issuers, audiences };
            claims(json).unwrap().check(&conditions, NOW).is_ok()
        };
        assert!(check(r#"{"iss": "a"}"#, &[], &[]));
        assert!(check(r#"{"iss": "a"}"#, &["b", "a"], &[]));
        assert!(!check(r#"{"iss": "a"}"#, &["b"], &[]));
        assert!(!check("{}", &["b"], &[]));
        assert!(check(r#"{"aud": "hub"}"#, &[], &["hub"]));
        assert!(check(r#"{"aud": ["x", "hub"]}"#, &[], &["hub"]));
        assert!(!check(r#"{"aud": ["x"]}"#, &[], &["hub"]));
        assert!(!check("{}", &[], &["hub"]));
        assert!(!check(r#"{"aud": "hub"}"#, &[], &[]), "for somebody who is not known to be us");
        assert!(!check(r#"{"aud": []}"#, &[], &[]), "for nobody");
    }

    #[test]
    fn three_parts_make_a_token() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
        assert!(Jwt::read(&format!("{header}.e30.AAAA")).is_ok());
        assert!(Jwt::read(&format!("{header}.e30.")).is_ok(), "its signature will not fit");
        for token in [
            String::new(),
            ".".into(),
            "..".into(),
            "...".into(),
            "a.b.c".into(),
            header.clone(),
            format!("{header}.e30"),
            format!("{header}.e30.AAAA="),
            format!("{header}.e30.AAA+"),
            format!("{header}.e30.AAAAA"),
            format!("{header}.e30.A AA"),
            format!("{header} .e30.AAAA"),
            format!("{header}=.e30.AAAA"),
            format!("{header}.e30.AAAA.AAAA"),
            format!("{header}.e30.AAAA.AAAA.AAAA"),
            "e30.e30.AAAA".into(),
            format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","alg":"HS384"}"#)),
            format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(r#"{"alg":["HS256"]}"#)),
            format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":7}"#)),
        ] {
            assert!(Jwt::read(&token).is_err(), "{token}");
        }
    }

    #[test]
    fn deep_json_is_refused() {
        let deep = format!("{}{}", "[".repeat(3000), "]".repeat(3000));
        assert!(claims(&format!(r#"{{"fanfare": {deep}}}"#)).is_err());
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","jwk":{deep}}}"#));
        let _ = Jwt::read(&format!("{header}.e30.AAAA"));
    }
}
