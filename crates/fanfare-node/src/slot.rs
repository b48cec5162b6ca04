//! A socket that Node owns, and the word that it is not used behind its end.

use std::{
    fmt, io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

use mio::{Interest, Registry, Token, unix::SourceFd};

use crate::{
    frame::Framing,
    inbox::{Command, Inbox},
};

/// Nobody uses the descriptor.
const IDLE: u8 = 0;
/// The thread is in a system call with it.
const BUSY: u8 = 1;
/// It is Node's alone.
const GONE: u8 = 2;

/// A descriptor, and who may use it.
///
/// Node closes a descriptor when it likes, and the operating system gives its number to the next
/// connection: bytes that are written then end up in a stranger's answer. So the thread uses it only
/// inside [`pinned`](Self::pinned), and [`leave`](Self::leave), which Node calls before it closes it,
/// waits for that to be over, which is one system call that does not block, and rules out another.
pub(crate) struct Slot {
    state: AtomicU8,
    descriptor: RawFd,
    /// What is written to instead, in a worker thread.
    duplicate: Mutex<Option<OwnedFd>>,
    /// The poller knows it.
    is_watched: AtomicBool,
    pub(crate) framing: Framing,
    pub(crate) limits: Limits,
}

/// How much may wait for a socket, and for how long.
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
    /// Everything is written, and there will be no more.
    Ended,
    /// It fell behind its limits: nothing is written any more.
    Lagged,
    /// It was removed, and this is the last that is told of it: its number may be given anew.
    Left,
}

impl From<Word> for u32 {
    fn from(word: Word) -> Self {
        match word {
            Word::Ready => 0,
            Word::Ended => 1,
            Word::Lagged => 2,
            Word::Left => 3,
        }
    }
}

impl Slot {
    pub(crate) fn borrow(descriptor: RawFd, framing: Framing, limits: Limits) -> Self {
        Self {
            state: AtomicU8::new(IDLE),
            descriptor,
            duplicate: Mutex::new(None),
            is_watched: AtomicBool::new(false),
            framing,
            limits,
        }
    }

    pub(crate) fn duplicate(
        descriptor: RawFd,
        framing: Framing,
        limits: Limits,
    ) -> io::Result<Self> {
        let duplicate = duplicate(descriptor)?;
        let slot = Self::borrow(duplicate.as_raw_fd(), framing, limits);
        Ok(Self { duplicate: Mutex::new(Some(duplicate)), ..slot })
    }

    /// Does one system call with the descriptor, unless it has left.
    pub(crate) fn pinned<T>(&self, call: impl FnOnce(RawFd) -> T) -> Option<T> {
        self.state.compare_exchange(IDLE, BUSY, Ordering::Acquire, Ordering::Relaxed).ok()?;
        let outcome = call(self.descriptor);
        self.state.store(IDLE, Ordering::Release);
        Some(outcome)
    }

    /// Rules out any further use of the descriptor.
    pub(crate) fn leave(&self, registry: &Registry) {
        while let Err(state) =
            self.state.compare_exchange(IDLE, GONE, Ordering::AcqRel, Ordering::Acquire)
        {
            if state == GONE {
                return;
            }
            thread::yield_now();
        }
        // A poller keeps on watching what has a duplicate, so this comes before any close.
        if self.is_watched.load(Ordering::Relaxed) {
            let _ = registry.deregister(&mut SourceFd(&self.descriptor));
        }
        drop(self.duplicate.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Has the poller tell when the socket takes more.
    pub(crate) fn watch(&self, registry: &Registry, token: Token) -> io::Result<()> {
        if self.is_watched.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.pinned(|descriptor| {
            registry.register(&mut SourceFd(&descriptor), token, Interest::WRITABLE)?;
            self.is_watched.store(true, Ordering::Relaxed);
            Ok(())
        })
        .unwrap_or(Ok(()))
    }

    pub(crate) fn unwatch(&self, registry: &Registry) {
        if self.is_watched.load(Ordering::Relaxed) {
            self.pinned(|descriptor| {
                let _ = registry.deregister(&mut SourceFd(&descriptor));
                self.is_watched.store(false, Ordering::Relaxed);
            });
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

    /// Leaving twice is leaving once.
    pub(crate) fn leave(&mut self, number: u32) {
        let Some(slot) = self.slots.get_mut(number as usize).and_then(Option::take) else { return };
        slot.leave(self.inbox.registry());
        self.inbox.post(Command::Leave { number });
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("descriptor", &self.descriptor)
            .field("state", &self.state)
            .finish_non_exhaustive()
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
    use crate::frame::Framing;

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
                    while slot.pinned(|_| assert!(!has_left.load(Ordering::SeqCst))).is_some() {}
                }
            });
            start.wait();
            slot.leave(poll.registry());
            has_left.store(true, Ordering::SeqCst);
            user.join().unwrap();
        }
    }

    #[test]
    fn leaving_ends_the_watch_and_closes_the_duplicate() {
        let poll = Poll::new().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let slot = Slot::duplicate(ours.as_raw_fd(), Framing::Plain, UNLIMITED).unwrap();
        assert_ne!(slot.pinned(|descriptor| descriptor), Some(ours.as_raw_fd()));
        slot.watch(poll.registry(), Token(0)).unwrap();
        drop(ours);

        slot.leave(poll.registry());
        slot.leave(poll.registry());
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0, "nothing holds the socket open");
        assert_eq!(slot.pinned(|descriptor| descriptor), None);
    }
}
