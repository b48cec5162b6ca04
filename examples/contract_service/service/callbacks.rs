//! What the harness is told, item by item.

use std::{error, iter};

use bytes::Bytes;
use fanfare_client::{
    BoxError, Error, Event, EventId, Item, Transport,
    transport::{AnswerBody, Reqwest},
};
use http::{Request, Response, Uri, header::CONTENT_TYPE};
use serde::Serialize;

/// Where callbacks of one stream go, and how many there have been.
pub(super) struct Callbacks {
    url: String,
    number: u64,
    transport: Reqwest,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Callback<'a> {
    Event { event: Fields<'a> },
    Comment { comment: &'a str },
    Error { error: String },
}

#[derive(Serialize)]
struct Fields<'a> {
    r#type: &'a str,
    data: &'a str,
    id: &'a str,
}

impl Callbacks {
    pub(super) fn new(url: &str, transport: Reqwest) -> Result<Self, BoxError> {
        let is_http = matches!(url.parse::<Uri>()?.scheme_str(), Some("http" | "https"));
        if !is_http {
            return Err(format!("the callback URL {url:?} is no http URL").into());
        }
        Ok(Self { url: url.to_owned(), number: 0, transport })
    }

    /// Tells the harness of an item, if it is one that it asks about, and waits for its answer.
    pub(super) async fn tell(&mut self, item: &Result<Item, Error>) -> Result<(), BoxError> {
        let Some(callback) = Callback::of(item) else { return Ok(()) };
        self.number += 1;
        let answer = self.post(serde_json::to_vec(&callback)?).await?;
        if !answer.status().is_success() {
            return Err(format!("the harness answered {}", answer.status()).into());
        }
        Ok(())
    }

    async fn post(&self, json: Vec<u8>) -> Result<Response<AnswerBody>, BoxError> {
        let request = Request::post(format!("{}/{}", self.url, self.number))
            .header(CONTENT_TYPE, "application/json")
            .body(Bytes::from(json))?;
        self.transport.send(request).await
    }
}

impl<'a> Callback<'a> {
    /// An error is whatever loses the stream, for a time or for good.
    fn of(item: &'a Result<Item, Error>) -> Option<Self> {
        match item {
            Ok(Item::Event(event)) => Some(Self::Event { event: Fields::of(event) }),
            Ok(Item::Comment(comment)) => Some(Self::Comment { comment }),
            Ok(Item::Reconnecting { reason: error, .. }) | Err(error) => {
                Some(Self::Error { error: with_causes(error) })
            }
            Ok(_) => None,
        }
    }
}

impl<'a> Fields<'a> {
    fn of(event: &'a Event) -> Self {
        let id = event.id().map(EventId::as_str).unwrap_or_default();
        Self { r#type: event.name(), data: event.data(), id }
    }
}

/// An error's message, and those of what is behind it.
pub(super) fn with_causes(error: &(dyn error::Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
