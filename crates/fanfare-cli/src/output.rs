//! Standard output.

use std::{
    io::{self, BufWriter, StdoutLock, Write},
    thread::Builder,
};

use anstream::{AutoStream, ColorChoice, stream::RawStream};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    stdio,
};
use tokio::sync::oneshot;

use crate::failure::Failure;

/// What is gathered at most before it is written.
const BUFFER_BYTES: usize = 64 * 1024;

/// Gathers what is written until it is flushed.
pub(crate) type Stdout = BufWriter<StdoutLock<'static>>;

pub(crate) fn stdout() -> Stdout {
    BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock())
}

pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = stdout();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(Failure::Stdout)
}

/// Whether the stream is a terminal whose user has nothing against colours.
pub(crate) fn is_coloured(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// Tells when nobody reads stdout any more, where it is a pipe. Otherwise a quiet stream would be
/// followed for nobody until its next event.
pub(crate) fn watch() -> io::Result<oneshot::Receiver<Unread>> {
    let (tell, told) = oneshot::channel();
    Builder::new().name("stdout".into()).spawn(move || {
        if await_hang_up().is_ok() {
            // Nobody is left to tell when the program is about to end by itself.
            let _ = tell.send(Unread);
        }
    })?;
    Ok(told)
}

/// Nobody reads stdout any more.
#[derive(Debug)]
pub(crate) struct Unread;

fn await_hang_up() -> Result<(), Errno> {
    loop {
        // Errors and hang-ups are told unasked. Files and terminals that stay have none.
        let stdout = PollFd::from_borrowed_fd(stdio::stdout(), PollFlags::empty());
        match poll(&mut [stdout], None) {
            Err(Errno::INTR) => {}
            outcome => return outcome.map(drop),
        }
    }
}
