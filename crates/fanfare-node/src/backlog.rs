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

    /// How many bytes have waited since before the newest frame: that may be large without anybody being slow.
    pub(crate) fn overdue(&self) -> usize {
        let newest = self.frames.back().map_or(0, |frame| frame.bytes(self.framing).len());
        self.bytes.saturating_sub(newest)
    }

    /// What waits, as it is to be written.
    pub(crate) fn rest(&self) -> Vec<u8> {
        self.parts().collect::<Vec<_>>().concat()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.framing);
    }

    /// Writes what goes into one system call, and tells how much that was.
    pub(crate) fn write(&mut self, socket: RawFd) -> io::Result<usize> {
        let written = self.send(socket)?;
        self.advance(written);
        Ok(written)
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

#[cfg(test)]
mod tests {
    use std::{
        io::{ErrorKind, Read},
        os::{fd::AsRawFd, unix::net::UnixStream},
        sync::Arc,
    };

    use super::{Backlog, MAX_SLICES};
    use crate::frame::{Frame, Framing};

    fn frame(bytes: &[u8]) -> Arc<Frame> {
        Arc::new(Frame::new(bytes))
    }

    #[test]
    fn frames_go_out_in_their_order_however_little_the_socket_takes_at_a_time() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let mut backlog = Backlog::new(Framing::Plain);
        let mut expected = vec![];
        for number in 0..1000_u32 {
            let bytes = number.to_be_bytes().repeat(500);
            backlog.push(&frame(&bytes));
            expected.extend(bytes);
        }

        let mut received = vec![];
        let mut refusals = 0;
        while !backlog.is_empty() {
            match backlog.write(ours.as_raw_fd()) {
                Ok(_) => continue,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            refusals += 1;
            let mut part = [0; 777];
            let length = theirs.read(&mut part).unwrap();
            received.extend(&part[..length]);
            assert_eq!(received.len() + waiting_in(&theirs) + backlog.bytes(), expected.len());
        }
        drop(ours);
        theirs.set_nonblocking(false).unwrap();
        theirs.read_to_end(&mut received).unwrap();

        assert!(refusals > 0);
        assert_eq!(backlog.bytes(), 0);
        assert!(received == expected);
    }

    /// What was written and not read yet.
    fn waiting_in(socket: &UnixStream) -> usize {
        let mut bytes = vec![0; 4 * 1024 * 1024];
        let flags = nix::sys::socket::MsgFlags::MSG_PEEK;
        nix::sys::socket::recv(socket.as_raw_fd(), &mut bytes, flags).unwrap_or_default()
    }

    #[test]
    fn what_fits_goes_out_in_one_system_call() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut backlog = Backlog::new(Framing::Chunked);
        for _ in 0..MAX_SLICES {
            backlog.push(&frame(b"a"));
        }
        backlog.write(ours.as_raw_fd()).unwrap();
        assert!(backlog.is_empty());
        assert_eq!(waiting_in(&theirs), MAX_SLICES * "1\r\na\r\n".len());
    }

    #[test]
    fn a_peer_that_is_gone_is_an_error_and_no_signal() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let mut backlog = Backlog::new(Framing::Plain);
        backlog.push(&frame(b"a"));
        let error = backlog.write(ours.as_raw_fd()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
}
