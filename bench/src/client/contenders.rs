//! The clients, each made the way that its documentation shows.

use std::ops::ControlFlow;

use bytes::Bytes;
use eventsource_client::{Client, ClientBuilder, SSE};
use fanfare_client::{
    EventSource, Item, Transport,
    transport::{Hyper, Reqwest},
};
use futures_util::StreamExt;
use http::Request;
use http_body_util::BodyExt;
use launchdarkly_sdk_transport::HyperTransport;
use memchr::memchr_iter;
use reqwest_eventsource::Event;

use crate::{host, program::Outcome};

use super::streams::LINES_AN_EVENT;

const ENDED: &str = "the stream ended";

/// A client to measure.
#[derive(Debug, Clone, Copy)]
pub struct Contender {
    /// What it is called on the command line.
    pub word: &'static str,
    /// Whose it is.
    pub side: Side,
    package: &'static str,
    transport: &'static str,
}

/// Whose a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// This library's.
    Fanfare,
    /// Another library's.
    Peer,
    /// Nobody's: there is only an answer's body.
    Nobody,
}

/// All of them. The first is what the others are compared with.
pub const CONTENDERS: [Contender; 5] = [
    Contender::new("fanfare-reqwest", Side::Fanfare, "fanfare-client", ", reqwest 0.13"),
    Contender::new("fanfare-hyper", Side::Fanfare, "fanfare-client", ", hyper"),
    Contender::new("eventsource-client", Side::Peer, "eventsource-client", ", hyper"),
    Contender::new("reqwest-eventsource", Side::Peer, "reqwest-eventsource", ", reqwest 0.12"),
    Contender::new("body", Side::Nobody, "fanfare-client", ", body of reqwest 0.13 alone"),
];

impl Contender {
    const fn new(
        word: &'static str,
        side: Side,
        package: &'static str,
        transport: &'static str,
    ) -> Self {
        Self { word, side, package, transport }
    }

    /// What the tables call it.
    pub fn name(&self) -> String {
        host::package(self.package) + self.transport
    }
}

/// What is done with each event's id and data. It breaks when it has enough, with what it found.
pub trait OnEvent: FnMut(&str, &str) -> ControlFlow<Outcome<String>> + Send + 'static {}

impl<F: FnMut(&str, &str) -> ControlFlow<Outcome<String>> + Send + 'static> OnEvent for F {}

/// Reads the stream of `url` as `contender`, until `on_event` breaks, and returns what that found.
/// The body alone has no events: it gives as many empty ones.
///
/// # Errors
///
/// When the stream breaks, or there is no such contender.
pub async fn follow(contender: String, url: String, on_event: impl OnEvent) -> Outcome<String> {
    match &*contender {
        "fanfare-reqwest" => fanfare(Reqwest::new()?, &url, on_event).await,
        "fanfare-hyper" => fanfare(Hyper::new()?, &url, on_event).await,
        "eventsource-client" => eventsource_client(&url, on_event).await,
        "reqwest-eventsource" => reqwest_eventsource(&url, on_event).await,
        "body" => body_alone(&Reqwest::new()?, &url, on_event).await,
        other => Err(format!("no contender is called {other}").into()),
    }
}

async fn fanfare(
    transport: impl Transport + 'static,
    url: &str,
    mut on_event: impl OnEvent,
) -> Outcome<String> {
    let mut source = EventSource::builder(url).transport(transport).build()?;
    while let Some(item) = source.next().await {
        match item? {
            Item::Event(event) => {
                let id = event.id().map_or("", |id| id.as_str());
                if let ControlFlow::Break(found) = on_event(id, event.data()) {
                    return found;
                }
            }
            Item::Reconnecting { reason, .. } => return Err(reason.into()),
            _ => {}
        }
    }
    Err(ENDED.into())
}

async fn eventsource_client(url: &str, mut on_event: impl OnEvent) -> Outcome<String> {
    let client = ClientBuilder::for_url(url)?.build_with_transport(HyperTransport::new()?);
    let mut stream = client.stream();
    while let Some(item) = stream.next().await {
        if let SSE::Event(event) = item.map_err(|error| error.to_string())? {
            let id = event.id.as_deref().unwrap_or_default();
            if let ControlFlow::Break(found) = on_event(id, &event.data) {
                return found;
            }
        }
    }
    Err(ENDED.into())
}

async fn reqwest_eventsource(url: &str, mut on_event: impl OnEvent) -> Outcome<String> {
    let mut source = reqwest_eventsource::EventSource::get(url);
    while let Some(item) = source.next().await {
        if let Event::Message(event) = item.map_err(|error| error.to_string())?
            && let ControlFlow::Break(found) = on_event(&event.id, &event.data)
        {
            return found;
        }
    }
    Err(ENDED.into())
}

/// What would be left of a client's time if events could be read for nothing.
async fn body_alone(
    transport: &dyn Transport,
    url: &str,
    mut on_event: impl OnEvent,
) -> Outcome<String> {
    let request = Request::get(url).body(Bytes::new())?;
    let mut body = transport.send(request).await?.into_body();
    let mut lines = 0;
    while let Some(frame) = body.frame().await {
        let bytes = frame?.into_data().unwrap_or_default();
        lines += memchr_iter(b'\n', &bytes).count();
        for _ in 0..lines / LINES_AN_EVENT {
            if let ControlFlow::Break(found) = on_event("", "") {
                return found;
            }
        }
        lines %= LINES_AN_EVENT;
    }
    Err(ENDED.into())
}
