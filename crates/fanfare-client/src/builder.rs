//! Settings of an event source.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use fanfare_wire::{DEFAULT_MAX_EVENT_BYTES, EventId};
use http::{HeaderName, HeaderValue, Method};
use thiserror::Error;
use url::Url;

use crate::{
    EventSource, Policy, Transport,
    error::BoxError,
    request::{Ask, is_http},
    transport,
};

/// What a [`Machine`](crate::machine::Machine) does; made by [`Builder::settings`].
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) ask: Ask,
    pub(crate) is_repeatable: Option<bool>,
    pub(crate) policy: Policy,
    pub(crate) reconnection_time: Duration,
    pub(crate) last_event_id: Option<EventId>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_redirects: u32,
    pub(crate) max_event_bytes: usize,
    pub(crate) gives_comments: bool,
    pub(crate) gives_retries: bool,
}

/// Why an event source could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The URL cannot be read.
    #[error("{url:?} is no URL")]
    Url {
        /// The URL as it was given.
        url: String,
        /// What is wrong with it.
        #[source]
        source: url::ParseError,
    },
    /// The URL is none of http or https.
    #[error("cannot ask {url} for an event stream: it is no http or https URL")]
    NotHttp {
        /// The URL.
        url: Url,
    },
    /// A header's name or value has characters that no header can have.
    #[error("the header {name:?} is not valid")]
    Header {
        /// The header's name as it was given.
        name: String,
        /// What is wrong with it.
        #[source]
        source: http::Error,
    },
    /// The transport could not be set up.
    #[error("cannot set up connections")]
    Transport(#[source] BoxError),
    /// The crate was built without one.
    #[error("no transport: enable the feature `reqwest` or `hyper`, or give one")]
    NoTransport,
}

/// Settings for a new [`EventSource`].
///
/// ```no_run
/// use std::time::Duration;
/// use fanfare_client::{EventId, EventSource, Policy};
///
/// let source = EventSource::builder("https://example.com/events")
///     .header("authorization", "Bearer 123")
///     .last_event_id(EventId::new("42")?)
///     .policy(Policy::resilient())
///     .idle_timeout(Duration::from_secs(45))
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Builder {
    settings: Result<Settings, BuildError>,
    transport: Option<Arc<dyn Transport>>,
}

impl Builder {
    pub(crate) fn new(url: &str) -> Self {
        let settings = parse(url).map(|url| Settings {
            ask: Ask::new(url),
            is_repeatable: None,
            policy: Policy::standard(),
            reconnection_time: Duration::from_secs(3),
            last_event_id: None,
            connect_timeout: Some(Duration::from_mins(1)),
            idle_timeout: None,
            max_redirects: 20,
            max_event_bytes: DEFAULT_MAX_EVENT_BYTES,
            gives_comments: false,
            gives_retries: false,
        });
        Self { settings, transport: None }
    }

    /// The method of the request (GET if not set).
    pub fn method(self, method: Method) -> Self {
        self.with(|settings| settings.ask.method = method)
    }

    /// Sets a header, instead of one of the same name. `Accept: text/event-stream` and
    /// `Cache-Control: no-cache` are there without it. `Authorization`, `Cookie` and
    /// `Proxy-Authorization` do not follow redirects to another origin.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Into<http::Error>> + AsRef<str>,
        V: TryInto<HeaderValue, Error: Into<http::Error>>,
    {
        if let Ok(settings) = &mut self.settings {
            let shown = name.as_ref().to_owned();
            match header(name, value) {
                Ok((name, value)) => settings.ask.set_header(name, value),
                Err(source) => self.settings = Err(BuildError::Header { name: shown, source }),
            }
        }
        self
    }

    /// The body of the request (empty if not set).
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        self.with(|settings| settings.ask.body = body.into())
    }

    /// Whether the request may be sent again after the stream was lost. If not set, that is so for
    /// the methods that change nothing, such as GET; any other request is sent once, and what loses
    /// the stream ends it ([`Error::NotRepeatable`](crate::Error::NotRepeatable)).
    pub fn repeatable(self, is_repeatable: bool) -> Self {
        self.with(|settings| settings.is_repeatable = Some(is_repeatable))
    }

    /// When to ask again ([`Policy::standard`] if not set).
    pub fn policy(self, policy: Policy) -> Self {
        self.with(|settings| settings.policy = policy)
    }

    /// The reconnection time until the server sets one by `retry` (3 s if not set).
    pub fn reconnection_time(self, time: Duration) -> Self {
        self.with(|settings| settings.reconnection_time = time)
    }

    /// Begins behind the event with this id, as if it had been the last before a reconnection.
    pub fn last_event_id(self, id: EventId) -> Self {
        self.with(|settings| settings.last_event_id = Some(id))
    }

    /// How long to wait for the head of an answer, from sending the request on (60 s if not set).
    pub fn connect_timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        self.with(|settings| settings.connect_timeout = timeout.into())
    }

    /// How long an open stream may give no byte before it counts as lost (for ever if not set).
    /// Comments count: for a server that sends one every 15 s, 45 s find a dead connection.
    pub fn idle_timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        self.with(|settings| settings.idle_timeout = timeout.into())
    }

    /// How many redirects in a row are followed (20 if not set, as the Fetch standard has it).
    pub fn max_redirects(self, redirects: u32) -> Self {
        self.with(|settings| settings.max_redirects = redirects)
    }

    /// The limit for the size of one event, in bytes (16 MiB if not set). A larger one is left out,
    /// told by an error, and the stream goes on.
    pub fn max_event_bytes(self, bytes: usize) -> Self {
        self.with(|settings| settings.max_event_bytes = bytes)
    }

    /// Gives comments too.
    pub fn comments(self, gives_comments: bool) -> Self {
        self.with(|settings| settings.gives_comments = gives_comments)
    }

    /// Gives what the server sets as reconnection time too.
    pub fn retries(self, gives_retries: bool) -> Self {
        self.with(|settings| settings.gives_retries = gives_retries)
    }

    /// What carries the requests (of the crate's features, the first of `reqwest` and `hyper` if not
    /// set).
    pub fn transport(self, transport: impl Transport + 'static) -> Self {
        Self { transport: Some(Arc::new(transport)), ..self }
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        if let Ok(settings) = &mut self.settings {
            change(settings);
        }
        self
    }

    /// The event source. It does nothing until it is polled.
    ///
    /// # Errors
    ///
    /// [`BuildError`] says which setting is wrong.
    pub fn build(self) -> Result<EventSource, BuildError> {
        let settings = self.settings?;
        let transport = match self.transport {
            Some(transport) => transport,
            None => transport::shared()?,
        };
        Ok(EventSource::from_parts(settings, transport))
    }

    /// The settings alone, for a [`Machine`](crate::machine::Machine).
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn settings(self) -> Result<Settings, BuildError> {
        self.settings
    }
}

impl Settings {
    pub(crate) fn is_repeatable(&self) -> bool {
        self.is_repeatable.unwrap_or_else(|| self.ask.method.is_safe())
    }
}

fn parse(text: &str) -> Result<Url, BuildError> {
    let url = Url::parse(text);
    let url = url.map_err(|source| BuildError::Url { url: text.to_owned(), source })?;
    if is_http(&url) { Ok(url) } else { Err(BuildError::NotHttp { url }) }
}

fn header<N, V>(name: N, value: V) -> Result<(HeaderName, HeaderValue), http::Error>
where
    N: TryInto<HeaderName, Error: Into<http::Error>>,
    V: TryInto<HeaderValue, Error: Into<http::Error>>,
{
    Ok((name.try_into().map_err(Into::into)?, value.try_into().map_err(Into::into)?))
}
