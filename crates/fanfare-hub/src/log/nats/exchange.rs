//! What hubs tell each other beside the log: by messages that no stream keeps.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::StreamExt;

use super::{NatsError, Shared, State};
use crate::log::{Heard, Report};

/// Hubs that are heard of.
const MOST_HUBS: usize = 1000;

/// The newest report of each hub, this one too, and when it came.
#[derive(Debug, Default)]
pub(super) struct Reports(Mutex<HashMap<u64, (Instant, Bytes)>>);

impl Reports {
    fn hear(&self, report: Report, now: Instant) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reports.len() <= MOST_HUBS || reports.contains_key(&report.hub) {
            reports.insert(report.hub, (now, report.content));
        }
    }

    /// What others have told within a time. What is older is forgotten.
    fn others(&self, hub: u64, within: Duration, now: Instant) -> Vec<Heard> {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reports.retain(|_, (then, _)| now.saturating_duration_since(*then) <= within);
        let others = reports.iter().filter(|(other, _)| **other != hub);
        let heard = others.map(|(&hub, (then, content))| Heard {
            report: Report { hub, content: content.clone() },
            age: now.saturating_duration_since(*then),
        });
        heard.collect()
    }
}

/// Hears what others tell, until the log is closed.
pub(super) async fn hear(shared: Arc<Shared>, mut others: Subscriber) {
    let mut state = shared.life.subscribe();
    while *state.borrow_and_update() == State::Open {
        tokio::select! {
            _ = state.changed() => {}
            message = others.next() => match message {
                Some(message) => {
                    if let Some(report) = read(&message.payload) {
                        shared.reports.hear(report, Instant::now());
                    }
                }
                None => return,
            }
        }
    }
}

impl Shared {
    pub(super) async fn exchange(
        &self,
        report: Report,
        within: Duration,
    ) -> Result<Vec<Heard>, NatsError> {
        self.over()?;
        if self.connections.is_lost() {
            return Err(NatsError::Away);
        }
        let others = self.reports.others(report.hub, within, Instant::now());
        if others.len() >= MOST_HUBS {
            return Err(NatsError::Crowded);
        }
        let published = self.client.publish(self.subjects.reports(), written(&report)).await;
        published.map_err(|error| NatsError::Nats(error.into()))?;
        Ok(others)
    }
}

/// The number of the hub, and what it tells.
fn written(report: &Report) -> Bytes {
    [&report.hub.to_be_bytes()[..], &report.content].concat().into()
}

fn read(message: &Bytes) -> Option<Report> {
    let (hub, _) = message.split_first_chunk()?;
    Some(Report { hub: u64::from_be_bytes(*hub), content: message.slice(hub.len()..) })
}
