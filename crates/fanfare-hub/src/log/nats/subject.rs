//! Names of streams and subjects, derived from those of logs and topics.

use std::fmt::Write;

use crate::TopicName;

/// The subjects of a log. `NAME` is the stream's.
#[derive(Debug, Clone)]
pub(super) struct Subjects {
    stream: String,
}

impl Subjects {
    pub(super) fn new(log: &str) -> Self {
        Self { stream: escaped(log) }
    }

    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    /// All that is in the stream.
    pub(super) fn all(&self) -> String {
        format!("{}.log.>", self.stream)
    }

    /// Batches for one topic: `NAME.log.event.TOPIC`.
    pub(super) fn events(&self, topic: &TopicName) -> String {
        format!("{}.log.event.{}", self.stream, escaped(topic.as_str()))
    }

    /// Batches for several topics.
    pub(super) fn batches(&self) -> String {
        format!("{}.log.batch", self.stream)
    }

    /// What is kept of a topic: `NAME.log.kept.TOPIC`.
    pub(super) fn kept(&self, topic: &TopicName) -> String {
        format!("{}.log.kept.{}", self.stream, escaped(topic.as_str()))
    }

    /// Topics that are forgotten.
    pub(super) fn forgotten(&self) -> String {
        format!("{}.log.forgotten", self.stream)
    }

    /// The topic whose batches have this subject.
    pub(super) fn topic(&self, subject: &str) -> Option<TopicName> {
        let token = subject.strip_prefix(&self.stream)?.strip_prefix(".log.event.")?;
        TopicName::new(&unescaped(token)?).ok()
    }
}

/// A token of letters, digits and dashes, and `_XX` for each other byte.
fn escaped(name: &str) -> String {
    let mut token = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            token.push(byte.into());
        } else {
            // A string takes all that is written to it.
            let _ = write!(token, "_{byte:02X}");
        }
    }
    token
}

fn unescaped(token: &str) -> Option<String> {
    let mut parts = token.split('_');
    let mut name = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        name.push(u8::from_str_radix(code, 16).ok()?);
        name.extend(rest.as_bytes());
    }
    String::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_tells_its_topic() {
        let subjects = Subjects::new("my log");
        assert_eq!(subjects.stream(), "my_20log");
        for name in ["news", "a.b/c_d", "süd *>", "$own", "_20", "x-1"] {
            let topic = TopicName::new(name).unwrap();
            let subject = subjects.events(&topic);
            let token = subject.strip_prefix("my_20log.log.event.").unwrap();
            assert!(
                token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            );
            assert_eq!(subjects.topic(&subject), Some(topic));
        }
        for strange in ["my_20log.log.batch", "other.log.event.a", "my_20log.log.event._2", ""] {
            assert_eq!(subjects.topic(strange), None);
        }
    }
}
