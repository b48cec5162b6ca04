//! What the hub does, in numbers: for `/metrics` (`OpenMetrics`), and for the topic `$stats`.
//!
//! What happens often is one or two atomic additions; labels are looked up when the hub is made.

mod histogram;
mod kinds;

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use serde::Serialize;

use crate::{TopicName, auth::Reason, log::Size};

use histogram::Histogram;
use kinds::ByKind;

pub(crate) use kinds::{Closing, Disconnect, Pause, Refusal};

/// The media type of [`Metrics::encode`].
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Latencies are sorted by these bounds, in seconds.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// All numbers.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    subscribers: Gauge,
    memory: Gauge,
    hubs: Gauge,
    pub(crate) connections: Gauge,
    pub(crate) publishes: Counter,
    pub(crate) published_events: Counter,
    pub(crate) published_bytes: Counter,
    pub(crate) delivered_events: Counter,
    pub(crate) delivered_bytes: Counter,
    pub(crate) lags: Counter,
    pub(crate) gaps: ByKind<fanfare_fanout::GapReason>,
    pub(crate) disconnects: ByKind<Disconnect>,
    pub(crate) refusals: ByKind<Refusal>,
    pub(crate) denials: ByKind<Reason>,
    pub(crate) closings: ByKind<Closing>,
    pub(crate) pauses: ByKind<Pause>,
    pub(crate) append_seconds: Histogram,
    pub(crate) delivery_seconds: Histogram,
    relay_connected: Family<Topic, Gauge>,
    relay_events: Family<Topic, Counter>,
    log: LogGauges,
}

/// The label of what is counted by topic.
type Topic = [(&'static str, String); 1];

/// What is told of a topic that follows a stream elsewhere.
#[derive(Debug)]
pub(crate) struct Relayed {
    pub(crate) connected: Gauge,
    pub(crate) events: Counter,
}

/// The size of the log, when it was last looked at.
#[derive(Debug, Default)]
struct LogGauges {
    events: Gauge,
    bytes: Gauge,
    topics: Gauge,
    disk_bytes: Gauge,
}

/// What `$stats` tells. Except for what is there now, the numbers rise from the start of the hub.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    /// Milliseconds since 1970.
    pub(crate) time: u64,
    pub(crate) hubs: usize,
    pub(crate) subscribers: i64,
    pub(crate) connections: i64,
    pub(crate) publishes: u64,
    pub(crate) published_events: u64,
    pub(crate) published_bytes: u64,
    pub(crate) delivered_events: u64,
    pub(crate) delivered_bytes: u64,
    pub(crate) lags: u64,
    pub(crate) gaps: u64,
    pub(crate) disconnects: u64,
    pub(crate) refusals: u64,
    pub(crate) denials: u64,
    pub(crate) topics: u64,
    pub(crate) log_events: u64,
    pub(crate) log_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log_disk_bytes: Option<u64>,
}

/// The memory of the whole process, in bytes, where the operating system tells it.
pub(crate) fn memory() -> Option<u64> {
    memory_stats::memory_stats().map(|stats| stats.physical_mem as u64)
}

/// Counts as a subscriber until it is dropped.
#[derive(Debug)]
pub(crate) struct Subscriber(Gauge);

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("fanfare"),
            subscribers: Gauge::default(),
            memory: Gauge::default(),
            hubs: Gauge::default(),
            connections: Gauge::default(),
            publishes: Counter::default(),
            published_events: Counter::default(),
            published_bytes: Counter::default(),
            delivered_events: Counter::default(),
            delivered_bytes: Counter::default(),
            lags: Counter::default(),
            gaps: ByKind::new(),
            disconnects: ByKind::new(),
            refusals: ByKind::new(),
            denials: ByKind::new(),
            closings: ByKind::new(),
            pauses: ByKind::new(),
            append_seconds: Histogram::new(SECONDS),
            delivery_seconds: Histogram::new(SECONDS),
            relay_connected: Family::default(),
            relay_events: Family::default(),
            log: LogGauges::default(),
        };
        metrics.register_present();
        metrics.register_events();
        metrics.register_ends();
        metrics.register_relays();
        metrics
    }

    /// What is there now.
    fn register_present(&mut self) {
        let Self { registry, log, memory, hubs, .. } = self;
        let mut gauge = |name, help, gauge: &Gauge| registry.register(name, help, gauge.clone());
        gauge("subscribers", "Subscriptions that are open", &self.subscribers);
        gauge("connections", "Connections that are open", &self.connections);
        gauge("memory_bytes", "Resident memory of the process", memory);
        gauge("hubs", "Hubs that share the log and are there, with this one", hubs);
        gauge("log_events", "Events in the log", &log.events);
        gauge("log_bytes", "Bytes of data in the log", &log.bytes);
        gauge("log_topics", "Topics in the log", &log.topics);
        gauge("log_disk_bytes", "Bytes that the log takes on the disk", &log.disk_bytes);
    }

    /// The way of events.
    fn register_events(&mut self) {
        let registry = &mut self.registry;
        let mut count =
            |name, help, counter: &Counter| registry.register(name, help, counter.clone());
        count("publishes", "Batches that were appended to the log", &self.publishes);
        count("published_events", "Events in them", &self.published_events);
        count("published_bytes", "Bytes of data in them", &self.published_bytes);
        count("delivered_events", "Events that were handed to streams", &self.delivered_events);
        let help = "Bytes that were handed to streams; those of replays before they are compressed";
        count("delivered_bytes", help, &self.delivered_bytes);
        count("lags", "How often a subscriber fell behind the memory, back to the log", &self.lags);
        let append = self.append_seconds.clone();
        registry.register("log_append_seconds", "From an append to its durability", append);
        let delivery = self.delivery_seconds.clone();
        let help = "From the publish of the newest of live events to their hand-over to a stream";
        registry.register("delivery_seconds", help, delivery);
    }

    /// What ended, and why.
    fn register_ends(&mut self) {
        let registry = &mut self.registry;
        registry.register("gaps", "Gaps that subscribers were told of", self.gaps.clone());
        registry.register("disconnects", "Streams that ended", self.disconnects.clone());
        registry.register("refusals", "Requests beyond a bound", self.refusals.clone());
        registry.register("denials", "Requests without the right to it", self.denials.clone());
        let help = "Connections that the hub cut off";
        registry.register("connections_closed", help, self.closings.clone());
        let help = "How often accepting connections paused";
        registry.register("accept_pauses", help, self.pauses.clone());
    }

    /// Where events come from.
    fn register_relays(&mut self) {
        let registry = &mut self.registry;
        let help = "Whether the upstream of a topic gives its stream";
        registry.register("relay_connected", help, self.relay_connected.clone());
        let help = "Events that came from the upstream of a topic, with the gaps told";
        registry.register("relay_events", help, self.relay_events.clone());
    }

    /// A topic follows a stream elsewhere.
    pub(crate) fn relayed(&self, topic: &TopicName) -> Relayed {
        let labels = [("topic", topic.to_string())];
        Relayed {
            connected: self.relay_connected.get_or_create(&labels).clone(),
            events: self.relay_events.get_or_create(&labels).clone(),
        }
    }

    pub(crate) fn subscriber(&self) -> Subscriber {
        self.subscribers.inc();
        Subscriber(self.subscribers.clone())
    }

    /// A batch was appended to the log.
    pub(crate) fn published(&self, events: u64, bytes: usize) {
        self.publishes.inc();
        self.published_events.inc_by(events);
        self.published_bytes.inc_by(bytes as u64);
    }

    /// Events were handed to a stream.
    pub(crate) fn delivered(&self, events: u64, bytes: u64) {
        self.delivered_events.inc_by(events);
        self.delivered_bytes.inc_by(bytes);
    }

    /// Streams that are open.
    pub(crate) fn open_streams(&self) -> u64 {
        self.subscribers.get().try_into().unwrap_or_default()
    }

    /// As text, by the rules of `OpenMetrics`. Without the size of the log, the last one that was known is told.
    pub(crate) fn encode(&self, log: Option<Size>, hubs: usize) -> Result<String, std::fmt::Error> {
        if let Some(log) = log {
            self.log.set(log);
        }
        set(&self.hubs, hubs as u64);
        set(&self.memory, memory().unwrap_or_default());
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    pub(crate) fn figures(&self, time: u64, log: Size, hubs: usize) -> Figures {
        Figures {
            time,
            hubs,
            subscribers: self.subscribers.get(),
            connections: self.connections.get(),
            publishes: self.publishes.get(),
            published_events: self.published_events.get(),
            published_bytes: self.published_bytes.get(),
            delivered_events: self.delivered_events.get(),
            delivered_bytes: self.delivered_bytes.get(),
            lags: self.lags.get(),
            gaps: self.gaps.total(),
            disconnects: self.disconnects.total(),
            refusals: self.refusals.total(),
            denials: self.denials.total(),
            topics: log.topics,
            log_events: log.events,
            log_bytes: log.bytes,
            log_disk_bytes: log.disk_bytes,
        }
    }
}

impl LogGauges {
    fn set(&self, size: Size) {
        set(&self.events, size.events);
        set(&self.bytes, size.bytes);
        set(&self.topics, size.topics);
        set(&self.disk_bytes, size.disk_bytes.unwrap_or_default());
    }
}

fn set(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.0.dec();
    }
}
