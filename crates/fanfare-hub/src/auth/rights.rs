use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::object::Object;
use crate::{Selector, TopicError, TopicName};

/// What somebody may do.
///
/// It is read and written as it stands in a token's claim `fanfare` and in a configuration:
/// `{"subscribe": […], "publish": […], "admin": true}`, each of which may be left out. A name that it
/// does not know is an error, because a misspelt right is a right that is missing.
///
/// ```
/// use fanfare_hub::{Selector, TopicName, auth::Rights};
///
/// let rights: Rights = serde_json::from_str(r#"{"subscribe": ["news/*"], "publish": ["chat"]}"#)?;
/// assert!(rights.may_subscribe(&Selector::new("news/sport")?));
/// assert!(rights.may_subscribe(&Selector::new("news/s*")?));
/// assert!(!rights.may_subscribe(&Selector::new("*")?), "more than was granted");
/// assert!(rights.may_publish(&TopicName::new("chat")?));
/// assert!(!rights.admin);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Object<RawRights>", into = "RawRights")]
pub struct Rights {
    /// The topics that may be followed and read.
    pub subscribe: Vec<Selector>,
    /// The topics that may be published to.
    pub publish: Vec<Selector>,
    /// Whether the hub may be administered: topics listed and erased, its figures and its own topics
    /// read. It does not open other topics.
    pub admin: bool,
}

/// A pattern in [`Rights`] is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("number {number} of `{list}` is neither a topic nor a pattern: {reason}")]
pub struct RightsError {
    /// `subscribe` or `publish`.
    pub list: &'static str,
    /// Which one, counted from 1.
    pub number: usize,
    /// What is wrong with it.
    pub reason: TopicError,
}

impl Rights {
    /// None at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// All there are, the hub's own topics included.
    ///
    /// ```
    /// use fanfare_hub::{Selector, auth::Rights};
    ///
    /// assert!(Rights::all().may_subscribe(&Selector::new("$stats")?));
    /// # Ok::<(), fanfare_hub::TopicError>(())
    /// ```
    pub fn all() -> Self {
        Self { subscribe: Selector::all().into(), publish: Selector::all().into(), admin: true }
    }

    /// Whether everything that the selector selects may be followed: one that was granted has to
    /// cover it.
    pub fn may_subscribe(&self, selector: &Selector) -> bool {
        self.subscribe.iter().any(|granted| granted.covers(selector))
    }

    /// Whether the topic may be published to.
    pub fn may_publish(&self, topic: &TopicName) -> bool {
        self.publish.iter().any(|granted| granted.matches(topic))
    }

    /// These rights and the others.
    pub(super) fn and(mut self, others: &Self) -> Self {
        self.subscribe.extend_from_slice(&others.subscribe);
        self.publish.extend_from_slice(&others.publish);
        self.admin |= others.admin;
        self
    }
}

/// [`Rights`] before their patterns have been looked at.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRights {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscribe: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    publish: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    admin: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl TryFrom<Object<RawRights>> for Rights {
    type Error = RightsError;

    fn try_from(Object(raw): Object<RawRights>) -> Result<Self, RightsError> {
        Ok(Self {
            subscribe: selectors("subscribe", &raw.subscribe)?,
            publish: selectors("publish", &raw.publish)?,
            admin: raw.admin,
        })
    }
}

fn selectors(list: &'static str, texts: &[String]) -> Result<Vec<Selector>, RightsError> {
    let read = |(index, text): (usize, &String)| {
        Selector::new(text).map_err(|reason| RightsError { list, number: index + 1, reason })
    };
    texts.iter().enumerate().map(read).collect()
}

impl From<Rights> for RawRights {
    fn from(rights: Rights) -> Self {
        let texts = |selectors: Vec<Selector>| selectors.iter().map(ToString::to_string).collect();
        Self {
            subscribe: texts(rights.subscribe),
            publish: texts(rights.publish),
            admin: rights.admin,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rights(json: &str) -> Result<Rights, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_request_has_to_be_covered_by_one_grant() {
        let rights =
            rights(r#"{"subscribe": ["a/*", "b", "$stats"], "publish": ["c/*"]}"#).unwrap();
        let may = |text| rights.may_subscribe(&Selector::new(text).unwrap());
        for text in ["a/", "a/b", "a/b*", "a/*", "b", "$stats"] {
            assert!(may(text), "{text}");
        }
        for text in ["a", "a*", "*", "b*", "bc", "c/d", "$*", "$stats*", "$other", "A/b"] {
            assert!(!may(text), "{text}");
        }
        assert!(rights.may_publish(&TopicName::new("c/d").unwrap()));
        assert!(
            !rights.may_publish(&TopicName::new("a/b").unwrap()),
            "a right to read is none to write"
        );
    }

    #[test]
    fn a_star_does_not_reach_the_hubs_own_topics() {
        let rights = rights(r#"{"subscribe": ["*"], "publish": ["*"]}"#).unwrap();
        assert!(!rights.may_subscribe(&Selector::new("$stats").unwrap()));
        assert!(!rights.may_subscribe(&Selector::new("$*").unwrap()));
        assert!(!rights.may_publish(&TopicName::new("$stats").unwrap()));
        assert!(Rights::all().may_subscribe(&Selector::new("$*").unwrap()));
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        for json in [
            r#"{"subscibe": ["a"]}"#,
            r#"{"subscribe": "a"}"#,
            r#"{"subscribe": [1]}"#,
            r#"{"subscribe": null}"#,
            r#"{"admin": "true"}"#,
            r#"{"admin": 1}"#,
            r#"{"subscribe": ["a"], "subscribe": ["*"]}"#,
            r#"[["*"], ["*"], true]"#,
            "[]",
            "7",
        ] {
            assert!(rights(json).is_err(), "{json}");
        }
        let error = rights(r#"{"publish": ["a", ""]}"#).unwrap_err().to_string();
        assert!(error.contains("number 2 of `publish`"), "{error}");
    }

    #[test]
    fn they_are_written_as_they_are_read() {
        let json = r#"{"subscribe":["a/*","$*"],"publish":["b"],"admin":true}"#;
        assert_eq!(serde_json::to_string(&rights(json).unwrap()).unwrap(), json);
        assert_eq!(serde_json::to_string(&Rights::none()).unwrap(), "{}");
    }

    fn any_selector() -> impl Strategy<Value = Selector> {
        "[$ab/]{0,4}[ab*]".prop_map(|text| Selector::new(&text).unwrap())
    }

    proptest! {
        #[test]
        fn whoever_may_follow_a_pattern_may_follow_each_of_its_topics(
            granted in proptest::collection::vec(any_selector(), 0..4),
            asked in any_selector(),
            topic in "[$ab/]{0,5}[ab]",
        ) {
            let rights = Rights { subscribe: granted, ..Rights::none() };
            let topic = TopicName::new(&topic).unwrap();
            if rights.may_subscribe(&asked) && asked.matches(&topic) {
                prop_assert!(rights.may_subscribe(&Selector::Topic(topic)));
            }
        }
    }
}
