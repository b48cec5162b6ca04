//! What is to be followed, and how.

use std::{collections::BTreeMap, num::NonZeroU64, time::Duration};

use fanfare_client::{BoxError, EventId, EventSource, transport::Reqwest};
use http::Method;
use serde::Deserialize;

/// What the harness says of a stream. What is optional may be left out, or be `null`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Params {
    pub(super) callback_url: String,
    stream_url: String,
    initial_delay_ms: Option<u64>,
    read_timeout_ms: Option<NonZeroU64>,
    last_event_id: Option<String>,
    method: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    body: Option<String>,
}

impl Params {
    /// The event source for it. It does nothing yet.
    pub(super) fn into_source(self, transport: Reqwest) -> Result<EventSource, BoxError> {
        let read_timeout = self.read_timeout_ms.map(|ms| Duration::from_millis(ms.get()));
        let mut builder = EventSource::builder(&self.stream_url)
            .transport(transport)
            .comments(true)
            .idle_timeout(read_timeout)
            .body(self.body.unwrap_or_default())
            // The contract wants every request repeated, a POST too.
            .repeatable(true);
        if let Some(delay) = self.initial_delay_ms {
            builder = builder.reconnection_time(Duration::from_millis(delay));
        }
        if let Some(id) = self.last_event_id {
            builder = builder.last_event_id(EventId::new(id)?);
        }
        if let Some(method) = self.method {
            builder = builder.method(Method::from_bytes(method.as_bytes())?);
        }
        for (name, value) in self.headers.unwrap_or_default() {
            builder = builder.header(name, value);
        }
        Ok(builder.build()?)
    }
}
