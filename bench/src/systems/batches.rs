//! Events that are published in batches, and somebody who counts what comes of them.

use std::{
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

use fanfare_client::{EventSource, Item};
use futures_util::StreamExt;
use tokio::runtime;

use super::system::{Running, ask};
use crate::program::{HOST, Outcome};

/// After this time nothing comes any more.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const EVENT_BYTES: usize = 100;

/// Somebody who follows topics, on a thread of their own.
#[derive(Debug)]
pub(super) struct Follower(Receiver<Result<Instant, String>>);

impl Follower {
    /// Returns when the stream is open.
    pub(super) fn begin(hub: &Running, query: &str, events: usize) -> Outcome<Self> {
        let url = format!("http://{HOST}:{}/sse?{query}", hub.server.port());
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            if let Err(error) = follow(&url, events, &tell) {
                let _ = tell.send(Err(error.to_string()));
            }
        });
        let follower = Self(told);
        follower.next()?;
        Ok(follower)
    }

    /// When the last of the events came.
    pub(super) fn end(self) -> Outcome<Instant> {
        self.next()
    }

    fn next(&self) -> Outcome<Instant> {
        let told = self.0.recv_timeout(LONGEST_WAIT);
        Ok(told.map_err(|_| format!("nothing came for {LONGEST_WAIT:?}"))??)
    }
}

fn follow(url: &str, events: usize, tell: &Sender<Result<Instant, String>>) -> Outcome {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut source = EventSource::new(url)?;
        let mut left = events;
        while let Some(item) = source.next().await {
            match item? {
                Item::Opened(_) => tell.send(Ok(Instant::now()))?,
                Item::Event(_) => left -= 1,
                _ => {}
            }
            if left == 0 {
                break;
            }
        }
        Ok(tell.send(Ok(Instant::now()))?)
    })
}

/// Publishes so many events to a topic, each batch when the one before has been answered.
pub(super) fn publish(hub: &Running, topic: &str, events: usize, batch: usize) -> Outcome {
    let line = format!("{{\"data\":\"{}\"}}\n", "x".repeat(EVENT_BYTES));
    for first in (0..events).step_by(batch) {
        let body = line.repeat(batch.min(events - first));
        let request = format!("POST /sse/{topic}");
        ask(hub.server.port(), &request, "application/x-ndjson", &body, "200")?;
    }
    Ok(())
}
