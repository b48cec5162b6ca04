//! Looking for what is no event: that topics have ended, and whether the origin is there.

use std::{sync::Arc, time::Duration};

use fanfare_hub::{Selection, Selector, TopicName, log::TopicState};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use super::{Origin, Question};

/// How often it is looked.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// Topics that are asked for at once. The longest names make a query of 12 KiB.
const TOPICS: usize = 16;

/// What is known of topics.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) topics: Vec<TopicName>,
    /// Of those that there are.
    pub(super) states: Vec<TopicState>,
}

/// Looks until nobody wants to know.
pub(super) async fn run(origin: Arc<Origin>, seen: mpsc::Sender<Seen>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !seen.is_closed() {
        tokio::select! {
            () = seen.closed() => return,
            _ = looks.tick() => look(&origin, &seen).await,
        }
    }
}

async fn look(origin: &Origin, seen: &mpsc::Sender<Seen>) {
    let topics = origin.wanted.topics();
    // Without any, it is noted whether the origin is there.
    let parts = topics.chunks(TOPICS).chain(topics.is_empty().then_some(&[][..]));
    for topics in parts {
        let selection = Selection::new(topics.iter().cloned().map(Selector::Topic));
        let Ok(told) = origin.ask(&Question::of(&selection)).await else { return };
        let one = Seen { topics: topics.to_vec(), states: told.topics.clone() };
        if seen.send(one).await.is_err() {
            return;
        }
    }
}
