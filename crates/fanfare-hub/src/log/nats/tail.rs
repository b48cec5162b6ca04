//! The tail: the messages of the stream, applied in their order and told.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_nats::{
    self as nats, HeaderMap,
    jetstream::{
        Message,
        consumer::{DeliverPolicy, pull},
        message::StreamMessage,
        stream::{LastRawMessageErrorKind, State as Found},
    },
};
use bytes::Bytes;
use fanfare_fanout::Position;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream::iter};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{
    NatsError, Shared, State,
    again::ask_again,
    message::Incoming,
    replica::{Applied, Replica, before},
    stream::{self, pause},
};
use crate::log::Committed;

/// How often it is asked whether the stream is further than what has come of it.
const LOOK: Duration = Duration::from_secs(1);

/// Messages whose bodies are asked for together.
const FEW: usize = 64;

/// Messages of the stream behind the newest one that is applied.
struct Messages<'a> {
    shared: &'a Shared,
    ordered: pull::Ordered,
}

impl<'a> Messages<'a> {
    async fn behind(shared: &'a Shared, headers_only: bool) -> Result<Self, NatsError> {
        let start_sequence = shared.replica().applied + 1;
        let config = pull::OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
            headers_only,
            ..pull::OrderedConfig::default()
        };
        let beginning = || async {
            let consumer = shared.stream.create_consumer(config.clone()).await;
            let consumer = consumer.map_err(|error| NatsError::Nats(error.into()))?;
            consumer.messages().await.map_err(|error| NatsError::Nats(error.into()))
        };
        // A consumer that nobody reads from ends by itself.
        let ordered = ask_again(shared.options.patience, beginning).await?;
        Ok(Self { shared, ordered })
    }

    async fn next(&mut self) -> Result<Received, NatsError> {
        let Some(message) = self.ordered.next().await else {
            return Err(NatsError::Nats("the messages have ended".into()));
        };
        let message = message.map_err(|error| NatsError::Nats(error.into()))?;
        let sequence = message.info().map_err(NatsError::Nats)?.stream_sequence;
        let Message { message: nats::Message { subject, headers, payload, .. }, .. } = message;
        Ok(self.shared.received(sequence, &subject, headers.as_ref(), payload))
    }

    /// One that is known to be there.
    async fn next_in_time(&mut self) -> Result<Received, NatsError> {
        let patience = self.shared.options.patience;
        timeout(patience, self.next()).await.map_err(|_| NatsError::Late(patience))?
    }

    /// Those that are there, or the next one.
    async fn next_few(&mut self) -> Result<Vec<Received>, NatsError> {
        let mut few = vec![self.next().await?];
        while few.len() < FEW
            && let Some(next) = self.next().now_or_never()
        {
            few.push(next?);
        }
        Ok(few)
    }
}

/// A message of the stream.
struct Received {
    sequence: u64,
    /// `None` if it is none of ours.
    message: Option<Incoming>,
    /// Somebody is to be given its events.
    is_followed: bool,
}

/// How often a stream is read from its beginning, in the hope that nothing is deleted meanwhile.
const QUICK_ATTEMPTS: usize = 2;

/// Applies all that is in the stream, and tells nobody.
pub(super) async fn catch_up(shared: &Shared) -> Result<(), NatsError> {
    for attempt in 0..=QUICK_ATTEMPTS {
        *shared.replica() = Replica::default();
        let found = shared.ask().await?.state;
        // nats-server leaves out more than was deleted when something is deleted: see `receive`.
        let is_complete = if attempt < QUICK_ATTEMPTS {
            read_and_count(shared, &found).await? == found.messages
        } else {
            read_and_look(shared, &found).await?;
            true
        };
        if is_complete {
            let mut replica = shared.replica();
            replica.applied = replica.applied.max(found.last_sequence);
            break;
        }
    }
    // What is missing was deleted before now, so what is known of that is there by now.
    let settled_at = shared.ask().await?.state.last_sequence;
    shared.replica().settled_at = settled_at;
    Ok(())
}

/// Applies what comes; tells how many messages that was, of those that were there.
async fn read_and_count(shared: &Shared, found: &Found) -> Result<u64, NatsError> {
    let mut count = 0;
    let mut messages = Messages::behind(shared, true).await?;
    while count < found.messages && shared.replica().applied < found.last_sequence {
        let message = messages.next_in_time().await?;
        count += u64::from(message.sequence <= found.last_sequence);
        apply(shared, message);
    }
    Ok(count)
}

/// Applies what comes, and looks whether something was left out wherever something is missing.
async fn read_and_look(shared: &Shared, found: &Found) -> Result<(), NatsError> {
    let mut messages = Messages::behind(shared, true).await?;
    while shared.replica().applied < found.last_sequence {
        let message = messages.next_in_time().await?;
        if let Some(left_out) = shared.left_out_before(&message).await? {
            apply(shared, left_out);
            messages = Messages::behind(shared, true).await?;
        } else {
            apply(shared, message);
        }
    }
    Ok(())
}

/// Applies what comes, and tells it, until the log is closed.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut failures = 0;
    loop {
        let before = shared.replica().applied;
        match follow(&shared).await {
            Ok(()) => break,
            Err(NatsError::Replaced) => {
                tracing::error!("{}", NatsError::Replaced);
                shared.life.end(State::Replaced);
                break;
            }
            Err(NatsError::Conflict) => {}
            Err(error) => {
                shared.connections.is_away.store(true, Ordering::Relaxed);
                tracing::warn!(error = &error as &dyn std::error::Error, "the log is away");
            }
        }
        if shared.replica().applied > before {
            failures = 0;
            continue;
        }
        failures += 1;
        let mut state = shared.life.subscribe();
        let over = state.wait_for(|state| *state != State::Open);
        if timeout(pause(failures), over).await.is_ok() {
            break;
        }
    }
    shared.teller.end();
    shared.waiting().clear();
    shared.applied.send_replace(());
}

/// Applies what comes as long as a connection lasts, or until the log is closed.
async fn follow(shared: &Shared) -> Result<(), NatsError> {
    let mut connections = shared.connections.number.subscribe();
    connections.mark_unchanged();
    shared.recognise().await?;
    shared.followed.begin_behind(shared.replica().applied);
    shared.applied.send_replace(());
    let mut messages = Messages::behind(shared, shared.followed.leaves_out()).await?;
    shared.connections.is_away.store(false, Ordering::Relaxed);
    let mut state = shared.life.subscribe();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut expected = 0;
    while *state.borrow_and_update() == State::Open {
        tokio::select! {
            _ = state.changed() => {}
            // What is with the server that was connected to is of no use any more.
            _ = connections.changed() => return Err(NatsError::Conflict),
            few = messages.next_few() => {
                for message in shared.complete(few?).await? {
                    receive(shared, message).await?;
                }
            }
            () = shared.is_missed.notified() => {
                let applied = shared.replica().applied;
                if let Some(first) = shared.first_behind(applied).await? {
                    take(shared, first).await?;
                    return Err(NatsError::Conflict);
                }
            }
            _ = looks.tick() => {
                if shared.followed.weigh() || shared.replica().applied < expected {
                    return Err(NatsError::Conflict);
                }
                expected = shared.ask().await?.state.last_sequence;
            }
        }
    }
    Ok(())
}

/// What came of a message.
struct Taken {
    sequence: u64,
    nonce: Option<u64>,
    applied: Option<Applied>,
}

/// Takes the next message. When some of one subject are deleted, nats-server (2.9) moves consumers that are behind
/// to where that subject goes on, past messages of all others. So where something is missing it is looked for.
async fn receive(shared: &Shared, message: Received) -> Result<(), NatsError> {
    if let Some(left_out) = shared.left_out_before(&message).await? {
        take(shared, left_out).await?;
        return Err(NatsError::Conflict);
    }
    take(shared, message).await
}

/// Applies a message, tells it, and gives its sender the outcome.
async fn take(shared: &Shared, message: Received) -> Result<(), NatsError> {
    // Others may be missing in front of it.
    let has_jumped = message.sequence > shared.replica().applied + 1;
    if has_jumped {
        // What is known of these is there by now. Nothing is applied that could not be told if this fails.
        let settled_at = shared.ask().await?.state.last_sequence;
        shared.replica().settled_at = settled_at.max(message.sequence);
    }
    let Some(taken) = apply(shared, message) else { return Ok(()) };
    let (outcome, mut committed) = match taken.applied {
        Some(applied) => (Some(applied.outcome), applied.committed),
        None => (None, vec![]),
    };
    if has_jumped {
        // Who reads on comes to this place: it is not behind the newest event.
        let newest = Position(shared.replica().index.newest());
        committed.insert(0, Committed::Missed(newest.min(before(taken.sequence))));
    }
    shared.teller.tell(committed).await;
    shared.applied.send_replace(());
    let waiting = taken.nonce.and_then(|nonce| shared.waiting().remove(&nonce));
    if let (Some(waiting), Some(outcome)) = (waiting, outcome) {
        // Nobody may wait any more.
        let _ = waiting.outcome.send(outcome);
    }
    Ok(())
}

/// Applies a message, if it has not been.
fn apply(shared: &Shared, received: Received) -> Option<Taken> {
    let Received { sequence, message, is_followed } = received;
    let mut replica = shared.replica();
    if sequence <= replica.applied {
        return None;
    }
    let Some(message) = message else {
        tracing::warn!(sequence, "there is a message in the stream that is not fanfare's");
        (replica.applied, replica.nonce) = (sequence, None);
        return Some(Taken { sequence, nonce: None, applied: None });
    };
    shared.room.take(message.bytes());
    let nonce = Some(message.head.nonce);
    let is_own = shared.waiting().contains_key(&message.head.nonce);
    let mut applied = replica.apply(&message, &shared.options.retention, is_own);
    // Somebody has deleted it meanwhile.
    if let Some(last) = message.last().filter(|_| is_followed && message.body.is_empty())
        && applied.is_new()
    {
        applied.committed.insert(0, Committed::Skipped(last));
    }
    Some(Taken { sequence, nonce, applied: Some(applied) })
}

impl Shared {
    fn received(
        &self,
        sequence: u64,
        subject: &str,
        headers: Option<&HeaderMap>,
        body: Bytes,
    ) -> Received {
        let message = Incoming::read(&self.subjects, sequence, subject, headers, body);
        Received { sequence, message, is_followed: false }
    }

    /// Gets the bodies that were left out of what somebody follows.
    async fn complete(&self, few: Vec<Received>) -> Result<Vec<Received>, NatsError> {
        let completing = iter(few.into_iter().map(|one| self.complete_one(one)));
        let patience = self.options.patience;
        let completed = timeout(patience, completing.buffered(FEW).try_collect()).await;
        completed.map_err(|_| NatsError::Late(patience))?
    }

    async fn complete_one(&self, mut received: Received) -> Result<Received, NatsError> {
        let Some(message) = &mut received.message else { return Ok(received) };
        received.is_followed = self.followed.judge(message);
        if received.is_followed && message.body.is_empty() && message.last().is_some() {
            let sent = self.waiting().get(&message.head.nonce).map(|own| own.body.clone());
            message.body = match sent {
                Some(body) => body,
                None => self.body(message.sequence).await?.unwrap_or_default(),
            };
        }
        Ok(received)
    }

    /// The next message to be applied, if it was left out in front of this one.
    async fn left_out_before(&self, message: &Received) -> Result<Option<Received>, NatsError> {
        let applied = self.replica().applied;
        if message.sequence <= applied + 1 {
            return Ok(None);
        }
        let first = self.first_behind(applied).await?;
        Ok(first.filter(|first| first.sequence < message.sequence))
    }

    /// The first message behind one.
    async fn first_behind(&self, sequence: u64) -> Result<Option<Received>, NatsError> {
        let next = self.stream.raw_message_builder().sequence(sequence + 1);
        match next.next_by_subject(self.subjects.all()).send().await {
            Ok(found) => {
                let StreamMessage { sequence, subject, headers, payload, .. } = found;
                Ok(Some(self.received(sequence, &subject, Some(&headers), payload)))
            }
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => {
                Ok(None)
            }
            Err(error) => Err(NatsError::Nats(error.into())),
        }
    }

    /// Whether the stream has what was seen of it.
    async fn recognise(&self) -> Result<(), NatsError> {
        let info = self.ask().await?;
        let (applied, nonce) = {
            let replica = self.replica();
            (replica.applied, replica.nonce)
        };
        let Some(nonce) = nonce else { return Ok(()) };
        let found = match self.stream.get_raw_message(applied).await {
            Ok(found) => found,
            // Newer ones have come, and it has been deleted.
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => {
                return Ok(());
            }
            Err(error) => return Err(NatsError::Nats(error.into())),
        };
        let StreamMessage { subject, headers, payload, .. } = found;
        let found = self.received(applied, &subject, Some(&headers), payload).message;
        if found.is_some_and(|found| found.head.nonce == nonce) {
            return Ok(());
        }
        tracing::error!(sequence = applied, "a message in the stream has become another one");
        stream::rename(&self.context, &info, fastrand::u64(..)).await?;
        Err(self.lost(NatsError::Replaced))
    }
}
