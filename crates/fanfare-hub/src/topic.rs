//! The names of topics, and what a subscription selects of them.

use std::{borrow::Borrow, fmt, sync::Arc};

use thiserror::Error;

/// The longest name of a topic, in bytes.
pub const MAX_TOPIC_BYTES: usize = 256;

/// The name of a topic: 1 to 256 bytes of UTF-8 without control characters, not ending with `*`.
///
/// Slashes are welcome and mean nothing. Names that begin with `$` are the hub's own.
///
/// ```
/// use fanfare_hub::{TopicError, TopicName};
///
/// assert_eq!(TopicName::new("news/süd")?.as_str(), "news/süd");
/// assert_eq!(TopicName::new("news/*"), Err(TopicError::Star));
/// # Ok::<(), TopicError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

/// Why a text is no name of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TopicError {
    /// The text is empty.
    #[error("the name of a topic cannot be empty")]
    Empty,
    /// The text is longer than [`MAX_TOPIC_BYTES`].
    #[error("the name of a topic is at most {MAX_TOPIC_BYTES} bytes long, this one is {0}")]
    TooLong(usize),
    /// The text holds a control character.
    #[error("the name of a topic cannot hold a control character (found at byte {at})")]
    Control {
        /// The index of the first such byte.
        at: usize,
    },
    /// The text ends with a star, which selects many topics.
    #[error("a trailing * selects many topics: it cannot be in the name of one")]
    Star,
}

impl TopicName {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`TopicError`] says which rule it breaks.
    pub fn new(name: &str) -> Result<Self, TopicError> {
        check(name)?;
        if name.ends_with('*') {
            return Err(TopicError::Star);
        }
        Ok(Self(name.into()))
    }

    /// The name of one of the hub's own topics.
    pub(crate) fn own(name: &'static str) -> Self {
        debug_assert!(name.starts_with('$') && check(name).is_ok(), "{name} is not the hub's own");
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one of the hub's own topics.
    pub fn is_own(&self) -> bool {
        self.0.starts_with('$')
    }
}

fn check(name: &str) -> Result<(), TopicError> {
    if name.is_empty() {
        return Err(TopicError::Empty);
    }
    if name.len() > MAX_TOPIC_BYTES {
        return Err(TopicError::TooLong(name.len()));
    }
    match name.char_indices().find(|(_, letter)| letter.is_control()) {
        Some((at, _)) => Err(TopicError::Control { at }),
        None => Ok(()),
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Hashes, compares and orders as its text does.
impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

/// One topic, or all whose names begin alike.
///
/// ```
/// use fanfare_hub::{Selector, TopicName};
///
/// let news = Selector::new("news/*")?;
/// assert!(news.matches(&TopicName::new("news/sport")?));
/// assert!(!Selector::new("*")?.matches(&TopicName::new("$stats")?), "only when named");
/// assert!(Selector::new("$stats")?.matches(&TopicName::new("$stats")?));
/// # Ok::<(), fanfare_hub::TopicError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// This topic.
    Topic(TopicName),
    /// Every topic whose name begins with this: the text before a trailing `*`.
    Prefix(Arc<str>),
}

impl Selector {
    /// Reads a topic's name, or a beginning with a trailing `*`.
    ///
    /// # Errors
    ///
    /// [`TopicError`] says which rule it breaks.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        let Some(prefix) = text.strip_suffix('*') else {
            return Ok(Self::Topic(TopicName::new(text)?));
        };
        if !prefix.is_empty() {
            check(prefix)?;
        }
        Ok(Self::Prefix(prefix.into()))
    }

    /// What selects all topics: one selector does not select the hub's own.
    pub(crate) fn all() -> [Self; 2] {
        [Self::Prefix("".into()), Self::Prefix("$".into())]
    }

    /// Whether it selects a topic. The hub's own topics are selected by what names their `$` only.
    pub fn matches(&self, topic: &TopicName) -> bool {
        match self {
            Self::Topic(name) => name == topic,
            Self::Prefix(prefix) => {
                topic.as_str().starts_with(&**prefix)
                    && (!topic.is_own() || prefix.starts_with('$'))
            }
        }
    }

    /// Whether it selects the hub's own topics, and no others.
    pub fn is_own(&self) -> bool {
        match self {
            Self::Topic(name) => name.is_own(),
            Self::Prefix(prefix) => prefix.starts_with('$'),
        }
    }

    /// Whether it selects whatever `other` selects.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Topic(topic)) => self.matches(topic),
            (Self::Prefix(prefix), Self::Prefix(other)) => {
                other.starts_with(&**prefix) && (!other.starts_with('$') || prefix.starts_with('$'))
            }
            (Self::Topic(_), Self::Prefix(_)) => false,
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => name.fmt(f),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// What a subscription selects. No topic is selected twice: none of its selectors covers another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selection(Arc<[Selector]>);

impl Selection {
    /// What any of the selectors selects.
    pub fn new(selectors: impl IntoIterator<Item = Selector>) -> Self {
        let mut kept: Vec<Selector> = vec![];
        for selector in selectors {
            if !kept.iter().any(|other| other.covers(&selector)) {
                kept.retain(|other| !selector.covers(other));
                kept.push(selector);
            }
        }
        Self(kept.into())
    }

    /// All topics, the hub's own included.
    pub fn all() -> Self {
        Self(Selector::all().into())
    }

    /// Its selectors, of which none covers another.
    pub fn selectors(&self) -> &[Selector] {
        &self.0
    }

    /// What it selects of the hub's own topics, and of all others.
    pub(crate) fn split(&self) -> (Self, Self) {
        let (own, others): (Vec<_>, Vec<_>) = self.0.iter().cloned().partition(Selector::is_own);
        (Self(own.into()), Self(others.into()))
    }

    /// Whether it selects nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it selects a topic.
    pub fn matches(&self, topic: &TopicName) -> bool {
        self.0.iter().any(|selector| selector.matches(topic))
    }
}

impl From<Selector> for Selection {
    fn from(selector: Selector) -> Self {
        Self([selector].into())
    }
}

impl From<TopicName> for Selection {
    fn from(topic: TopicName) -> Self {
        Selector::Topic(topic).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(text: &str) -> Selector {
        Selector::new(text).unwrap()
    }

    #[test]
    fn names_are_any_text_within_the_bounds() {
        let longest = "x".repeat(MAX_TOPIC_BYTES);
        for name in ["a", "/a//b", "..", "%00", "a b", "ü☃", "*a", "a*b", "$stats", &longest] {
            assert_eq!(TopicName::new(name).unwrap().as_str(), name);
        }
        assert_eq!(TopicName::new(""), Err(TopicError::Empty));
        assert_eq!(TopicName::new(&"x".repeat(257)), Err(TopicError::TooLong(257)));
        assert_eq!(TopicName::new("a\0"), Err(TopicError::Control { at: 1 }));
        assert_eq!(TopicName::new("a\u{85}"), Err(TopicError::Control { at: 1 }));
        assert_eq!(TopicName::new("a/*"), Err(TopicError::Star));
        assert_eq!(Selector::new("a\n*"), Err(TopicError::Control { at: 1 }));
    }

    #[test]
    fn a_prefix_selects_what_begins_with_it_but_not_the_hubs_own() {
        let topic = |name| TopicName::new(name).unwrap();
        assert!(selector("a/*").matches(&topic("a/b/c")));
        assert!(!selector("a/*").matches(&topic("a")));
        assert!(selector("a*").matches(&topic("a")));
        assert!(selector("*").matches(&topic("a")));
        assert!(!selector("*").matches(&topic("$stats")));
        assert!(selector("$*").matches(&topic("$stats")));
    }

    #[test]
    fn a_selection_selects_nothing_twice() {
        let select = |texts: &[&str]| {
            let selection = Selection::new(texts.iter().map(|text| selector(text)));
            selection.selectors().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(select(&["a", "b", "a"]), ["a", "b"]);
        assert_eq!(select(&["a/b", "a/*", "a/c*"]), ["a/*"]);
        assert_eq!(select(&["$stats", "*"]), ["$stats", "*"]);
        assert_eq!(select(&["$s*", "*", "$stats"]), ["$s*", "*"]);
    }
}
