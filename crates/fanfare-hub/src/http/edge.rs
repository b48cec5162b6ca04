//! What a hub asks that has its log here: `GET /log`.

use std::str::FromStr;

use fanfare::Query;
use fanfare_fanout::Position;
use http::request::Parts;
use serde::Serialize;

use super::{Answer, Api, Problem, json, look, subscribe};
use crate::{
    Selection, Selector, TopicName, VIA,
    auth::Identity,
    log::{Page, Read, ReadError, Record, TopicState},
};

/// The log, as far as it was asked for. Positions are ids.
#[derive(Serialize)]
struct Told {
    epoch: String,
    /// What `drops` counts from.
    run: u64,
    drops: u64,
    kept_after: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    before_last: Option<String>,
    /// Those that are selected by their names.
    topics: Vec<Topic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listed: Option<Vec<Topic>>,
    #[serde(flatten)]
    page: Option<Events>,
    newest: String,
}

#[derive(Serialize)]
struct Topic {
    #[serde(rename = "topic")]
    name: String,
    events: u64,
    bytes: u64,
    oldest: Option<String>,
    newest: String,
    ended: Option<String>,
}

#[derive(Serialize)]
struct Events {
    events: Vec<Event>,
    through: String,
}

#[derive(Serialize)]
struct Event {
    id: String,
    topic: String,
    #[serde(rename = "event")]
    name: Option<String>,
    /// Milliseconds.
    retry: Option<u128>,
    data: String,
    /// Milliseconds since 1970.
    time: u64,
}

pub(super) async fn answer(api: &Api, request: &Parts, identity: &Identity) -> Answer {
    let query = Query::of(&request.uri);
    let selection = match query.get("topic") {
        None => Selection::new([]),
        Some(_) => subscribe::selection(None, &query, api.settings.max_topics)?,
    };
    for selector in selection.selectors() {
        identity.check_subscribe(selector)?;
    }
    let follower = subscribe::follow(api, &selection, request)?;
    let mut response = json(&tell(api, &selection, &query).await?)?;
    let told = follower.and_then(|follower| follower.told().to_header());
    response.headers_mut().extend(told.map(|told| (VIA, told)));
    Ok(response)
}

async fn tell(api: &Api, selection: &Selection, query: &Query<'_>) -> Result<Told, Problem> {
    let log = api.hub.log();
    let after = position(api, query, "after")?.unwrap_or(Position::START);
    let page = page(api, selection, after, query).await?;
    let before_last = match number(query, "last")? {
        Some(count) => Some(id(api, log.before_last(selection, count).await?)),
        None => None,
    };
    Ok(Told {
        epoch: api.hub.epoch().to_string(),
        run: api.run,
        drops: log.drops(selection, after).await?,
        kept_after: id(api, log.kept_after(selection).await?),
        before_last,
        topics: named(api, selection).await?,
        listed: listed(api, selection, query).await?,
        page,
        // Known last, so that all of that is up to there.
        newest: id(api, log.newest()),
    })
}

async fn named(api: &Api, selection: &Selection) -> Result<Vec<Topic>, ReadError> {
    let mut topics = vec![];
    for selector in selection.selectors() {
        if let Selector::Topic(name) = selector {
            let state = api.hub.log().topic(name).await?;
            topics.extend(state.map(|state| topic(api, &state)));
        }
    }
    Ok(topics)
}

/// All that are selected, if a number of them is asked for.
async fn listed(
    api: &Api,
    selection: &Selection,
    query: &Query<'_>,
) -> Result<Option<Vec<Topic>>, Problem> {
    let Some(most) = number(query, "names")? else { return Ok(None) };
    let behind = query.get("behind").map(|name| TopicName::new(&name)).transpose()?;
    let most = look::MAX_LIMIT.min(most);
    let states = api.hub.log().topics(selection, behind.as_ref(), most).await?;
    Ok(Some(states.into_iter().map(|state| topic(api, &state)).collect()))
}

fn topic(api: &Api, state: &TopicState) -> Topic {
    Topic {
        name: state.name.to_string(),
        events: state.events,
        bytes: state.bytes,
        oldest: state.oldest.map(|oldest| id(api, oldest)),
        newest: id(api, state.newest),
        ended: state.ended.map(|ended| id(api, ended)),
    }
}

/// Events, if a number of them is asked for.
async fn page(
    api: &Api,
    selection: &Selection,
    after: Position,
    query: &Query<'_>,
) -> Result<Option<Events>, Problem> {
    if query.get("limit").is_none() {
        return Ok(None);
    }
    let read = Read {
        selection: selection.clone(),
        after,
        until: position(api, query, "until")?.unwrap_or(Position::END),
        max_events: look::limit(query)?,
        max_bytes: number(query, "bytes")?.unwrap_or(look::MAX_BYTES).min(look::MAX_BYTES),
    };
    let Page { records, through } = api.hub.log().read(read).await?;
    let events = records.into_iter().map(|record| event(api, record)).collect();
    Ok(Some(Events { events, through: id(api, through) }))
}

fn number<T: FromStr>(query: &Query<'_>, name: &str) -> Result<Option<T>, Problem> {
    let number = query.get(name).map(|text| text.parse()).transpose();
    number.map_err(|_| Problem::bad_request(format!("{name} is a number")))
}

fn event(api: &Api, record: Record) -> Event {
    let Record { position, time, event } = record;
    Event {
        id: id(api, position),
        topic: event.topic.to_string(),
        name: event.name.map(|name| name.as_str().to_owned()),
        retry: event.retry.map(|retry| retry.as_millis()),
        data: event.data.to_string(),
        time: time.0,
    }
}

fn position(api: &Api, query: &Query<'_>, name: &str) -> Result<Option<Position>, Problem> {
    let Some(id) = query.get(name) else { return Ok(None) };
    let position = api.hub.epoch().position(&id);
    let wrong = || Problem::bad_request(format!("{name} is the id of an event of this hub"));
    position.map(Some).ok_or_else(wrong)
}

fn id(api: &Api, position: Position) -> String {
    api.hub.id(position).to_string()
}
