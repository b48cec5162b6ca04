//! From the queue to the log.

use std::{sync::Arc, time::Duration};

use fanfare_hub::{Passage, Position, Relay};
use fanfare_wire::ByteString;
use tokio::{
    select,
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{
    PAUSE, every,
    queue::{Come, MOST, Word},
};
use crate::stderr::chain;

/// How often it is looked whether limits of the whole log may drop the place.
const LOOK: Duration = Duration::from_secs(1);

/// Appends what has come, in its order, and leaves nothing out: while the log does not take it, it waits.
pub(super) struct Writer {
    relay: Arc<Relay>,
    queue: mpsc::Receiver<Come>,
    /// The newest place that the log has, and where and when it got it.
    place: Option<ByteString>,
    at: Position,
    since: Instant,
    /// The age at which the log drops events.
    max_age: Option<Duration>,
}

impl Writer {
    pub(super) fn new(
        relay: Arc<Relay>,
        queue: mpsc::Receiver<Come>,
        place: Option<ByteString>,
        max_age: Option<Duration>,
    ) -> Self {
        let (at, since) = (Position::START, Instant::now());
        Self { relay, queue, place, at, since, max_age }
    }

    pub(super) async fn run(mut self) {
        let mut come = vec![];
        let mut looks = every(LOOK);
        loop {
            select! {
                count = self.queue.recv_many(&mut come, MOST) => {
                    if count == 0 {
                        return;
                    }
                    self.take(&come).await;
                    come.clear();
                }
                _ = looks.tick() => self.keep_place().await,
            }
        }
    }

    async fn take(&mut self, come: &[Come]) {
        let Some(last) = come.last() else { return };
        let mut passage = self.relay.passage(last.place.clone());
        for one in come {
            match &one.word {
                Word::Event(event) => passage.push(event),
                Word::Gap(missed) => passage.push_gap(*missed),
                Word::Place => {}
            }
        }
        self.place = Some(last.place.clone());
        self.append(passage).await;
    }

    /// Appends the place again, before it is among the oldest that the log has.
    async fn keep_place(&mut self) {
        let Some(place) = self.place.clone() else { return };
        let is_old = self.max_age.is_some_and(|age| self.since.elapsed() > age / 2);
        if is_old || !self.relay.is_newest(self.at) {
            self.append(self.relay.passage(place)).await;
        }
    }

    async fn append(&mut self, passage: Passage) {
        let mut is_told = false;
        loop {
            match self.relay.append(passage.clone()).await {
                Ok(appended) => {
                    (self.at, self.since) = (appended.last, Instant::now());
                    return;
                }
                Err(error) if !is_told => {
                    let error = chain(&error);
                    tracing::error!(topic = %self.relay.topic(), error, "the relay waits for the log");
                    is_told = true;
                }
                Err(_) => {}
            }
            sleep(PAUSE).await;
        }
    }
}
