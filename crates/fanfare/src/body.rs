//! Response bodies: the stream's opening, then what its source has, then keep-alives.

use std::{
    convert::Infallible,
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use fanfare_fanout::Position;
use http_body::{Frame, SizeHint};

use crate::{
    Client,
    feed::{Fed, Feed, MAX_RUN_BYTES},
    keep_alive::{KEEP_ALIVE, KeepAlive},
    sse::Slot,
};

/// Any error, as hyper and axum take it.
#[cfg(feature = "axum")]
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where the bytes of a stream come from.
pub(crate) trait Source {
    type Error;

    /// The next bytes, none of them empty; `None` at the end of the stream.
    fn poll_bytes(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>>;

    /// What is sent after a long silence: it means nothing to a program.
    fn keep_alive(self: Pin<&mut Self>) -> Bytes {
        KEEP_ALIVE
    }
}

pin_project_lite::pin_project! {
    /// The frames of a response body.
    pub(crate) struct Framed<S> {
        #[pin]
        source: S,
        opening: Bytes,
        #[pin]
        keep_alive: KeepAlive,
    }
}

impl<S> Framed<S> {
    /// `opening` goes out at once, so that the response's head is flushed before any event.
    pub(crate) fn new(source: S, opening: Bytes, keep_alive: Option<Duration>) -> Self {
        Self { source, opening, keep_alive: KeepAlive::new(keep_alive) }
    }

    pub(crate) fn with_keep_alive(self, keep_alive: Option<Duration>) -> Self {
        Self { keep_alive: KeepAlive::new(keep_alive), ..self }
    }
}

impl<S: Source> Framed<S> {
    pub(crate) fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, S::Error>>> {
        let mut this = self.project();
        if !this.opening.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(mem::take(this.opening)))));
        }
        if let Poll::Ready(bytes) = this.source.as_mut().poll_bytes(context) {
            this.keep_alive.touch();
            return Poll::Ready(bytes.map(|bytes| bytes.map(Frame::data)));
        }
        ready!(this.keep_alive.as_mut().poll(context));
        Poll::Ready(Some(Ok(Frame::data(this.source.keep_alive()))))
    }
}

pin_project_lite::pin_project! {
    /// The body of the response that carries a client's event stream, or says why there is none.
    ///
    /// hyper, and every server built on it, polls it for frames; each holds as many events as lie in
    /// one piece. Dropping it ends the client.
    #[derive(Debug)]
    pub struct Body {
        #[pin]
        content: Content,
    }
}

pin_project_lite::pin_project! {
    #[project = ContentProjection]
    enum Content {
        Stream { #[pin] frames: Framed<Outlet> },
        Whole { bytes: Bytes },
    }
}

impl Body {
    pub(crate) fn stream(outlet: Outlet, opening: Bytes, keep_alive: Option<Duration>) -> Self {
        Self { content: Content::Stream { frames: Framed::new(outlet, opening, keep_alive) } }
    }

    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self { content: Content::Whole { bytes } }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut this = self.project();
        match this.content.as_mut().project() {
            ContentProjection::Stream { frames } => {
                let frame = ready!(frames.poll_frame(context));
                if frame.is_none() {
                    // The client has ended now, not when the connection does.
                    this.content.set(Content::Whole { bytes: Bytes::new() });
                }
                Poll::Ready(frame)
            }
            ContentProjection::Whole { bytes } => {
                let bytes = mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.content, Content::Whole { bytes } if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Stream { .. } => SizeHint::default(),
            Content::Whole { bytes } => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream { frames } => {
                f.debug_tuple("Stream").field(&frames.source.client).finish()
            }
            Self::Whole { bytes } => f.debug_tuple("Whole").field(bytes).finish(),
        }
    }
}

/// How often a poll asks the channels in vain, because of frames for others, before it lets other
/// tasks run.
const MAX_IN_VAIN: usize = 128;

/// The way of everything for one client: what is sent to it alone, and its channels.
pub(crate) struct Outlet {
    client: Client,
    feed: Feed,
    slot: Slot,
    /// What was sent to the client alone and has been taken out of its outbox.
    sent: Bytes,
    /// The outbox had its turn last, so the feed has the next.
    is_feeds_turn: bool,
    /// Nothing is sent any more; of the channels, what is not newer than this.
    last: Option<Position>,
    /// Whom the outbox wakes.
    waker: Option<Waker>,
}

impl Outlet {
    pub(crate) fn new(client: Client, feed: Feed, slot: Slot) -> Self {
        Self {
            client,
            feed,
            slot,
            sent: Bytes::new(),
            is_feeds_turn: false,
            last: None,
            waker: None,
        }
    }

    /// Takes what was sent to the client alone, and lets it join and leave channels.
    fn take_from_outbox(&mut self, context: &Context<'_>) {
        let is_known = self.waker.as_ref().is_some_and(|known| known.will_wake(context.waker()));
        if is_known && !self.client.outbox().has_news() {
            return;
        }
        self.waker = Some(context.waker().clone());
        let taken = self.client.outbox().take(context);
        for change in taken.changes {
            self.feed.change(change);
        }
        self.sent = taken.bytes;
        self.last = taken.ending.map(|ending| ending.last);
    }

    fn take_sent(&mut self) -> Option<Bytes> {
        let is_empty = self.sent.is_empty();
        self.is_feeds_turn = !is_empty;
        (!is_empty).then(|| mem::take(&mut self.sent))
    }

    /// The next bytes that lie in one piece; `None` at the end of the stream.
    fn poll_run(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        for _ in 0..MAX_IN_VAIN {
            match ready!(self.poll_once(context)) {
                Some(Fed::Bytes(bytes)) => return Poll::Ready(Some(bytes)),
                Some(_) => {}
                None => return Poll::Ready(None),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Makes one piece of many small ones, as the events of several channels are.
    fn gather(&mut self, first: Bytes, context: &mut Context<'_>) -> Bytes {
        if !self.feed.takes_turns() || first.len() >= MAX_RUN_BYTES {
            return first;
        }
        let Poll::Ready(Some(second)) = self.poll_run(context) else { return first };
        let mut gathered = BytesMut::from(&first[..]);
        gathered.extend_from_slice(&second);
        while gathered.len() < MAX_RUN_BYTES
            && let Poll::Ready(Some(next)) = self.poll_run(context)
        {
            gathered.extend_from_slice(&next);
        }
        gathered.freeze()
    }

    /// The next bytes, unless it has to be asked `Again`; `None` at the end of the stream.
    fn poll_once(&mut self, context: &mut Context<'_>) -> Poll<Option<Fed>> {
        // Loaded first: see `Feed::poll`.
        let newest = self.feed.newest();
        if !self.sent.is_empty() {
            return Poll::Ready(self.take_sent().map(Fed::Bytes));
        }
        self.take_from_outbox(context);
        if !self.is_feeds_turn
            && let Some(sent) = self.take_sent()
        {
            return Poll::Ready(Some(Fed::Bytes(sent)));
        }
        self.is_feeds_turn = false;
        let fed = self.feed.poll(context, &self.client, self.last.unwrap_or(newest));
        match (fed, self.last) {
            (Poll::Ready(Fed::End(end)), None) => {
                self.client.end(end, &[]);
                Poll::Ready(Some(Fed::Again))
            }
            (Poll::Ready(fed @ (Fed::Bytes(_) | Fed::Again)), _) => Poll::Ready(Some(fed)),
            _ if !self.sent.is_empty() => Poll::Ready(self.take_sent().map(Fed::Bytes)),
            (_, Some(_)) => Poll::Ready(None),
            (Poll::Ready(_), None) => Poll::Ready(Some(Fed::Again)),
            (Poll::Pending, None) => Poll::Pending,
        }
    }
}

impl Source for Outlet {
    type Error = Infallible;

    fn poll_bytes(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = self.get_mut();
        let first = ready!(this.poll_run(context));
        Poll::Ready(first.map(|first| Ok(this.gather(first, context))))
    }

    fn keep_alive(self: Pin<&mut Self>) -> Bytes {
        self.get_mut().feed.keep_alive()
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.feed.leave_all();
        self.slot.give_back();
        self.client.has_ended();
    }
}
