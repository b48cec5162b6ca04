//! A log of wire-ready frames that any number of readers follow.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use fanfare_wire::Event;
use thiserror::Error;

use crate::{
    Cursor, Digest, Epoch, Position, Positions,
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
    /// the newest frame, and by about 16 bytes a frame that say where it is (24, if frames have digests).
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
///
/// ```
/// use fanfare_fanout::{Bounds, Channel, Epoch, LagPolicy, Options, Position, Start};
///
/// let channel = Channel::<()>::new(Options {
///     bounds: Bounds { frames: 1, ..Bounds::default() },
///     lag_policy: LagPolicy::Latest,
///     epoch: Some(Epoch::from_seed(1)),
///     ..Options::default()
/// });
/// channel.append_all(["9.98".into(), "9.99".into()])?;
/// let kept = channel.cursor(Start::Earliest).read(1024, Position::END)?.unwrap();
/// assert_eq!(kept.bytes, "id: 10000000-2\ndata: 9.99\n\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    /// What the channel begins behind, when what is before it is somewhere else, such as in a log:
    /// who resumes from before it is told that frames have expired. [`Position::START`] by default.
    pub after: Position,
}

/// A log of wire-ready frames. Clones are the same channel.
///
/// An event is encoded once, when it is appended; from then on a delivery is a slice of the log.
/// No call waits for a reader: what a reader costs is a number, and one that falls behind the
/// bounds is told ([`Lagged`](crate::Lagged)). Appending and reading are safe from many threads.
///
/// `A` is the audience of events that are not for everybody; see [`append_for`](Self::append_for).
/// Dropping all handles ends nothing: cursors keep the channel, read what is left and then wait for
/// ever, since nobody can [close](Self::close) it any more.
///
/// ```
/// use fanfare_fanout::{Channel, Options, Position, Start};
///
/// let channel = Channel::<()>::new(Options::default());
/// let mut cursor = channel.cursor(Start::Latest);
/// channel.append("a".into())?;
/// channel.append("b".into())?;
///
/// let run = cursor.read(1024, Position::END)?.unwrap();
/// assert_eq!(run.bytes, "data: a\n\ndata: b\n\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
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
    /// Of the frames that came with one ([`Frame`]).
    pub digest: Digest,
    /// How many frames they are.
    pub frames: u64,
    /// The position of the last of them.
    pub last: Position,
    /// For whom they are; `None`: for everybody. Such a run is one frame.
    pub audience: Option<Arc<A>>,
}

/// An event that has been encoded, and perhaps compressed, by somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// What is given to readers. It must make sense behind and before any other frame.
    pub bytes: Bytes,
    /// Of what it decodes to, where that is needed at a stream's end; [`Digest::EMPTY`] otherwise.
    pub digest: Digest,
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
        let Options { mut bounds, lag_policy, positions, epoch, after } = options;
        bounds.frames = bounds.frames.max(1);
        let window = Window::new(bounds, after);
        let state = Mutex::new(State { window, waiters: Waiters::default(), closed: false });
        Self { shared: Arc::new(Shared { positions, epoch, lag_policy, state }) }
    }

    /// Appends an event, wakes whoever waits for it, and tells its position.
    ///
    /// ```
    /// use fanfare_fanout::{Channel, Options, Position};
    ///
    /// let channel = Channel::<()>::new(Options::default());
    /// assert_eq!(channel.append("a".into())?, Position(1));
    /// assert_eq!(channel.append("b".into())?, Position(2));
    /// # Ok::<(), fanfare_fanout::Closed>(())
    /// ```
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
    /// ```
    /// use fanfare_fanout::{Channel, Options, Position, Start};
    ///
    /// let channel = Channel::<str>::new(Options::default());
    /// let mut cursor = channel.cursor(Start::Latest);
    /// channel.append_for("psst".into(), "Ada".into())?;
    ///
    /// let run = cursor.read(1024, Position::END)?.unwrap();
    /// assert_eq!((run.frames, run.audience.as_deref()), (1, Some("Ada")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// ```
    /// use fanfare_fanout::{Channel, Options, Position};
    ///
    /// let channel = Channel::<()>::new(Options::default());
    /// assert_eq!(channel.append_all(["a".into(), "b".into()])?, Some(Position(2)));
    /// assert_eq!(channel.append_all([])?, None);
    /// # Ok::<(), fanfare_fanout::Closed>(())
    /// ```
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
        let positions = events.into_iter().map(|event| {
            let position = self.shared.positions.draw();
            self.shared.push(&mut state, position, event, None)
        });
        let last = positions.last();
        if last.is_some() {
            release(state);
        }
        Ok(last)
    }

    fn append_frame(&self, event: Event, audience: Option<Arc<A>>) -> Result<Position, Closed> {
        let mut state = self.shared.open()?;
        let position = self.shared.positions.draw();
        self.shared.push(&mut state, position, event, audience);
        release(state);
        Ok(position)
    }

    /// Appends events whose positions were given by a log, and wakes each waiting reader once for all
    /// of them. An event that is not newer than the newest one is there already, and left out.
    ///
    /// The counter of [`Options::positions`] is not moved: that is for the caller to do
    /// ([`Positions::advance`]) once all channels have been given their events up to there.
    ///
    /// ```
    /// use fanfare_fanout::{Channel, Options, Position};
    ///
    /// let channel = Channel::<()>::new(Options::default());
    /// let mut cursor = channel.cursor_after(Position(7)).unwrap();
    /// channel.append_at([(Position(7), "a".into()), (Position(9), "b".into())])?;
    /// channel.positions().advance(Position(9));
    ///
    /// let run = cursor.read(1024, channel.positions().newest())?.unwrap();
    /// assert_eq!((run.last, &run.bytes[..]), (Position(9), &b"data: b\n\n"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`close`](Self::close).
    pub fn append_at(
        &self,
        events: impl IntoIterator<Item = (Position, Event)>,
    ) -> Result<(), Closed> {
        self.append_newer(events, |state, position, event| {
            self.shared.push(state, position, event, None);
        })
    }

    /// As [`append_at`](Self::append_at), of frames that are ready. They are given out as they are,
    /// without a stamp; one without bytes is left out. Where digests count, all that is appended has to
    /// come with one.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use fanfare_fanout::{Channel, Digest, Frame, Options, Position, Start};
    ///
    /// let channel = Channel::<()>::new(Options::default());
    /// let mut cursor = channel.cursor(Start::Latest);
    /// // An event as a block of DEFLATE (RFC 1951, section 3.2.4).
    /// let bytes = Bytes::from_static(b"\x00\x09\x00\xf6\xffdata: a\n\n");
    /// let frame = Frame { bytes, digest: Digest::new(0x38c4_e37e, 9) };
    /// channel.append_frames([(Position(4), frame.clone())])?;
    ///
    /// let run = cursor.read(1024, Position::END)?.unwrap();
    /// assert_eq!((run.bytes, run.digest), (frame.bytes, frame.digest));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`close`](Self::close).
    pub fn append_frames(
        &self,
        frames: impl IntoIterator<Item = (Position, Frame)>,
    ) -> Result<(), Closed> {
        let frames = frames.into_iter().filter(|(_, frame)| !frame.bytes.is_empty());
        self.append_newer(frames, |state, position, frame| {
            state.window.append_frame(position, &frame);
        })
    }

    /// Appends what is newer than the newest, and wakes each waiting reader once for all of it.
    fn append_newer<T>(
        &self,
        items: impl IntoIterator<Item = (Position, T)>,
        append: impl Fn(&mut State<A>, Position, T),
    ) -> Result<(), Closed> {
        // The caller's iterator may do anything: it runs before the lock is taken.
        let items: Vec<_> = items.into_iter().collect();
        let mut state = self.shared.open()?;
        for (position, item) in items {
            if position > state.window.newest() {
                append(&mut state, position, item);
            }
        }
        release(state);
        Ok(())
    }

    /// Drops all frames, and does without those that would have come up to `position`: readers that have
    /// not read so far lag. For who cannot keep up with appending, and has the events somewhere else.
    ///
    /// ```
    /// use fanfare_fanout::{Channel, Options, Position, Start};
    ///
    /// let channel = Channel::<()>::new(Options::default());
    /// let mut cursor = channel.cursor(Start::Latest);
    /// channel.skip_to(Position(7));
    /// channel.append_at([(Position(8), "a".into())])?;
    ///
    /// assert_eq!(cursor.read(1024, Position::END).unwrap_err().until, Position(7));
    /// assert_eq!(cursor.read(1024, Position::END)?.unwrap().last, Position(8));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn skip_to(&self, position: Position) {
        let mut state = self.shared.lock();
        if position > state.window.newest() {
            state.window.skip_to(position);
        }
        release(state);
    }

    /// Ends the channel: readers get what is left, then the end. Appending is an error from now on.
    ///
    /// ```
    /// use fanfare_fanout::{Channel, Closed, Next, Options, Position, Start};
    /// # use std::task::{Context, Poll, Waker};
    /// # let context = &mut Context::from_waker(Waker::noop());
    ///
    /// let channel = Channel::<()>::new(Options::default());
    /// let mut cursor = channel.cursor(Start::Latest);
    /// channel.append("the last".into())?;
    /// channel.close();
    ///
    /// assert_eq!(channel.append("too late".into()), Err(Closed));
    /// assert_eq!(cursor.read(1024, Position::END)?.unwrap().bytes, "data: the last\n\n");
    /// assert_eq!(cursor.poll_next(context), Poll::Ready(Next::End));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        release(state);
    }

    /// A reader that starts at `start`.
    ///
    /// ```
    /// use fanfare_fanout::{Channel, Options, Position, Start};
    ///
    /// let channel = Channel::<()>::new(Options::default());
    /// channel.append_all(["a".into(), "b".into()])?;
    /// let mut cursor = channel.cursor(Start::Last(1));
    /// assert_eq!(cursor.read(1024, Position::END)?.unwrap().bytes, "data: b\n\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// A reader of what lies behind `position`, also of frames that are appended later; `None` when
    /// some of them are no longer kept.
    ///
    /// ```
    /// use fanfare_fanout::{Bounds, Channel, Options, Position};
    ///
    /// let bounds = Bounds { frames: 1, ..Bounds::default() };
    /// let channel = Channel::<()>::new(Options { bounds, ..Options::default() });
    /// channel.append_all(["a".into(), "b".into()])?;
    /// assert!(channel.cursor_after(Position::START).is_none());
    /// let mut cursor = channel.cursor_after(Position(1)).unwrap();
    /// assert_eq!(cursor.read(1024, Position::END)?.unwrap().bytes, "data: b\n\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cursor_after(&self, position: Position) -> Option<Cursor<A>> {
        let state = self.shared.lock();
        let next = state.window.first_after(position);
        let is_kept = position >= state.window.trimmed();
        drop(state);
        is_kept.then(|| Cursor::new(self.shared.clone(), next).behind(position))
    }

    /// A reader that goes on behind the event with the id `last_event_id`: a stamp of this channel
    /// or of one that shares its epoch and positions, or an id that an event brought along and that
    /// is still kept.
    ///
    /// Where frames are missing, it starts at the oldest kept frame, and says so; with
    /// [`LagPolicy::Latest`] at the newest, and does not.
    ///
    /// ```
    /// use fanfare_fanout::{Channel, Epoch, Missing, Options, Position};
    ///
    /// let epoch = Some(Epoch::from_seed(1));
    /// let channel = Channel::<()>::new(Options { epoch, ..Options::default() });
    /// channel.append_all(["a".into(), "b".into()])?;
    ///
    /// let mut resumed = channel.resume("10000000-1");
    /// assert_eq!(resumed.missing, None);
    /// let run = resumed.cursor.read(1024, Position::END)?.unwrap();
    /// assert_eq!(run.bytes, "id: 10000000-2\ndata: b\n\n");
    ///
    /// assert_eq!(channel.resume("of another log").missing, Some(Missing::Unknown));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resume(&self, last_event_id: &str) -> Resumed<A> {
        let state = self.shared.lock();
        let window = &state.window;
        let found = self.shared.find(window, last_event_id);
        let (next, after, missing) = match (found, self.shared.lag_policy) {
            (Ok((next, after)), _) => (next, after, None),
            (Err(_), LagPolicy::Latest) => {
                let newest = window.next().saturating_sub(1).max(window.first());
                (newest, window.trimmed(), None)
            }
            (Err(missing), _) => (window.first(), window.trimmed(), Some(missing)),
        };
        drop(state);
        Resumed { cursor: Cursor::new(self.shared.clone(), next), missing, after }
    }

    /// The id of the position `position`, if this channel stamps events.
    ///
    /// ```
    /// use fanfare_fanout::{Channel, Epoch, Options};
    ///
    /// let epoch = Some(Epoch::from_seed(1));
    /// let channel = Channel::<()>::new(Options { epoch, ..Options::default() });
    /// let position = channel.append("a".into())?;
    /// assert_eq!(channel.id(position).unwrap(), "10000000-1");
    /// # Ok::<(), fanfare_fanout::Closed>(())
    /// ```
    pub fn id(&self, position: Position) -> Option<fanfare_wire::EventId> {
        self.shared.epoch.map(|epoch| epoch.id(position))
    }

    /// The counter that this channel draws its positions from.
    ///
    /// ```
    /// use fanfare_fanout::{Channel, Options};
    ///
    /// let channel = Channel::<()>::new(Options::default());
    /// let position = channel.append("a".into())?;
    /// assert_eq!(channel.positions().newest(), position);
    /// # Ok::<(), fanfare_fanout::Closed>(())
    /// ```
    pub fn positions(&self) -> &Positions {
        &self.shared.positions
    }

    #[cfg(feature = "engine")]
    pub(crate) fn shared(&self) -> &Shared<A> {
        &self.shared
    }

    /// What tells it from all other channels while it is there.
    #[cfg(feature = "engine")]
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// Whether both are handles of the same channel.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
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

    fn push(
        &self,
        state: &mut State<A>,
        position: Position,
        event: Event,
        audience: Option<Arc<A>>,
    ) -> Position {
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
