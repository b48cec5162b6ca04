//! The hub's figures, every second on the topic `$stats`.

use std::sync::Arc;

use fanfare_wire::ByteString;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    hub::Clock,
    log::Log,
    metrics::{Figures, Metrics, memory},
    own::{OwnTopic, STATS_PERIOD},
    roster::Roster,
};

/// What the figures are made of, and where they are published.
pub(crate) struct Reporter {
    pub(crate) topic: Arc<OwnTopic>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) clock: Clock,
}

/// What is published.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    figures: Figures,
    /// Resident, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<u64>,
    /// Seconds.
    uptime: u64,
    epoch: String,
    version: &'static str,
}

impl Reporter {
    /// Publishes until it is dropped.
    pub(crate) async fn run(self) {
        let begun = Instant::now();
        let mut periods = interval(STATS_PERIOD);
        periods.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            periods.tick().await;
            self.report(begun).await;
        }
    }

    async fn report(&self, begun: Instant) {
        // A log that does not work has said so already.
        let Ok(size) = self.log.size().await else { return };
        let time = (self.clock)();
        let figures = Report {
            figures: self.metrics.figures(time.0, size, self.roster.count()),
            memory: memory(),
            uptime: begun.elapsed().as_secs(),
            epoch: self.log.epoch().to_string(),
            version: env!("CARGO_PKG_VERSION"),
        };
        // Names and numbers always serialise.
        if let Ok(text) = serde_json::to_string(&figures) {
            self.topic.publish(ByteString::from(text), time);
        }
    }
}
