//! What an edge asks: the query of `GET /log`.

use std::fmt::Write;

use fanfare_hub::{Epoch, Position, Selection, TopicName, log::Read};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// By default, what is known of the log as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Question {
    topics: String,
    after: Option<Position>,
    until: Option<Position>,
    last: Option<u64>,
    /// Events and bytes at most.
    page: Option<(usize, usize)>,
    /// Names of topics at most, and behind which.
    listed: Option<(usize, Option<String>)>,
}

const LITERAL: AsciiSet =
    NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'/').remove(b'*');

impl Question {
    pub(super) fn of(selection: &Selection) -> Self {
        Self { topics: topics(selection), ..Self::default() }
    }

    pub(super) fn page(read: &Read) -> Self {
        let until = Some(read.until).filter(|until| *until != Position::END);
        let page = Some((read.max_events, read.max_bytes));
        Self { until, page, ..Self::of(&read.selection).after(read.after) }
    }

    pub(super) fn after(self, after: Position) -> Self {
        Self { after: Some(after), ..self }
    }

    pub(super) fn last(self, count: u64) -> Self {
        Self { last: Some(count), ..self }
    }

    pub(super) fn listed(self, after: Option<&TopicName>, most: usize) -> Self {
        Self { listed: Some((most, after.map(ToString::to_string))), ..self }
    }

    /// As a query. Positions are ids of this epoch.
    pub(super) fn to_query(&self, epoch: Option<Epoch>) -> String {
        let mut query = self.topics.clone();
        let id = |position| epoch.map(|epoch| epoch.id(position).to_string());
        let (events, bytes) = self.page.unzip();
        let (names, behind) = self.listed.clone().unzip();
        let parameters = [
            ("after", self.after.and_then(id)),
            ("until", self.until.and_then(id)),
            ("last", self.last.map(|count| count.to_string())),
            ("limit", events.map(|events| events.to_string())),
            ("bytes", bytes.map(|bytes| bytes.to_string())),
            ("names", names.map(|names| names.to_string())),
            ("behind", behind.flatten().map(|name| encoded(&name))),
        ];
        for (name, value) in parameters {
            if let Some(value) = value {
                // Writing to a string does not fail.
                let _ = write!(query, "&{name}={value}");
            }
        }
        query.trim_start_matches('&').to_owned()
    }
}

/// Topics and patterns in a query.
pub(super) fn topics(selection: &Selection) -> String {
    let selectors = selection.selectors().iter().map(|one| encoded(&one.to_string()));
    selectors.map(|text| format!("topic={text}")).collect::<Vec<_>>().join("&")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, &LITERAL).to_string()
}

#[cfg(test)]
mod tests {
    use fanfare_hub::Selector;

    use super::*;

    #[test]
    fn a_question_is_a_query() {
        let selectors = ["a&b", "ü/*"].map(|text| Selector::new(text).unwrap());
        let question = Question::of(&Selection::new(selectors)).after(Position(7)).last(2);
        let query = question.to_query(Some(Epoch::from_seed(1)));
        assert_eq!(query, "topic=a%26b&topic=%C3%BC/*&after=10000000-7&last=2");
        assert_eq!(Question::default().to_query(None), "");
    }
}
