//! Who may do what: JSON Web Tokens, the keys that verify them, and the rights that they give.
//!
//! A token is looked for in `Authorization: Bearer`, the cookie `fanfare_token` and the query's
//! `access_token`, in this order. What it gives stands in its claim `fanfare`:
//!
//! ```json
//! {"fanfare": {"subscribe": ["news/*"], "publish": ["chat"], "admin": true}, "exp": 1800000000}
//! ```
//!
//! A key decides by its kind which algorithms it is for; the token only says which of these it was
//! signed with. A public key therefore never serves as a secret, and an unsigned token is none. What
//! a token points to or brings along (`jku`, `jwk`, `x5u`, `x5c`) is not looked at.
//!
//! Time is told to it. It fetches nothing by itself: [`Fetch`] does.
//!
//! ```
//! use fanfare_hub::{Selector, auth::{Algorithm, Auth, Grant, KeySource, Rights, Settings, SigningKey}};
//! use fanfare_hub::{auth::issue, log::Timestamp};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = "a secret of thirty-two bytes or more";
//! let auth = Auth::new(Settings { keys: vec![KeySource::secret(secret)], ..Settings::default() })?;
//!
//! let token = issue(
//!     &SigningKey::from_secret(secret, Algorithm::Hs256)?,
//!     &Grant {
//!         rights: Rights { subscribe: vec![Selector::new("news/*")?], ..Rights::none() },
//!         expires: Some(Timestamp(1_000_000)),
//!         ..Grant::default()
//!     },
//! )?;
//! let request = http::Request::get(format!("/sse/news/sport?access_token={token}")).body(())?;
//! let (parts, ()) = request.into_parts();
//!
//! let identity = auth.authenticate(&parts, Timestamp(0)).await?;
//! identity.check_subscribe(&Selector::new("news/sport")?)?;
//! assert_eq!(identity.check_subscribe(&Selector::new("chat")?).unwrap_err().status(), 403);
//!
//! let denial = auth.authenticate(&parts, Timestamp(2_000_000)).await.unwrap_err();
//! assert_eq!(denial.title(), "The token has expired");
//! # Ok(())
//! # }
//! ```

mod algorithm;
mod denial;
mod identity;
mod issue;
mod jwks;
mod jwt;
mod key;
mod keyring;
mod keys;
mod object;
mod origin;
mod pem;
mod redact;
mod rights;
mod token;

use std::time::Duration;

use http::request::Parts;

use jwt::{Claims, Conditions, Jwt};
use keyring::Keyring;

use crate::log::Timestamp;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use denial::{Denial, Reason};
pub use identity::Identity;
pub use issue::{Grant, IssueError, SigningKey, issue};
pub use jwt::MAX_TOKEN_BYTES;
pub use key::KeyError;
pub use keyring::AuthError;
pub use keys::{Fetch, KeySource, MAX_KEY_BYTES, MAX_KEYS};
pub use origin::{OriginError, Origins, check_origin};
pub use redact::redact;
pub use rights::{Rights, RightsError};
pub use token::{COOKIE_NAME, QUERY_KEY, Source};

/// What an [`Auth`] is made of. By default nobody may do anything.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the keys are. Without any, tokens are not looked at, and everybody is anonymous.
    pub keys: Vec<KeySource>,
    /// What everybody may do, with and without a token.
    pub anonymous: Rights,
    /// How much the clocks of hub and issuers may differ: by so much a token is taken too early or too
    /// late. Default: 30 seconds.
    pub leeway: Duration,
    /// Whether a token has to say when it expires. Default: true.
    pub is_expiry_required: bool,
    /// The issuers that are trusted (`iss`). Default: none, and then any.
    pub issuers: Vec<String>,
    /// The names of the hub, one of which a token has to be for (`aud`). Default: none, and then a
    /// token has to be for nobody in particular.
    pub audiences: Vec<String>,
    /// The sites whose pages may act with a cookie, besides the hub's own.
    pub origins: Origins,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keys: vec![],
            anonymous: Rights::none(),
            leeway: Duration::from_secs(30),
            is_expiry_required: true,
            issuers: vec![],
            audiences: vec![],
            origins: Origins::default(),
        }
    }
}

/// Tells who sends a request. It is shared by all connections.
#[derive(Debug)]
pub struct Auth {
    keyring: Keyring,
    conditions: Conditions,
    anonymous: Rights,
    origins: Origins,
}

impl Auth {
    /// Reads the keys that are given or in files; those of URLs are fetched by
    /// [`refresh`](Auth::refresh), or when the first token asks for them.
    ///
    /// # Errors
    ///
    /// [`AuthError`] says which keys cannot be used, and its source why.
    pub fn new(settings: Settings) -> Result<Self, AuthError> {
        Ok(Self {
            keyring: Keyring::new(settings.keys)?,
            conditions: Conditions {
                leeway: settings.leeway,
                is_expiry_required: settings.is_expiry_required,
                issuers: settings.issuers,
                audiences: settings.audiences,
            },
            anonymous: settings.anonymous,
            origins: settings.origins,
        })
    }

    /// Whether there are keys. Without them everybody is anonymous.
    pub fn has_keys(&self) -> bool {
        !self.keyring.is_empty()
    }

    /// Whether all keys have been read at least once. Until then a token may be good although no
    /// known key verifies it, and is denied with status 503.
    pub fn is_ready(&self) -> bool {
        self.keyring.is_complete()
    }

    /// Tells who sent a request.
    ///
    /// A token that is sent counts or is an error: nobody becomes anonymous by a wrong one.
    ///
    /// It waits only for keys that have to be read: when a token names one that is unknown, and the
    /// source was not asked for it lately. Dropping the future does not break that off. For this it
    /// needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// A [`Denial`] with status 400 for two tokens that differ, 401 for one that is not valid, and 503
    /// for one whose key may be among those that could not be fetched yet.
    pub async fn authenticate(&self, parts: &Parts, now: Timestamp) -> Result<Identity, Denial> {
        let found = if self.has_keys() { token::find(parts)? } else { None };
        let Some((token, source)) = found else {
            return Ok(Identity::anonymous(self.anonymous.clone()));
        };
        let claims = self.verify(&token, now).await?;
        let mut identity = self.identity(claims, source, now)?;
        if source == Source::Cookie {
            identity.forged = check_origin(parts, &self.origins).err();
        }
        Ok(identity)
    }

    async fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, Denial> {
        let token = Jwt::read(token)?;
        if self.keyring.verifies(&token, now).await {
            return token.claims();
        }
        Err(if self.is_ready() { unverified() } else { unready() })
    }

    fn identity(
        &self,
        mut claims: Claims,
        source: Source,
        now: Timestamp,
    ) -> Result<Identity, Denial> {
        let expires = claims.check(&self.conditions, now)?;
        let rights = claims.rights()?.and(&self.anonymous);
        Ok(Identity { rights, expires, subject: claims.sub, source, forged: None })
    }

    /// Reads all keys again that are in files or at URLs: at the start, and when the operator asks.
    /// What cannot be read stays as it was, and is logged.
    ///
    /// # Errors
    ///
    /// The first [`AuthError`], after all have been tried.
    pub async fn refresh(&self, now: Timestamp) -> Result<(), AuthError> {
        self.keyring.refresh(now).await
    }

    /// Reads the keys again whose time has come ([`KeySource::refresh_every`]). To be called now and
    /// then, such as every few seconds. What cannot be read stays as it was, and is logged.
    pub async fn refresh_due(&self, now: Timestamp) {
        self.keyring.refresh_due(now).await;
    }
}

/// The same words whatever the reason, so that nobody learns which keys there are.
fn unverified() -> Denial {
    Denial::invalid(
        "No key of this hub verifies the token: check that it was signed with one of them, that its \
         `alg` is what the key is for, and that its `kid`, if it has one, is the key's.",
    )
}

/// A good token should not be thrown away because its issuer cannot be reached.
fn unready() -> Denial {
    Denial::new(
        Reason::Unready,
        "The hub has not got all keys yet that verify tokens: keep the token, and try again in a \
         minute.",
    )
}
