//! What `fanfare sub` can be asked for.

use std::{
    num::{NonZeroU32, NonZeroU64},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, ValueEnum};
use fanfare_client::{Builder, EventId, EventSource, Policy};
use http::Method;
use url::Url;

use super::{
    arguments::{self, Header},
    data,
    explained::Explainer,
};
use crate::failure::Failure;

const MORE: &str = "\
An event is printed as soon as it has come. Without --json and --raw that is
  12:03:55.120Z tick #42  the data
with the time in UTC and the id in force, and the lines of longer data below.
Control characters are escaped.

When the connection is lost it is made again, behind the last event and for
ever, as the standard asks; stderr tells of it. Any answer but 200 with an
event stream is the end, unless --policy resilient is given.

Exit status:
    0  the count or the time is reached; the server said 204, which means that
       there is no more; the answer to a request that is sent once came to its
       end; or nobody reads stdout any more
    1  something here failed: stdout, a file, TLS
    2  wrong usage
    3  the server refused: another status than 200 and 204, no event stream,
       a redirect that cannot be followed
    4  the stream was lost, or could not be had, and is not tried again: after
       --max-attempts failures, or because its request may not be sent twice,
       as that of a POST
  130  interrupted by Ctrl-C (SIGINT)
  143  ended by SIGTERM

Examples:
  fanfare sub https://example.com/events
  fanfare sub http://localhost:8080/sse --count 3 --json
  fanfare sub http://localhost:8080/sse --event message --event tick --for 1h30m
  fanfare sub https://example.com/events -H 'Authorization: Bearer 123'
  fanfare sub https://example.com/events --json --resume last-id >> events.jsonl
  fanfare sub https://llm.example/v1/chat --data @prompt.json \\
      -H 'Content-Type: application/json'";

/// Follow the event stream of a URL
#[derive(Debug, Args)]
#[command(after_long_help = MORE)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Options {
    /// Address of the event stream
    #[arg(value_parser = arguments::url)]
    pub(super) url: Url,

    /// Print JSON, one object a line: {"event":…,"data":…,"id":…}
    #[arg(long, help_heading = "Output", conflicts_with = "raw")]
    pub(super) json: bool,
    /// Print the bytes of the stream as they come
    ///
    /// Decompressed, but otherwise untouched. --count ends it behind the bytes that came along with
    /// the last event.
    #[arg(long, help_heading = "Output", conflicts_with_all = ["all", "events", "resume"])]
    pub(super) raw: bool,
    /// Print comments and reconnection times too
    ///
    /// In JSON these are {"comment":…} and {"retry":MILLISECONDS}.
    #[arg(long, help_heading = "Output")]
    pub(super) all: bool,
    /// Print and count events of this name only
    ///
    /// May be given several times. `message` is the name of events that have none.
    #[arg(long = "event", value_name = "NAME", help_heading = "Output")]
    pub(super) events: Vec<String>,
    /// Say nothing on stderr of connections that open and are lost
    #[arg(long, short, help_heading = "Output")]
    pub(super) quiet: bool,

    /// End after N events
    #[arg(long, value_name = "N", help_heading = "End")]
    pub(super) count: Option<NonZeroU64>,
    /// End after this time, such as 10s, 5m, 1h30m or 250ms
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration, help_heading = "End")]
    pub(super) time: Option<Duration>,

    /// Send this header too
    ///
    /// May be given several times. It is sent instead of one of the same name.
    #[arg(
        long = "header",
        short = 'H',
        value_name = "NAME: VALUE",
        value_parser = arguments::header,
        help_heading = "Request"
    )]
    pub(super) headers: Vec<Header>,
    /// Ask with this method [default: GET, or POST with --data]
    #[arg(long, short = 'X', value_parser = arguments::method, help_heading = "Request")]
    pub(super) method: Option<Method>,
    /// Send this body: a text, @FILE, or - for stdin
    ///
    /// The answer is streamed. A request that may change something, such as a POST, is sent once.
    #[arg(
        long,
        short,
        value_name = "TEXT|@FILE|-",
        allow_hyphen_values = true,
        help_heading = "Request"
    )]
    pub(super) data: Option<String>,

    /// Begin behind the event with this id
    #[arg(
        long,
        value_name = "ID",
        value_parser = arguments::id,
        allow_hyphen_values = true,
        help_heading = "Connection"
    )]
    pub(super) last_event_id: Option<EventId>,
    /// Keep the last id in this file, and begin behind it the next time
    ///
    /// It is replaced as a whole once an event has been written to stdout: after a kill -9 no event
    /// is missing, and at most the last line comes again. That is done for each event, which some
    /// disks can do a few hundred times a second only. While there is no such file, or an empty one,
    /// --last-event-id counts.
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub(super) resume: Option<PathBuf>,
    /// What is tried again: standard or resilient
    ///
    /// With `standard` connections that failed or ended; with `resilient` also answers that say "not
    /// now": 408, 425, 429 and 5xx, after the time for which they ask.
    #[arg(
        long,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        help_heading = "Connection"
    )]
    pub(super) policy: PolicyName,
    /// Give up after N failures in a row
    ///
    /// A connection that gave an event, or was open for 10 s, is none.
    #[arg(long, value_name = "N", help_heading = "Connection")]
    pub(super) max_attempts: Option<NonZeroU32>,
    /// Make the connection again when nothing came for this time
    ///
    /// Comments count, which most servers send in silence: for one every 15 s, 45s is a good choice.
    #[arg(long, value_name = "DURATION", value_parser = arguments::timeout, help_heading = "Connection")]
    pub(super) idle_timeout: Option<Duration>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum PolicyName {
    #[default]
    Standard,
    Resilient,
}

impl Options {
    pub(super) fn source(&self, last_event_id: Option<EventId>) -> Result<Builder, Failure> {
        let mut source = EventSource::builder(self.url.as_str())
            .policy(self.policy())
            .idle_timeout(self.idle_timeout)
            .comments(self.all)
            .retries(self.all);
        if let Some(id) = last_event_id {
            source = source.last_event_id(id);
        }
        for Header { name, value } in &self.headers {
            source = source.header(name, value);
        }
        if let Some(data) = &self.data {
            source = source.method(Method::POST).body(data::load(data)?);
        }
        if let Some(method) = &self.method {
            source = source.method(method.clone());
        }
        Ok(source)
    }

    fn policy(&self) -> Policy {
        let policy = match self.policy {
            PolicyName::Standard => Policy::standard(),
            PolicyName::Resilient => Policy::resilient(),
        };
        match self.max_attempts {
            Some(most) => policy.with_max_attempts(most.get()),
            None => policy,
        }
    }

    pub(super) fn explainer(&self) -> Explainer {
        let is_once = self.data.is_some() || self.method.is_some();
        let may_be_more_resilient = self.policy == PolicyName::Standard && !is_once;
        Explainer::new(&self.url, may_be_more_resilient)
    }
}
