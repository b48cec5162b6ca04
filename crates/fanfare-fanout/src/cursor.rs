//! A reader's place in a channel.

#[cfg(feature = "engine")]
use std::task::Waker;
use std::{
    fmt, future, mem,
    sync::Arc,
    task::{Context, Poll},
};

use thiserror::Error;

use crate::{
    LagPolicy, Position, Run,
    channel::{Shared, State},
    sync::MutexGuard,
    waiters::Ticket,
    window::{ReadLimit, Window},
};

/// The place of the next frame that a reader has not been given.
///
/// A cursor takes no memory for frames and holds up nobody. Dropping it is all it takes to stop.
///
/// ```
/// use fanfare_fanout::{Channel, Options, Position, Start};
///
/// let channel = Channel::<()>::new(Options::default());
/// let cursors = [channel.cursor(Start::Latest), channel.cursor(Start::Latest)];
/// channel.append("a".into())?;
///
/// let [one, other] = cursors.map(|mut cursor| cursor.read(1024, Position::END));
/// assert_eq!(one?.unwrap().bytes.as_ptr(), other?.unwrap().bytes.as_ptr()); // encoded once
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Cursor<A: ?Sized = ()> {
    shared: Arc<Shared<A>>,
    place: Place,
    ticket: Option<Ticket>,
}

#[derive(Debug)]
pub(crate) struct Place {
    /// The sequence number of the next frame.
    next: u64,
    /// It lagged where the policy is [`LagPolicy::Close`].
    ended: bool,
    /// What is not newer than this is left out, until there is something newer.
    behind: Option<Position>,
}

/// The reader fell behind what the channel keeps. Its cursor has been moved as the channel's
/// policy says, and reads on from there; with [`LagPolicy::Close`] it is at its end.
///
/// ```
/// use fanfare_fanout::{Bounds, Channel, Options, Position, Start};
///
/// let bounds = Bounds { frames: 1, ..Bounds::default() };
/// let channel = Channel::<()>::new(Options { bounds, ..Options::default() });
/// let mut cursor = channel.cursor(Start::Latest);
/// channel.append_all(["a".into(), "b".into(), "c".into()])?;
///
/// let lagged = cursor.read(1024, Position::END).unwrap_err();
/// assert_eq!((lagged.missed, lagged.until), (2, Position(2)));
/// assert_eq!(cursor.read(1024, Position::END)?.unwrap().bytes, "data: c\n\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the reader fell behind the channel: {missed} events are no longer kept")]
pub struct Lagged {
    /// How many events the reader will not get.
    pub missed: u64,
    /// What the channel does with it.
    pub policy: LagPolicy,
    /// The position of the last event that it will not get.
    pub until: Position,
}

/// What is next for a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The frame at this position.
    Frame(Position),
    /// Frames it has missed.
    Lag,
    /// The end of the channel.
    End,
}

impl<A: ?Sized> Cursor<A> {
    pub(crate) fn new(shared: Arc<Shared<A>>, next: u64) -> Self {
        Self { shared, place: Place { next, ended: false, behind: None }, ticket: None }
    }

    /// The same reader, leaving out what is not newer than `position`.
    pub(crate) fn behind(mut self, position: Position) -> Self {
        self.place.behind = Some(position);
        self
    }

    /// The next run of frames: as many as lie in one piece, at most `max_bytes` long (but one frame
    /// at least); `None` at the end of the channel. Waits while there is nothing.
    ///
    /// Dropping the future loses nothing.
    ///
    /// ```
    /// use fanfare_fanout::{Channel, Options, Start};
    /// # use {fanfare_fanout::Lagged, std::{pin::pin, task::{Context, Poll, Waker}}};
    ///
    /// let channel = Channel::<()>::new(Options::default());
    /// channel.append_all(["a".into(), "b".into()])?;
    /// channel.close();
    /// # let reading = async {
    /// let mut cursor = channel.cursor(Start::Earliest);
    /// let mut written = Vec::new();
    /// while let Some(run) = cursor.next(64 * 1024).await? {
    ///     written.extend(run.bytes); // to a socket, as a rule
    /// }
    /// assert_eq!(written, b"data: a\n\ndata: b\n\n");
    /// # Ok::<(), Lagged>(())
    /// # };
    /// # let context = &mut Context::from_waker(Waker::noop());
    /// # assert_eq!(pin!(reading).poll(context), Poll::Ready(Ok(())));
    /// # Ok::<(), fanfare_fanout::Closed>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Lagged`], once, when frames are missing; call again to read on.
    pub async fn next(&mut self, max_bytes: usize) -> Result<Option<Run<A>>, Lagged> {
        future::poll_fn(|context| self.poll_read(context, max_bytes)).await
    }

    /// As [`next`](Self::next), for hand-written futures. `Pending` has the newest waker woken when
    /// there is more.
    ///
    /// ```
    /// use fanfare_fanout::{Channel, Options, Start};
    /// # use std::task::{Context, Waker};
    /// # let context = &mut Context::from_waker(Waker::noop());
    ///
    /// let channel = Channel::<()>::new(Options::default());
    /// let mut cursor = channel.cursor(Start::Latest);
    /// assert!(cursor.poll_read(context, 1024).is_pending());
    /// channel.append("a".into())?; // wakes the task of `context`
    /// assert!(cursor.poll_read(context, 1024).is_ready());
    /// # Ok::<(), fanfare_fanout::Closed>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        max_bytes: usize,
    ) -> Poll<Result<Option<Run<A>>, Lagged>> {
        let mut state = self.shared.lock();
        let limit = ReadLimit { max_bytes, until: Position::END };
        match self.place.read(&mut state, limit, self.shared.lag_policy) {
            Ok(None) if !self.place.is_at_end(&state) => wait(state, &mut self.ticket, context),
            outcome => Poll::Ready(outcome),
        }
    }

    /// What is next, without taking it: for those who read several channels in one order.
    /// `Pending` has the newest waker woken when there is more.
    ///
    /// ```
    /// use fanfare_fanout::{Channel, Next, Options, Position, Start};
    /// # use std::task::{Context, Poll, Waker};
    /// # let context = &mut Context::from_waker(Waker::noop());
    ///
    /// let channel = Channel::<()>::new(Options::default());
    /// let mut cursor = channel.cursor(Start::Latest);
    /// assert_eq!(cursor.poll_next(context), Poll::Pending);
    /// channel.append("a".into())?;
    /// assert_eq!(cursor.poll_next(context), Poll::Ready(Next::Frame(Position(1))));
    /// assert!(cursor.read(1024, Position(1))?.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let state = self.shared.lock();
        self.place.leave_out(&state.window);
        if self.place.is_at_end(&state) {
            return Poll::Ready(Next::End);
        }
        if self.place.next < state.window.first() {
            return Poll::Ready(Next::Lag);
        }
        match state.window.position(self.place.next) {
            Some(position) => Poll::Ready(Next::Frame(position)),
            None => wait(state, &mut self.ticket, context),
        }
    }

    /// The next run of frames up to the position `until`, without waiting: `None` when there is
    /// none, also at the end of the channel.
    ///
    /// ```
    /// use fanfare_fanout::{Channel, Options, Position, Start};
    ///
    /// let channel = Channel::<()>::new(Options::default());
    /// let mut cursor = channel.cursor(Start::Latest);
    /// channel.append_all(["a".into(), "b".into(), "c".into()])?;
    /// let run = cursor.read(1024, Position(2))?.unwrap();
    /// assert_eq!((run.frames, &run.bytes[..]), (2, &b"data: a\n\ndata: b\n\n"[..]));
    /// assert!(cursor.read(1024, Position(2))?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn read(&mut self, max_bytes: usize, until: Position) -> Result<Option<Run<A>>, Lagged> {
        let mut state = self.shared.lock();
        self.place.read(&mut state, ReadLimit { max_bytes, until }, self.shared.lag_policy)
    }
}

/// What a place in a channel is given.
#[cfg(feature = "engine")]
pub(crate) enum Given<A: ?Sized> {
    Run(Run<A>),
    /// There is nothing yet.
    Nothing,
    /// Frames are missing.
    Lag,
    /// The channel was closed, and everything was read.
    End,
}

/// Places whose waiting somebody else does.
#[cfg(feature = "engine")]
impl<A: ?Sized> crate::Channel<A> {
    /// The place behind `position`; `None` when some of what follows is no longer kept.
    pub(crate) fn place_after(&self, position: Position) -> Option<Place> {
        Some(self.cursor_after(position)?.into_place())
    }

    pub(crate) fn give(&self, place: &mut Place, max_bytes: usize) -> Given<A> {
        let mut state = self.shared().lock();
        let limit = ReadLimit { max_bytes, until: Position::END };
        match place.read(&mut state, limit, LagPolicy::Gap) {
            Ok(Some(run)) => Given::Run(run),
            Ok(None) if place.is_at_end(&state) => Given::End,
            Ok(None) => Given::Nothing,
            Err(_) => Given::Lag,
        }
    }

    /// Has the waker woken when there is more than now; tells the sequence number behind what there is,
    /// or `None` if the channel was closed.
    pub(crate) fn listen(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> Option<u64> {
        let mut state = self.shared().lock();
        let replaced = state.waiters.wait(ticket, waker);
        let end = (!state.closed).then(|| state.window.next());
        drop(state);
        drop(replaced);
        end
    }

    /// Has nobody woken any more.
    pub(crate) fn leave(&self, ticket: &mut Option<Ticket>) {
        let waker = self.shared().lock().waiters.leave(ticket);
        drop(waker);
    }
}

#[cfg(feature = "engine")]
impl<A: ?Sized> Cursor<A> {
    /// Its place. It waits for nothing any more.
    fn into_place(mut self) -> Place {
        let nowhere = Place { next: 0, ended: true, behind: None };
        mem::replace(&mut self.place, nowhere)
    }
}

#[cfg(feature = "engine")]
impl Place {
    /// The sequence number of the next frame, if nothing has to be left out before it.
    pub(crate) fn known(&self) -> Option<u64> {
        self.behind.is_none().then_some(self.next)
    }

    /// Moves on over frames that somebody else has read.
    pub(crate) fn skip(&mut self, frames: u64) {
        self.next += frames;
    }
}

impl Place {
    fn read<A: ?Sized>(
        &mut self,
        state: &mut State<A>,
        limit: ReadLimit,
        policy: LagPolicy,
    ) -> Result<Option<Run<A>>, Lagged> {
        if self.ended {
            return Ok(None);
        }
        self.leave_out(&state.window);
        if self.next < state.window.first() {
            return Err(self.catch_up(&state.window, policy));
        }
        let run = state.window.read(self.next, limit);
        self.next += run.as_ref().map_or(0, |run| run.frames);
        Ok(run)
    }

    /// Moves on over frames that came after the cursor was made, but are not to be read.
    fn leave_out<A: ?Sized>(&mut self, window: &Window<A>) {
        if let Some(position) = self.behind {
            // Were frames behind it trimmed, the cursor lags.
            if window.trimmed() <= position {
                self.next = self.next.max(window.first_after(position));
            }
            self.behind = self.behind.filter(|_| window.newest() <= position);
        }
    }

    /// Moves on from a frame that is gone.
    fn catch_up<A: ?Sized>(&mut self, window: &Window<A>, policy: LagPolicy) -> Lagged {
        let next = match policy {
            LagPolicy::Gap | LagPolicy::Close => window.first(),
            LagPolicy::Latest => (window.next() - 1).max(window.first()),
        };
        self.ended = policy == LagPolicy::Close;
        let missed = next - mem::replace(&mut self.next, next);
        let until = window.position(next - 1).unwrap_or(window.trimmed());
        Lagged { missed, policy, until }
    }

    fn is_at_end<A: ?Sized>(&self, state: &State<A>) -> bool {
        self.ended || (state.closed && self.next >= state.window.next())
    }
}

fn wait<A: ?Sized, T>(
    mut state: MutexGuard<'_, State<A>>,
    ticket: &mut Option<Ticket>,
    context: &Context<'_>,
) -> Poll<T> {
    let replaced = state.waiters.wait(ticket, context.waker());
    drop(state);
    drop(replaced);
    Poll::Pending
}

impl<A: ?Sized> Drop for Cursor<A> {
    fn drop(&mut self) {
        if self.ticket.is_some() {
            let waker = self.shared.lock().waiters.leave(&mut self.ticket);
            drop(waker);
        }
    }
}

impl<A: ?Sized> fmt::Debug for Cursor<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").field("next", &self.place.next).finish_non_exhaustive()
    }
}
