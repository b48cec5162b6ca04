use super::{
    denial::{Denial, Reason},
    rights::Rights,
    token::Source,
};
use crate::{Selection, Selector, TopicName, log::Timestamp};

/// Who sent a request, and what they may do.
///
/// ```
/// use fanfare_hub::{Selector, TopicName, auth::{Identity, Rights}};
///
/// let rights = serde_json::from_str::<Rights>(r#"{"subscribe": ["news/*"]}"#)?;
/// let reader = Identity::anonymous(rights);
/// assert!(reader.check_subscribe(&Selector::new("news/*")?).is_ok());
/// assert!(reader.check_publish(&TopicName::new("news/sport")?).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Identity {
    pub(super) rights: Rights,
    pub(super) expires: Option<Timestamp>,
    pub(super) subject: Option<String>,
    pub(super) source: Source,
    /// What speaks against acting on a cookie.
    pub(super) forged: Option<Denial>,
}

impl Identity {
    /// Somebody without a token, who has these rights.
    pub fn anonymous(rights: Rights) -> Self {
        Self { rights, expires: None, subject: None, source: Source::Anonymous, forged: None }
    }

    /// What they may do: what the token says, and what everybody may.
    pub fn rights(&self) -> &Rights {
        &self.rights
    }

    /// From when on the token is refused: its `exp` and the leeway. A stream ends then.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// The name that the token gives them (`sub`).
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Where the token was found.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Whether the token still counts.
    ///
    /// # Errors
    ///
    /// A [`Denial`] from the time on that [`expires`](Self::expires) tells.
    pub fn check_expiry(&self, now: Timestamp) -> Result<(), Denial> {
        let has_expired = self.expires.is_some_and(|expires| now >= expires);
        if has_expired { Err(Denial::expired()) } else { Ok(()) }
    }

    /// Whether everything that the selector selects may be followed and read. Who administers the hub
    /// may read the hub's own topics.
    ///
    /// # Errors
    ///
    /// A [`Denial`]: 401 for the anonymous, else 403.
    pub fn check_subscribe(&self, selector: &Selector) -> Result<(), Denial> {
        let is_own = selector.is_own();
        if self.rights.may_subscribe(selector) || (is_own && self.rights.admin) {
            return Ok(());
        }
        let claim = if is_own {
            "a claim `fanfare.subscribe` that covers it, or `fanfare.admin` that is true"
        } else {
            "a claim `fanfare.subscribe` that covers it"
        };
        Err(self.denial(&format!("Reading {:?}", selector.to_string()), claim))
    }

    /// The topics whose names and counts may be known: all, for who administers the hub, else those
    /// that may be read.
    ///
    /// # Errors
    ///
    /// A [`Denial`] if there are none: 401 for the anonymous, else 403.
    pub fn known_topics(&self) -> Result<Selection, Denial> {
        if self.rights.admin {
            return Ok(Selection::all());
        }
        if self.rights.subscribe.is_empty() {
            let claim = "a claim `fanfare.subscribe` or `fanfare.admin`";
            return Err(self.denial("Listing topics", claim));
        }
        Ok(Selection::new(self.rights.subscribe.iter().cloned()))
    }

    /// Whether the topic may be published to, by a request that nobody forged.
    ///
    /// # Errors
    ///
    /// A [`Denial`]: 401 for the anonymous, else 403.
    pub fn check_publish(&self, topic: &TopicName) -> Result<(), Denial> {
        self.check_forged()?;
        if self.rights.may_publish(topic) {
            return Ok(());
        }
        Err(self.denial(
            &format!("Publishing to {topic:?}"),
            "a claim `fanfare.publish` that covers it",
        ))
    }

    /// Whether the hub may be administered, by a request that nobody forged.
    ///
    /// # Errors
    ///
    /// A [`Denial`]: 401 for the anonymous, else 403.
    pub fn check_admin(&self) -> Result<(), Denial> {
        self.check_forged()?;
        if self.rights.admin {
            return Ok(());
        }
        Err(self.denial("This", "a claim `fanfare.admin` that is true"))
    }

    fn check_forged(&self) -> Result<(), Denial> {
        self.forged.clone().map_or(Ok(()), Err)
    }

    fn denial(&self, what: &str, claim: &str) -> Denial {
        if self.source == Source::Anonymous {
            let detail = format!(
                "{what} takes a token with {claim}: send it in the header `Authorization: Bearer`, \
                 in the cookie `fanfare_token`, or as `access_token` in the query."
            );
            return Denial::new(Reason::Anonymous, detail);
        }
        Denial::new(Reason::Forbidden, format!("{what} takes {claim}: ask for a token with it."))
    }
}
