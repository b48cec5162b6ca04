//! One subscriber's stream over HTTP: it has a place among all, and ends in a shutdown, or with its
//! token.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use fanfare::Sse;
use fanfare_fanout::{Channel, Position};
use futures_core::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    Api,
    closing::{Begun, Closing},
    expiry::{self, Expiry},
    peer::CutOff,
};
use crate::{
    Hub, Subscription,
    limits::Place,
    log::{ReadError, Timestamp},
    metrics::Disconnect,
    subscription,
};

/// What a subscription gives, up to its end or that of the hub.
///
/// When a shutdown begins it says farewell at once, so that the client knows when to come back
/// whatever happens next, and ends at a random moment of its own.
pub(crate) struct Streaming {
    api: Api,
    /// `None` when the stream has ended.
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
}

/// What somebody else is to read.
pub(crate) struct Reading {
    pub(crate) channels: Vec<Channel>,
    pub(crate) after: Position,
    /// The token expires then, or it is to be looked whether it does.
    pub(crate) until: Option<Instant>,
}

/// A stream that somebody else reads, in little memory.
pub(crate) struct Parked {
    subscription: subscription::Parked,
    expiry: Option<Timestamp>,
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
        place: Place,
        cut_off: Option<CutOff>,
        expires: Option<Timestamp>,
    ) -> Self {
        Self {
            api: api.clone(),
            subscription: Some(subscription),
            shutdown: Shutdown::Awaited(None),
            expiry: expires.map(Expiry::new),
            stay: Stay {
                hub: api.hub.clone(),
                sse: api.sse.clone(),
                end: None,
                cut_off,
                _place: place,
            },
        }
    }

    /// The farewell, when a shutdown begins; nothing, when the stream is to end.
    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match &mut self.shutdown {
            Shutdown::Awaited(awaited) => {
                let closing = &self.api.closing;
                let awaited = awaited.get_or_insert_with(|| Awaited::new(closing));
                let begun = ready!(awaited.poll(closing.has_begun(), context));
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

    /// Whether somebody else may read it once there is nothing to be read but what is to come.
    pub(crate) fn may_part(&self) -> bool {
        self.subscription.as_ref().is_some_and(Subscription::may_part)
    }

    /// Whether somebody else may read it now.
    pub(crate) fn is_at_present(&self) -> bool {
        !self.api.closing.has_begun()
            && self.subscription.as_ref().is_some_and(Subscription::is_at_present)
    }

    /// Leaves the reading to somebody else.
    pub(crate) fn park(self) -> Option<(Reading, Parked)> {
        let Self { subscription, expiry, mut stay, .. } = self;
        // That was for hyper's connection, which is no more.
        stay.cut_off = None;
        let (channels, after, subscription) = subscription?.park();
        let now = stay.hub.now();
        let until = expiry.as_ref().map(|expiry| expiry.look(now));
        let expiry = expiry.map(|expiry| expiry.at());
        Some((Reading { channels, after, until }, Parked { subscription, expiry, stay }))
    }

    /// Whether the log is read next.
    pub(crate) fn needs_log(&self) -> bool {
        self.subscription.as_ref().is_some_and(Subscription::needs_log)
    }

    /// Its socket is of no more use.
    pub(crate) fn cut_off(&mut self, why: Disconnect) {
        self.stay.cut_off(why);
    }

    fn end(&mut self, why: Disconnect) {
        self.stay.end = Some(why);
        self.subscription = None;
    }
}

impl Parked {
    /// The stream, behind what it was given meanwhile.
    pub(crate) fn go_on(self, api: &Api, after: Position) -> Streaming {
        let Self { subscription, expiry, stay } = self;
        Streaming {
            api: api.clone(),
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
    fn new(closing: &Closing) -> Self {
        Self { begun: Box::pin(closing.begun()), waker: None }
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
        if this.subscription.is_some()
            && let Poll::Ready(farewell) = this.poll_shutdown(context)
        {
            if farewell.is_none() {
                this.end(Disconnect::Shutdown);
            }
            return Poll::Ready(farewell.map(Ok));
        }
        if this.subscription.is_some()
            && let Poll::Ready(event) = this.poll_expiry(context)
        {
            this.end(Disconnect::Expired);
            return Poll::Ready(Some(Ok(event)));
        }
        let Some(subscription) = &mut this.subscription else { return Poll::Ready(None) };
        let next = ready!(Pin::new(subscription).poll_next(context));
        match next {
            None => this.end(Disconnect::Ended),
            Some(Err(_)) => this.end(Disconnect::Failed),
            Some(Ok(_)) => {}
        }
        Poll::Ready(next)
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
