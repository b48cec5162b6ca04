//! What is dropped: said by a message first, and deleted from the stream when all hubs can know.
//!
//! The newest message of the stream is never deleted, so that whoever asks how far it is comes there.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    NatsError, Shared,
    error::deleted,
    message::{Forgotten, Kept, Outgoing, What, Why},
    replica::{Clearable, Outcome},
};
use crate::{
    TopicName,
    log::{Timestamp, index::Restored},
};

/// Requests at a time.
const AT_ONCE: usize = 32;
/// Topics that one message says are forgotten.
const MOST_FORGOTTEN: usize = 1000;
/// Topics that are cleared of what is not needed, each time.
const MOST_CLEARED: usize = 10_000;
/// How often an erasure is tried when other hubs are faster.
const ATTEMPTS: usize = 8;

impl Shared {
    pub(super) async fn trim(&self, now: Timestamp) -> Result<(), NatsError> {
        self.over()?;
        let retention = &self.options.retention;
        let beyond = self
            .inquire(|replica| {
                let beyond = replica.index.beyond(now, retention).into_iter();
                let kept = beyond.filter_map(|(name, through)| {
                    let restored = replica.index.to_restore(&name, through)?;
                    Some((name, restored))
                });
                kept.collect::<Vec<_>>()
            })
            .await?;
        let keeping = stream::iter(
            beyond.into_iter().map(|(name, restored)| self.keep(name, restored, Why::Beyond)),
        );
        // Where another hub was faster, the next time will do.
        keeping.buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
        self.forget(now).await?;
        self.clear().await
    }

    pub(super) async fn erase(&self, name: &TopicName) -> Result<bool, NatsError> {
        self.over()?;
        for _ in 0..ATTEMPTS {
            let known = self.inquire(|replica| replica.index.to_restore(name, u64::MAX)).await?;
            let Some(known) = known else { return Ok(false) };
            let restored = Restored { ended: None, ..known };
            if self.keep(name.clone(), restored, Why::Erased).await? {
                return Ok(true);
            }
        }
        Err(NatsError::Conflict)
    }

    /// Says what is kept of a topic; tells whether no other hub was faster.
    async fn keep(&self, name: TopicName, restored: Restored, why: Why) -> Result<bool, NatsError> {
        let subject = self.subjects.kept(&name);
        let (behind, time) = {
            let replica = self.replica();
            (replica.kept.get(&name).copied().unwrap_or_default(), replica.time)
        };
        let kept = Kept { topic: name.as_str().to_owned(), restored, why };
        let message = Outgoing::of(subject, self.head(time, What::Kept(kept)), Some(behind));
        match self.send(&message, None).await {
            Ok(outcome) => Ok(outcome == Outcome::Done),
            Err(NatsError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Forgets topics without events, and keys that are too old.
    async fn forget(&self, now: Timestamp) -> Result<(), NatsError> {
        loop {
            let ended = self.replica().ended_and_empty(MOST_FORGOTTEN);
            let over = ended.into_iter().map(|(name, known)| self.keep(name, known, Why::Over));
            stream::iter(over).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
            let (time, count, forgotten, has_old_keys) = {
                let replica = self.replica();
                let empty = replica.index.empty().take(MOST_FORGOTTEN);
                let empty = empty.filter(|(name, _)| !replica.index.has_ended(name));
                let empty: Vec<_> = empty.collect();
                let dropped = replica.index.forgotten_with(empty.iter().map(|(name, _)| *name));
                let gone = replica.garbage.gone.iter().map(|(name, gone)| (name, gone.newest));
                let topics = empty.iter().copied().chain(gone.take(MOST_FORGOTTEN));
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
            self.send(&Outgoing::of(self.subjects.forgotten(), head, None), None).await?;
            if count < MOST_FORGOTTEN {
                return Ok(());
            }
        }
    }

    /// Deletes what is not needed any more.
    async fn clear(&self) -> Result<(), NatsError> {
        let garbage = self.replica().clearable(MOST_CLEARED);
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

async fn all(
    requests: impl Iterator<Item = impl Future<Output = Result<(), NatsError>>>,
) -> Result<(), NatsError> {
    stream::iter(requests).buffer_unordered(AT_ONCE).try_collect().await
}
