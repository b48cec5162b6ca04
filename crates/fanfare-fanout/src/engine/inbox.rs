//! What a thread of the engine is told.

use std::{
    fmt, io, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Wake,
};

use mio::{Registry, Token, Waker};

use super::Adoption;

/// The token of a thread's inbox among those of its sockets.
pub(super) const INBOX: Token = Token(usize::MAX);

/// From any thread to one of the engine's.
#[derive(Debug)]
pub(super) struct Inbox {
    waker: Waker,
    /// The thread has been woken, and has not looked since.
    is_awake: AtomicBool,
    /// `None` when nobody looks any more.
    mail: Mutex<Option<Mail>>,
}

/// What lies in an inbox.
#[derive(Debug, Default)]
pub(super) struct Mail {
    pub(super) commands: Vec<Command>,
    /// Which channels have news.
    pub(super) channels: Vec<usize>,
    /// Which clients that read several channels have news.
    pub(super) clients: Vec<u32>,
}

pub(super) enum Command {
    Adopt(Adoption),
    Recall,
    Stop,
}

impl Inbox {
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        let waker = Waker::new(registry, INBOX)?;
        Ok(Self {
            waker,
            is_awake: AtomicBool::new(false),
            mail: Mutex::new(Some(Mail::default())),
        })
    }

    /// Puts a command where the thread finds it when it is woken. Gives it back if nobody looks any more.
    pub(super) fn post(&self, command: Command) -> Result<(), Command> {
        match &mut *self.mail() {
            Some(mail) => mail.commands.push(command),
            None => return Err(command),
        }
        Ok(())
    }

    /// Wakes the thread if commands lie here.
    pub(super) fn wake_for_commands(&self) {
        let has_commands = self.mail().as_ref().is_some_and(|mail| !mail.commands.is_empty());
        if has_commands {
            self.wake();
        }
    }

    fn news(&self, channel: usize) {
        if let Some(mail) = &mut *self.mail() {
            mail.channels.push(channel);
        }
        self.wake();
    }

    pub(super) fn news_of_client(&self, client: u32) {
        if let Some(mail) = &mut *self.mail() {
            mail.clients.push(client);
        }
        self.wake();
    }

    fn wake(&self) {
        if !self.is_awake.swap(true, Ordering::SeqCst) {
            // A poller that cannot be woken looks again when its wheel turns.
            let _ = self.waker.wake();
        }
    }

    /// Takes what lies there. What comes afterwards wakes the thread.
    pub(super) fn take(&self, mail: &mut Mail) {
        self.is_awake.store(false, Ordering::SeqCst);
        if let Some(new) = &mut *self.mail() {
            mem::swap(new, mail);
        }
    }

    /// Nobody looks from now on. Returns what lies there.
    pub(super) fn close(&self) -> Mail {
        self.mail().take().unwrap_or_default()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.mail().is_none()
    }

    fn mail(&self) -> MutexGuard<'_, Option<Mail>> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a channel wakes: a thread that reads it.
#[derive(Debug)]
pub(super) struct News {
    inbox: Arc<Inbox>,
    channel: usize,
    /// The thread has been told, and has not looked since.
    is_told: AtomicBool,
}

impl News {
    pub(super) fn new(inbox: Arc<Inbox>, channel: usize) -> Self {
        Self { inbox, channel, is_told: AtomicBool::new(false) }
    }

    /// The thread is about to look.
    pub(super) fn look(&self) {
        self.is_told.store(false, Ordering::SeqCst);
    }
}

impl Wake for News {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_told.swap(true, Ordering::SeqCst) {
            self.inbox.news(self.channel);
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Adopt(_) => "Adopt",
            Self::Recall => "Recall",
            Self::Stop => "Stop",
        })
    }
}
