//! One subscriber's stream over HTTP: it has a place among all and a coding, and ends in a shutdown, or
//! with its token.

use std::{
    mem,
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use fanfare::Sse;
use fanfare_fanout::{Channel, Digest, Frame, Position};
use futures_core::Stream;
use futures_util::future::{Either, select};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    Api,
    closing::Begun,
    expiry::{self, Expiry},
    peer::CutOff,
};
use crate::{
    Coding, Hub, Subscription,
    coding::{Encoder, Part},
    limits::Place,
    log::{ReadError, Timestamp},
    metrics::Disconnect,
    subscription,
    via::Follower,
};

/// What breaks a silence.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// What a subscription gives, up to its end or that of the hub, in the stream's coding.
///
/// When a shutdown begins it says farewell at once, so that the client knows when to come back
/// whatever happens next, and ends at a random moment of its own.
pub(crate) struct Streaming {
    api: Api,
    encoder: Encoder,
    /// What is to be coded next.
    part: Option<Part>,
    /// It has had its turn: others come first.
    rests: bool,
    /// `None` when nothing more will come.
    subscription: Option<Subscription>,
    shutdown: Shutdown,
    /// When it ends because its token does.
    expiry: Option<Expiry>,
    stay: Stay,
}

/// A place among all streams, and the account of its end.
struct Stay {
    hub: Hub,
    sse: Sse,
    /// Why it has ended.
    end: Option<Disconnect>,
    cut_off: Option<CutOff>,
    _place: Place,
    /// The hub that follows it, if one does.
    follower: Option<Follower>,
}

/// What somebody else is to read.
pub(crate) struct Reading {
    pub(crate) channels: Vec<Channel>,
    pub(crate) after: Position,
    /// Of what the stream had so far.
    pub(crate) digest: Digest,
    /// The token expires then, or it is to be looked whether it does.
    pub(crate) until: Option<Instant>,
}

/// A stream that somebody else reads, in little memory.
pub(crate) struct Parked {
    subscription: subscription::Parked,
    expiry: Option<Timestamp>,
    encoder: Encoder,
    stay: Stay,
}

enum Shutdown {
    Awaited(Option<Awaited>),
    /// The farewell has been said.
    Begun(Pin<Box<Sleep>>),
}

/// Waits for the shutdown; a look at it is cheap while it has not begun.
struct Awaited {
    begun: Pin<Box<dyn Future<Output = Begun> + Send>>,
    /// Who is woken when it begins.
    waker: Option<Waker>,
}

impl Streaming {
    pub(super) fn new(
        api: &Api,
        subscription: Subscription,
        coding: Coding,
        place: Place,
        cut_off: Option<CutOff>,
        expires: Option<Timestamp>,
        follower: Option<Follower>,
    ) -> Self {
        Self {
            api: api.clone(),
            encoder: Encoder::new(coding),
            part: Some(Part::Text(api.opening())),
            rests: false,
            subscription: Some(subscription),
            shutdown: Shutdown::Awaited(None),
            expiry: expires.map(Expiry::new),
            stay: Stay {
                hub: api.hub.clone(),
                sse: api.sse.clone(),
                end: None,
                cut_off,
                _place: place,
                follower,
            },
        }
    }

    /// The farewell, when a shutdown begins; nothing, when the stream is to end.
    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match &mut self.shutdown {
            Shutdown::Awaited(awaited) => {
                let api = &self.api;
                let awaited = awaited.get_or_insert_with(|| Awaited::new(api));
                let begun = ready!(awaited.poll(api.has_begun_shutdown(), context));
                self.shutdown = Shutdown::Begun(Box::pin(sleep_until(begun.moment())));
                Poll::Ready(Some(self.api.farewell()))
            }
            Shutdown::Begun(moment) => moment.as_mut().poll(context).map(|()| None),
        }
    }

    /// The last event of a stream whose token has expired.
    fn poll_expiry(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        let Some(expiry) = &mut self.expiry else { return Poll::Pending };
        expiry.poll(&self.api.hub, context).map(|()| expiry::event())
    }

    /// Ready when the hub that follows it has to ask again.
    fn poll_misled(&self, context: &mut Context<'_>) -> Poll<()> {
        let Some(follower) = &self.stay.follower else { return Poll::Pending };
        follower.poll_misled(self.api.hub.via(), context)
    }

    /// Whether somebody else may read it once there is nothing to be read but what is to come. Nobody else looks
    /// whether a hub has to ask again.
    pub(crate) fn may_part(&self) -> bool {
        self.stay.follower.is_none()
            && self.subscription.as_ref().is_some_and(Subscription::may_part)
    }

    /// Whether somebody else may read it now.
    pub(crate) fn is_at_present(&self) -> bool {
        !self.api.has_begun_shutdown()
            && self.part.is_none()
            && self.subscription.as_ref().is_some_and(Subscription::is_at_present)
    }

    /// Leaves the reading to somebody else.
    pub(crate) fn park(self) -> Option<(Reading, Parked)> {
        let Self { subscription, expiry, encoder, mut stay, .. } = self;
        // That was for hyper's connection, which is no more.
        stay.cut_off = None;
        let (channels, after, subscription) = subscription?.park();
        let now = stay.hub.now();
        let until = expiry.as_ref().map(|expiry| expiry.look(now));
        let expiry = expiry.map(|expiry| expiry.at());
        let reading = Reading { channels, after, digest: encoder.digest(), until };
        Some((reading, Parked { subscription, expiry, encoder, stay }))
    }

    /// Whether the log is read next.
    pub(crate) fn needs_log(&self) -> bool {
        self.part.is_none() && self.subscription.as_ref().is_some_and(Subscription::needs_log)
    }

    /// What the stream begins with.
    pub(crate) fn opening(&mut self) -> Option<Bytes> {
        self.encoder.encode(&mut self.part)
    }

    /// What breaks a silence of it.
    pub(crate) fn comment(&mut self) -> Bytes {
        self.encoder.encode(&mut Some(Part::Text(COMMENT))).unwrap_or_default()
    }

    /// Its socket is of no more use.
    pub(crate) fn cut_off(&mut self, why: Disconnect) {
        self.stay.cut_off(why);
    }

    /// The next part; `None` at the end.
    fn poll_part(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Part, ReadError>>> {
        if let Poll::Ready(farewell) = self.poll_shutdown(context) {
            if farewell.is_none() {
                self.end(Disconnect::Shutdown);
            }
            return Poll::Ready(farewell.map(|farewell| Ok(Part::Text(farewell))));
        }
        if let Poll::Ready(event) = self.poll_expiry(context) {
            self.end(Disconnect::Expired);
            return Poll::Ready(Some(Ok(Part::Text(event))));
        }
        let Some(subscription) = &mut self.subscription else { return Poll::Ready(None) };
        let next = subscription.poll_part(context);
        // Behind that, so that nothing is given that has come another way than was told.
        if self.poll_misled(context).is_ready() {
            self.end(Disconnect::Ended);
            return Poll::Ready(None);
        }
        let next = ready!(next);
        match next {
            None => self.end(Disconnect::Ended),
            Some(Err(_)) => self.end(Disconnect::Failed),
            Some(Ok(_)) => {}
        }
        Poll::Ready(next)
    }

    fn end(&mut self, why: Disconnect) {
        self.stay.end = Some(why);
        self.subscription = None;
    }
}

impl Parked {
    /// What breaks a silence of it.
    pub(crate) fn comment(&self) -> Frame {
        self.encoder.coding().block(COMMENT)
    }

    /// The stream, behind what it was given meanwhile.
    pub(crate) fn go_on(self, api: &Api, after: Position, digest: Digest) -> Streaming {
        let Self { subscription, expiry, mut encoder, stay } = self;
        encoder.go_on(digest);
        Streaming {
            api: api.clone(),
            encoder,
            part: None,
            rests: false,
            subscription: Some(api.hub.go_on(subscription, after)),
            shutdown: Shutdown::Awaited(None),
            expiry: expiry.map(Expiry::new),
            stay,
        }
    }

    /// Its socket is of no more use.
    pub(crate) fn cut_off(&mut self, why: Disconnect) {
        self.stay.cut_off(why);
    }
}

impl Stay {
    fn cut_off(&mut self, why: Disconnect) {
        self.end = self.end.or(Some(why));
    }
}

impl Awaited {
    fn new(api: &Api) -> Self {
        let (closing, all_at_once) = (api.closing.begun(), api.sse.shutdown_begun());
        let begun = async move {
            match select(pin!(closing), pin!(all_at_once)).await {
                Either::Left((begun, _)) => begun,
                Either::Right(_) => Begun::all_at_once(),
            }
        };
        Self { begun: Box::pin(begun), waker: None }
    }

    fn poll(&mut self, has_begun: bool, context: &mut Context<'_>) -> Poll<Begun> {
        let is_known = self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        if is_known && !has_begun {
            return Poll::Pending;
        }
        self.waker = Some(context.waker().clone());
        self.begun.as_mut().poll(context)
    }
}

impl Stream for Streaming {
    type Item = Result<Bytes, ReadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if mem::take(&mut this.rests) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if let Some(bytes) = this.encoder.encode(&mut this.part) {
                this.rests = this.part.is_some();
                return Poll::Ready(Some(Ok(bytes)));
            }
            if this.subscription.is_none() {
                let tail = this.encoder.end();
                return Poll::Ready((!tail.is_empty()).then_some(Ok(tail)));
            }
            match ready!(this.poll_part(context)) {
                Some(Ok(part)) => this.part = Some(part),
                Some(Err(error)) => {
                    this.encoder.fail();
                    return Poll::Ready(Some(Err(error)));
                }
                None => {}
            }
        }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let cut_off = self.cut_off.as_ref().and_then(CutOff::reason);
        let is_shutdown = self.sse.has_begun_shutdown();
        let dropped = if is_shutdown { Disconnect::Shutdown } else { Disconnect::Left };
        let why = self.end.or(cut_off).unwrap_or(dropped);
        self.hub.metrics().disconnects.count(why);
    }
}
