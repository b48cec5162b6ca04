//! A reader's place in a channel.

use std::{
    fmt, future, mem,
    sync::Arc,
    task::{Context, Poll},
};

use thiserror::Error;

use crate::{
    Channel, LagPolicy, Position, Run,
    channel::{Shared, State},
    sync::MutexGuard,
    waiters::Ticket,
    window::{ReadLimit, Window},
};

/// The position of the next frame that a reader has not been given.
///
/// A cursor takes no memory for frames and holds up nobody. Dropping it is all it takes to stop.
pub struct Cursor<A: ?Sized = ()> {
    shared: Arc<Shared<A>>,
    place: Place,
    ticket: Option<Ticket>,
}

#[derive(Debug)]
struct Place {
    /// The sequence number of the next frame.
    next: u64,
    /// It lagged where the policy is [`LagPolicy::Close`].
    ended: bool,
}

/// The reader fell behind what the channel keeps. Its cursor has been moved as the channel's
/// policy says, and reads on from there.
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
        Self { shared, place: Place { next, ended: false }, ticket: None }
    }

    /// The next run of frames, as long as it is there and at most `max_bytes` (but one frame at
    /// least); `None` at the end of the channel. Waits while there is nothing.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`Lagged`], once, when frames are missing; call again to read on.
    pub async fn next(&mut self, max_bytes: usize) -> Result<Option<Run<A>>, Lagged> {
        future::poll_fn(|context| self.poll_read(context, max_bytes)).await
    }

    /// The same for hand-written futures. `Pending` has the newest waker woken when there is more.
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
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let state = self.shared.lock();
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
    /// none.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn read(&mut self, max_bytes: usize, until: Position) -> Result<Option<Run<A>>, Lagged> {
        let mut state = self.shared.lock();
        self.place.read(&mut state, ReadLimit { max_bytes, until }, self.shared.lag_policy)
    }

    /// Whether both read the same channel.
    pub fn is_of(&self, channel: &Channel<A>) -> bool {
        channel.is_at(&self.shared)
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
        if self.next < state.window.first() {
            return Err(self.catch_up(&state.window, policy));
        }
        let run = state.window.read(self.next, limit);
        self.next += run.as_ref().map_or(0, |run| run.frames);
        Ok(run)
    }

    /// Moves on from a frame that is gone.
    fn catch_up<A: ?Sized>(&mut self, window: &Window<A>, policy: LagPolicy) -> Lagged {
        let next = match policy {
            LagPolicy::Gap | LagPolicy::Close => window.first(),
            LagPolicy::Latest => window.next() - 1,
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
