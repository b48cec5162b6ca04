use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use fanfare::Sse;
use fanfare_hub::{
    Format, From, Hub, Selection, Subscribed,
    http::{AnswerBody, Api, Settings},
};
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use http::Request;
use http_body_util::{BodyExt, Empty};

use crate::decoding::Decoding;

/// The text of a stream, as it comes.
pub(crate) type Chunks = Pin<Box<dyn Stream<Item = Bytes>>>;

/// A stream in a coding: as it is, from the hub; a compressed one as HTTP gives it. `None` where nothing is
/// left to give.
pub(crate) async fn follow(
    hub: &Hub,
    coding: &str,
    selection: &Selection,
    format: Format,
    from: From,
) -> Option<Chunks> {
    if coding != "identity" {
        return follow_over_http(hub, coding, selection, format, &from).await;
    }
    match hub.subscribe(selection.clone(), format, from).await.unwrap() {
        Subscribed::Stream(stream) => Some(Box::pin(stream.map(Result::unwrap))),
        Subscribed::Over => None,
    }
}

async fn follow_over_http(
    hub: &Hub,
    coding: &str,
    selection: &Selection,
    format: Format,
    from: &From,
) -> Option<Chunks> {
    let keep_alive = Duration::from_hours(1);
    let api = Api::new(hub.clone(), Sse::new(), Settings { keep_alive, ..Settings::default() });
    let target = format!("/sse?{}", query(selection, format, from));
    let request = Request::get(target).header("accept-encoding", coding);
    let request = match from {
        From::After(id) => request.header("last-event-id", id),
        _ => request,
    };
    let answer = api.answer(request.body(Empty::<Bytes>::new()).unwrap()).await;
    if answer.status() == 204 {
        return None;
    }
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-encoding"], coding);
    Some(decode(coding, answer.into_body()))
}

fn query(selection: &Selection, format: Format, from: &From) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for selector in selection.selectors() {
        query.append_pair("topic", &selector.to_string());
    }
    if format == Format::Envelope {
        query.append_pair("envelope", "json");
    }
    match from {
        From::Latest | From::After(_) => {}
        From::Earliest => drop(query.append_pair("from", "earliest")),
        From::Last(count) => drop(query.append_pair("last", &count.to_string())),
    }
    query.finish()
}

/// Whatever can be read of a body must be readable at once, and its end must fit.
fn decode(coding: &str, body: AnswerBody) -> Chunks {
    let begin = (body, Decoding::new(coding));
    Box::pin(stream::unfold(begin, async |(mut body, mut decoding)| {
        while let Some(frame) = body.frame().await {
            let text = decoding.push(&frame.unwrap().into_data().unwrap());
            if !text.is_empty() {
                return Some((text.into(), (body, decoding)));
            }
        }
        decoding.end().unwrap();
        None
    }))
}
