//! The channels that one client is in, read in one order.

use std::{
    fmt,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use fanfare_fanout::{
    Cursor, Epoch, Gap, GapReason, LagPolicy, Lagged, Next, Position, Positions, Run,
};
use fanfare_wire::encode_id;
use smallvec::SmallVec;

use crate::{
    Client, End,
    channel::{Audience, Channel, Member},
};

/// The longest run that is given to the connection at a time, in bytes.
const MAX_RUN_BYTES: usize = 64 * 1024;
/// How many frames for others a poll passes over before it lets other tasks run.
const MAX_PASSED_OVER: usize = 128;

/// A join or a leave on its way to the body.
#[derive(Debug)]
pub(crate) enum Change {
    Join(Joined),
    Leave(Channel),
}

/// A channel as one client reads it.
pub(crate) struct Joined {
    pub(crate) member: Member,
    pub(crate) cursor: Cursor<Audience>,
    /// What is missing before its first event, to be told to the client.
    pub(crate) missing: Option<Box<MissingBefore>>,
}

/// The start of a resumed stream that is no longer there.
#[derive(Debug)]
pub(crate) struct MissingBefore {
    pub(crate) reason: GapReason,
    pub(crate) requested: String,
    pub(crate) until: Position,
}

/// What the channels have for the client.
pub(crate) enum Fed {
    Bytes(Bytes),
    /// It fell behind a channel whose policy is to close, or every channel it was in has been
    /// closed.
    End(End),
}

/// The channels of one client.
#[derive(Debug)]
pub(crate) struct Feed {
    epoch: Epoch,
    positions: Positions,
    /// One is the usual number, and stays in the body's own memory.
    joined: SmallVec<[Joined; 1]>,
    /// The client has been given an id from which it can resume.
    knows_place: bool,
}

impl Feed {
    pub(crate) fn new(epoch: Epoch, positions: Positions) -> Self {
        Self { epoch, positions, joined: SmallVec::new(), knows_place: false }
    }

    pub(crate) fn change(&mut self, change: Change) {
        match change {
            Change::Join(new) => {
                if !self.joined.iter().any(|joined| joined.channel().is_same(new.channel())) {
                    self.joined.push(new);
                }
            }
            Change::Leave(channel) => {
                self.joined.retain(|joined| !joined.channel().is_same(&channel));
            }
        }
    }

    pub(crate) fn leave_all(&mut self) {
        self.joined.clear();
    }

    /// The next bytes for `client`. `Pending` also while it is in no channel.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, client: &Client) -> Poll<Fed> {
        if let Some(gap) = self.missing() {
            return Poll::Ready(Fed::Bytes(gap));
        }
        let newest = (!self.knows_place).then(|| self.positions.newest());
        for _ in 0..MAX_PASSED_OVER {
            let Poll::Ready((index, read)) = self.poll_read(context) else {
                return match newest {
                    Some(newest) => self.tell_place(newest),
                    None => Poll::Pending,
                };
            };
            if let Some(fed) = self.accept(index, read, client) {
                return Poll::Ready(fed);
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn missing(&mut self) -> Option<Bytes> {
        let missing = self.joined.iter_mut().find_map(|joined| joined.missing.take())?;
        Some(self.gap(missing.reason, None, Some(&missing.requested), missing.until))
    }

    /// Reads the channel whose turn it is.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<(usize, Read)> {
        match &mut self.joined[..] {
            [] => Poll::Pending,
            [only] => only.cursor.poll_read(context, MAX_RUN_BYTES).map(|read| (0, read)),
            several => poll_read_in_order(several, &self.positions, context),
        }
    }

    fn accept(&mut self, index: usize, read: Read, client: &Client) -> Option<Fed> {
        match read {
            Ok(Some(run)) => {
                let is_meant = run.audience.is_none_or(|audience| audience(client));
                self.knows_place |= is_meant && self.joined[index].channel().stamps_ids();
                is_meant.then_some(Fed::Bytes(run.bytes))
            }
            Ok(None) => {
                self.joined.remove(index);
                self.joined.is_empty().then_some(Fed::End(End::Closed))
            }
            Err(Lagged { policy: LagPolicy::Latest, .. }) => None,
            Err(Lagged { policy: LagPolicy::Close, .. }) => Some(Fed::End(End::Lagged)),
            Err(Lagged { policy: LagPolicy::Gap, missed, until }) => {
                Some(Fed::Bytes(self.gap(GapReason::Lagged, Some(missed), None, until)))
            }
        }
    }

    /// With several channels no id is given: what is before it in another one may be on its way.
    fn gap(
        &mut self,
        reason: GapReason,
        missed: Option<u64>,
        requested: Option<&str>,
        until: Position,
    ) -> Bytes {
        let resumed_after = match &self.joined[..] {
            [only] if only.channel().stamps_ids() => Some(self.epoch.id(until)),
            _ => None,
        };
        self.knows_place |= resumed_after.is_some();
        Gap { reason, missed, requested, resumed_after }.to_event().to_bytes()
    }

    /// Everything up to `newest` has been read. A client that was given no event yet could not
    /// resume from here: an id without data, which dispatches nothing, tells it the place.
    fn tell_place(&mut self, newest: Position) -> Poll<Fed> {
        if !self.joined.iter().any(|joined| joined.channel().stamps_ids()) {
            return Poll::Pending;
        }
        self.knows_place = true;
        let mut bytes = BytesMut::new();
        encode_id(&self.epoch.id(newest), &mut bytes);
        Poll::Ready(Fed::Bytes(bytes.freeze()))
    }
}

type Read = Result<Option<Run<Audience>>, Lagged>;

/// Reads the channel whose next event is the oldest, up to the next event of another.
fn poll_read_in_order(
    joined: &mut [Joined],
    positions: &Positions,
    context: &mut Context<'_>,
) -> Poll<(usize, Read)> {
    loop {
        // Loaded first: from here on every event up to it is found in its channel.
        let newest = positions.newest();
        let mut oldest = None;
        let mut until = newest;
        for (index, joined) in joined.iter_mut().enumerate() {
            let position = match joined.cursor.poll_next(context) {
                Poll::Pending => continue,
                Poll::Ready(Next::Frame(position)) => position,
                Poll::Ready(Next::Lag | Next::End) => Position::START,
            };
            match oldest {
                Some((_, older)) if older <= position => until = until.min(position),
                _ => {
                    until = until.min(oldest.map_or(Position::END, |(_, next)| next));
                    oldest = Some((index, position));
                }
            }
        }
        let Some((index, position)) = oldest else { return Poll::Pending };
        if position <= newest {
            let read = joined[index].cursor.read(MAX_RUN_BYTES, until);
            return Poll::Ready((index, read));
        }
    }
}

impl Joined {
    fn channel(&self) -> &Channel {
        self.member.channel()
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}
