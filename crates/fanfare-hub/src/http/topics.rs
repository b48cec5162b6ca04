//! `GET /topics`: the topics, who follows them, and the hubs that these are at.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use fanfare::Query;
use http::request::Parts;
use serde::Serialize;

use super::{Answer, Api, json, look::limit};
use crate::{
    Selection, Selector, TopicName,
    auth::Identity,
    log::TopicState,
    own::STATS,
    roster::{HubState, LeftOut, Other},
};

#[derive(Serialize)]
struct Listing {
    topics: Vec<Topic>,
    /// More lie behind it: ask with `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hubs: Option<Vec<HubEntry>>,
}

#[derive(Serialize)]
struct Topic {
    #[serde(rename = "topic")]
    name: String,
    #[serde(flatten)]
    kept: Option<Kept>,
    /// At this hub.
    subscribers: usize,
    #[serde(flatten)]
    everywhere: Option<Everywhere>,
}

/// What the log says.
#[derive(Serialize)]
struct Kept {
    events: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<String>,
    newest: String,
    ended: bool,
}

/// Who follows a topic, at all hubs that share the log.
#[derive(Serialize)]
struct Everywhere {
    all_subscribers: usize,
    subscribers_by_hub: BTreeMap<String, usize>,
    /// There may be more.
    partial: bool,
}

#[derive(Serialize)]
struct HubEntry {
    id: String,
    #[serde(flatten)]
    state: HubState,
    /// Milliseconds since it told that.
    age: u128,
    #[serde(skip_serializing_if = "LeftOut::is_nothing")]
    left_out: LeftOut,
}

/// Those who follow topics at other hubs.
struct Others {
    /// All that have been heard of,
    all: Vec<Arc<Other>>,
    /// and those that count.
    there: Vec<Arc<Other>>,
}

/// A topic, and what the log says of it, if it says anything.
type Row = (TopicName, Option<TopicState>);

pub(crate) async fn topics(api: &Api, request: &Parts, identity: &Identity) -> Answer {
    let selection = identity.known_topics()?;
    let query = Query::of(&request.uri);
    let limit = limit(&query)?;
    let after = query.get("after").map(|name| TopicName::new(&name)).transpose()?;
    let states = api.hub.log().topics(&selection, after.as_ref(), limit).await;
    let others = api.hub.roster().others().map(Others::new);
    let rows: Vec<Row> = match (states, &others) {
        (Ok(states), _) => {
            states.into_iter().map(|state| (state.name.clone(), Some(state))).collect()
        }
        // Who is there can be told without the log.
        (Err(_), Some(others)) => followed(api, others, &selection, after.as_ref(), limit),
        (Err(error), None) => return Err(error.into()),
    };
    let next = rows.last().filter(|_| rows.len() == limit).map(|(last, _)| last.to_string());
    let topics = rows.into_iter().map(|row| topic(api, others.as_ref(), row)).collect();
    // The same right as for the hub's figures.
    let may_see_hubs = identity.check_subscribe(&Selector::Topic(TopicName::own(STATS))).is_ok();
    let hubs = others.filter(|_| may_see_hubs).map(|others| hubs(api, &others));
    json(&Listing { topics, next, hubs })
}

/// The topics that are followed anywhere, as far as that is known here.
fn followed(
    api: &Api,
    others: &Others,
    selection: &Selection,
    after: Option<&TopicName>,
    limit: usize,
) -> Vec<Row> {
    let elsewhere = others.there.iter().flat_map(|other| other.topics());
    let names = api.hub.followed_topics().chain(elsewhere);
    let is_asked_for =
        |name: &TopicName| selection.matches(name) && after.is_none_or(|after| name > after);
    let names: BTreeSet<_> = names.filter(is_asked_for).collect();
    names.into_iter().take(limit).map(|name| (name, None)).collect()
}

fn topic(api: &Api, others: Option<&Others>, (name, state): Row) -> Topic {
    let subscribers = api.hub.followers(&name);
    Topic {
        kept: state.map(|state| kept(api, &state)),
        subscribers,
        everywhere: others.map(|others| everywhere(api, others, &name, subscribers)),
        name: name.to_string(),
    }
}

fn kept(api: &Api, state: &TopicState) -> Kept {
    Kept {
        events: state.events,
        bytes: state.bytes,
        oldest: state.oldest.map(|position| api.hub.id(position).to_string()),
        newest: api.hub.id(state.newest).to_string(),
        ended: state.ended.is_some(),
    }
}

fn everywhere(api: &Api, others: &Others, name: &TopicName, here: usize) -> Everywhere {
    let told = others.there.iter().map(|other| (other.id, other.followers(name)));
    let told: Vec<_> = [(api.hub.roster().id(), Some(here))].into_iter().chain(told).collect();
    let is_known = told.iter().all(|(_, followers)| followers.is_some());
    let known = told.into_iter().filter_map(|(id, followers)| Some((text(id), followers?)));
    let subscribers_by_hub: BTreeMap<_, _> =
        known.filter(|(_, followers)| *followers > 0).collect();
    Everywhere {
        all_subscribers: subscribers_by_hub.values().sum(),
        subscribers_by_hub,
        partial: !is_known || others.there.len() < others.all.len(),
    }
}

/// This hub, then the others.
fn hubs(api: &Api, others: &Others) -> Vec<HubEntry> {
    let roster = api.hub.roster();
    let (id, state) = (text(roster.id()), roster.state());
    let this = HubEntry { id, state, age: 0, left_out: LeftOut::default() };
    let others = others.all.iter().map(|other| HubEntry {
        id: text(other.id),
        state: other.state().clone(),
        age: other.age().as_millis(),
        left_out: other.left_out(),
    });
    [this].into_iter().chain(others).collect()
}

/// What names a hub: as a number it would be too large for many readers.
fn text(id: u64) -> String {
    format!("{id:016x}")
}

impl Others {
    fn new(all: Vec<Arc<Other>>) -> Self {
        let there = all.iter().filter(|other| other.is_there()).cloned().collect();
        Self { all, there }
    }
}
