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
    slot::Slot,
};

/// The token of the inbox among those of the sockets.
pub(crate) const INBOX: Token = Token(usize::MAX);

/// How many bytes may lie in the inbox before whoever brings more waits for the thread to look: it never
/// waits for a socket, so that is within a slice of its work.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// From JavaScript to the thread.
#[derive(Debug)]
pub(crate) struct Inbox {
    waker: Waker,
    /// The thread's poller, of which sockets are taken out before Node closes them.
    registry: Registry,
    mail: Mutex<Mail>,
    /// Told when the thread has taken the mail, and when it has done what it took.
    progress: Condvar,
    is_closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Mail {
    commands: Vec<Command>,
    bytes: usize,
    /// How many writes were ever posted, and how many of them are done.
    posted: u64,
    done: u64,
}

/// In the order in which they were given.
#[derive(Debug)]
pub(crate) enum Command {
    Enter { number: u32, slot: Arc<Slot> },
    Write { frame: Arc<Frame>, numbers: Box<[u32]> },
    Ask { number: u32 },
    Leave { number: u32 },
}

impl Inbox {
    pub(crate) fn new(registry: &Registry) -> io::Result<Self> {
        Ok(Self {
            waker: Waker::new(registry, INBOX)?,
            registry: registry.try_clone()?,
            mail: Mutex::default(),
            progress: Condvar::new(),
            is_closed: AtomicBool::new(false),
        })
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Puts a command behind the others, and wakes the thread if it is the first. Where there is none any
    /// more, it is dropped.
    pub(crate) fn post(&self, command: Command) {
        let mut mail = self.mail();
        while mail.bytes > MAX_BYTES && !self.is_closed() {
            mail = self.wait(mail);
        }
        if self.is_closed() {
            return;
        }
        mail.bytes += command.bytes();
        mail.posted += u64::from(matches!(command, Command::Write { .. }));
        mail.commands.push(command);
        if mail.commands.len() == 1 {
            // A thread that cannot be woken looks again before long.
            let _ = self.waker.wake();
        }
    }

    /// Takes all commands, to which the number belongs that is to be [done](Self::done). What comes
    /// afterwards wakes the thread.
    pub(crate) fn take(&self, commands: &mut Vec<Command>) -> u64 {
        let mut mail = self.mail();
        mail.bytes = 0;
        mem::swap(&mut mail.commands, commands);
        self.progress.notify_all();
        mail.posted
    }

    /// What was taken has been put to what waits for its sockets.
    pub(crate) fn done(&self, posted: u64) {
        self.mail().done = posted;
        self.progress.notify_all();
    }

    /// Waits until all writes are done that were posted: at most for a slice of the thread's work.
    pub(crate) fn settle(&self) {
        let mut mail = self.mail();
        let posted = mail.posted;
        while mail.done < posted && !self.is_closed() {
            mail = self.wait(mail);
        }
    }

    /// The thread is to end at once, or has ended.
    pub(crate) fn close(&self) {
        let mail = self.mail();
        self.is_closed.store(true, Ordering::Release);
        drop(mail);
        let _ = self.waker.wake();
        self.progress.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn wait<'a>(&self, mail: MutexGuard<'a, Mail>) -> MutexGuard<'a, Mail> {
        self.progress.wait(mail).unwrap_or_else(PoisonError::into_inner)
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
