//! `[[relay]]`: topics that follow streams elsewhere.
//!
//! A reader follows the upstream, a writer appends what comes to the log, and between them is a queue: while
//! one batch becomes durable, the next one gathers.

mod queue;
mod reader;
mod upstream;
mod writer;

use std::{sync::Arc, time::Duration};

use fanfare_hub::{Hub, Relay};
use fanfare_wire::ByteString;
use tokio::{
    join,
    task::JoinSet,
    time::{Interval, MissedTickBehavior, interval, sleep},
};

use super::ServeError;
use crate::{
    config::{self, Settings},
    stderr::chain,
};
use reader::Reader;
use upstream::Upstream;
use writer::Writer;

/// How long to wait before what has failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Relays on tasks, until this is dropped.
pub(super) fn begin(settings: &Settings, hub: &Hub) -> Result<JoinSet<()>, ServeError> {
    let mut relays = JoinSet::new();
    for one in &settings.top.relay.0 {
        let relay = Relay::new(hub.clone(), one.topic.clone(), fastrand::u64(..));
        let relay = relay.map_err(|error| ServeError::Relay { topic: one.topic.clone(), error })?;
        relays.spawn(run(Arc::new(relay), one.clone(), settings.clone()));
    }
    Ok(relays)
}

async fn run(relay: Arc<Relay>, one: config::Relay, settings: Settings) {
    let place = place(&relay).await;
    let upstream = Upstream::new(one, &relay.via(), settings.limits.max_body.bytes());
    let (come, queue) = queue::queue();
    let reader = Reader::new(relay.clone(), upstream, come, place.clone());
    let writer = Writer::new(relay, queue, place, *settings.log.max_age);
    join!(reader.run(), writer.run());
}

/// How far it has come. Without knowing that, nothing can be asked for.
async fn place(relay: &Relay) -> Option<ByteString> {
    loop {
        match relay.place().await {
            Ok(place) => return place.map(ByteString::from),
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(topic = %relay.topic(), error, "the relay waits for the log");
                sleep(PAUSE).await;
            }
        }
    }
}

fn every(time: Duration) -> Interval {
    let mut ticks = interval(time);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
