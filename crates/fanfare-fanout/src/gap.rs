//! The in-band word to a subscriber that events are missing.

use fanfare_wire::{Event, EventId, EventName};
use serde::Serialize;

/// The name of the event that tells of missing events.
pub const GAP: EventName = EventName::from_static("gap");

/// What is missing from a stream, told to its subscriber as an event named `gap` with JSON data.
///
/// ```
/// use fanfare_fanout::{Gap, GapReason};
///
/// let gap = Gap { reason: GapReason::Lagged, missed: Some(3), requested: None, resumed_from: None };
/// assert_eq!(gap.to_event().to_bytes(), "event: gap\ndata: {\"reason\":\"lagged\",\"missed\":3}\n\n");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap<'a> {
    /// Why.
    pub reason: GapReason,
    /// How many events, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed: Option<u64>,
    /// The last event id that the subscriber asked to resume after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<&'a str>,
    /// The id behind which the stream goes on. The event carries it too, so that a reconnection
    /// right behind it is not told of the same gap again.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub resumed_from: Option<EventId>,
}

/// Why events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GapReason {
    /// The subscriber was too slow, and its next events are no longer kept.
    Lagged,
    /// Events after the id that it asked to resume after are no longer kept.
    Expired,
    /// The id that it asked to resume after is not of this log.
    Unknown,
    /// Events were lost on the way to the log: where it has its events from could not give them.
    Lost,
}

impl Gap<'_> {
    /// The event to send.
    ///
    /// ```
    /// use fanfare_fanout::{Epoch, Gap, GapReason, Position};
    ///
    /// let event = Gap {
    ///     reason: GapReason::Expired,
    ///     missed: None,
    ///     requested: Some("10000000-3"),
    ///     resumed_from: Some(Epoch::from_seed(1).id(Position(8))),
    /// }
    /// .to_event();
    /// assert_eq!(event.name(), "gap");
    /// assert_eq!(event.id().unwrap(), "10000000-8"); // where a reconnection goes on
    /// ```
    pub fn to_event(&self) -> Event {
        // Strings and numbers always serialise; were it otherwise, the name alone says it.
        let event = Event::json(self).unwrap_or_default().with_name(GAP);
        match &self.resumed_from {
            Some(id) => event.with_id(id.clone()),
            None => event,
        }
    }
}

#[expect(clippy::ref_option, reason = "the signature is serde's")]
fn as_text<S: serde::Serializer>(id: &Option<EventId>, to: S) -> Result<S::Ok, S::Error> {
    id.as_ref().map(EventId::as_str).serialize(to)
}
