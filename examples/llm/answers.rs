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

    /// The channel of the answer `id`. If there is none, the model begins to write. Who asks for it
    /// may have some words `already`, from before the program was started: those it gives at once.
    pub(crate) fn get_or_begin(&self, id: &str, question: &str, already: usize) -> Channel {
        let mut answers = self.newest_first.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, channel)) = answers.iter().find(|(known, _)| known == id) {
            return channel.clone();
        }
        // The whole answer is kept, so that it can be read from any word on.
        let channel = Channel::builder(&self.sse).without_ids().replay(Start::Earliest).build();
        let mut words = model::answer(question).zip(1_usize..);
        for word in words.by_ref().take(already) {
            // It fails when the channel has been closed, which nobody else knows yet.
            let _ = channel.broadcast(event(word));
        }
        tokio::spawn(write(channel.clone(), words));
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

/// Writes the rest of the answer into its channel, at the model's pace.
async fn write(channel: Channel, words: impl Iterator<Item = (&str, usize)>) -> Result<(), Closed> {
    let mut pace = interval(WORD_EVERY);
    for word in words {
        pace.tick().await;
        channel.broadcast(event(word))?;
    }
    channel.broadcast(Event::new("").with_name(DONE).with_id(EventId::from_static("done")))?;
    channel.close();
    Ok(())
}

/// The id of a word is the number of words so far.
fn event((word, count): (&str, usize)) -> Event {
    Event::new(word).with_id(EventId::new(count.to_string()).unwrap_or_default())
}
