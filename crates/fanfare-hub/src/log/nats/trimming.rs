//! What is dropped: said by a message first, and deleted from the stream when all hubs can know.
//!
//! The newest message of the stream is never deleted, so that whoever asks how far it is comes there.

use async_nats::jetstream::stream::LastRawMessageErrorKind;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    NatsError, Shared,
    error::deleted,
    message::{Forgotten, Outgoing, What, Why},
    replica::{Clearable, Outcome, Replica},
};
use crate::{TopicName, log::Timestamp};

/// Requests at a time.
const AT_ONCE: usize = 32;
/// Topics that one message says are forgotten, and what their names have in bytes: they go into its headers.
const MOST_FORGOTTEN: usize = 1000;
const MOST_NAMED: usize = 30_000;
/// Topics that are cleared of what is not needed, each time.
const MOST_CLEARED: usize = 10_000;
/// How often it is tried to drop something when other hubs are faster.
const ATTEMPTS: usize = 8;

impl Shared {
    pub(super) async fn trim(&self, now: Timestamp) -> Result<(), NatsError> {
        self.over()?;
        let retention = &self.options.retention;
        let beyond = |replica: &Replica| replica.index.beyond(now, retention).into_iter().collect();
        self.keep_all(Why::Beyond, beyond).await?;
        self.forget(now).await?;
        self.clear().await
    }

    pub(super) async fn erase(&self, name: &TopicName) -> Result<bool, NatsError> {
        self.over()?;
        for _ in 0..ATTEMPTS {
            if !self.inquire(|replica| replica.index.knows(name)).await? {
                return Ok(false);
            }
            if self.keep(name.clone(), u64::MAX, Why::Erased).await? {
                return Ok(true);
            }
        }
        Err(NatsError::Conflict)
    }

    /// Says what is kept of topics of which something is to be dropped.
    async fn keep_all(
        &self,
        why: Why,
        found: impl Fn(&Replica) -> Vec<(TopicName, u64)>,
    ) -> Result<(), NatsError> {
        let mut left = self.inquire(found).await?;
        for _ in 0..ATTEMPTS {
            let keeping = left.iter().map(|(name, through)| {
                let (name, through) = (name.clone(), *through);
                self.keep(name, through, why)
            });
            let keeping: Vec<_> = keeping.collect();
            stream::iter(keeping).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
            // The same again: what is beyond the limits by now may be newer.
            let is_left = |replica: &Replica| {
                let left = left.iter().filter(|(name, till)| replica.holds(name, *till, why));
                left.cloned().collect::<Vec<_>>()
            };
            left = self.inquire(is_left).await?;
            if left.is_empty() {
                break;
            }
        }
        // Where other hubs were faster each time, the next time will do.
        Ok(())
    }

    /// Says what is kept of a topic; tells whether no other hub was faster.
    async fn keep(&self, name: TopicName, through: u64, why: Why) -> Result<bool, NatsError> {
        let (kept, time) = {
            let replica = self.replica();
            (replica.to_keep(&name, through, why), replica.time)
        };
        let Some((kept, behind)) = kept else { return Ok(false) };
        let head = self.head(time, What::Kept(kept));
        let message = Outgoing::of(self.subjects.kept(&name), head, Some(behind));
        match self.say(&message).await {
            Ok(Outcome::Done) => return Ok(true),
            Ok(_) | Err(NatsError::Conflict) => {}
            Err(error) => return Err(error),
        }
        let newest = self.newest_kept(&name).await?;
        self.replica().learn_kept(&name, newest);
        Ok(false)
    }

    /// Publishes what makes room, for which there has to be some.
    async fn say(&self, message: &Outgoing) -> Result<Outcome, NatsError> {
        match self.send(message, None).await {
            Err(NatsError::StreamFull(_)) => {
                self.make_room().await?;
                self.send(message, None).await
            }
            outcome => outcome,
        }
    }

    /// The newest message about what is kept of a topic. Other hubs may have deleted the one that is known here.
    async fn newest_kept(&self, name: &TopicName) -> Result<Option<u64>, NatsError> {
        match self.stream.get_last_raw_message_by_subject(&self.subjects.kept(name)).await {
            Ok(found) => Ok(Some(found.sequence)),
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => {
                Ok(None)
            }
            Err(error) => Err(NatsError::Nats(error.into())),
        }
    }

    /// Forgets topics without events, and keys that are too old.
    async fn forget(&self, now: Timestamp) -> Result<(), NatsError> {
        loop {
            let over = |replica: &Replica| replica.ended_and_empty(MOST_FORGOTTEN);
            self.keep_all(Why::Over, over).await?;
            let (time, count, forgotten, has_old_keys) = {
                let replica = self.replica();
                let empty = replica.index.empty();
                let empty = empty.filter(|(name, _)| !replica.index.has_ended(name));
                let empty: Vec<_> = few(empty).collect();
                let dropped = replica.index.forgotten_with(empty.iter().map(|(name, _)| *name));
                let gone = replica.garbage.gone.iter().map(|(name, gone)| (name, gone.newest));
                let topics = empty.iter().copied().chain(few(gone));
                let topics =
                    topics.map(|(name, newest)| (name.as_str().to_owned(), newest)).collect();
                let keys_from = replica.keys_from(now, &self.options.retention);
                let oldest = replica.keys.oldest();
                let has_old_keys = oldest.is_some_and(|used| used.sequence < keys_from);
                (replica.time, empty.len(), Forgotten { topics, dropped, keys_from }, has_old_keys)
            };
            if count == 0 && !has_old_keys {
                return Ok(());
            }
            let head = self.head(time, What::Forgotten(forgotten));
            self.say(&Outgoing::of(self.subjects.forgotten(), head, None)).await?;
        }
    }

    /// Deletes what is not needed any more.
    async fn clear(&self) -> Result<(), NatsError> {
        let garbage = self.replica().clearable(MOST_CLEARED, 2 * self.options.patience);
        let Clearable { messages, events, kept, gone, forgotten } = garbage.clone();
        all(messages.into_iter().map(|sequence| self.delete(sequence))).await?;
        let purge = |subject, until| self.purge(subject, until);
        // In this order: a topic whose events are still there must be known to be forgotten.
        all(events.into_iter().map(|(name, until)| purge(self.subjects.events(&name), until)))
            .await?;
        all(kept.into_iter().map(|(name, until)| purge(self.subjects.kept(&name), until))).await?;
        let gone = gone.into_iter();
        all(gone.map(|(name, gone)| purge(self.subjects.kept(&name), gone.until()))).await?;
        if let Some(until) = forgotten {
            self.purge(self.subjects.forgotten(), until).await?;
        }
        self.replica().cleared(&garbage);
        Ok(())
    }

    async fn delete(&self, sequence: u64) -> Result<(), NatsError> {
        deleted(self.stream.delete_message(sequence).await)
    }

    /// Deletes the messages with this subject in front of this one.
    async fn purge(&self, subject: String, until: u64) -> Result<(), NatsError> {
        // nats-server takes the first one for all of them.
        if until > 1 {
            self.stream.purge().filter(subject).sequence(until).await?;
        }
        Ok(())
    }
}

/// As many as one message can name.
fn few<'a>(
    topics: impl Iterator<Item = (&'a TopicName, u64)>,
) -> impl Iterator<Item = (&'a TopicName, u64)> {
    let mut left = MOST_NAMED;
    topics.take(MOST_FORGOTTEN).take_while(move |(name, newest)| {
        let size = serde_json::to_string(&(name.as_str(), newest)).map_or(0, |json| json.len() + 1);
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    })
}

async fn all(
    requests: impl Iterator<Item = impl Future<Output = Result<(), NatsError>>>,
) -> Result<(), NatsError> {
    stream::iter(requests).buffer_unordered(AT_ONCE).try_collect().await
}
