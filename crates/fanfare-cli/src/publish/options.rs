//! What `fanfare pub` can be asked for.

use std::{env, time::Duration};

use bytes::Bytes;
use clap::Args;
use url::Url;

use super::batches::Line;
use crate::sub;

const MORE: &str = "\
The id of what was published is printed, once the hub has made it durable. With
--lines and --json these are the ids of the last events of the batches in which
the lines were sent: as many as have come, so that a line waits for no other.

FANFARE_TOKEN is taken for --token.

Exit status:
    0  all was published
    1  something here failed: stdin, stdout, TLS
    2  wrong usage
    3  the hub refused, which stderr explains; of --lines and --json the batches
       whose ids were printed are published, of --stream a beginning may be
    4  there was no answer, and it is unknown whether it was published:
       with --idempotency-key it may be sent again

Examples:
  fanfare pub http://localhost:8080/sse/news hello
  date | fanfare pub http://localhost:8080/sse/news --event time -
  tail -f /var/log/syslog | fanfare pub http://localhost:8080/sse/syslog --lines
  fanfare log export ./fanfare-data | fanfare pub http://localhost:8080/sse --json
  curl -sN https://llm.example/stream | fanfare pub http://localhost:8080/sse/a --stream --end";

/// Publish events to a topic of a hub
#[derive(Debug, Args)]
#[command(after_long_help = MORE)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Options {
    /// Address of the topic: of a hub, /sse/ and its name
    #[arg(value_parser = sub::url)]
    pub(super) url: Url,
    /// The event's data; - for all of stdin
    #[arg(
        allow_hyphen_values = true,
        conflicts_with_all = ["lines", "json", "stream"],
        required_unless_present_any = ["lines", "json", "stream", "end"]
    )]
    data: Option<String>,

    /// Publish each line of stdin as an event
    #[arg(long, help_heading = "Stdin", conflicts_with_all = ["json", "stream"])]
    lines: bool,
    /// Publish each line of stdin, which is JSON, as an event: what `log export` prints
    ///
    /// A line has `data`, and if need be `topic`, `event` and `retry` (milliseconds).
    #[arg(long, help_heading = "Stdin", conflicts_with_all = ["stream", "event", "retry"])]
    json: bool,
    /// Publish the events of the event stream on stdin, as they come
    #[arg(long, help_heading = "Stdin", conflicts_with_all = ["event", "retry"])]
    stream: bool,

    /// Name the events
    #[arg(long, value_name = "NAME", help_heading = "Event")]
    pub(super) event: Option<String>,
    /// Have subscribers wait so long before they connect again, such as 3s
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, help_heading = "Event")]
    pub(super) retry: Option<Duration>,
    /// End the topic behind the last event
    ///
    /// Without data the topic just ends.
    #[arg(long, help_heading = "Event")]
    pub(super) end: bool,

    /// Show this token, as `fanfare token` makes it
    #[arg(long, value_name = "TOKEN", help_heading = "Request")]
    token: Option<String>,
    /// Publish it once, however often it is sent with this key
    #[arg(
        long,
        value_name = "KEY",
        help_heading = "Request",
        conflicts_with_all = ["lines", "json", "stream"]
    )]
    pub(super) idempotency_key: Option<String>,
}

/// What is published.
pub(super) enum Mode {
    /// These data.
    One(Bytes),
    /// All of stdin as one event.
    Stdin,
    /// Each of its lines.
    Lines,
    /// The event stream on it.
    Stream,
    /// Nothing, but the topic ends.
    End,
}

impl Options {
    pub(super) fn mode(&self) -> Mode {
        match self.data.as_deref() {
            Some("-") => Mode::Stdin,
            Some(data) => Mode::One(data.to_owned().into()),
            None if self.lines || self.json => Mode::Lines,
            None if self.stream => Mode::Stream,
            None => Mode::End,
        }
    }

    /// What a line of stdin is.
    pub(super) fn line(&self) -> Line<'_> {
        if self.json {
            return Line::Json;
        }
        let retry = self.retry.map(milliseconds);
        Line::Data { event: self.event.as_deref(), retry }
    }

    pub(super) fn token(&self) -> Option<String> {
        let given = self.token.clone().or_else(|| env::var("FANFARE_TOKEN").ok());
        given.filter(|token| !token.is_empty())
    }
}

pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
