//! The addon behind the npm package `sse`: a thread that writes event streams into Node.js's sockets.
//!
//! Node keeps a connection whose stream is handed over: it owns the descriptor, parses what comes, and
//! sees the peer hang up. Only the writing is done here, so that a broadcast does not hold up the event
//! loop. In the order in which things happen:
//!
//! 1. [`Writer::add`] is given a socket (`slot.rs`) and the number by which JavaScript names it from then on.
//! 2. [`Writer::write`] makes one frame for all who are given it (`frame.rs`), and puts it into the
//!    thread's inbox (`inbox.rs`). JavaScript has gathered them: it is one call for a whole broadcast.
//! 3. The thread (`thread.rs`) appends the frame to what waits for each socket (`backlog.rs`), and writes
//!    it all in one system call. A socket that takes no more is watched until it does.
//! 4. Node is about to close the descriptor: [`Writer::remove`] lets go of it before.
//!
//! What makes this safe is in `slot.rs`: a descriptor is never used behind `remove`, whose number may by
//! then be that of another connection.

#![cfg(target_os = "linux")]

mod backlog;
mod frame;
mod inbox;
mod slot;
mod thread;
#[cfg(test)]
mod vectors;

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use napi::{
    Env, Error, Result, Status,
    bindgen_prelude::{Buffer, FnArgs},
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode},
};
use napi_derive::napi;

use frame::{Frame, Framing};
use inbox::{Command, Inbox};
use slot::{Limits, Numbers, Slot, Word};

/// How JavaScript is told of a socket, by its number. It does not keep the process alive.
type Listener = ThreadsafeFunction<FnArgs<(u32, u32)>, (), FnArgs<(u32, u32)>, Status, false, true>;

/// One thread that writes, for one environment of Node.js: the main thread's, or a worker's.
#[napi]
#[derive(Debug)]
pub struct Writer {
    inbox: Arc<Inbox>,
    numbers: Numbers,
}

#[napi]
impl Writer {
    /// Starts the thread. `listener` is given a socket's number and a word (`slot.rs`).
    ///
    /// # Errors
    ///
    /// The operating system's, if there can be no thread or no poller.
    #[napi(constructor)]
    pub fn new(env: Env, listener: Listener) -> Result<Self> {
        let tell = move |number: u32, word: Word| {
            // It fails when the environment is at its end, which nobody needs to be told.
            let _ = listener
                .call((number, word.into()).into(), ThreadsafeFunctionCallMode::NonBlocking);
        };
        let (inbox, thread) = thread::start(tell).map_err(refused)?;
        let is_stopped = inbox.clone();
        env.add_env_cleanup_hook(thread, move |thread| stop(&is_stopped, thread))?;
        Ok(Self { numbers: Numbers::new(&inbox), inbox })
    }

    /// Takes over the writing to a socket. `number` is one that no other socket has: 0 and so on, and
    /// again what was told to have left. `is_chunked` has frames put into
    /// chunks of HTTP/1.1. `is_duplicated` has it written to by a descriptor of its own, where Node may
    /// close its own without a word. At most `max_bytes` wait for it, for at most `max_age` milliseconds.
    ///
    /// # Errors
    ///
    /// The operating system's, if there can be no duplicate; or if the thread has ended.
    #[napi]
    pub fn add(
        &mut self,
        number: u32,
        descriptor: i32,
        is_chunked: bool,
        is_duplicated: bool,
        max_bytes: f64,
        max_age: f64,
    ) -> Result<()> {
        if self.inbox.is_closed() {
            return Err(Error::from_reason("the thread has ended"));
        }
        let framing = if is_chunked { Framing::Chunked } else { Framing::Plain };
        let limits = Limits { bytes: whole(max_bytes), age: milliseconds(max_age) };
        let slot = if is_duplicated {
            Slot::duplicate(descriptor, framing, limits).map_err(refused)?
        } else {
            Slot::borrow(descriptor, framing, limits)
        };
        self.numbers.enter(number, slot);
        Ok(())
    }

    /// Has a text written to each of these sockets.
    #[napi]
    pub fn write(&self, text: String, numbers: &[u32]) {
        let frame = Arc::new(Frame::new(&text.into_bytes()));
        self.inbox.post(Command::Write { frame, numbers: numbers.into() });
    }

    /// Has bytes written to one socket.
    #[napi]
    pub fn write_bytes(&self, bytes: &[u8], number: u32) {
        let frame = Arc::new(Frame::new(bytes));
        self.inbox.post(Command::Write { frame, numbers: [number].into() });
    }

    /// Has `Word::Ready` told when everything before it is written.
    #[napi]
    pub fn ask(&self, number: u32) {
        self.inbox.post(Command::Ask { number });
    }

    /// Lets go of a socket that has further to be written to: what it has not taken yet is given back, or
    /// nothing if a part of that is lost. Waits for the thread to look, which it does between any two
    /// slices of its work (`thread.rs`).
    #[napi]
    pub fn give_back(&mut self, number: u32) -> Option<Buffer> {
        self.numbers.leave(number).map(Buffer::from)
    }

    /// Lets go of a socket that is about to be closed, which is given before what it takes at once. Waits as
    /// [`give_back`](Self::give_back) does. When it returns, the descriptor is not used any more.
    #[napi]
    pub fn remove(&mut self, number: u32) {
        self.numbers.close(number);
    }
}

/// The environment is at its end. Its handles may be closed already: nothing is written any more.
fn stop(inbox: &Inbox, thread: JoinHandle<()>) {
    inbox.close();
    // A thread that panicked has stopped, too.
    let _ = thread.join();
}

fn refused(error: impl std::error::Error) -> Error {
    Error::from_reason(error.to_string())
}

/// JavaScript's `Infinity` is no limit.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from float to integer saturates, which is what is meant"
)]
fn whole(number: f64) -> usize {
    number as usize
}

fn milliseconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number / 1000.0).ok()
}
