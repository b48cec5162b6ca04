//! The newest events in memory: a channel for whatever somebody follows.
//!
//! Whoever follows a topic or a prefix reads a channel that all who follow the same share. It begins
//! behind what the log has given to the channels so far; what is before that is read from the log.
//!
//! Channels are in two lanes (`lane.rs`): events as they are, and compressed ones. Compressing takes
//! time, so that lane has a thread and a queue of its own (`backlog.rs`), and holds up nobody but those
//! who read it. If it does not keep up, they read on from the log.
//!
//! A lane is given its events by one at a time, in order: whoever is told how far it is has been given
//! everything up to there, or told to look in the log.

mod backlog;
mod lane;

use std::{collections::HashMap, io, sync::Arc, thread};

use fanfare_fanout::{Bounds, Epoch, Position};

use crate::{
    Coding, Selection, TopicName,
    event::Representation,
    log::{Committed, Listening, Timestamp},
    times::Times,
};

use backlog::Backlog;
pub(crate) use lane::Following;
use lane::{Lane, record};

/// What waits to be compressed, in bytes at most.
const BACKLOG_BYTES: usize = 4 * 1024 * 1024;
/// Events that are compressed before readers are given any of them.
const COMPRESSED_AT_ONCE: usize = 64;

/// All channels.
#[derive(Debug)]
pub(crate) struct Live {
    plain: Arc<Lane>,
    compressed: Arc<Lane>,
    /// What is to be compressed; `None` if nothing is.
    backlog: Option<Arc<Backlog>>,
    times: Times,
}

impl Live {
    pub(crate) fn new(epoch: Epoch, newest: Position, bounds: Bounds) -> Self {
        let [plain, compressed] = [(); 2].map(|()| Arc::new(Lane::new(epoch, newest, bounds)));
        let backlog = compress(compressed.clone()).inspect_err(|error| {
            tracing::warn!(%error, "events are not compressed once: each stream does it by itself");
        });
        Self { plain, compressed, backlog: backlog.ok(), times: Times::new() }
    }

    /// When an event was published that a channel had; `None` if that was long ago.
    pub(crate) fn published(&self, position: Position) -> Option<Timestamp> {
        self.times.of(position)
    }

    pub(crate) fn follow(
        &self,
        selection: &Selection,
        representation: Representation,
        listening: Listening,
    ) -> Following {
        let is_plain = representation.coding == Coding::Identity;
        let lane = if is_plain { &self.plain } else { &self.compressed };
        lane.follow(selection, representation, listening)
    }

    /// Gives the channels what the log has committed. It waits for nobody.
    pub(crate) fn deliver(&self, committed: Vec<Committed>) {
        self.times.note(committed.iter().filter_map(record));
        self.plain.deliver(&committed);
        let Some(backlog) = &self.backlog else { return self.compressed.skip(&committed) };
        if self.compressed.is_unfollowed()
            && let Some(_idle) = backlog.idle()
        {
            return self.compressed.skip(&committed);
        }
        backlog.push(committed);
    }

    /// Is ready when the next erasure of this topic has ended its streams.
    pub(crate) fn when_erased(&self, name: &TopicName) -> impl Future<Output = ()> + use<> {
        let erased = [&self.plain, &self.compressed].map(|lane| lane.when_erased(name));
        async move {
            for erased in erased {
                erased.done().await;
            }
        }
    }

    /// The log tells nothing more.
    pub(crate) fn tell_no_more(&self) {
        self.plain.tell_no_more();
        self.compressed.tell_no_more();
    }

    /// Ends the streams of all who follow anything.
    pub(crate) fn close(&self) {
        self.plain.close();
        self.compressed.close();
    }

    /// How many follow this topic by its name.
    pub(crate) fn followers(&self, name: &TopicName) -> usize {
        self.plain.followers(name) + self.compressed.followers(name)
    }

    /// The topics that are followed by name, and how many follow each.
    pub(crate) fn followed_topics(&self) -> HashMap<TopicName, usize> {
        let mut followed = HashMap::new();
        for lane in [&self.plain, &self.compressed] {
            for (name, followers) in lane.followed_topics() {
                *followed.entry(name).or_default() += followers;
            }
        }
        followed
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(backlog) = &self.backlog {
            backlog.close();
        }
    }
}

/// Has a thread give a lane what comes into its backlog, until that is closed.
fn compress(lane: Arc<Lane>) -> io::Result<Arc<Backlog>> {
    let backlog = Arc::new(Backlog::new(BACKLOG_BYTES));
    let waiting = backlog.clone();
    let compress = move || {
        while let Some(committed) = waiting.take() {
            committed.chunks(COMPRESSED_AT_ONCE).for_each(|part| lane.deliver(part));
        }
    };
    thread::Builder::new().name("fanfare-compress".to_owned()).spawn(compress)?;
    Ok(backlog)
}
