//! The stream that is followed.

use std::{fs, io, path::Path, time::Duration};

use fanfare_client::{BuildError, Error, EventId, EventSource, IdError, Policy};
use fanfare_hub::{VIA, Via};
use http::{HeaderValue, StatusCode};
use thiserror::Error;

use crate::{
    config::{Credential, Relay, RelayFrom},
    stderr::chain,
};

/// The reconnection time, until the upstream sets one.
const RECONNECTION_TIME: Duration = Duration::from_secs(1);
/// The longest delay before another try, unless the upstream asks for more.
const LONGEST_DELAY: Duration = Duration::from_secs(15);

/// What is asked for, and how.
pub(super) struct Upstream {
    relay: Relay,
    via: Option<HeaderValue>,
    max_event_bytes: usize,
}

/// Why it cannot be asked.
#[derive(Debug, Error)]
pub(super) enum Unasked {
    #[error("the token in {path} cannot be read")]
    Token { path: String, source: io::Error },
    #[error("the place cannot be sent")]
    Place(#[from] IdError),
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl Upstream {
    pub(super) fn new(relay: Relay, via: &Via, max_event_bytes: usize) -> Self {
        Self { relay, via: via.to_header(), max_event_bytes }
    }

    /// Where it is, without what opens doors.
    pub(super) fn shown(&self) -> String {
        self.relay.url.shown()
    }

    /// Its events behind the place.
    pub(super) fn source(&self, place: &str) -> Result<EventSource, Unasked> {
        let policy = Policy::resilient().with_cap(LONGEST_DELAY);
        let mut source = EventSource::builder(&self.url(place))
            .policy(policy)
            .reconnection_time(RECONNECTION_TIME)
            .idle_timeout(self.relay.idle_timeout)
            .max_event_bytes(self.max_event_bytes);
        if !place.is_empty() {
            source = source.last_event_id(EventId::new(place)?);
        }
        if let Some(token) = self.token()? {
            source = source.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in &self.relay.headers {
            source = source.header(name, value);
        }
        if let Some(via) = &self.via {
            source = source.header(VIA, via);
        }
        Ok(source.build()?)
    }

    fn url(&self, place: &str) -> String {
        let mut url = self.relay.url.0.clone();
        let has_begin = url.query_pairs().any(|(name, _)| name == "from" || name == "last");
        if place.is_empty() && !has_begin && self.relay.from == RelayFrom::Earliest {
            url.query_pairs_mut().append_pair("from", "earliest");
        }
        url.into()
    }

    fn token(&self) -> Result<Option<String>, Unasked> {
        match &self.relay.token {
            None => Ok(None),
            Some(Credential::Token(token)) => Ok(Some(token.clone())),
            Some(Credential::File(path)) => read(path).map(Some),
        }
    }
}

fn read(path: &Path) -> Result<String, Unasked> {
    let token = fs::read_to_string(path);
    let token =
        token.map_err(|source| Unasked::Token { path: path.display().to_string(), source })?;
    Ok(token.trim_end().to_owned())
}

/// Why there is no stream, and what can be done about it.
pub(super) fn explain(error: &Error) -> String {
    let advice = match error.status() {
        Some(StatusCode::NO_CONTENT) => ": its topics have ended",
        Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            ": it asks for another `token` or `token_file`"
        }
        Some(StatusCode::NOT_FOUND) => ": there is no stream at its `url`",
        Some(StatusCode::LOOP_DETECTED) => {
            ": hubs relay from each other in a circle, leave one relay out"
        }
        _ => "",
    };
    format!("{}{advice}", chain(error))
}
