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

/// Whether a client that joins a channel has been in it on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Past {
    None,
    Inside,
}

impl Memberships {
    /// Whether the client is in the channel, or was.
    fn knows(&self, channel: &Channel) -> bool {
        self.entries.iter().any(|entry| entry.channel == channel.id())
    }

    /// Has the body read what `join` gives of each channel, unless the client is in it. Joins all
    /// or, when there is no room for all, none.
    pub(crate) fn join(
        &mut self,
        channels: &[&Channel],
        join: impl Fn(&Channel, Past) -> Joined,
    ) -> Result<(), JoinError> {
        self.make_room(channels)?;
        for channel in channels {
            let past = if self.knows(channel) { Past::Inside } else { Past::None };
            let entry = self.entry(channel.id());
            if entry.member.is_none() {
                entry.member = Some(channel.enter());
                self.changes.push(Change::Join(join(channel, past)));
            }
        }
        Ok(())
    }

    fn make_room(&mut self, channels: &[&Channel]) -> Result<(), JoinError> {
        let new = channels.iter().filter(|channel| !self.knows(channel)).count();
        let has_room = |entries: &[Entry]| entries.len() + new <= MAX_CHANNELS_PER_CLIENT;
        if !has_room(&self.entries) {
            // Who comes back to one that is forgotten here may see its history again.
            let is_wanted = |id| channels.iter().any(|channel| channel.id() == id);
            self.entries.retain(|entry| entry.member.is_some() || is_wanted(entry.channel));
        }
        if has_room(&self.entries) { Ok(()) } else { Err(JoinError::TooMany) }
    }

    fn entry(&mut self, channel: u64) -> &mut Entry {
        let known = self.entries.iter().position(|entry| entry.channel == channel);
        let index = known.unwrap_or_else(|| {
            self.entries.push(Entry { channel, member: None });
            self.entries.len() - 1
        });
        &mut self.entries[index]
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
