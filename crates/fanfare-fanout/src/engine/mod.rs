//! Threads that own sockets and write frames into them.
//!
//! A socket whose reader has nothing left to read but what is to come is given to an [`Engine`]
//! ([`Engine::adopt`]). From then on a delivery is one system call: a thread takes the frames from
//! the channel once for all clients at the same place, and writes them. What the engine cannot do, it
//! gives back ([`Client::leave`]): a client that fell behind the channel, or whose channel has ended.
//!
//! In the order in which things happen:
//!
//! 1. [`Engine::adopt`] puts a client into the inbox of a thread (`inbox.rs`).
//! 2. The thread (`thread.rs`) enters it in its slab (`clients.rs`), and among the readers of its channel
//!    (`readers.rs`). One that reads several channels is told of news by itself (`several.rs`).
//! 3. An append wakes the thread, once for all that it touches. The thread sweeps the readers of each
//!    channel with news, some at a time, so that no channel holds up another.
//! 4. A socket that takes no more keeps what is left of its frames (`written.rs`) until it does.
//! 5. A wheel (`wheel.rs`) has each client looked at when something may be due: a comment into the
//!    silence, or its end.

mod clients;
mod inbox;
mod readers;
mod several;
mod thread;
mod wheel;
mod written;

use std::{
    fmt, io,
    net::TcpStream,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{Channel, Digest, Frame, Position};

use inbox::{Command, Inbox};
use thread::Thread;

/// How an [`Engine`] is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Threads, each with sockets of its own; one for each CPU is best.
    pub threads: NonZeroUsize,
    /// How frames are put into the socket's stream.
    pub framing: Framing,
    /// The silence after which a client is [said something](Client::comment).
    pub keep_alive: Option<Duration>,
    /// How long a socket may take nothing while there is something for it.
    pub write_timeout: Duration,
    /// Told of what is written.
    pub observer: Arc<dyn Observer>,
}

/// How frames are put into a socket's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// As they are.
    Plain,
    /// Each run as a chunk of HTTP/1.1 (RFC 9112, section 7.1).
    Chunked,
}

/// Told of what an engine writes, by its threads. It must not wait.
pub trait Observer: fmt::Debug + Send + Sync {
    /// Frames were written to some clients.
    fn delivered(&self, deliveries: Deliveries);

    /// A thread can do nothing more: it gives its clients back, and ends.
    fn failed(&self, error: &io::Error);
}

/// What was written to some clients, one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Writes, each of one client's next frames.
    pub count: u64,
    /// Frames in all of them.
    pub frames: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Where the newest frame is.
    pub newest: Position,
}

/// Whose socket it is.
pub trait Client: Send {
    /// What breaks the silence of [`Settings::keep_alive`]. Called on a thread of the engine, and must
    /// not wait.
    fn comment(&self) -> Frame;

    /// The engine is done with it. Called on a thread of the engine, and must not wait.
    fn leave(self: Box<Self>, left: Left);
}

/// What an engine gives back.
#[derive(Debug)]
pub struct Left {
    /// Why.
    pub why: Why,
    /// Everything up to here is in the socket, but for what is unsent.
    pub after: Position,
    /// Of all that it was given, and of what it had before.
    pub digest: Digest,
    /// The rest of what is half written: it goes first.
    pub unsent: Bytes,
    /// The socket, in non-blocking mode; `None` if it is of no more use.
    pub socket: Option<TcpStream>,
}

/// Why an engine gives a client back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The peer is gone.
    Gone,
    /// The socket took nothing for longer than it may.
    Stalled,
    /// It fell behind what the channel keeps.
    Lagged,
    /// It has everything of a channel that was closed.
    Ended,
    /// Its time has come: [`Adoption::until`].
    Due,
    /// All were asked for: [`Engine::recall`], or the engine or a thread of it is no more.
    Recalled,
    /// No thread is left that could take it.
    Refused,
}

/// A client for an [`Engine`].
pub struct Adoption {
    /// Its socket, in non-blocking mode, with nothing half written.
    pub socket: TcpStream,
    /// What it reads: one channel, or several that draw from the same
    /// [`Positions`](crate::Positions), in one order.
    pub channels: Vec<Channel>,
    /// Behind which position.
    pub after: Position,
    /// Of what it was given before, if that is needed at its end.
    pub digest: Digest,
    /// When it is to be given back.
    pub until: Option<Instant>,
    /// Whose it is.
    pub client: Box<dyn Client>,
}

/// Threads that own sockets and write frames into them. Clones are the same engine; dropping the last
/// ends the threads, which give everything back.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Threads>);

#[derive(Debug)]
struct Threads {
    inboxes: Vec<Arc<Inbox>>,
    turn: AtomicUsize,
}

impl Engine {
    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// The operating system's, if there can be no thread or no poller.
    pub fn start(settings: &Settings) -> io::Result<Self> {
        let mut threads = Threads { inboxes: vec![], turn: AtomicUsize::new(0) };
        for index in 0..settings.threads.get() {
            let (thread, inbox) = Thread::new(settings)?;
            threads.inboxes.push(inbox);
            let name = format!("fanfare-engine-{index}");
            std::thread::Builder::new().name(name).spawn(move || thread.run())?;
        }
        Ok(Self(Arc::new(threads)))
    }

    /// Takes a socket over, until its client [leaves](Client::leave). It is served from the next
    /// [`settle`](Self::settle) on, which may be for many.
    pub fn adopt(&self, adoption: Adoption) {
        let turn = self.0.turn.fetch_add(1, Ordering::Relaxed);
        let inboxes = &self.0.inboxes;
        let mut command = Command::Adopt(adoption);
        for inbox in inboxes.iter().cycle().skip(turn % inboxes.len()).take(inboxes.len()) {
            match inbox.post(command) {
                Ok(()) => return,
                // Its thread is no more.
                Err(refused) => command = refused,
            }
        }
        if let Command::Adopt(adoption) = command {
            adoption.give_back(Why::Refused);
        }
    }

    /// Has those who were adopted served. It costs little if there are none, so whoever adopts a crowd one by
    /// one may well call it as often, each time a little later than [`adopt`](Self::adopt).
    pub fn settle(&self) {
        self.0.inboxes.iter().for_each(|inbox| inbox.wake_for_commands());
    }

    /// Whether no thread is left: each has [failed](Observer::failed).
    pub fn has_failed(&self) -> bool {
        self.0.inboxes.iter().all(|inbox| inbox.is_closed())
    }

    /// Gives all clients back. Others may be adopted afterwards.
    pub fn recall(&self) {
        self.0.tell(|| Command::Recall);
    }
}

impl Threads {
    fn tell(&self, command: impl Fn() -> Command) {
        for inbox in &self.inboxes {
            // A thread that is no more has nothing to do.
            let _ = inbox.post(command());
            inbox.wake_for_commands();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.tell(|| Command::Stop);
    }
}

impl Adoption {
    /// Gives it back as it came.
    fn give_back(self, why: Why) {
        let Self { socket, after, digest, client, .. } = self;
        client.leave(Left { why, after, digest, unsent: Bytes::new(), socket: Some(socket) });
    }
}

impl fmt::Debug for Adoption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adoption").field("after", &self.after).finish_non_exhaustive()
    }
}
