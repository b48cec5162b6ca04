//! The clients of a thread.

use std::{
    io::{self, Read},
    net,
};

use bytes::Bytes;
use mio::{Interest, Registry, Token, net::TcpStream};
use slab::Slab;

use super::{Client, Left, Why, several::Several, written::Written};
use crate::{Digest, Position, cursor::Place};

/// What a peer may send although it has nothing to say, at a time.
const CHATTER_READS: usize = 16;

/// A socket and its place in a channel.
pub(super) struct Seat {
    pub(super) socket: TcpStream,
    pub(super) reading: Reading,
    /// The newest frame that it was given.
    pub(super) after: Position,
    /// Of all that it was given.
    pub(super) digest: Digest,
    /// What its socket does not take yet.
    pub(super) blocked: Option<Box<Blocked>>,
    /// It waits for a turn of its own.
    pub(super) is_queued: bool,
    /// The tick of the last write.
    pub(super) written: u64,
    /// The tick in which it is to be given back.
    pub(super) until: u64,
    /// The tick in which it is looked at.
    pub(super) look: u64,
    pub(super) client: Box<dyn Client>,
}

/// What a client reads, and where it is.
pub(super) enum Reading {
    /// The channel's key, the index among its readers, and the place.
    One {
        channel: u32,
        index: u32,
        place: Place,
    },
    Several(Box<Several>),
}

pub(super) struct Blocked {
    pub(super) written: Written,
    pub(super) done: usize,
    /// The tick since when the socket has taken nothing.
    pub(super) since: u64,
}

/// How a socket took what was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Took {
    Everything,
    /// It has to be waited for.
    NotAll,
    /// The peer is gone.
    Gone,
}

impl Blocked {
    /// How many bytes are left.
    pub(super) fn rest(&self) -> usize {
        self.written.len() - self.done
    }
}

impl Seat {
    /// Writes frames, or has them wait. Nothing may be waiting.
    pub(super) fn write(&mut self, written: &Written, now: u64) -> Took {
        match attempt(written, 0, &mut self.socket) {
            Ok(done) if done == written.len() => {
                self.written = now;
                Took::Everything
            }
            Ok(done) => {
                let written = written.clone();
                self.blocked = Some(Box::new(Blocked { written, done, since: now }));
                Took::NotAll
            }
            Err(_) => Took::Gone,
        }
    }

    /// Goes on with what waits.
    pub(super) fn go_on(&mut self, now: u64) -> Took {
        let Some(blocked) = &mut self.blocked else { return Took::Everything };
        let Ok(taken) = attempt(&blocked.written, blocked.done, &mut self.socket) else {
            return Took::Gone;
        };
        blocked.done += taken;
        if taken > 0 {
            blocked.since = now;
        }
        if blocked.done < blocked.written.len() {
            return Took::NotAll;
        }
        self.blocked = None;
        self.written = now;
        Took::Everything
    }

    /// Whether the operating system has given the peer up, which took nothing for too long: while frames
    /// come seldom, it may notice before its buffer is full.
    pub(super) fn has_timed_out(&self) -> bool {
        let error = self.socket.take_error().ok().flatten();
        error.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
    }

    /// Whether the peer is still there. What it sends is nothing that anybody waits for: whoever sends a
    /// lot is not listened to any more, and found to be gone when it is written to.
    pub(super) fn is_there(&mut self, token: Token, registry: &Registry) -> bool {
        let mut chatter = [0; 1024];
        for _ in 0..CHATTER_READS {
            match self.socket.read(&mut chatter) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        registry.reregister(&mut self.socket, token, Interest::WRITABLE).is_ok()
    }

    /// Ends its stay.
    pub(super) fn leave(mut self, why: Why, registry: &Registry) {
        // A socket that cannot be deregistered is of no use to anybody else.
        let is_free = registry.deregister(&mut self.socket).is_ok();
        let unsent =
            self.blocked.map_or_else(Bytes::new, |blocked| blocked.written.unsent(blocked.done));
        let is_usable = is_free && !matches!(why, Why::Gone | Why::Stalled);
        let socket = is_usable.then(|| net::TcpStream::from(self.socket));
        let Self { after, digest, client, .. } = self;
        client.leave(Left { why, after, digest, unsent, socket });
    }
}

fn attempt(written: &Written, done: usize, socket: &mut TcpStream) -> io::Result<usize> {
    loop {
        match written.write(done, socket) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Enters a client under the slab's next key, and has its socket watched; tells whether that was
/// possible, or the client has left.
pub(super) fn enter(clients: &mut Slab<Seat>, mut seat: Seat, registry: &Registry) -> bool {
    let place = clients.vacant_entry();
    let interests = Interest::READABLE | Interest::WRITABLE;
    let is_watched = registry.register(&mut seat.socket, Token(place.key()), interests).is_ok();
    if is_watched {
        place.insert(seat);
    } else {
        seat.leave(Why::Gone, registry);
    }
    is_watched
}
