//! A socket that Node owns, and the word that it is not used behind its end.

use std::{
    fmt, io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mio::{Interest, Registry, Token, unix::SourceFd};

use crate::{
    backlog::Backlog,
    frame::{Frame, Framing},
    inbox::{Command, Inbox},
};

/// A socket as long as it may be used.
///
/// Node closes a descriptor when it likes, and the operating system gives its number to the next
/// connection: bytes that are written then end up in a stranger's answer. So the thread uses it only
/// under the lock, for one system call that does not block, and [`leave`](Self::leave), which Node
/// calls before it closes it, takes it out of there.
pub(crate) struct Slot {
    seat: Mutex<Option<Seat>>,
    pub(crate) limits: Limits,
}

/// A socket, and what waits for it.
pub(crate) struct Seat {
    socket: Socket,
    backlog: Backlog,
    /// The poller knows it.
    is_watched: bool,
    /// A part of what was for it is lost: nothing is written any more.
    is_broken: bool,
}

enum Socket {
    /// Node's, which lets go of it before it closes it.
    Borrowed(RawFd),
    /// A duplicate, where Node may close its own without a word.
    Own(OwnedFd),
}

/// How much may wait for a socket, and how long it may take nothing of that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) bytes: usize,
    pub(crate) age: Option<Duration>,
}

/// What JavaScript is told of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// Everything before the question is written.
    Ready,
    /// It fell behind its limits: nothing is written any more.
    Lagged,
    /// Its peer is gone: nothing is written any more.
    Gone,
    /// It was removed, and this is the last that is told of it: its number may be given anew.
    Left,
}

impl From<Word> for u32 {
    fn from(word: Word) -> Self {
        match word {
            Word::Ready => 0,
            Word::Lagged => 1,
            Word::Gone => 2,
            Word::Left => 3,
        }
    }
}

impl Slot {
    pub(crate) fn borrow(descriptor: RawFd, framing: Framing, limits: Limits) -> Self {
        Self::new(Socket::Borrowed(descriptor), framing, limits)
    }

    pub(crate) fn duplicate(
        descriptor: RawFd,
        framing: Framing,
        limits: Limits,
    ) -> io::Result<Self> {
        Ok(Self::new(Socket::Own(duplicate(descriptor)?), framing, limits))
    }

    fn new(socket: Socket, framing: Framing, limits: Limits) -> Self {
        let seat =
            Seat { socket, backlog: Backlog::new(framing), is_watched: false, is_broken: false };
        Self { seat: Mutex::new(Some(seat)), limits }
    }

    /// Does something with the socket, unless it has left. Node may have to wait for that.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Seat) -> T) -> Option<T> {
        self.lock().as_mut().map(act)
    }

    /// Leaves a socket that is about to be closed, which takes before that what it takes at once.
    pub(crate) fn close(&self, registry: &Registry) {
        self.with(Seat::finish);
        self.leave(registry);
    }

    /// Rules out any further use of the socket. What still waits for it is given back, or `None` if that
    /// is not all there was.
    pub(crate) fn leave(&self, registry: &Registry) -> Option<Vec<u8>> {
        let mut seat = self.lock().take()?;
        // A poller keeps on watching what has a duplicate, so this comes before any close.
        seat.unwatch(registry);
        (!seat.is_broken).then(|| seat.backlog.rest())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Seat>> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    pub(crate) fn put(&mut self, frame: &Arc<Frame>) {
        if !self.is_broken {
            self.backlog.push(frame);
        }
    }

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.backlog.bytes()
    }

    /// How many bytes have waited since before the newest frame.
    pub(crate) fn overdue(&self) -> usize {
        self.backlog.overdue()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Drops what waits.
    pub(crate) fn give_up(&mut self) {
        self.is_broken = true;
        self.backlog.clear();
    }

    /// Writes what goes into one system call, and tells how much that was.
    pub(crate) fn write(&mut self) -> io::Result<usize> {
        self.backlog.write(self.socket.as_raw_fd())
    }

    fn finish(&mut self) {
        while !self.is_empty() && self.write().is_ok() {}
    }

    /// Has the poller tell when the socket takes more.
    pub(crate) fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        if !self.is_watched {
            let descriptor = self.socket.as_raw_fd();
            registry.register(&mut SourceFd(&descriptor), token, Interest::WRITABLE)?;
            self.is_watched = true;
        }
        Ok(())
    }

    pub(crate) fn unwatch(&mut self, registry: &Registry) {
        if self.is_watched {
            // It is open, and it was registered.
            let _ = registry.deregister(&mut SourceFd(&self.socket.as_raw_fd()));
            self.is_watched = false;
        }
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Borrowed(descriptor) => *descriptor,
            Self::Own(descriptor) => descriptor.as_raw_fd(),
        }
    }
}

#[expect(unsafe_code, reason = "Node-API names a socket by its number alone")]
fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: it is the number of an open socket of Node's, which is not closed meanwhile: that happens on
    // the thread on which this is called.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    borrowed.try_clone_to_owned()
}

/// The sockets by the numbers that JavaScript gave them.
#[derive(Debug)]
pub(crate) struct Numbers {
    inbox: Arc<Inbox>,
    slots: Vec<Option<Arc<Slot>>>,
}

impl Numbers {
    pub(crate) fn new(inbox: &Arc<Inbox>) -> Self {
        Self { inbox: inbox.clone(), slots: vec![] }
    }

    pub(crate) fn enter(&mut self, number: u32, slot: Slot) {
        let index = number as usize;
        if index >= self.slots.len() {
            self.slots.resize(index + 1, None);
        }
        let slot = Arc::new(slot);
        self.slots[index] = Some(slot.clone());
        self.inbox.post(Command::Enter { number, slot });
    }

    /// As [`Slot::leave`], behind what was posted before. Leaving twice is leaving once.
    pub(crate) fn leave(&mut self, number: u32) -> Option<Vec<u8>> {
        self.remove(number, Slot::leave).flatten()
    }

    /// As [`Slot::close`], behind what was posted before.
    pub(crate) fn close(&mut self, number: u32) {
        self.remove(number, Slot::close);
    }

    fn remove<T>(&mut self, number: u32, leave: impl FnOnce(&Slot, &Registry) -> T) -> Option<T> {
        let slot = self.slots.get_mut(number as usize)?.take()?;
        self.inbox.settle();
        let left = leave(&slot, self.inbox.registry());
        self.inbox.post(Command::Leave { number });
        Some(left)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        os::{fd::AsRawFd, unix::net::UnixStream},
        sync::{
            Arc, Barrier,
            atomic::{AtomicBool, Ordering},
        },
        thread,
    };

    use mio::{Poll, Token};

    use super::{Limits, Slot};
    use crate::frame::{Frame, Framing};

    const UNLIMITED: Limits = Limits { bytes: usize::MAX, age: None };

    #[test]
    fn a_descriptor_is_not_used_behind_its_leave() {
        let poll = Poll::new().unwrap();
        for _ in 0..200 {
            let slot = Arc::new(Slot::borrow(7, Framing::Plain, UNLIMITED));
            let has_left = Arc::new(AtomicBool::new(false));
            let start = Arc::new(Barrier::new(2));
            let user = thread::spawn({
                let (slot, has_left, start) = (slot.clone(), has_left.clone(), start.clone());
                move || {
                    start.wait();
                    while slot.with(|_| assert!(!has_left.load(Ordering::SeqCst))).is_some() {}
                }
            });
            start.wait();
            slot.leave(poll.registry());
            has_left.store(true, Ordering::SeqCst);
            user.join().unwrap();
        }
    }

    #[test]
    fn what_waits_is_given_back_and_begins_where_the_socket_stopped() {
        let poll = Poll::new().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let slot = Slot::borrow(ours.as_raw_fd(), Framing::Chunked, UNLIMITED);
        let frames: Vec<Vec<u8>> = (0..100).map(|number| vec![number; 50_000]).collect();
        slot.with(|seat| {
            for frame in &frames {
                seat.put(&Arc::new(Frame::new(frame)));
            }
            seat.finish();
        });

        let rest = slot.leave(poll.registry()).unwrap();
        drop(ours);
        let mut stream = vec![];
        theirs.read_to_end(&mut stream).unwrap();
        assert!(!stream.is_empty() && !rest.is_empty());
        stream.extend(rest);
        let expected: Vec<u8> = frames
            .iter()
            .flat_map(|frame| [b"c350\r\n".as_slice(), frame, b"\r\n"].concat())
            .collect();
        assert!(stream == expected);
    }

    #[test]
    fn what_the_socket_takes_at_once_is_written_before_it_is_closed() {
        let poll = Poll::new().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let slot = Slot::borrow(ours.as_raw_fd(), Framing::Plain, UNLIMITED);
        for _ in 0..200 {
            slot.with(|seat| seat.put(&Arc::new(Frame::new(b"word"))));
        }
        slot.close(poll.registry());
        drop(ours);
        let mut received = vec![];
        theirs.read_to_end(&mut received).unwrap();
        assert!(received == b"word".repeat(200));
    }

    #[test]
    fn leaving_ends_the_watch_and_closes_the_duplicate() {
        let poll = Poll::new().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let slot = Slot::duplicate(ours.as_raw_fd(), Framing::Plain, UNLIMITED).unwrap();
        slot.with(|seat| seat.watch(poll.registry(), Token(0)).unwrap()).unwrap();
        drop(ours);

        slot.leave(poll.registry());
        slot.leave(poll.registry());
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0, "nothing holds the socket open");
        assert_eq!(slot.with(|_| ()), None);
    }
}
