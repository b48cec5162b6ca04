//! What is done now and then while a hub serves, and when the operator asks.

use std::{io, sync::Arc, time::Duration};

use fanfare_hub::{Clock, Hub, auth::Auth, server::Tls};
use tokio::{
    select,
    signal::unix::{Signal, SignalKind, signal},
    task::{JoinHandle, spawn_blocking},
    time::{Interval, MissedTickBehavior, interval},
};

use crate::stderr::chain;

/// How often it is looked whether keys are due.
const LOOK_FOR_KEYS: Duration = Duration::from_secs(5);

pub(super) struct Upkeep {
    pub(super) hub: Hub,
    pub(super) auth: Option<Arc<Auth>>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) clock: Clock,
}

impl Upkeep {
    /// Does it on a task until that is aborted.
    pub(super) fn begin(self, trim_every: Duration) -> io::Result<JoinHandle<()>> {
        let hang_ups = signal(SignalKind::hangup())?;
        Ok(tokio::spawn(self.run(hang_ups, trim_every)))
    }

    async fn run(self, mut hang_ups: Signal, trim_every: Duration) {
        let (mut trims, mut looks) = (every(trim_every), every(LOOK_FOR_KEYS));
        loop {
            select! {
                _ = hang_ups.recv() => self.reload().await,
                _ = trims.tick() => self.trim().await,
                _ = looks.tick() => self.refresh_due().await,
            }
        }
    }

    async fn trim(&self) {
        if let Err(error) = self.hub.log().trim((self.clock)()).await {
            tracing::warn!(error = chain(&error), "old events could not be dropped");
        }
    }

    async fn refresh_due(&self) {
        if let Some(auth) = &self.auth {
            auth.refresh_due((self.clock)()).await;
        }
    }

    /// Reads certificates and keys again. What cannot be read stays as it was.
    async fn reload(&self) {
        let mut is_good = true;
        if let Some(auth) = &self.auth {
            // What is wrong it says itself.
            is_good &= auth.refresh((self.clock)()).await.is_ok();
        }
        if let Some(tls) = self.tls.clone() {
            is_good &= spawn_blocking(move || reload_certificate(&tls)).await.unwrap_or(false);
        }
        if is_good {
            tracing::info!("certificates and keys have been read again");
        }
    }
}

fn reload_certificate(tls: &Tls) -> bool {
    let reloaded = tls.reload();
    if let Err(error) = &reloaded {
        tracing::error!(error = chain(error), "the certificate stays the one it was");
    }
    reloaded.is_ok()
}

fn every(time: Duration) -> Interval {
    let mut ticks = interval(time.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
