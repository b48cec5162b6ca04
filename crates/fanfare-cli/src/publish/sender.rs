//! Requests that publish, and their answers.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use fanfare_client::BoxError;
use http::{Method, header};
use http_body::{Body, Frame};
use reqwest::{Client, RequestBuilder, Response};
use serde::Deserialize;
use url::{Position, Url};

use super::{
    Chunks, PublishError,
    options::{Options, milliseconds},
};
use crate::{escaped::Escaped, failure::Failure, http_client, output};

/// The largest answer that is read, in bytes.
const MOST_ANSWER_BYTES: usize = 64 * 1024;
/// The most that is shown of an answer that is no problem document.
const MOST_SHOWN: usize = 300;

/// Sends to one address.
pub(super) struct Sender {
    client: Client,
    url: Url,
    token: Option<String>,
    event: Option<String>,
    retry: Option<u64>,
    ends: bool,
    idempotency_key: Option<String>,
}

#[derive(Deserialize)]
struct Published {
    id: String,
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
}

impl Sender {
    pub(super) fn new(options: &Options) -> Result<Self, PublishError> {
        Ok(Self {
            client: http_client::new().map_err(PublishError::Client)?,
            url: options.url.clone(),
            token: options.token(),
            event: options.event.clone(),
            retry: options.retry.map(milliseconds),
            ends: options.end,
            idempotency_key: options.idempotency_key.clone(),
        })
    }

    /// Whether the topic is to end.
    pub(super) fn ends(&self) -> bool {
        self.ends
    }

    pub(super) async fn publish_one(&self, data: Bytes) -> Result<(), Failure> {
        let mut url = self.url.clone();
        if let Some(event) = &self.event {
            url.query_pairs_mut().append_pair("event", event);
        }
        if let Some(retry) = self.retry {
            url.query_pairs_mut().append_pair("retry", &retry.to_string());
        }
        if self.ends {
            url.query_pairs_mut().append_pair("end", "true");
        }
        let mut request = self.post(url, "text/plain; charset=utf-8").body(data);
        if let Some(key) = &self.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        self.send(request).await
    }

    /// Lines of JSON.
    pub(super) async fn publish_batch(&self, lines: Vec<u8>) -> Result<(), Failure> {
        self.send(self.post(self.url.clone(), "application/x-ndjson").body(lines)).await
    }

    pub(super) async fn publish_stream(&self, chunks: Chunks) -> Result<(), Failure> {
        let url = if self.ends { self.ending_url() } else { self.url.clone() };
        let body = reqwest::Body::wrap(Stream(chunks));
        self.send(self.post(url, "text/event-stream").body(body)).await
    }

    /// Ends the topic: an event stream without events that does so.
    pub(super) async fn end(&self) -> Result<(), Failure> {
        self.send(self.post(self.ending_url(), "text/event-stream").body(Bytes::new())).await
    }

    fn ending_url(&self) -> Url {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("end", "true");
        url
    }

    fn post(&self, url: Url, media_type: &str) -> RequestBuilder {
        let request = self.client.request(Method::POST, url);
        let request = request.header(header::CONTENT_TYPE, media_type);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Prints the id that the hub answers with.
    async fn send(&self, request: RequestBuilder) -> Result<(), Failure> {
        let answer = request.send().await.map_err(|error| self.explain(error))?;
        let id = id(answer).await?;
        output::print(format!("{}\n", Escaped(&id)).as_bytes())
    }

    fn explain(&self, error: reqwest::Error) -> PublishError {
        // The URL is known, and may hold a token.
        let is_connect = error.is_connect();
        let source: BoxError = error.without_url().into();
        if !is_connect {
            return PublishError::NoAnswer(source);
        }
        let server = self.url[Position::BeforeHost..Position::AfterPort].to_owned();
        PublishError::Unreachable { server, source }
    }
}

async fn id(answer: Response) -> Result<String, PublishError> {
    let status = answer.status();
    let body = read(answer).await.map_err(|error| PublishError::NoAnswer(error.into()))?;
    if !status.is_success() {
        return Err(PublishError::Refused { status, detail: detail(&body) });
    }
    let published: Result<Published, _> = serde_json::from_slice(&body);
    published.map(|published| published.id).map_err(|_| PublishError::Foreign)
}

async fn read(mut answer: Response) -> reqwest::Result<Vec<u8>> {
    let mut body = vec![];
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MOST_ANSWER_BYTES {
            break;
        }
    }
    Ok(body)
}

/// What a problem document says, or the beginning of whatever it is.
fn detail(body: &[u8]) -> Option<String> {
    if let Ok(Problem { detail }) = serde_json::from_slice(body) {
        return Some(detail);
    }
    let text = String::from_utf8_lossy(body);
    let text: String = text.trim().chars().take(MOST_SHOWN).collect();
    Some(text).filter(|text| !text.is_empty())
}

/// What is read of stdin, as the body of a request.
struct Stream(Chunks);

impl Body for Stream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let chunk = self.0.poll_recv(context);
        chunk.map(|chunk| chunk.map(|chunk| chunk.map(Frame::data).map_err(Into::into)))
    }
}
