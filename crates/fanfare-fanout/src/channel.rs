//! A log of wire-ready frames that any number of readers follow.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use fanfare_wire::Event;
use thiserror::Error;

use crate::{
    Cursor, Epoch, Position, Positions,
    sync::{self, Mutex, MutexGuard},
    waiters::Waiters,
    window::Window,
};

/// How much of the newest a channel keeps in memory, for live readers and for those who resume.
///
/// The newest frame is kept whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Frames at most; 0 counts as 1. 16,384 by default.
    pub frames: usize,
    /// Bytes on the wire; 4 MiB by default. Memory may exceed it by a quarter (at most 64 KiB) and
    /// the newest frame, and by about 16 bytes a frame that say where it is.
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { frames: 16_384, bytes: 4 * 1024 * 1024 }
    }
}

/// What becomes of a reader that asks for a frame which is no longer kept, because it was slow or
/// resumes late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LagPolicy {
    /// It goes on with the oldest kept frame, and its subscriber is told by a `gap` event.
    #[default]
    Gap,
    /// It skips to the newest frame, untold: for values of which only the last matters.
    Latest,
    /// Its stream ends.
    Close,
}

/// How a [`Channel`] is set up.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What is kept.
    pub bounds: Bounds,
    /// What becomes of readers that fall behind it.
    pub lag_policy: LagPolicy,
    /// Where positions come from. Channels that one stream may follow together must share it.
    pub positions: Positions,
    /// Stamps each event that has no id of its own with `<epoch>-<position>`, so that its reader
    /// can resume; without it, events go out as they are.
    pub epoch: Option<Epoch>,
}

/// A log of wire-ready frames. Clones are the same channel.
///
/// An event is encoded once, when it is appended; from then on a delivery is a slice of the log.
/// No call waits for a reader: what a reader costs is a number, and one that falls behind the
/// bounds is told ([`Lagged`](crate::Lagged)). Appending and reading are safe from many threads.
///
/// `A` is the audience of events that are not for everybody; see [`append_for`](Self::append_for).
/// Dropping all handles ends nothing: cursors keep the channel, and wait until it is
/// [closed](Self::close).
///
/// ```
/// use fanfare_fanout::{Channel, Options, Start};
/// # let waker = std::task::Waker::noop();
/// # let mut context = std::task::Context::from_waker(waker);
/// # let context = &mut context;
///
/// let channel = Channel::<()>::new(Options::default());
/// let mut cursor = channel.cursor(Start::Latest);
/// channel.append("a".into())?;
/// channel.append("b".into())?;
///
/// let run = std::pin::pin!(cursor.next(1024)).poll(context);
/// assert!(matches!(run, std::task::Poll::Ready(Ok(Some(run))) if run.bytes == "data: a\n\ndata: b\n\n"));
/// # Ok::<(), fanfare_fanout::Closed>(())
/// ```
pub struct Channel<A: ?Sized = ()> {
    shared: Arc<Shared<A>>,
}

/// The channel has been closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the channel has been closed")]
pub struct Closed;

/// Where a cursor starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Behind the newest frame: only what comes from now on.
    Latest,
    /// At the oldest kept frame.
    Earliest,
    /// At the newest frames of this number, or as many as are kept.
    Last(usize),
}

/// Where a reader that resumes goes on.
#[derive(Debug)]
pub struct Resumed<A: ?Sized = ()> {
    /// Reads what follows.
    pub cursor: Cursor<A>,
    /// What is missing, if anything.
    pub missing: Option<Missing>,
    /// The position behind which the cursor starts.
    pub after: Position,
}

/// Why a resumed stream cannot start right behind the id that was asked for. Its cursor then
/// starts at the oldest kept frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Frames behind that id are no longer kept.
    Expired,
    /// The id belongs to another log, or is none that this channel ever gave out or still keeps.
    Unknown,
}

/// Frames that lie one behind the other, ready to be written.
#[derive(Debug)]
pub struct Run<A: ?Sized = ()> {
    /// The frames' bytes.
    pub bytes: Bytes,
    /// How many frames they are.
    pub frames: u64,
    /// For whom they are; `None`: for everybody. Such a run is one frame.
    pub audience: Option<Arc<A>>,
}

pub(crate) struct Shared<A: ?Sized> {
    positions: Positions,
    epoch: Option<Epoch>,
    pub(crate) lag_policy: LagPolicy,
    state: Mutex<State<A>>,
}

pub(crate) struct State<A: ?Sized> {
    pub(crate) window: Window<A>,
    pub(crate) waiters: Waiters,
    pub(crate) closed: bool,
}

impl<A: ?Sized> Channel<A> {
    /// An empty channel.
    pub fn new(options: Options) -> Self {
        let Options { mut bounds, lag_policy, positions, epoch } = options;
        bounds.frames = bounds.frames.max(1);
        let window = Window::new(bounds);
        let state = Mutex::new(State { window, waiters: Waiters::default(), closed: false });
        Self { shared: Arc::new(Shared { positions, epoch, lag_policy, state }) }
    }

    /// Appends an event, wakes whoever waits for it, and tells its position.
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`close`](Self::close).
    pub fn append(&self, event: Event) -> Result<Position, Closed> {
        self.append_frame(event, None)
    }

    /// Appends an event that is not for everybody. A reader gets it as a run of its own, with the
    /// audience beside it, and leaves it out if its subscriber is not meant.
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`close`](Self::close).
    pub fn append_for(&self, event: Event, audience: Arc<A>) -> Result<Position, Closed> {
        self.append_frame(event, Some(audience))
    }

    /// Appends events one behind the other and wakes each waiting reader once for all of them.
    /// Tells the position of the last, if there is any.
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`close`](Self::close).
    pub fn append_all(
        &self,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<Option<Position>, Closed> {
        // The caller's iterator may do anything: it runs before the lock is taken.
        let events: Vec<Event> = events.into_iter().collect();
        let mut state = self.shared.open()?;
        let positions = events.into_iter().map(|event| self.shared.push(&mut state, event, None));
        let last = positions.last();
        if last.is_some() {
            release(state);
        }
        Ok(last)
    }

    fn append_frame(&self, event: Event, audience: Option<Arc<A>>) -> Result<Position, Closed> {
        let mut state = self.shared.open()?;
        let position = self.shared.push(&mut state, event, audience);
        release(state);
        Ok(position)
    }

    /// Ends the channel: readers get what is left, then the end. Appending is an error from now on.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        release(state);
    }

    /// A reader that starts at `start`.
    pub fn cursor(&self, start: Start) -> Cursor<A> {
        let state = self.shared.lock();
        let (oldest, next) = (state.window.first(), state.window.next());
        drop(state);
        let sequence = match start {
            Start::Latest => next,
            Start::Earliest => oldest,
            Start::Last(count) => next.saturating_sub(count as u64).max(oldest),
        };
        Cursor::new(self.shared.clone(), sequence)
    }

    /// A reader that goes on behind the event with the id `last_event_id`: one that this channel
    /// stamped, or one that an event brought along and that is still kept.
    ///
    /// Where frames are missing, [`LagPolicy::Gap`] has it tell and start at the oldest kept frame;
    /// the cursor of the other policies is one that lags.
    pub fn resume(&self, last_event_id: &str) -> Resumed<A> {
        let state = self.shared.lock();
        let place = self.shared.find(&state.window, last_event_id);
        let (oldest, trimmed) = (state.window.first(), state.window.trimmed());
        drop(state);
        let (next, after, missing) = match (place, self.shared.lag_policy) {
            (Ok((next, after)), _) => (next, after, None),
            (Err(Missing::Expired), LagPolicy::Latest | LagPolicy::Close) => {
                (oldest - 1, trimmed, None)
            }
            (Err(missing), _) => (oldest, trimmed, Some(missing)),
        };
        Resumed { cursor: Cursor::new(self.shared.clone(), next), missing, after }
    }

    /// The id of the position `position`, if this channel stamps events.
    pub fn id(&self, position: Position) -> Option<fanfare_wire::EventId> {
        self.shared.epoch.map(|epoch| epoch.id(position))
    }

    /// The counter that this channel draws its positions from.
    pub fn positions(&self) -> &Positions {
        &self.shared.positions
    }

    pub(crate) fn is_at(&self, shared: &Arc<Shared<A>>) -> bool {
        Arc::ptr_eq(&self.shared, shared)
    }
}

impl<A: ?Sized> Shared<A> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State<A>> {
        sync::lock(&self.state)
    }

    fn open(&self) -> Result<MutexGuard<'_, State<A>>, Closed> {
        let state = self.lock();
        if state.closed { Err(Closed) } else { Ok(state) }
    }

    fn push(&self, state: &mut State<A>, event: Event, audience: Option<Arc<A>>) -> Position {
        let position = self.positions.draw();
        let own_id = event.id().cloned();
        let event = match (&own_id, self.epoch) {
            (None, Some(epoch)) => event.with_id(epoch.id(position)),
            _ => event,
        };
        state.window.append(position, &event, own_id, audience);
        position
    }

    /// The sequence number behind the event with this id, and the event's position.
    fn find(&self, window: &Window<A>, id: &str) -> Result<(u64, Position), Missing> {
        if let Some((sequence, position)) = window.find_named(id) {
            return Ok((sequence + 1, position));
        }
        let stamped = self.epoch.and_then(|epoch| epoch.position(id));
        match stamped.filter(|&position| position <= self.positions.newest()) {
            None => Err(Missing::Unknown),
            Some(position) if position < window.trimmed() => Err(Missing::Expired),
            Some(position) => Ok((window.first_after(position), position)),
        }
    }
}

/// Releases the lock, then does what may call anything: wakes who waits, drops trimmed audiences.
fn release<A: ?Sized>(mut state: MutexGuard<'_, State<A>>) {
    let waiting = state.waiters.take();
    let audiences = state.window.take_trimmed_audiences();
    drop(state);
    waiting.wake();
    drop(audiences);
}

impl<A: ?Sized> Clone for Channel<A> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<A: ?Sized> fmt::Debug for Channel<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("epoch", &self.shared.epoch)
            .field("lag_policy", &self.shared.lag_policy)
            .finish_non_exhaustive()
    }
}
