//! Publishing: `POST /sse/{topic}`, and `POST /sse` for a batch that names its topics.

use std::time::Duration;

use bytes::Bytes;
use fanfare::Query;
use fanfare_fanout::Position;
use fanfare_wire::{ByteString, Decoder, Event, EventName, Item};
use http::{HeaderValue, StatusCode, header, request::Parts};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Answer, Api, ClientAddress, Problem, RequestBody, incoming::Incoming, json};
use crate::{
    TopicName,
    auth::Identity,
    event::of_wire,
    log::{Appended, Batch, IdempotencyKey, NewEvent},
    metrics::Refusal,
};

/// The longest idempotency key, in bytes.
const LONGEST_KEY: usize = 256;

/// The answer to a publish.
#[derive(Serialize)]
struct Published {
    /// The id of the last event.
    id: String,
    /// How many events it were, where it may be more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
}

/// One line of a batch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(default)]
    topic: Option<String>,
    #[serde(default)]
    event: Option<String>,
    /// Milliseconds.
    #[serde(default)]
    retry: Option<u64>,
    #[serde(borrow)]
    data: &'a RawValue,
}

pub(crate) async fn publish(
    api: &Api,
    topic: Option<String>,
    request: &Parts,
    identity: &Identity,
    body: RequestBody,
) -> Answer {
    let topic = topic.map(|topic| publishable(&topic, identity)).transpose()?;
    api.limits.publish(ClientAddress::of(&request.extensions))?;
    match (media_type(request), topic) {
        ("application/x-ndjson", topic) => publish_batch(api, topic, request, identity, body).await,
        (_, None) => Err(Problem::bad_request(
            "no topic: POST to /sse/{topic}, or lines of application/x-ndjson that name theirs",
        )),
        ("text/event-stream", Some(topic)) => {
            publish_stream(api, topic, request, identity, body).await
        }
        (_, Some(topic)) => publish_one(api, topic, request, body).await,
    }
}

pub(crate) async fn erase(api: &Api, topic: &str, identity: &Identity) -> Answer {
    identity.check_admin()?;
    let topic = not_own(topic)?;
    if !api.hub.erase(&topic).await? {
        let detail = format!("there is no topic {topic}");
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    let mut response = http::Response::new(super::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// A topic that may be published to, by whom it is.
fn publishable(topic: &str, identity: &Identity) -> Result<TopicName, Problem> {
    let topic = not_own(topic)?;
    identity.check_publish(&topic)?;
    Ok(topic)
}

fn not_own(topic: &str) -> Result<TopicName, Problem> {
    let topic = TopicName::new(topic)?;
    if topic.is_own() {
        let detail =
            format!("{topic} is the hub's own: topics that begin with $ cannot be published to");
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    Ok(topic)
}

fn media_type(request: &Parts) -> &str {
    let content_type = request.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim()
}

/// The body is the data of one event.
async fn publish_one(api: &Api, topic: TopicName, request: &Parts, body: RequestBody) -> Answer {
    let query = Query::of(&request.uri);
    let name = query.get("event").filter(|name| !name.is_empty());
    let name = name.map(|name| event_name(name.into_owned())).transpose()?;
    let retry = query.get("retry").map(|retry| parse_retry(&retry)).transpose()?;
    let ends = ends(&query)?;
    let bytes = Incoming::whole(api, request, body).collect().await?;
    let data = ByteString::try_from(bytes);
    let data = data.map_err(|_| Problem::bad_request("the data is no UTF-8"))?;
    // Line ends are LF from here on, as on the wire.
    let data = Event::new(data).into_data();
    let event = NewEvent { topic: topic.clone(), name, retry, data };
    let idempotency_key = idempotency_key(request, topic.as_str())?;
    let ends = if ends { vec![topic] } else { vec![] };
    let batch = Batch { events: vec![event], ends, idempotency_key, ..Batch::default() };
    let appended = api.hub.publish(batch).await?;
    published(api, appended.last, None)
}

/// Each line of the body is an event; all of them are published, or none.
async fn publish_batch(
    api: &Api,
    topic: Option<TopicName>,
    request: &Parts,
    identity: &Identity,
    body: RequestBody,
) -> Answer {
    let ends_topic = ends(&Query::of(&request.uri))?;
    let bytes = Incoming::whole(api, request, body).collect().await?;
    let text = str::from_utf8(&bytes).map_err(|_| Problem::bad_request("the batch is no UTF-8"))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let events: Vec<NewEvent> = lines
        .map(|(index, line)| parse_line(index + 1, line, topic.as_ref(), identity))
        .collect::<Result<_, _>>()?;
    if events.is_empty() {
        return Err(Problem::bad_request("the batch has no lines"));
    }
    let most = api.settings.max_batch_events;
    if events.len() > most {
        let detail = format!("the batch has more than {most} events: publish several");
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return Err(Problem::beyond(Refusal::BatchEvents, status, detail));
    }
    api.limits.charge(ClientAddress::of(&request.extensions), events.len() - 1);
    let mut ends: Vec<TopicName> = vec![];
    if ends_topic {
        ends.extend(events.iter().map(|event| event.topic.clone()));
        ends.sort_unstable();
        ends.dedup();
    }
    let scope = topic.as_ref().map_or("", TopicName::as_str);
    let idempotency_key = idempotency_key(request, scope)?;
    let count = events.len();
    let batch = Batch { events, ends, idempotency_key, ..Batch::default() };
    let appended = api.hub.publish(batch).await?;
    published(api, appended.last, Some(count))
}

fn parse_line(
    number: usize,
    line: &str,
    topic: Option<&TopicName>,
    identity: &Identity,
) -> Result<NewEvent, Problem> {
    let at = |why: &str| Problem::bad_request(format!("line {number}: {why}"));
    let line: Line<'_> = serde_json::from_str(line).map_err(|error| at(&error.to_string()))?;
    let topic = match (line.topic, topic) {
        (Some(name), _) => {
            publishable(&name, identity).map_err(|problem| problem.in_line(number))?
        }
        (None, Some(topic)) => topic.clone(),
        (None, None) => return Err(at("it names no topic, nor does the path")),
    };
    let name = line.event.filter(|name| !name.is_empty()).map(event_name).transpose();
    let name = name.map_err(|problem| problem.in_line(number))?;
    let retry = line.retry.map(Duration::from_millis);
    // A string is its text; any other JSON is as it is written.
    let data = match serde_json::from_str::<String>(line.data.get()) {
        Ok(text) => text,
        Err(_) => line.data.get().to_owned(),
    };
    Ok(NewEvent { topic, name, retry, data: Event::new(data).into_data() })
}

/// The body is an event stream; its events are published as they come.
async fn publish_stream(
    api: &Api,
    topic: TopicName,
    request: &Parts,
    identity: &Identity,
    body: RequestBody,
) -> Answer {
    let ends_topic = ends(&Query::of(&request.uri))?;
    if request.headers.contains_key("idempotency-key") {
        let detail = "an event stream cannot be repeated: leave Idempotency-Key out";
        return Err(Problem::bad_request(detail));
    }
    let address = ClientAddress::of(&request.extensions);
    let mut decoder = Decoder::new().with_max_event_bytes(api.settings.max_body_bytes);
    let mut incoming = Incoming::stream(api, request, body);
    let (mut count, mut last) = (0, None);
    loop {
        let next = incoming.next().await;
        let next = next.map_err(|why| incoming.problem(why, &done(count)))?;
        let Some(mut chunk) = next else { break };
        let events = decode(&mut decoder, &mut chunk, &topic)
            .map_err(|_| Problem::too_large(api.settings.max_body_bytes))?;
        if !events.is_empty() {
            check_expiry(api, identity, count)?;
            let published = events.len();
            let batch = Batch { events, ..Batch::default() };
            last = Some(api.hub.publish(batch).await?);
            count += published;
            let paused = incoming.pause(api.limits.charge(address, published)).await;
            paused.map_err(|why| incoming.problem(why, &done(count)))?;
        }
    }
    if ends_topic {
        check_expiry(api, identity, count)?;
        last = Some(api.hub.publish(Batch { ends: vec![topic], ..Batch::default() }).await?);
    }
    let last = last.map_or(api.hub.log().newest(), |Appended { last, .. }| last);
    published(api, last, Some(count))
}

fn decode(
    decoder: &mut Decoder,
    chunk: &mut Bytes,
    topic: &TopicName,
) -> Result<Vec<NewEvent>, fanfare_wire::EventTooLarge> {
    let mut events = vec![];
    while let Some(item) = decoder.decode(chunk)? {
        if let Item::Event(event) = item {
            events.push(of_wire(&event, topic.clone()));
        }
    }
    Ok(events)
}

/// A stream may outlive the token that began it.
fn check_expiry(api: &Api, identity: &Identity, count: usize) -> Result<(), Problem> {
    let checked = identity.check_expiry(api.hub.now());
    checked.map_err(|denial| Problem::from(denial).with_detail(&done(count)))
}

fn done(count: usize) -> String {
    format!("{count} events have been published")
}

fn event_name(name: String) -> Result<EventName, Problem> {
    EventName::new(name).map_err(|error| Problem::bad_request(error.to_string()))
}

fn parse_retry(text: &str) -> Result<Duration, Problem> {
    let milliseconds =
        text.parse().map_err(|_| Problem::bad_request("retry is a number of milliseconds"))?;
    Ok(Duration::from_millis(milliseconds))
}

fn ends(query: &Query<'_>) -> Result<bool, Problem> {
    match query.get("end").as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Problem::bad_request("end is true or false")),
    }
}

/// The key in the scope of what is published to.
fn idempotency_key(request: &Parts, scope: &str) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(key) = request.headers.get("idempotency-key").map(HeaderValue::as_bytes) else {
        return Ok(None);
    };
    let key = str::from_utf8(key).ok().filter(|key| (1..=LONGEST_KEY).contains(&key.len()));
    let detail = "an Idempotency-Key is 1 to 256 bytes of UTF-8";
    let key = key.ok_or_else(|| Problem::bad_request(detail))?;
    Ok(Some(IdempotencyKey([scope, "\n", key].concat().into())))
}

fn published(api: &Api, last: Position, count: Option<usize>) -> Answer {
    json(&Published { id: api.hub.id(last).to_string(), count })
}
