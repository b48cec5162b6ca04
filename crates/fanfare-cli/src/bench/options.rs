//! What `fanfare bench` can be asked for.

use std::{num::NonZeroU32, time::Duration};

use clap::{Args, CommandFactory, error::ErrorKind};

use super::{
    payload::{MOST_PUBLISHERS, MOST_TOPICS, Mark},
    sources::Source,
    target::{self, PAYLOAD, Publish, Template},
};
use crate::{
    cli::Cli,
    failure::Failure,
    sub::{self, Header},
};

const MORE: &str = "\
The subscribers connect first. Then events are published, each of which says in
its data which one it is and when it was sent. Every event is checked at every
subscriber: lost, doubled or out of order is told, with the first of them named.
Where a server puts the data of several into one, each of them counts.

Each publisher has one connection, and one request at a time under way. The time
of an event begins when its request is written, and ends at a subscriber when
the read that completes it returns. So it has the time in it that the kernel and
this program take: `busy` says how much of its one thread the reading used. Near
100 %, it is this program that is measured; --measure-itself tells its limit.
Best give server and load a CPU each, with `taskset`.
Where publishing does not keep up with --rate, `published` says so; the times
begin later then, and do not show it.

Without --publish, events are counted for --duration, and neither checked nor
timed. Only http:// is spoken, over TCP, one stream a connection.

In JSON, the times of `latency` are nanoseconds, others seconds, and sizes bytes.

Exit status:
    0  every subscriber was given every event, once and in order
    1  something here failed: stdout, too few ports or open files
    2  wrong usage
    3  the server refused, which stderr explains
    4  the server could not be reached, or stopped answering
    5  events were lost, doubled or out of order, or streams ended: the report is
       printed all the same

Examples:
  fanfare bench http://localhost:8080/sse/bench --publish http://localhost:8080/sse/bench
  fanfare bench 'http://localhost:8080/sse/{topic}' --topics 50 --subscribers 5000 \\
      --publish 'POST http://localhost:8080/sse/{topic}' --rate 200 --pid $(pidof fanfare)
  fanfare bench 'http://localhost/sub?id={topic}' --publish 'http://localhost/pub?id={topic}' \\
      --rate max --events 100000 --publishers 8 --json
  fanfare bench http://localhost:3000/events --publish http://localhost:3000/say \\
      --publish-header 'Content-Type: application/json' --publish-body '{\"text\":\"{payload}\"}'
  fanfare bench http://hub-1:8080/sse/a http://hub-2:8080/sse/a --subscribers 20000 \\
      --publish http://hub-1:8080/sse/a
  fanfare bench http://localhost:8080/sse --subscribers 50000 --idle 10s --pid $(pidof node)
  fanfare bench --measure-itself";

/// Load an SSE server, check every event at every subscriber, and measure
#[derive(Debug, Args)]
#[command(after_long_help = MORE)]
pub(crate) struct Options {
    /// Address of the event stream; {topic} in it becomes the topic's number
    ///
    /// Without {topic}, every subscriber is to be given the events of all topics. Of several addresses,
    /// such as those of hubs that share a log, each is given its share of the subscribers.
    #[arg(value_parser = target::template, required_unless_present = "measure_itself")]
    pub(super) url: Vec<Template>,
    /// Publish by this request, such as `POST http://localhost:8080/sse/{topic}`
    ///
    /// The method may be left out where it is POST.
    #[arg(long, value_name = "METHOD URL", value_parser = target::publish)]
    pub(super) publish: Option<Publish>,

    /// Connect so many subscribers, spread evenly over the topics
    #[arg(long, short, value_name = "N", default_value = "100", help_heading = "Load")]
    pub(super) subscribers: NonZeroU32,
    /// Publish to so many topics, numbered from 0, in turn
    #[arg(long, short, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_TOPICS)), help_heading = "Load")]
    pub(super) topics: u32,
    /// Publish so many events a second in all; max for as fast as they are answered
    #[arg(long, short, value_name = "R", default_value = "100", value_parser = rate, help_heading = "Load")]
    pub(super) rate: Rate,
    /// Give each event so many bytes of data
    #[arg(long, value_name = "BYTES", default_value = "100", value_parser = payload, help_heading = "Load")]
    pub(super) payload: usize,
    /// Publish over so many connections at once
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_PUBLISHERS)), help_heading = "Load")]
    pub(super) publishers: u32,
    /// Connect no more than N subscribers a second [default: as fast as they are answered]
    #[arg(long, value_name = "N", help_heading = "Load")]
    pub(super) connect_rate: Option<NonZeroU32>,

    /// End after N events
    #[arg(long, value_name = "N", help_heading = "Length")]
    pub(super) events: Option<u64>,
    /// Publish for this time [default: 10s, unless there are --events]
    #[arg(long, short, value_name = "DURATION", value_parser = humantime::parse_duration, help_heading = "Length")]
    pub(super) duration: Option<Duration>,
    /// Publish for this time beforehand: its events are checked, and not measured
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration, help_heading = "Length")]
    pub(super) warm_up: Duration,
    /// Connect, publish nothing for this time, and end: for the memory of connections
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, conflicts_with_all = ["publish", "events", "duration"], help_heading = "Length")]
    pub(super) idle: Option<Duration>,
    /// Take what has not come for this time for lost
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration, help_heading = "Length")]
    pub(super) patience: Duration,

    /// Send this header with each subscription
    ///
    /// May be given several times. It is sent instead of one of the same name. What is compressed
    /// because of an `Accept-Encoding` is decompressed.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = sub::header, help_heading = "Requests")]
    pub(super) headers: Vec<Header>,
    /// Send this header with what is published
    #[arg(long, value_name = "NAME: VALUE", value_parser = sub::header, help_heading = "Requests")]
    pub(super) publish_header: Vec<Header>,
    /// Publish this body; {payload} in it becomes the data, and {topic} the topic's number
    ///
    /// The data are ASCII without quotes, so that they fit into JSON and forms.
    #[arg(long, value_name = "TEXT", default_value = PAYLOAD, value_parser = body, help_heading = "Requests")]
    pub(super) publish_body: String,
    /// Connect from this address or network, such as 127.0.0.0/24
    ///
    /// May be given several times; the addresses take turns. To loopback, several are taken by
    /// themselves where there are many connections.
    #[arg(long, value_name = "ADDRESS", help_heading = "Requests")]
    pub(super) source: Vec<Source>,

    /// Measure CPU time and memory of the server's process with this id
    ///
    /// May be given several times, for each process of a server. It needs Linux. The memory of a
    /// connection is how much that of the processes has grown, so a server that has had many
    /// connections before shows too little: start it afresh.
    #[arg(long, value_name = "PID", help_heading = "Output")]
    pub(super) pid: Vec<u32>,
    /// Print the report as one JSON object
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,

    /// Measure how many events this program can read: from a thread of its own that sends prepared bytes
    #[arg(long, conflicts_with_all = ["url", "publish", "idle", "pid"])]
    pub(super) measure_itself: bool,
}

/// Events per second; `None` is as fast as they are answered.
pub(super) type Rate = Option<f64>;

impl Options {
    /// What no single option can see.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.url.iter().any(Template::has_topic) != self.is_by_topic() {
            return Err(usage("either all addresses of streams have {topic}, or none"));
        }
        let publishes_topic = |publish: &Publish| {
            publish.url.has_topic() || self.publish_body.contains(target::TOPIC)
        };
        let misses_topic = self.publish.as_ref().is_some_and(|publish| !publishes_topic(publish));
        if self.topics > 1 && self.is_by_topic() && misses_topic {
            return Err(usage(
                "--publish or --publish-body must have {topic}, as the stream's address",
            ));
        }
        if self.events.is_some() && self.publish.is_none() && !self.measure_itself {
            return Err(usage("--events counts what is published: it needs --publish"));
        }
        if !self.pid.is_empty() && !cfg!(target_os = "linux") {
            return Err(usage("--pid reads /proc: it needs Linux"));
        }
        Ok(())
    }

    /// How long to publish, where that counts.
    pub(super) fn time(&self) -> Option<Duration> {
        const USUAL: Duration = Duration::from_secs(10);
        let usual = self.events.is_none().then_some(USUAL);
        self.duration.or(usual)
    }

    /// Whether a subscriber is given one topic only.
    pub(super) fn is_by_topic(&self) -> bool {
        !self.url.is_empty() && self.url.iter().all(Template::has_topic)
    }
}

fn usage(text: &str) -> Failure {
    Failure::Usage(Cli::command().error(ErrorKind::ArgumentConflict, text))
}

fn rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(None);
    }
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(Some(rate)),
        _ => Err("it is a number of events above 0, or max".into()),
    }
}

fn payload(text: &str) -> Result<usize, String> {
    let bytes = text.parse().map_err(|_| "it is a number of bytes")?;
    match bytes {
        0..Mark::BYTES => Err(format!(
            "it is {} bytes at least: that much is needed to check what comes",
            Mark::BYTES
        )),
        bytes => Ok(bytes),
    }
}

fn body(text: &str) -> Result<String, String> {
    if text.contains(PAYLOAD) { Ok(text.to_owned()) } else { Err(format!("it needs {PAYLOAD}")) }
}
