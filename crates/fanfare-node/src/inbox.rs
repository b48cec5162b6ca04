//! What the thread is told.

use std::{
    io, mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use mio::{Registry, Token, Waker};

use crate::{
    frame::{Frame, Framing},
    slot::{Slot, Word},
};

/// The token of the inbox among those of the sockets.
pub(crate) const INBOX: Token = Token(usize::MAX);

/// How many bytes may lie in the inbox before whoever brings more waits for the thread to look: it never
/// waits for anybody, so that is soon.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// From JavaScript to the thread.
#[derive(Debug)]
pub(crate) struct Inbox {
    waker: Waker,
    /// The thread's poller, of which sockets are taken out before Node closes them.
    registry: Registry,
    mail: Mutex<Mail>,
    was_emptied: Condvar,
    is_closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Mail {
    commands: Vec<Command>,
    bytes: usize,
}

/// In the order in which they were given.
#[derive(Debug)]
pub(crate) enum Command {
    Enter { number: u32, slot: Arc<Slot> },
    Write { frame: Arc<Frame>, numbers: Box<[u32]> },
    Tell { number: u32, word: Word },
    Leave { number: u32 },
}

impl Inbox {
    pub(crate) fn new(registry: &Registry) -> io::Result<Self> {
        Ok(Self {
            waker: Waker::new(registry, INBOX)?,
            registry: registry.try_clone()?,
            mail: Mutex::default(),
            was_emptied: Condvar::new(),
            is_closed: AtomicBool::new(false),
        })
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Puts a command behind the others, and wakes the thread if it is the first.
    pub(crate) fn post(&self, command: Command) {
        let mut mail = self.mail();
        while mail.bytes > MAX_BYTES && !self.is_closed() {
            mail = self.was_emptied.wait(mail).unwrap_or_else(PoisonError::into_inner);
        }
        mail.bytes += command.bytes();
        mail.commands.push(command);
        if mail.commands.len() == 1 {
            // A thread that cannot be woken looks again before long.
            let _ = self.waker.wake();
        }
    }

    /// Takes all commands. What comes afterwards wakes the thread.
    pub(crate) fn take(&self, commands: &mut Vec<Command>) {
        let mut mail = self.mail();
        mail.bytes = 0;
        mem::swap(&mut mail.commands, commands);
        drop(mail);
        self.was_emptied.notify_all();
    }

    /// The thread is to end at once.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        let _ = self.waker.wake();
        self.was_emptied.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Command {
    fn bytes(&self) -> usize {
        let Self::Write { frame, numbers } = self else { return size_of::<Self>() };
        frame.bytes(Framing::Chunked).len() + size_of_val(&**numbers)
    }
}
