//! Looking at what is there: the events of a topic, the hub's figures, and whether it works.

use std::time::Duration;

use fanfare::Query;
use fanfare_fanout::Position;
use http::{Response, StatusCode, request::Parts};
use serde::Serialize;
use tokio::time::timeout;

use super::{Answer, AnswerBody, Api, Problem, json, text, with_type};
use crate::{
    Selector, TopicName,
    auth::Identity,
    log::{Read, Record},
    metrics::MEDIA_TYPE,
    own::STATS,
};

/// How many topics or events one answer has, if it is not said, and at most.
const DEFAULT_LIMIT: usize = 100;
pub(super) const MAX_LIMIT: usize = 1000;
/// The data of one answer, in bytes.
pub(super) const MAX_BYTES: usize = 1024 * 1024;
/// How long the figures wait for the size of the log.
const SIZE_PATIENCE: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Events {
    events: Vec<Event>,
    /// Everything up to here has been told: go on with it as `after`.
    through: String,
}

#[derive(Serialize)]
struct Event {
    id: String,
    #[serde(rename = "event")]
    name: String,
    data: String,
    /// Milliseconds since 1970.
    time: u64,
}

pub(crate) async fn events(
    api: &Api,
    topic: &TopicName,
    request: &Parts,
    identity: &Identity,
) -> Answer {
    identity.check_subscribe(&Selector::Topic(topic.clone()))?;
    let query = Query::of(&request.uri);
    let max_events = limit(&query)?;
    let after = match query.get("after") {
        None => Position::START,
        Some(id) => api
            .hub
            .epoch()
            .position(&id)
            .ok_or_else(|| Problem::bad_request("after is the id of an event of this hub"))?,
    };
    let selection = topic.clone().into();
    let read = Read { selection, after, until: Position::END, max_events, max_bytes: MAX_BYTES };
    let page = api.hub.log().read(read).await?;
    let events = page.records.iter().map(|record| event(api, record)).collect();
    json(&Events { events, through: api.hub.id(page.through).to_string() })
}

fn event(api: &Api, record: &Record) -> Event {
    let name = record.event.name.as_ref();
    Event {
        id: api.hub.id(record.position).to_string(),
        name: name.map_or(fanfare_wire::Event::DEFAULT_NAME, |name| name.as_str()).to_owned(),
        data: record.event.data.to_string(),
        time: record.time.0,
    }
}

/// Whether new clients should be sent here.
pub(crate) fn ready(api: &Api) -> Response<AnswerBody> {
    if api.has_begun_shutdown() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n");
    }
    if api.auth.as_ref().is_some_and(|auth| !auth.is_ready()) {
        return text(StatusCode::SERVICE_UNAVAILABLE, "keys that verify tokens are missing\n");
    }
    if !api.hub.is_log_available() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "degraded: the log takes no events\n");
    }
    text(StatusCode::OK, "ready\n")
}

/// What the hub does, in numbers, as `OpenMetrics`.
pub(crate) async fn metrics(api: &Api, identity: &Identity) -> Answer {
    identity.check_subscribe(&Selector::Topic(TopicName::own(STATS)))?;
    // Figures are needed most when something does not work.
    let size = timeout(SIZE_PATIENCE, api.hub.log().size()).await;
    let size = size.ok().and_then(Result::ok);
    let text = api.hub.metrics().encode(size, api.hub.roster().count());
    let text = text.map_err(|error| Problem::internal(&error))?;
    Ok(with_type(StatusCode::OK, MEDIA_TYPE, text))
}

/// How many topics or events are asked for.
pub(super) fn limit(query: &Query<'_>) -> Result<usize, Problem> {
    let Some(limit) = query.get("limit") else { return Ok(DEFAULT_LIMIT) };
    let limit = limit.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Problem::bad_request(format!("limit is a number from 1 to {MAX_LIMIT}")))
}
