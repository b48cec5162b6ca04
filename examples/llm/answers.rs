//! The answers that are being written, and those that were written lately.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fanfare::{Channel, Closed, Event, EventId, EventName, Sse, Start};
use tokio::time::interval;

use crate::model;

const WORD_EVERY: Duration = Duration::from_millis(33);
/// When another one comes, the oldest is given up.
const MAX_ANSWERS: usize = 100;

pub(crate) const DONE: EventName = EventName::from_static("done");

/// Clones are the same answers.
#[derive(Clone)]
pub(crate) struct Answers {
    sse: Sse,
    newest_first: Arc<Mutex<VecDeque<(String, Channel)>>>,
}

impl Answers {
    pub(crate) fn new(sse: &Sse) -> Self {
        Self { sse: sse.clone(), newest_first: Arc::default() }
    }

    /// The channel of the answer `id`. If there is none yet, the model begins to write, and gives
    /// at once the words that the asker had `already` when the program was started anew.
    pub(crate) fn get_or_begin(&self, id: &str, question: &str, already: usize) -> Channel {
        let mut answers = self.newest_first.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, channel)) = answers.iter().find(|(known, _)| known == id) {
            return channel.clone();
        }
        // The whole answer is kept, so that it can be read from any word on.
        let channel = Channel::builder(&self.sse).without_ids().replay(Start::Earliest).build();
        tokio::spawn(write(channel.clone(), question.to_owned(), already));
        answers.push_front((id.to_owned(), channel.clone()));
        if answers.len() > MAX_ANSWERS
            && let Some((_, oldest)) = answers.pop_back()
        {
            // Its model stops. Who still listens asks again, and goes on where it was.
            oldest.close();
        }
        channel
    }
}

/// Writes the answer into its channel. The id of a word is the number of words so far.
async fn write(channel: Channel, question: String, already: usize) -> Result<(), Closed> {
    let mut pace = interval(WORD_EVERY);
    for (word, count) in model::answer(&question).zip(1_usize..) {
        if count > already {
            pace.tick().await;
        }
        let id = EventId::new(count.to_string()).unwrap_or_default();
        channel.broadcast(Event::new(word).with_id(id))?;
    }
    channel.broadcast(Event::new("").with_name(DONE).with_id(EventId::from_static("done")))?;
    channel.close();
    Ok(())
}
