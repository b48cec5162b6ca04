//! What waits for one socket.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    os::fd::RawFd,
    sync::Arc,
};

use nix::sys::socket::{MsgFlags, send, sendmsg};

use crate::frame::{Frame, Framing};

/// How many frames go into one system call.
const MAX_SLICES: usize = 64;

/// Where more frames have waited, their room is given back when they are gone.
const KEPT_ROOM: usize = 16;

/// Frames in their order, of which the first may have been written in part.
#[derive(Debug)]
pub(crate) struct Backlog {
    framing: Framing,
    frames: VecDeque<Arc<Frame>>,
    /// Of the first frame.
    done: usize,
    bytes: usize,
}

impl Backlog {
    pub(crate) fn new(framing: Framing) -> Self {
        Self { framing, frames: VecDeque::new(), done: 0, bytes: 0 }
    }

    pub(crate) fn push(&mut self, frame: &Arc<Frame>) {
        self.bytes += frame.bytes(self.framing).len();
        self.frames.push_back(frame.clone());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.framing);
    }

    /// Writes what goes into one system call.
    pub(crate) fn write(&mut self, socket: RawFd) -> io::Result<()> {
        let written = self.send(socket)?;
        self.advance(written);
        Ok(())
    }

    fn send(&self, socket: RawFd) -> io::Result<usize> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let parts = self.parts().zip(&mut slices).map(|(part, slice)| *slice = IoSlice::new(part));
        let sent = match parts.count() {
            0 => return Ok(0),
            1 => send(socket, &slices[0], flags),
            count => sendmsg::<()>(socket, &slices[..count], &[], flags, None),
        };
        Ok(sent?)
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(self.done).chain(std::iter::repeat(0));
        self.frames.iter().zip(starts).map(|(frame, start)| &frame.bytes(self.framing)[start..])
    }

    fn advance(&mut self, written: usize) {
        self.bytes -= written;
        self.done += written;
        while let Some(frame) = self.frames.front() {
            let length = frame.bytes(self.framing).len();
            if self.done < length {
                return;
            }
            self.done -= length;
            self.frames.pop_front();
        }
        self.frames.shrink_to(KEPT_ROOM);
    }
}
