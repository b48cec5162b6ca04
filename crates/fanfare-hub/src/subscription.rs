//! One subscriber's way through the log and into the present.
//!
//! A subscription begins behind a position. It reads the log up to where the channels of the present
//! begin, goes on with them, and goes back to the log when it falls behind them. Its place is one
//! position whatever it reads, so nothing is missed and nothing given twice at the seams.

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use fanfare_fanout::{
    Channel, Cursor, Epoch, Frame, Gap, GapReason, Lagged, Position, Run, Turn, engine::Deliveries,
};
use fanfare_wire::encode_id;
use futures_core::Stream;

use crate::{
    Selection, Selector,
    coding::Part,
    event::{self, Representation},
    hub::Clock,
    live::{Following, Live},
    log::{Log, Page, Read, ReadError},
    metrics::{Metrics, Subscriber},
};

/// A page of the log, in events and bytes of data.
const PAGE_EVENTS: usize = 512;
const PAGE_BYTES: usize = 32 * 1024;
/// The longest run that is taken from a channel at a time, in bytes.
const MAX_RUN_BYTES: usize = 64 * 1024;
/// How often a page is read again because events were dropped while it was read.
const PAGE_TRIES: u32 = 3;

/// What is to be followed, and from where.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) selection: Selection,
    pub(crate) representation: Representation,
    /// Behind which position.
    pub(crate) after: Position,
    /// How often events had been dropped when it was last told that something is missing, or when it
    /// began: what was dropped until then is no news.
    pub(crate) drops: u64,
    /// What cannot be given, to be told first.
    pub(crate) gap: Option<Bytes>,
}

/// What is followed, and whether it has an end.
pub(crate) struct Followed {
    following: Following,
    /// All topics have ended, the last of them here: so does the stream.
    pub(crate) end: Option<Position>,
}

/// Who is told of what a subscriber is given.
pub(crate) struct Observer {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) live: Arc<Live>,
    pub(crate) clock: Clock,
}

impl Observer {
    /// Events of the present were handed over.
    pub(crate) fn delivered(&self, deliveries: Deliveries) {
        let Self { metrics, live, clock } = self;
        let Deliveries { count, frames, bytes, newest } = deliveries;
        metrics.delivered(frames, bytes);
        if let Some(published) = live.published(newest) {
            let millis = clock().0.saturating_sub(published.0);
            metrics.delivery_seconds.observe_times(Duration::from_millis(millis), count);
        }
    }
}

/// The wire's bytes for one subscriber; ends when all its topics have.
pub struct Subscription {
    log: Arc<dyn Log>,
    /// Readers of the hub's own topics, which go before all others.
    own: Vec<Cursor>,
    followed: Followed,
    request: Request,
    state: State,
    observer: Arc<Observer>,
    counted: Subscriber,
}

/// A subscription whose channels are read by somebody else.
pub(crate) struct Parked {
    following: Following,
    representation: Representation,
    drops: u64,
    counted: Subscriber,
}

impl Parked {
    /// The subscription, behind what it was given by somebody else.
    pub(crate) fn go_on(
        self,
        log: Arc<dyn Log>,
        after: Position,
        observer: Arc<Observer>,
    ) -> Subscription {
        let Self { following, representation, drops, counted } = self;
        let selection = following.selection();
        let request = Request { selection, representation, after, drops, gap: None };
        let followed = Followed { following, end: None };
        let (own, state) = (vec![], State::Ended);
        let mut subscription =
            Subscription { log, own, followed, request, state, observer, counted };
        subscription.state = subscription.go_on();
        subscription
    }
}

enum State {
    /// The place is told, so that a client can resume that was given no event yet.
    Opening,
    Replaying(Pin<Box<dyn Future<Output = Result<Checked, ReadError>> + Send>>),
    Live(Vec<Cursor>),
    /// It is looked anew what is to be followed.
    Following(Pin<Box<dyn Future<Output = Result<Followed, ReadError>> + Send>>),
    /// There is nothing, or nothing more, to be read but the hub's own topics.
    Own,
    Ended,
}

/// A page, and what is missing before it or in it.
struct Checked {
    page: Page,
    /// How often events had been dropped.
    drops: u64,
    /// Something is missing that was not told yet; what is kept is given from here on.
    gap: Option<Position>,
}

impl Followed {
    /// Follows whatever is selected. What has ended is followed too: it may be erased or forgotten,
    /// and begin anew.
    pub(crate) async fn now(
        log: &dyn Log,
        live: &Live,
        selection: &Selection,
        representation: Representation,
    ) -> Result<Self, ReadError> {
        // Followed first: what ends or is appended from here on is noticed.
        let listening = log.listen(selection).await?;
        let following = live.follow(selection, representation, listening);
        let mut end = Some(Position::START);
        for selector in selection.selectors() {
            let ended = match selector {
                Selector::Topic(name) => log.topic(name).await?.and_then(|topic| topic.ended),
                Selector::Prefix(_) => None,
            };
            end = end.zip(ended).map(|(one, other)| one.max(other));
        }
        Ok(Self { following, end })
    }
}

impl Subscription {
    pub(crate) fn new(
        log: Arc<dyn Log>,
        own: Vec<Cursor>,
        followed: Followed,
        request: Request,
        observer: Arc<Observer>,
    ) -> Self {
        let state = if request.selection.is_empty() { State::Own } else { State::Opening };
        let counted = observer.metrics.subscriber();
        Self { log, own, followed, request, state, observer, counted }
    }

    /// Whether somebody else may read its channels when it has been read up to the present: the hub's
    /// own topics have positions of their own.
    pub(crate) fn may_part(&self) -> bool {
        self.own.is_empty()
    }

    /// Whether somebody else may read it now.
    pub(crate) fn is_at_present(&self) -> bool {
        self.may_part() && matches!(self.state, State::Live(_))
    }

    /// Leaves the reading of its channels to somebody else, behind a position; what is needed to
    /// [go on](Parked::go_on) later is small.
    pub(crate) fn park(self) -> (Vec<Channel>, Position, Parked) {
        let Self { followed: Followed { following, .. }, request, counted, .. } = self;
        let Request { representation, after, drops, .. } = request;
        (following.channels(), after, Parked { following, representation, drops, counted })
    }

    /// Whether the log is read next.
    pub(crate) fn needs_log(&self) -> bool {
        matches!(self.state, State::Replaying(_))
    }

    fn epoch(&self) -> Epoch {
        self.log.epoch()
    }

    /// Goes on with the channels if they have everything from here on, and with the log otherwise.
    fn go_on(&self) -> State {
        if let Some(end) = self.followed.end {
            return if self.request.after < end { self.replay() } else { self.end() };
        }
        match self.followed.following.cursors(self.request.after) {
            Some(cursors) => State::Live(cursors),
            None => self.replay(),
        }
    }

    /// One of the topics has ended or was erased. The others go on, and it may begin anew.
    fn follow_again(&self) -> State {
        let is_over = self.followed.following.is_over();
        if self.request.selection.selectors().len() == 1 || is_over {
            return self.end();
        }
        let (log, live) = (self.log.clone(), self.observer.live.clone());
        let Request { selection, representation, .. } = &self.request;
        let (selection, representation) = (selection.clone(), *representation);
        let following =
            async move { Followed::now(&*log, &live, &selection, representation).await };
        State::Following(Box::pin(following))
    }

    /// Behind the last event of the log's topics.
    fn end(&self) -> State {
        if self.own.is_empty() { State::Ended } else { State::Own }
    }

    fn replay(&self) -> State {
        let read = Read {
            selection: self.request.selection.clone(),
            after: self.request.after,
            until: Position::END,
            max_events: PAGE_EVENTS,
            max_bytes: PAGE_BYTES,
        };
        State::Replaying(Box::pin(read_page(self.log.clone(), read, self.request.drops)))
    }

    fn opening(&mut self) -> Bytes {
        let mut bytes = BytesMut::new();
        match self.request.gap.take() {
            Some(gap) => bytes.extend_from_slice(&gap),
            None => encode_id(&self.epoch().id(self.request.after), &mut bytes),
        }
        bytes.freeze()
    }

    /// The page on the wire, behind a word about what was dropped before it.
    fn encode(&mut self, Checked { page, drops, gap }: Checked) -> Bytes {
        let mut bytes = BytesMut::new();
        if let Some(place) = gap {
            self.observer.metrics.gaps.count(GapReason::Lagged);
            let gap = Gap {
                reason: GapReason::Lagged,
                missed: None,
                requested: None,
                resumed_from: Some(self.epoch().id(place)),
            };
            gap.to_event().encode(&mut bytes);
            self.request.after = place;
            self.request.drops = drops;
        }
        let epoch = self.epoch();
        for record in &page.records {
            let event = event::of_record(record, self.request.representation.format);
            event.with_id(epoch.id(record.position)).encode(&mut bytes);
        }
        self.request.after = page.through.max(self.request.after);
        self.observer.metrics.delivered(page.records.len() as u64, bytes.len() as u64);
        bytes.freeze()
    }

    /// The next run of the channels.
    fn poll_live(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let State::Live(cursors) = &mut self.state else { return Poll::Ready(Next::GoOn) };
        // Loaded first: see `Turn::poll`.
        let newest = self.followed.following.delivered();
        let Poll::Ready(turn) = poll_turn(cursors, newest, context) else {
            self.request.after = newest.max(self.request.after);
            return Poll::Pending;
        };
        let Some(Turn { index, until }) = turn else {
            // It is being delivered at this moment.
            context.waker().wake_by_ref();
            return Poll::Pending;
        };
        match cursors[index].read(MAX_RUN_BYTES, until) {
            Ok(Some(run)) => {
                self.request.after = run.last;
                self.observer.delivered(delivery(&run));
                let Run { bytes, digest, .. } = run;
                Poll::Ready(Next::Part(Part::Coded(Frame { bytes, digest })))
            }
            Ok(None) => Poll::Ready(Next::End),
            Err(Lagged { .. }) => {
                self.observer.metrics.lags.inc();
                Poll::Ready(Next::GoOn)
            }
        }
    }

    /// The next run of the hub's own topics.
    fn poll_own(&mut self, context: &mut Context<'_>) -> Option<Bytes> {
        let mut index = 0;
        while let Some(cursor) = self.own.get_mut(index) {
            match cursor.poll_read(context, MAX_RUN_BYTES) {
                Poll::Ready(Ok(Some(run))) => {
                    self.observer.metrics.delivered(run.frames, run.bytes.len() as u64);
                    return Some(run.bytes);
                }
                Poll::Ready(Ok(None)) => drop(self.own.remove(index)),
                // It has been moved to what is kept.
                Poll::Ready(Err(Lagged { .. })) => {}
                Poll::Pending => index += 1,
            }
        }
        None
    }
}

/// A single channel needs no order among several.
fn poll_turn(
    cursors: &mut [Cursor],
    newest: Position,
    context: &mut Context<'_>,
) -> Poll<Option<Turn>> {
    match cursors {
        [only] => {
            ready!(only.poll_next(context));
            Poll::Ready(Some(Turn { index: 0, until: Position::END }))
        }
        several => Turn::poll(several.iter_mut(), newest, context),
    }
}

fn delivery(run: &Run) -> Deliveries {
    let Run { bytes, frames, last, .. } = run;
    Deliveries { count: 1, frames: *frames, bytes: bytes.len() as u64, newest: *last }
}

enum Next {
    Part(Part),
    GoOn,
    End,
}

/// A page behind whatever is missing. The subscriber has been told of all drops up to `told`.
async fn read_page(log: Arc<dyn Log>, read: Read, told: u64) -> Result<Checked, ReadError> {
    let Read { selection, after: place, .. } = &read;
    let mut drops = log.drops(selection, *place).await?;
    let mut tries = 1;
    loop {
        let after =
            if drops > told { before_kept(&*log, selection, *place).await? } else { *place };
        let page = log.read(Read { after, ..read.clone() }).await?;
        let before = mem::replace(&mut drops, log.drops(selection, *place).await?);
        if before == drops || tries == PAGE_TRIES {
            let gap = (drops > told).then_some(after);
            return Ok(Checked { page, drops, gap });
        }
        tries += 1;
    }
}

/// Where to go on if something behind a place is missing: before the oldest event behind it that is
/// kept, or behind the newest that was dropped, whichever comes first.
///
/// Of several topics, one may have kept what is older than all that another one has. So that is given,
/// and with nothing left to give, whoever comes back from there is not told of the same again.
pub(crate) async fn before_kept(
    log: &dyn Log,
    selection: &Selection,
    place: Position,
) -> Result<Position, ReadError> {
    let kept_after = log.kept_after(selection).await?.max(place);
    let before_all = log.before_last(selection, u64::MAX).await?.max(place);
    // Of one topic, always.
    if before_all >= kept_after {
        return Ok(kept_after);
    }
    let (selection, after, until) = (selection.clone(), before_all, kept_after);
    let page = log.read(Read { selection, after, until, max_events: 1, max_bytes: 0 }).await?;
    let first = page.records.first().map(|record| Position(record.position.0 - 1));
    Ok(first.unwrap_or(page.through))
}

impl Subscription {
    /// The next part of the stream.
    pub(crate) fn poll_part(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Part, ReadError>>> {
        if let Some(bytes) = self.poll_own(context) {
            return Poll::Ready(Some(Ok(Part::Text(bytes))));
        }
        loop {
            match &mut self.state {
                State::Opening => {
                    self.state = self.go_on();
                    return Poll::Ready(Some(Ok(Part::Text(self.opening()))));
                }
                State::Replaying(page) => {
                    let bytes = match ready!(page.as_mut().poll(context)) {
                        Ok(page) => self.encode(page),
                        Err(error) => {
                            self.state = State::Ended;
                            return Poll::Ready(Some(Err(error)));
                        }
                    };
                    self.state = self.go_on();
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(Ok(Part::Text(bytes))));
                    }
                }
                State::Live(_) => match ready!(self.poll_live(context)) {
                    Next::Part(part) => return Poll::Ready(Some(Ok(part))),
                    Next::GoOn => self.state = self.go_on(),
                    Next::End => self.state = self.follow_again(),
                },
                State::Following(following) => match ready!(following.as_mut().poll(context)) {
                    Ok(followed) => {
                        self.followed = followed;
                        self.state = self.go_on();
                    }
                    Err(error) => {
                        self.state = State::Ended;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
                State::Own if self.own.is_empty() => self.state = State::Ended,
                State::Own => return Poll::Pending,
                State::Ended => return Poll::Ready(None),
            }
        }
    }
}

/// As the events are: [`Hub::subscribe`](crate::Hub::subscribe) gives no other.
impl Stream for Subscription {
    type Item = Result<Bytes, ReadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let part = ready!(self.get_mut().poll_part(context));
        Poll::Ready(part.map(|part| part.map(Part::into_bytes)))
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("request", &self.request).finish_non_exhaustive()
    }
}
