//! Following topics: `GET /sse/{topic}` and `GET /sse?topic=a&topic=b`.

use fanfare::Query;
use futures_util::stream;
use http::{HeaderValue, Method, Response, StatusCode, Version, header, request::Parts};
use http_body_util::BodyExt;

use super::{
    Answer, AnswerBody, Api, ClientAddress, CutOff, Detached, OnSocket, Problem, empty,
    kept_alive::KeptAlive, stream::Streaming,
};
use crate::{
    Coding, Format, From, Selection, Selector, Subscribed, VIA, Via, auth::Identity, coding,
    event::Representation, log::ReadError, metrics::Refusal, via::Follower,
};

/// The query parameters in which polyfills send the last event id.
const LAST_EVENT_ID: [&str; 3] = ["lastEventId", "last_event_id", "evs_last_event_id"];

pub(crate) async fn subscribe(
    api: &Api,
    topic: Option<String>,
    request: &Parts,
    identity: &Identity,
) -> Answer {
    let query = Query::of(&request.uri);
    let selection = selection(topic.as_deref(), &query, api.settings.max_topics)?;
    for selector in selection.selectors() {
        identity.check_subscribe(selector)?;
    }
    let coding = coding::choose(&api.settings.codings, &request.headers);
    let representation = Representation { format: format(&query)?, coding };
    let from = from(request, &query)?;
    let mut response = head(api, coding);
    let follower = follow(api, &selection, request)?;
    let told = follower.as_ref().and_then(|follower| follower.told().to_header());
    response.headers_mut().extend(told.map(|told| (VIA, told)));
    if request.method == Method::HEAD {
        return Ok(response);
    }
    if api.has_begun_shutdown() {
        let detail = "the hub is shutting down: ask again, another one may answer";
        return Err(Problem::shutting_down(detail));
    }
    let place = api.limits.enter(ClientAddress::of(&request.extensions))?;
    match api.hub.subscribe_to(selection, representation, from).await? {
        Subscribed::Stream(subscription) => {
            let cut_off = request.extensions.get::<CutOff>().cloned();
            let expires = identity.expires();
            let streaming =
                Streaming::new(api, subscription, coding, place, cut_off, expires, follower);
            let is_on_socket = request.extensions.get::<OnSocket>().is_some();
            if is_on_socket && streaming.may_part() {
                response.extensions_mut().insert(Detached::new(streaming));
            } else {
                *response.body_mut() = body(api, streaming);
            }
            if request.version == Version::HTTP_10 {
                // Its body has no other end than that of the connection, whatever the peer asks for.
                *response.version_mut() = Version::HTTP_10;
                response
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
        Subscribed::Over => {
            let mut response = Response::new(empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        }
    }
}

/// A hub that follows this one is told where the stream comes from, unless that is the hub itself.
pub(super) fn follow(
    api: &Api,
    selection: &Selection,
    request: &Parts,
) -> Result<Option<Follower>, Problem> {
    let Some(via) = Via::read(&request.headers) else { return Ok(None) };
    let followed = api.hub.courses().follow(selection, api.hub.via(), via);
    followed.map(Some).map_err(|circle| {
        let detail = format!("{circle}: hubs relay from each other in a circle, leave one out");
        Problem::new(StatusCode::LOOP_DETECTED, detail)
    })
}

pub(super) fn selection(
    topic: Option<&str>,
    query: &Query<'_>,
    most: usize,
) -> Result<Selection, Problem> {
    let named: Vec<_> = query.get_all("topic").take(most + 1).collect();
    let texts = topic.into_iter().chain(named.iter().map(|text| &**text));
    let selectors = texts.map(Selector::new).collect::<Result<Vec<_>, _>>()?;
    if selectors.is_empty() {
        return Err(Problem::bad_request("no topic: ask for /sse/{topic} or /sse?topic=a&topic=b"));
    }
    if selectors.len() > most {
        let detail =
            format!("more than {most} topics in one subscription: follow a pattern instead");
        return Err(Problem::beyond(Refusal::Topics, StatusCode::BAD_REQUEST, detail));
    }
    Ok(Selection::new(selectors))
}

fn format(query: &Query<'_>) -> Result<Format, Problem> {
    match query.get("envelope").as_deref() {
        None => Ok(Format::Plain),
        Some("json") => Ok(Format::Envelope),
        Some(_) => Err(Problem::bad_request("envelope is json, or left out")),
    }
}

fn from(request: &Parts, query: &Query<'_>) -> Result<From, Problem> {
    let header = request.headers.get("last-event-id");
    let header = header.map(|id| String::from_utf8_lossy(id.as_bytes()));
    let in_query = LAST_EVENT_ID.iter().filter_map(|name| query.get(name));
    if let Some(id) = header.into_iter().chain(in_query).find(|id| !id.is_empty()) {
        return Ok(From::After(id.into_owned()));
    }
    if let Some(count) = query.get("last") {
        let count = count.parse();
        return Ok(From::Last(count.map_err(|_| Problem::bad_request("last is a number"))?));
    }
    match query.get("from").as_deref() {
        None | Some("latest") => Ok(From::Latest),
        Some("earliest") => Ok(From::Earliest),
        Some(_) => Err(Problem::bad_request("from is earliest or latest")),
    }
}

/// The head of a stream.
fn head(api: &Api, coding: Coding) -> Response<AnswerBody> {
    let response = api.sse.respond_encoded(stream::empty::<Result<_, ReadError>>());
    let mut response = response.map(|_| empty());
    let headers = response.headers_mut();
    headers.remove(header::CONNECTION);
    if coding != Coding::Identity {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.token()));
    }
    if !api.settings.codings.is_empty() {
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    response
}

pub(crate) fn body(api: &Api, streaming: Streaming) -> AnswerBody {
    KeptAlive::new(streaming, api.settings.keep_alive).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(target: &str, last_event_id: Option<&str>) -> Parts {
        let request = http::Request::get(target);
        let request = match last_event_id {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_header_counts_before_the_query_and_both_before_from() {
        let begin = |target: &str, id| {
            let parts = parts(target, id);
            from(&parts, &Query::of(&parts.uri)).unwrap()
        };
        assert_eq!(begin("/sse/a", None), From::Latest);
        assert_eq!(begin("/sse/a?from=earliest", None), From::Earliest);
        assert_eq!(begin("/sse/a?last=3&from=earliest", None), From::Last(3));
        assert_eq!(begin("/sse/a?last_event_id=x&last=3", None), From::After("x".into()));
        assert_eq!(begin("/sse/a?lastEventId=x", Some("y")), From::After("y".into()));
        assert_eq!(begin("/sse/a?lastEventId=x", Some("")), From::After("x".into()));
        let bad = parts("/sse/a?last=-1", None);
        assert!(from(&bad, &Query::of(&bad.uri)).is_err());
    }
}
