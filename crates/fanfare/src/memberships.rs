//! The channels that a client is in, or has been in.

use smallvec::SmallVec;

/// How many channels a client can be in.
pub const MAX_CHANNELS_PER_CLIENT: usize = 1024;

/// One entry a channel; a client is in one channel as a rule.
#[derive(Debug, Default)]
pub(crate) struct Memberships(SmallVec<[Entry; 1]>);

#[derive(Debug)]
struct Entry {
    channel: u64,
    /// More than one while joins and leaves are on their way to the body.
    members: usize,
}

impl Memberships {
    /// Whether the client is in the channel, or was.
    pub(crate) fn knows(&self, channel: u64) -> bool {
        self.0.iter().any(|entry| entry.channel == channel)
    }

    /// Whether there was room to count one more member.
    pub(crate) fn enter(&mut self, channel: u64) -> bool {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.channel == channel) {
            entry.members += 1;
            return true;
        }
        if self.0.len() >= MAX_CHANNELS_PER_CLIENT {
            // Who comes back to one that is forgotten here may see its history again.
            self.0.retain(|entry| entry.members > 0);
        }
        let has_room = self.0.len() < MAX_CHANNELS_PER_CLIENT;
        if has_room {
            self.0.push(Entry { channel, members: 1 });
        }
        has_room
    }

    pub(crate) fn exit(&mut self, channel: u64) {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.channel == channel) {
            entry.members -= 1;
        }
    }
}
