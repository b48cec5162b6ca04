//! What the stream holds, and may hold.
//!
//! Hubs refuse appends by themselves beyond what is configured. The stream takes a little more, so that it can be said
//! there what is dropped. Where that is used up, by hubs that append at the same moment, it is given more. It is not
//! lowered again while hubs append: nats-server (2.9) deletes the oldest messages for which there is no room then.

use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::jetstream::{
    Context,
    stream::{Config, Info},
};

use super::{Batch, NatsError, Shared};

/// What the stream takes beyond what is configured, in bytes.
const ROOM: u64 = 1024 * 1024;

/// What the stream holds, and the most that hubs append to.
#[derive(Debug)]
pub(super) struct Room {
    most: Option<u64>,
    /// What it held when it was asked last, and the data that has come since.
    held: AtomicU64,
}

impl Room {
    pub(super) fn new(most: Option<u64>) -> Self {
        Self { most, held: AtomicU64::new(0) }
    }

    pub(super) fn is_told(&self, held: u64) {
        self.held.store(held, Ordering::Relaxed);
    }

    pub(super) fn take(&self, bytes: u64) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    fn check(&self, batch: &Batch) -> Result<(), NatsError> {
        let bytes: u64 = batch.events.iter().map(|event| event.data.len() as u64).sum();
        let held = self.held.load(Ordering::Relaxed);
        match self.most {
            Some(most) if held.saturating_add(bytes) >= most => Err(NatsError::Full { most }),
            _ => Ok(()),
        }
    }
}

impl Shared {
    /// Whether a batch may be appended.
    pub(super) async fn check_room(&self, batch: &Batch) -> Result<(), NatsError> {
        if self.room.check(batch).is_err() {
            // Some may have been deleted.
            self.inquire(|_| ()).await?;
            self.room.check(batch)?;
        }
        Ok(())
    }

    /// Has the stream take a little more than it holds. When hubs do so at once, it is the same.
    pub(super) async fn make_room(&self) -> Result<(), NatsError> {
        let info = self.ask().await?;
        let enough = info.state.bytes.saturating_add(ROOM);
        if limit_of(&info.config) < enough {
            update(&self.context, &info, limit(Some(enough))).await?;
        }
        Ok(())
    }
}

/// The limit of the stream where so much is configured.
pub(super) fn with_room(most: Option<u64>) -> i64 {
    limit(most.map(|most| most.saturating_add(ROOM)))
}

/// Gives a stream that was there the limit that is wanted, unless it is a lower one that hubs may come near meanwhile.
pub(super) async fn set_limit(
    context: &Context,
    info: &Info,
    wanted: &Config,
) -> Result<(), NatsError> {
    let (before, after) = (info.config.max_bytes, wanted.max_bytes);
    let (most_before, most) = (limit_of(&info.config), limit_of(wanted));
    if most == most_before {
        return Ok(());
    }
    if most < most_before && info.state.bytes > most / 2 {
        tracing::warn!(
            before,
            after,
            "the stream holds too much for a lower max_bytes, and keeps its own; hubs keep to log.max_stored"
        );
        return Ok(());
    }
    match update(context, info, after).await {
        Err(NatsError::ServerFull(error)) => {
            tracing::warn!(
                %error,
                before,
                after,
                "log.max_stored is more than nats-server can promise: the stream keeps its max_bytes"
            );
            Ok(())
        }
        outcome => {
            outcome?;
            tracing::info!(before, after, "the stream has another max_bytes, by log.max_stored");
            Ok(())
        }
    }
}

async fn update(context: &Context, info: &Info, max_bytes: i64) -> Result<(), NatsError> {
    context.update_stream(Config { max_bytes, ..info.config.clone() }).await?;
    Ok(())
}

/// As NATS is told.
fn limit(most: Option<u64>) -> i64 {
    most.and_then(|most| most.try_into().ok()).unwrap_or(-1)
}

fn limit_of(config: &Config) -> u64 {
    u64::try_from(config.max_bytes).ok().filter(|&most| most > 0).unwrap_or(u64::MAX)
}
