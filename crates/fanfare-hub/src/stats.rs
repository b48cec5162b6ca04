//! The hub's figures, every second on the topic `$stats`.

use std::sync::Arc;

use fanfare_wire::ByteString;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    hub::Clock,
    log::Log,
    metrics::Metrics,
    own::{OwnTopic, STATS_PERIOD},
};

/// What the figures are made of, and where they are published.
pub(crate) struct Reporter {
    pub(crate) topic: Arc<OwnTopic>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) clock: Clock,
}

impl Reporter {
    /// Publishes until it is dropped.
    pub(crate) async fn run(self) {
        let mut periods = interval(STATS_PERIOD);
        periods.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            periods.tick().await;
            self.report().await;
        }
    }

    async fn report(&self) {
        // A log that does not work has said so already.
        let Ok(size) = self.log.size().await else { return };
        let time = (self.clock)();
        let figures = self.metrics.figures(time.0, size);
        // Names and numbers always serialise.
        if let Ok(text) = serde_json::to_string(&figures) {
            self.topic.publish(ByteString::from(text), time);
        }
    }
}
