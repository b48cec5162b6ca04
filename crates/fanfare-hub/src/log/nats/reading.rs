//! Bodies, read from the stream for events of which the replica knows where they are.

use async_nats::jetstream::stream::{DirectGetErrorKind, LastRawMessageErrorKind};
use bytes::Bytes;
use fanfare_fanout::Position;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::timeout;

use super::{
    NatsError, Shared,
    message::{Body, place},
};
use crate::{
    TopicName,
    log::{Page, Read, Record, Timestamp},
};

/// Messages that are asked for at a time.
const AT_ONCE: usize = 64;

/// Events of a message that are wanted.
struct Wanted {
    sequence: u64,
    /// Their places there, and what is known of them.
    events: Vec<(usize, TopicName, Timestamp)>,
}

impl Shared {
    pub(super) async fn read(&self, read: Read) -> Result<Page, NatsError> {
        let (wanted, through) = self
            .inquire(|replica| {
                let (positions, through) = replica.index.page(&read);
                let known = positions.into_iter().filter_map(|position| {
                    let known = replica.index.entry(position)?;
                    Some((position, known.topic.clone(), known.time))
                });
                (by_message(known), through)
            })
            .await?;
        let patience = self.options.patience;
        let reading = stream::iter(wanted.into_iter().map(|wanted| self.records(wanted)));
        let reading = reading.buffered(AT_ONCE).try_concat();
        let records = timeout(patience, reading).await.map_err(|_| NatsError::Late(patience))??;
        Ok(Page { records, through })
    }

    /// What is left of the events of a message.
    async fn records(&self, wanted: Wanted) -> Result<Vec<Record>, NatsError> {
        let sequence = wanted.sequence;
        let Some(body) = self.body(sequence).await? else { return Ok(vec![]) };
        let foreign = || NatsError::Nats("a message in the stream has been changed".into());
        let bodies = Body::read(&body).ok_or_else(foreign)?;
        let mut bodies: Vec<Option<Body>> = bodies.into_iter().map(Some).collect();
        let records = wanted.events.into_iter().map(|(index, topic, time)| {
            let body = bodies.get_mut(index).and_then(Option::take);
            let event = body.and_then(|body| body.event(topic)).ok_or_else(foreign)?;
            Ok(Record {
                position: Position(super::message::position(sequence, index)),
                time,
                event,
            })
        });
        records.collect()
    }

    /// The body of a message; `None` if it was deleted.
    pub(super) async fn body(&self, sequence: u64) -> Result<Option<Bytes>, NatsError> {
        match self.stream.direct_get(sequence).await {
            Ok(found) => return Ok(Some(found.payload)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {}
            Err(error) => return Err(NatsError::Nats(error.into())),
        }
        // Any server of a cluster may have answered, and not have it yet.
        match self.stream.get_raw_message(sequence).await {
            Ok(found) => Ok(Some(found.payload)),
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => {
                Ok(None)
            }
            Err(error) => Err(NatsError::Nats(error.into())),
        }
    }
}

fn by_message(known: impl Iterator<Item = (u64, TopicName, Timestamp)>) -> Vec<Wanted> {
    let mut messages: Vec<Wanted> = vec![];
    for (position, topic, time) in known {
        let (sequence, index) = place(position);
        match messages.last_mut() {
            Some(last) if last.sequence == sequence => last.events.push((index, topic, time)),
            _ => messages.push(Wanted { sequence, events: vec![(index, topic, time)] }),
        }
    }
    messages
}
