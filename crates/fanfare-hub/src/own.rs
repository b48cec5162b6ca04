//! The hub's own topics: what it tells of itself. They are in no log, and their events have no ids.

use std::time::Duration;

use fanfare_fanout::{Bounds, Channel, Cursor, LagPolicy, Options, Position, Start};
use fanfare_wire::ByteString;

use crate::{
    From, Selection, TopicName,
    event::{self, Format},
    log::{NewEvent, Record, Timestamp},
};

/// The topic of the hub's figures.
pub(crate) const STATS: &str = "$stats";
/// How often they are published.
pub(crate) const STATS_PERIOD: Duration = Duration::from_secs(1);

/// How much of an own topic is kept: of the figures, the newest five minutes.
const BOUNDS: Bounds = Bounds { frames: 300, bytes: 512 * 1024 };

/// A topic of the hub's own, as a channel for each format.
#[derive(Debug)]
pub(crate) struct OwnTopic {
    name: TopicName,
    channels: [(Format, Channel); Format::ALL.len()],
}

impl OwnTopic {
    /// The topic of the hub's figures.
    pub(crate) fn stats() -> Self {
        let channels = Format::ALL.map(|format| (format, channel()));
        Self { name: TopicName::own(STATS), channels }
    }

    /// Gives an event to whoever follows the topic.
    pub(crate) fn publish(&self, data: ByteString, time: Timestamp) {
        let event = NewEvent { topic: self.name.clone(), name: None, retry: None, data };
        let record = Record { position: Position::START, time, event };
        for (format, channel) in &self.channels {
            // It is closed when the hub ends its streams.
            let _ = channel.append(event::of_record(&record, *format));
        }
    }

    /// A reader of the topic, if it is selected.
    pub(crate) fn cursor(
        &self,
        selection: &Selection,
        format: Format,
        from: &From,
    ) -> Option<Cursor> {
        if !selection.matches(&self.name) {
            return None;
        }
        let start = match from {
            From::Latest | From::After(_) => Start::Latest,
            From::Earliest => Start::Earliest,
            From::Last(count) => Start::Last(usize::try_from(*count).unwrap_or(usize::MAX)),
        };
        let channel = self.channels.iter().find(|(one, _)| *one == format);
        channel.map(|(_, channel)| channel.cursor(start))
    }

    /// Ends the streams of those who follow it.
    pub(crate) fn close(&self) {
        self.channels.iter().for_each(|(_, channel)| channel.close());
    }
}

/// Who falls behind is given the newest: figures are not worth a gap.
fn channel() -> Channel {
    Channel::new(Options { bounds: BOUNDS, lag_policy: LagPolicy::Latest, ..Options::default() })
}
