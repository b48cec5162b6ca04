//! How much of a log is kept.

use std::time::Duration;

use crate::{Selector, TopicName};

/// Limits for the events that are kept, of a topic or of the whole log. `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Events at most.
    pub max_events: Option<u64>,
    /// Not older than this.
    pub max_age: Option<Duration>,
    /// Bytes of data at most.
    pub max_bytes: Option<u64>,
}

/// Limits for each of the topics that a selector selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which topics.
    pub topics: Selector,
    /// Their limits.
    pub limits: Limits,
}

/// How much of a log is kept, and for how long idempotency keys are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// The first rule that selects a topic is the one that counts for it. Without one, the topic has
    /// no limits of its own.
    pub rules: Vec<Rule>,
    /// Limits for all topics together. The oldest events go first.
    pub total: Limits,
    /// How long an idempotency key is known.
    pub idempotency_window: Duration,
    /// How many idempotency keys are known; beyond that, the oldest are forgotten sooner.
    pub max_idempotency_keys: usize,
}

impl Retention {
    /// The limits of a topic.
    pub fn limits_of(&self, topic: &TopicName) -> Limits {
        let rule = self.rules.iter().find(|rule| rule.topics.matches(topic));
        rule.map_or(Limits::default(), |rule| rule.limits)
    }
}

impl Default for Retention {
    /// Everything is kept; idempotency keys for 10 minutes, a million at most.
    fn default() -> Self {
        Self {
            rules: vec![],
            total: Limits::default(),
            idempotency_window: Duration::from_mins(10),
            max_idempotency_keys: 1_000_000,
        }
    }
}
