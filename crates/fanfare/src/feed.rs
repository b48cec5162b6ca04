//! The channels that one client is in, read in one order.

use std::{
    fmt,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use fanfare_fanout::{
    Cursor, Epoch, Gap, GapReason, LagPolicy, Lagged, Position, Positions, Run, Turn,
};
use fanfare_wire::encode_id;
use smallvec::SmallVec;

use crate::{
    Client, End,
    channel::{Audience, Channel},
    keep_alive::KEEP_ALIVE,
};

/// The longest run that is given to the connection at a time, in bytes.
pub(crate) const MAX_RUN_BYTES: usize = 64 * 1024;

/// A join or a leave on its way to the body.
#[derive(Debug)]
pub(crate) enum Change {
    Join(Joined),
    Leave(Channel),
}

/// A channel as one client reads it.
pub(crate) struct Joined {
    pub(crate) channel: Channel,
    pub(crate) cursor: Cursor<Audience>,
    /// What is missing before its first event, to be told to the client.
    pub(crate) missing: Option<Box<MissingBefore>>,
}

/// The start of a resumed stream that is no longer there.
#[derive(Debug)]
pub(crate) struct MissingBefore {
    pub(crate) reason: GapReason,
    pub(crate) requested: Option<String>,
    pub(crate) until: Position,
}

/// What the channels have for the client.
pub(crate) enum Fed {
    Bytes(Bytes),
    /// Nothing, but ask again.
    Again,
    /// Nothing up to the position that was asked for, but behind it.
    Later,
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
    /// Events that were not meant for the client have been passed over since.
    has_passed_over: bool,
    /// Everything up to here has been read, and nothing since.
    dry_at: Option<Position>,
    /// The client was in channels, and all of them have been closed.
    is_over: bool,
}

impl Feed {
    pub(crate) fn new(epoch: Epoch, positions: Positions) -> Self {
        Self {
            epoch,
            positions,
            joined: SmallVec::new(),
            knows_place: false,
            has_passed_over: false,
            dry_at: None,
            is_over: false,
        }
    }

    pub(crate) fn change(&mut self, change: Change) {
        match change {
            Change::Join(new) => {
                self.joined.push(new);
                self.is_over = false;
            }
            Change::Leave(channel) => {
                self.joined.retain(|joined| joined.channel.id() != channel.id());
            }
        }
    }

    pub(crate) fn leave_all(&mut self) {
        self.joined.clear();
    }

    /// The position of the newest event in any channel.
    pub(crate) fn newest(&self) -> Position {
        self.positions.newest()
    }

    /// The next bytes for `client`, of events up to `newest`. `Pending` also while it is in no
    /// channel.
    ///
    /// `newest` must have been loaded before it was looked whether the client has joined other
    /// channels: then every event up to it is found in a channel that is known here, a channel that
    /// is joined later from its newest event on starts behind it, and what is read is in order.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        client: &Client,
        newest: Position,
    ) -> Poll<Fed> {
        if self.is_over {
            return Poll::Ready(Fed::End(End::Closed));
        }
        if let Some(gap) = self.missing() {
            return Poll::Ready(Fed::Bytes(gap));
        }
        let cursors = self.joined.iter_mut().map(|joined| &mut joined.cursor);
        let Poll::Ready(turn) = Turn::poll(cursors, newest, context) else {
            return self.tell_place(newest);
        };
        let Some(Turn { index, until }) = turn else { return Poll::Ready(Fed::Later) };
        self.dry_at = None;
        let read = self.joined[index].cursor.read(MAX_RUN_BYTES, until);
        Poll::Ready(self.accept(index, read, client))
    }

    fn missing(&mut self) -> Option<Bytes> {
        let missing = self.joined.iter_mut().find_map(|joined| joined.missing.take())?;
        Some(self.gap(missing.reason, None, missing.requested.as_deref(), missing.until))
    }

    fn accept(&mut self, index: usize, read: Read, client: &Client) -> Fed {
        match read {
            Ok(Some(run)) => {
                let is_meant = run.audience.is_none_or(|audience| audience(client));
                if self.joined[index].channel.stamps_ids() {
                    self.knows_place |= is_meant;
                    self.has_passed_over = !is_meant;
                }
                if is_meant { Fed::Bytes(run.bytes) } else { Fed::Again }
            }
            Ok(None) => {
                client.outbox().end_membership(&self.joined.remove(index).channel);
                self.is_over = self.joined.is_empty();
                Fed::Again
            }
            Err(Lagged { policy: LagPolicy::Latest, .. }) => Fed::Again,
            Err(Lagged { policy: LagPolicy::Close, .. }) => Fed::End(End::Lagged),
            Err(Lagged { policy: LagPolicy::Gap, missed, until }) => {
                Fed::Bytes(self.gap(GapReason::Lagged, Some(missed), None, until))
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
        let resumed_from = match &self.joined[..] {
            [only] if only.channel.stamps_ids() => Some(self.epoch.id(until)),
            _ => None,
        };
        self.knows_place |= resumed_from.is_some();
        Gap { reason, missed, requested, resumed_from }.to_event().to_bytes()
    }

    /// Everything up to `newest` has been read. A client that was given no event yet could not
    /// resume from here: an id without data, which dispatches nothing, tells it the place.
    fn tell_place(&mut self, newest: Position) -> Poll<Fed> {
        self.dry_at = Some(newest);
        if self.knows_place || !self.joined.iter().any(|joined| joined.channel.stamps_ids()) {
            return Poll::Pending;
        }
        self.knows_place = true;
        Poll::Ready(Fed::Bytes(self.place(newest)))
    }

    fn place(&self, position: Position) -> Bytes {
        let mut bytes = BytesMut::new();
        encode_id(&self.epoch.id(position), &mut bytes);
        bytes.freeze()
    }

    /// What breaks a silence. A client for which nothing was meant meanwhile is told the place, so
    /// that it does not resume from where others' events have long been dropped.
    pub(crate) fn keep_alive(&mut self) -> Bytes {
        match self.dry_at.filter(|_| self.has_passed_over) {
            Some(position) => {
                self.has_passed_over = false;
                self.place(position)
            }
            None => KEEP_ALIVE,
        }
    }

    /// Whether runs are cut to keep the order of several channels.
    pub(crate) fn takes_turns(&self) -> bool {
        self.joined.len() > 1
    }
}

type Read = Result<Option<Run<Audience>>, Lagged>;

impl Change {
    pub(crate) fn is_join(&self) -> bool {
        matches!(self, Self::Join(_))
    }

    pub(crate) fn is_of(&self, channel: &Channel) -> bool {
        let (Self::Join(Joined { channel: changed, .. }) | Self::Leave(changed)) = self;
        changed.id() == channel.id()
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}
