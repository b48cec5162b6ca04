//! From the upstream to the queue.

use std::{convert::Infallible, future::poll_fn, pin::Pin, sync::Arc, task::Poll, time::Duration};

use fanfare_client::{Error, Event, EventSource, Item, Opened};
use fanfare_hub::{Circle, Relay, Via};
use fanfare_wire::ByteString;
use futures_core::Stream;
use thiserror::Error;
use tokio::time::sleep;

use super::{
    PAUSE,
    queue::{Sender, Word},
    upstream::{Unasked, Upstream, explain},
};
use crate::stderr::chain;

/// How long to wait before an upstream is asked again that has refused.
const LONG_PAUSE: Duration = Duration::from_secs(10);
/// The word of a hub to the holder of a token, which is no event of the topic.
const EXPIRED: &str = "expired";

/// Follows the upstream for ever.
pub(super) struct Reader {
    relay: Arc<Relay>,
    upstream: Upstream,
    come: Sender,
    /// The upstream's id of what came last; `None` before the first answer, empty where there are no ids.
    place: Option<ByteString>,
    /// The upstream is a hub.
    is_hub: bool,
    /// Why nothing comes, as it was said last.
    lost: Option<String>,
}

/// Why it is asked anew.
#[derive(Debug, Error)]
enum Refused {
    #[error("{}", explain(_0))]
    Stream(Error),
    #[error("{0}: hubs relay from each other in a circle, leave one relay out")]
    Circle(#[from] Circle),
    #[error("the token has expired")]
    Expired,
    #[error(transparent)]
    Unasked(#[from] Unasked),
}

impl Reader {
    pub(super) fn new(
        relay: Arc<Relay>,
        upstream: Upstream,
        come: Sender,
        place: Option<ByteString>,
    ) -> Self {
        Self { relay, upstream, come, place, is_hub: false, lost: None }
    }

    pub(super) async fn run(mut self) {
        loop {
            let Err(refused) = self.follow().await;
            self.relay.refused();
            self.lose(chain(&refused));
            if let Refused::Stream(Error::UnsendableId { .. }) = refused {
                // Without it a gap is told.
                self.place = Some(ByteString::new());
            }
            // There may be another one.
            let pause = if matches!(refused, Refused::Expired) { PAUSE } else { LONG_PAUSE };
            // Hubs that have asked each other in the same moment do not do so again.
            sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
        }
    }

    /// Follows it until it refuses.
    async fn follow(&mut self) -> Result<Infallible, Refused> {
        self.relay.ask();
        let mut source = self.upstream.source(self.place.as_deref().unwrap_or_default())?;
        loop {
            let item = self.next(&mut source).await;
            let place = self.place_of(&source);
            match item {
                None => self.send(Word::Place, place).await,
                Some(Ok(Item::Opened(opened))) => self.open(&opened, place).await?,
                Some(Ok(Item::Event(event))) if self.is_farewell(&event, &place) => {
                    return Err(Refused::Expired);
                }
                Some(Ok(Item::Event(event))) => self.send(Word::Event(event), place).await,
                Some(Ok(Item::Reconnecting { reason, .. })) => self.lose(explain(&reason)),
                Some(Ok(_)) => {}
                Some(Err(error)) if error.is_final() => return Err(Refused::Stream(error)),
                Some(Err(error)) => {
                    tracing::warn!(topic = %self.relay.topic(), error = chain(&error), "left out");
                    self.send(Word::Gap(Some(1)), place).await;
                }
            }
        }
    }

    /// The next item; `None` if none has come yet, but an id that goes further.
    async fn next(&mut self, source: &mut EventSource) -> Option<Result<Item, Error>> {
        poll_fn(|context| match Pin::new(&mut *source).poll_next(context) {
            Poll::Ready(item) => Poll::Ready(item),
            Poll::Pending if self.is_behind(source) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    fn is_behind(&self, source: &EventSource) -> bool {
        self.place.as_deref().unwrap_or_default() != source.last_event_id()
    }

    fn place_of(&self, source: &EventSource) -> ByteString {
        match &self.place {
            Some(place) if !self.is_behind(source) => place.clone(),
            _ => ByteString::from(source.last_event_id()),
        }
    }

    /// What came before can be told from what comes now only by ids.
    async fn open(&mut self, opened: &Opened, place: ByteString) -> Result<(), Circle> {
        let via = Via::read(&opened.headers);
        self.is_hub = via.is_some();
        self.relay.connected(via.unwrap_or_default())?;
        self.lost = None;
        let (topic, upstream) = (self.relay.topic(), self.upstream.shown());
        tracing::info!(%topic, upstream, behind = &*place, "relaying");
        match &self.place {
            None => self.send(Word::Place, place).await,
            Some(begun) if begun.is_empty() => self.send(Word::Gap(None), place).await,
            Some(_) => {}
        }
        Ok(())
    }

    /// Events of a hub have ids of their own, its last word to the holder of a token has none.
    fn is_farewell(&self, event: &Event, place: &ByteString) -> bool {
        self.is_hub && event.name() == EXPIRED && self.place.as_ref() == Some(place)
    }

    /// Says why nothing comes, once for each reason in a row.
    fn lose(&mut self, why: String) {
        self.relay.ask();
        let (topic, upstream) = (self.relay.topic(), self.upstream.shown());
        if self.lost.as_ref() == Some(&why) {
            tracing::debug!(%topic, upstream, why, "still nothing comes from the upstream");
        } else {
            tracing::warn!(%topic, upstream, why, "nothing comes from the upstream: it is asked again");
            self.lost = Some(why);
        }
    }

    async fn send(&mut self, word: Word, place: ByteString) {
        self.place = Some(place.clone());
        self.come.send(word, place).await;
    }
}
