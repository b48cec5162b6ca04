//! What is on its way to one client only: a bounded queue of bytes between those who send and the
//! body that writes.

use std::{
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Waker},
};

use bytes::{Bytes, BytesMut};
use fanfare_fanout::Position;
use fanfare_wire::Event;
use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError};

use crate::{
    Channel, JoinError,
    feed::{Change, Joined},
    memberships::{Memberships, Past},
};

/// The client's stream or the channel has ended, or is about to: nothing more can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("nothing more can be sent: it has been closed")]
pub struct Closed;

/// Why [`Client::try_send`](crate::Client::try_send) did not take an event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TrySendError {
    /// The client reads more slowly than it is sent to. The event comes back.
    #[error("there is no room for the event: the client reads too slowly")]
    Full(Event),
    /// As [`Closed`].
    #[error("the event stream is closed")]
    Closed,
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client went away, or the connection broke.
    Peer,
    /// This side closed it.
    Closed,
    /// It fell behind a channel whose policy is to close.
    Lagged,
    /// The server is shutting down.
    Shutdown,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    capacity_bytes: u32,
    /// One permit a byte.
    room: Semaphore,
    /// The state has changed since the body took from it. Saves the body the lock most times.
    has_news: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes: BytesMut,
    taken_permits: usize,
    memberships: Memberships,
    ending: Option<Ending>,
    waker: Option<Waker>,
}

/// Nothing more is sent to the client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    pub(crate) end: End,
    /// Of its channels it gets what is not newer than this.
    pub(crate) last: Position,
}

/// What the body finds.
pub(crate) struct Taken {
    pub(crate) bytes: Bytes,
    pub(crate) changes: Vec<Change>,
    pub(crate) ending: Option<Ending>,
}

impl Outbox {
    pub(crate) fn new(capacity_bytes: u32) -> Self {
        Self {
            capacity_bytes,
            room: Semaphore::new(capacity_bytes as usize),
            has_news: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// Waits for room, in the order of the calls.
    pub(crate) async fn send(&self, event: &Event) -> Result<(), Closed> {
        let room = self.wait_for_room(event.encoded_len()).await?;
        self.put(room, |bytes| event.encode(bytes))
    }

    /// As [`send`](Self::send), for what is on the wire no event.
    pub(crate) async fn send_bytes(&self, wire: &[u8]) -> Result<(), Closed> {
        let room = self.wait_for_room(wire.len()).await?;
        self.put(room, |bytes| bytes.extend_from_slice(wire))
    }

    pub(crate) fn try_send(&self, event: Event) -> Result<(), TrySendError> {
        match self.room.try_acquire_many(self.permits(event.encoded_len())) {
            Ok(room) => {
                self.put(room, |bytes| event.encode(bytes)).map_err(|Closed| TrySendError::Closed)
            }
            Err(TryAcquireError::NoPermits) => Err(TrySendError::Full(event)),
            Err(TryAcquireError::Closed) => Err(TrySendError::Closed),
        }
    }

    async fn wait_for_room(&self, length: usize) -> Result<SemaphorePermit<'_>, Closed> {
        self.room.acquire_many(self.permits(length)).await.map_err(|_| Closed)
    }

    /// What is larger than the whole queue takes all of it.
    fn permits(&self, length: usize) -> u32 {
        u32::try_from(length).unwrap_or(u32::MAX).min(self.capacity_bytes)
    }

    fn put(
        &self,
        room: SemaphorePermit<'_>,
        write: impl FnOnce(&mut BytesMut),
    ) -> Result<(), Closed> {
        let permits = room.num_permits();
        self.change(|state| {
            state.taken_permits += permits;
            write(&mut state.bytes);
        })?;
        room.forget();
        Ok(())
    }

    /// Has the body read channels, unless it does. `join` is called under the lock, so that the
    /// body, when it finds no change, knows that who joins later starts later.
    pub(crate) fn join(
        &self,
        channels: &[&Channel],
        join: impl Fn(&Channel, Past) -> Joined,
    ) -> Result<(), JoinError> {
        self.change(|state| state.memberships.join(channels, join))?
    }

    /// Has the body read a channel no more. A client whose stream ends has no need of it.
    pub(crate) fn leave(&self, channel: &Channel) {
        let _ = self.change(|state| state.memberships.leave(channel));
    }

    /// For the body: it has come to the end of a channel.
    pub(crate) fn end_membership(&self, channel: &Channel) {
        let member = self.lock().memberships.end(channel);
        drop(member);
    }

    /// Has the body end the stream behind what has been sent and broadcast, and behind `farewell`.
    pub(crate) fn end(&self, ending: Ending, farewell: &[u8]) -> Result<(), Closed> {
        self.change(|state| {
            state.bytes.extend_from_slice(farewell);
            state.ending = Some(ending);
        })?;
        self.room.close();
        Ok(())
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.lock().ending.is_some()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, Closed> {
        let mut state = self.lock();
        if state.ending.is_some() {
            return Err(Closed);
        }
        let outcome = change(&mut state);
        self.has_news.store(true, Ordering::Release);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(outcome)
    }

    /// For the body: whether there is anything to take. When there comes to be, the waker of the
    /// last [`take`](Self::take) is woken.
    pub(crate) fn has_news(&self) -> bool {
        self.has_news.load(Ordering::Acquire)
    }

    /// For the body: takes everything, and has it woken when there is more.
    pub(crate) fn take(&self, context: &Context<'_>) -> Taken {
        let mut state = self.lock();
        self.has_news.store(false, Ordering::Relaxed);
        let replaced = state.waker.replace(context.waker().clone());
        // An idle client keeps no buffer.
        let bytes = mem::take(&mut state.bytes).freeze();
        let changes = state.memberships.take_changes();
        let permits = mem::take(&mut state.taken_permits);
        let ending = state.ending;
        drop(state);
        // It may be the last owner of a task.
        drop(replaced);
        if permits > 0 {
            self.room.add_permits(permits);
        }
        Taken { bytes, changes, ending }
    }

    /// For the body that is no longer there: nothing can be sent from now on. Tells why it ended.
    pub(crate) fn abandon(&self) -> End {
        let mut state = self.lock();
        let last = Position::START;
        let ending = *state.ending.get_or_insert(Ending { end: End::Peer, last });
        let left = mem::replace(&mut *state, State { ending: Some(ending), ..State::default() });
        drop(state);
        drop(left);
        self.room.close();
        ending.end
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
