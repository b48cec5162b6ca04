use std::{fmt::Debug, sync::OnceLock};

use bytes::Bytes;
use fanfare_client::{BoxError, Events, ReadError};
use futures_util::{Stream, StreamExt, TryStreamExt};
use http::{Request, Response};
use http_body_util::{BodyDataStream, BodyExt, Full, combinators::UnsyncBoxBody};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;

use crate::support::{Answer, Carrier, Gate, Server, with_each, within};

type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A reqwest client as a program has it.
fn reqwest() -> reqwest::Client {
    static PROVIDER: OnceLock<()> = OnceLock::new();
    PROVIDER.get_or_init(|| drop(rustls::crypto::ring::default_provider().install_default()));
    reqwest::Client::new()
}

fn hyper() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

/// The answer to a POST by a client as a program has it.
async fn answer(carrier: Carrier, server: &Server) -> Response<Body> {
    match carrier {
        Carrier::Reqwest => {
            let sent = reqwest().post(server.url("/chat")).body("question").send();
            let answer: Response<reqwest::Body> = within("an answer", sent).await.unwrap().into();
            answer.map(|body| body.map_err(Into::into).boxed_unsync())
        }
        Carrier::Hyper => {
            let request = Request::post(server.url("/chat")).body("question".into()).unwrap();
            let answer = within("an answer", hyper().request(request)).await.unwrap();
            answer.map(|body| body.map_err(Into::into).boxed_unsync())
        }
    }
}

async fn events(carrier: Carrier, server: &Server) -> Events<BodyDataStream<Body>> {
    Events::of_response(answer(carrier, server).await).unwrap()
}

/// All items in words.
async fn told<S, E>(events: S) -> Vec<String>
where
    S: Stream<Item = Result<fanfare_client::Event, ReadError<E>>>,
    E: Debug,
{
    let told = events.map(|item| match item {
        Ok(event) => format!("{}: {}", event.name(), event.data()),
        Err(ReadError::Body(_)) => "error: body".to_owned(),
        Err(ReadError::TooLarge(_)) => "error: too large".to_owned(),
        Err(ReadError::CutShort { last }) => format!("error: no {last}"),
        Err(other) => format!("{other:?}"),
    });
    within("the end of the answer", told.collect()).await
}

#[tokio::test]
async fn an_answer_of_reqwest_is_read_by_into() {
    let server = Server::new([Answer::stream("data: a\n\n")]).await;
    let answer = reqwest().get(server.url("/")).send().await.unwrap();
    let events = Events::of_response(answer.into()).unwrap();
    assert_eq!(told(events).await, ["message: a"]);
}

#[tokio::test]
async fn an_answer_of_hyper_is_read_as_it_is() {
    let server = Server::new([Answer::stream("data: a\n\n")]).await;
    let answer = hyper().get(server.url("/").parse().unwrap()).await.unwrap();
    assert_eq!(told(Events::of_response(answer).unwrap()).await, ["message: a"]);
}

#[tokio::test]
async fn an_answer_is_read_once_to_its_end() {
    with_each(async |carrier| {
        let body = "retry: 1\nid: 1\ndata: a\n\n: b\n\nevent: c\ndata: d\n\ndata: cut off";
        let server = Server::new([Answer::stream(body)]).await;
        let mut events = events(carrier, &server).await;
        assert_eq!(told(&mut events).await, ["message: a", "c: d"]);
        assert_eq!(events.last_event_id(), "1");
        assert!(within("the end", events.next()).await.is_none());
        let requests = server.requests();
        assert_eq!((requests.len(), &*requests[0].body), (1, &b"question"[..]));
    })
    .await;
}

#[tokio::test]
async fn events_come_as_the_server_sends_them() {
    with_each(async |carrier| {
        let gate = Gate::new();
        let answer = ["data: a\n\n", "data: b\n\n", "data: [DONE]\n\n"];
        let answer = answer
            .into_iter()
            .fold(Answer::chunked([""; 0]), |answer, event| answer.pass(&gate).chunk(event));
        let server = Server::new([answer.stall()]).await;
        let mut events = events(carrier, &server).await.until("[DONE]");
        for data in ["a", "b"] {
            gate.open();
            let event = within("an event", events.next()).await.unwrap().unwrap();
            assert_eq!(event.data(), data);
        }
        gate.open();
        assert!(within("the end", events.next()).await.is_none());
        assert!(within("the end", events.next()).await.is_none());
        drop(events);
        server.left(0).await;
    })
    .await;
}

#[tokio::test]
async fn a_mark_ends_the_answer_wherever_it_is_cut_and_whatever_follows() {
    with_each(async |carrier| {
        let body = "data: a\n\ndata:  [DONE]\n\ndata: [DONE]\n\ndata: b\n\n";
        for answer in [
            Answer::chunked(body.as_bytes().chunks(1)).last_chunk(),
            Answer::stream(body).reset(),
            Answer::stream(body).stall(),
        ] {
            let server = Server::new([answer]).await;
            let events = events(carrier, &server).await.until("[DONE]");
            assert_eq!(told(events).await, ["message: a", "message:  [DONE]"]);
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_without_its_mark_was_cut_short() {
    with_each(async |carrier| {
        for rest in ["", "data: [DON", "data: [DONE]", "data: [DONE]\n"] {
            let server = Server::new([Answer::stream(format!("data: a\n\n{rest}"))]).await;
            let mut events = events(carrier, &server).await.until("[DONE]");
            assert_eq!(told(&mut events).await, ["message: a", "error: no [DONE]"], "{rest:?}");
            assert!(within("the end", events.next()).await.is_none());
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_and_the_end() {
    with_each(async |carrier| {
        let gate = Gate::new();
        let answers = [
            Answer::chunked(["data: a\n\n", "data: b\n"]),
            Answer::chunked(["data: a\n\n"]).pass(&gate).reset(),
            Answer::head("200 a\r\ncontent-type: text/event-stream\r\ncontent-length: 99\r\n")
                .write("data: a\n\n"),
        ];
        for answer in answers {
            let server = Server::new([answer]).await;
            let mut events = events(carrier, &server).await.until("[DONE]");
            let first = within("an event", events.next()).await.unwrap().unwrap();
            assert_eq!(first.data(), "a");
            gate.open();
            assert_eq!(told(&mut events).await, ["error: body"]);
            assert!(within("the end", events.next()).await.is_none());
        }
    })
    .await;
}

#[tokio::test]
async fn an_event_over_the_limit_is_told_and_reading_goes_on() {
    with_each(async |carrier| {
        let body = format!("data: a\n\ndata: {}\n\ndata: b\n\n", "x".repeat(2000));
        let server = Server::new([Answer::stream(body)]).await;
        let events = events(carrier, &server).await.with_max_event_bytes(1000);
        assert_eq!(told(events).await, ["message: a", "error: too large", "message: b"]);
    })
    .await;
}

#[derive(Debug, PartialEq, Deserialize)]
struct Token {
    text: String,
}

#[tokio::test]
async fn json_is_read_out_of_the_events_and_a_bad_one_is_told() {
    with_each(async |carrier| {
        let body = "data: {\"text\":\"grö\"}\n\ndata: {\"text\":\ndata: \"\\u00dfe\"}\n\n\
                    data: oops\n\ndata: {\"text\":\"!\",\"more\":1}\n\ndata: [DONE]\n\n";
        let answer = Answer::chunked(body.as_bytes().chunks(3)).last_chunk();
        let server = Server::new([answer]).await;
        let tokens = events(carrier, &server).await.until("[DONE]").json::<Token>();
        let told: Vec<_> = within("the end", tokens.collect()).await;
        let texts = told.iter().flatten().map(|token| &*token.text);
        assert_eq!(texts.collect::<Vec<_>>(), ["grö", "ße", "!"]);
        assert!(
            matches!(&told[2], Err(ReadError::Json { data, .. }) if data == "oops"),
            "{told:?}"
        );
        assert_eq!(told.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn json_that_is_cut_short_is_an_error() {
    with_each(async |carrier| {
        let server = Server::new([Answer::stream("data: {\"text\":\"a\"}\n\ndata: {\"te")]).await;
        let tokens = events(carrier, &server).await.until("[DONE]").json::<Token>();
        let all: Result<Vec<_>, _> = within("the end", tokens.try_collect()).await;
        assert!(matches!(all, Err(ReadError::CutShort { .. })), "{all:?}");
    })
    .await;
}

#[tokio::test]
async fn what_is_no_event_stream_is_refused_before_it_is_read() {
    let heads = [
        ("500 a\r\n", "the server answered 500 Internal Server Error"),
        ("204 a\r\n", "the server answered 204 No Content"),
        (
            "200 a\r\ncontent-type: application/json\r\n",
            "the answer is no event stream: its content-type is application/json, \
             not text/event-stream",
        ),
    ];
    with_each(async |carrier| {
        for (head, message) in heads {
            let server = Server::new([Answer::head(head).stall()]).await;
            let refused = Events::of_response(answer(carrier, &server).await);
            assert_eq!(refused.err().unwrap().to_string(), message);
            server.left(0).await;
        }
    })
    .await;
}

#[tokio::test]
async fn dropping_the_events_ends_the_connection() {
    with_each(async |carrier| {
        let server = Server::new([Answer::stream("data: a\n\n").stall()]).await;
        let mut events = events(carrier, &server).await;
        within("an event", events.next()).await.unwrap().unwrap();
        drop(events);
        server.left(0).await;
    })
    .await;
}
