//! All events of a log, page by page.

use fanfare_fanout::Position;
use fanfare_hub::{
    Selection,
    log::{Log, Read, ReadError, Record, TopicState},
};

const PAGE_EVENTS: usize = 4096;
const PAGE_BYTES: usize = 1024 * 1024;
/// Topics that are asked for at a time.
const PAGE_TOPICS: usize = 1000;

/// What has not been read yet.
pub(super) struct Pages<'a> {
    log: &'a dyn Log,
    selection: Selection,
    after: Position,
}

impl<'a> Pages<'a> {
    /// All events of the selection.
    pub(super) fn new(log: &'a dyn Log, selection: Selection) -> Self {
        Self { log, selection, after: Position::START }
    }

    /// The next events by position, maybe none; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Record>>, ReadError> {
        let until = self.log.newest();
        if self.after >= until {
            return Ok(None);
        }
        let read = Read {
            selection: self.selection.clone(),
            after: self.after,
            until,
            max_events: PAGE_EVENTS,
            max_bytes: PAGE_BYTES,
        };
        let page = self.log.read(read).await?;
        self.after = page.through;
        Ok(Some(page.records))
    }
}

/// All topics by name.
pub(super) async fn topics(log: &dyn Log) -> Result<Vec<TopicState>, ReadError> {
    let mut topics: Vec<TopicState> = vec![];
    loop {
        let after = topics.last().map(|topic| topic.name.clone());
        let page = log.topics(&Selection::all(), after.as_ref(), PAGE_TOPICS).await?;
        if page.is_empty() {
            return Ok(topics);
        }
        topics.extend(page);
    }
}
