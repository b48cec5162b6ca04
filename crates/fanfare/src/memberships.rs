//! The channels that a client is in, or has been in, and its joins and leaves on their way to the
//! body.

use std::mem;

use smallvec::SmallVec;

use crate::{
    JoinError,
    channel::{Channel, Member},
    feed::{Change, Joined},
};

/// How many channels a client can be in.
pub const MAX_CHANNELS_PER_CLIENT: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Memberships {
    /// A client is in one channel as a rule.
    entries: SmallVec<[Entry; 1]>,
    /// For a channel at most a leave and a join behind it, so there are never more than channels
    /// that the body knows and channels that the client is in.
    changes: Vec<Change>,
}

#[derive(Debug)]
struct Entry {
    channel: u64,
    /// `None` when the client has left.
    member: Option<Member>,
}

impl Memberships {
    /// Whether the client is in the channel, or was.
    pub(crate) fn knows(&self, channel: &Channel) -> bool {
        self.entries.iter().any(|entry| entry.channel == channel.id())
    }

    /// Has the body read what `join` gives, unless the client is in the channel.
    pub(crate) fn join(
        &mut self,
        channel: &Channel,
        join: impl FnOnce() -> Joined,
    ) -> Result<(), JoinError> {
        let entry = self.entry(channel.id())?;
        if entry.member.is_none() {
            entry.member = Some(channel.enter());
            self.changes.push(Change::Join(join()));
        }
        Ok(())
    }

    fn entry(&mut self, channel: u64) -> Result<&mut Entry, JoinError> {
        let known = self.entries.iter().position(|entry| entry.channel == channel);
        if known.is_none() && self.entries.len() >= MAX_CHANNELS_PER_CLIENT {
            // Who comes back to one that is forgotten here may see its history again.
            self.entries.retain(|entry| entry.member.is_some());
            if self.entries.len() >= MAX_CHANNELS_PER_CLIENT {
                return Err(JoinError::TooMany);
            }
        }
        let index = known.unwrap_or_else(|| {
            self.entries.push(Entry { channel, member: None });
            self.entries.len() - 1
        });
        Ok(&mut self.entries[index])
    }

    /// Returns what is over with it, to be dropped once the lock is released.
    pub(crate) fn leave(&mut self, channel: &Channel) -> Option<(Member, Vec<Change>)> {
        let member = self.take_member(channel)?;
        let is_join = |change: &Change| change.is_join() && change.is_of(channel);
        let (undone, kept): (Vec<_>, _) =
            mem::take(&mut self.changes).into_iter().partition(is_join);
        self.changes = kept;
        if undone.is_empty() {
            self.changes.push(Change::Leave(channel.clone()));
        }
        Some((member, undone))
    }

    /// The body has come to the end of the channel. Returns the membership, to be dropped once the
    /// lock is released; a newer one than the body knows stays.
    pub(crate) fn end(&mut self, channel: &Channel) -> Option<Member> {
        let is_newer = self.changes.iter().any(|change| change.is_of(channel));
        if is_newer { None } else { self.take_member(channel) }
    }

    fn take_member(&mut self, channel: &Channel) -> Option<Member> {
        let entry = self.entries.iter_mut().find(|entry| entry.channel == channel.id())?;
        entry.member.take()
    }

    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        mem::take(&mut self.changes)
    }
}
