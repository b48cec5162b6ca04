//! Ctrl-C, and being asked to end.

use std::{
    io::{self, IsTerminal, Write},
    process,
    thread::Builder,
    time::Duration,
};

use tokio::{
    runtime, select,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    time::sleep,
};

/// How long what has come may take to be written once the end is asked for.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
}

impl Signal {
    /// The exit status with which a shell knows it.
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Interrupt => 128 + 2,
            Self::Terminate => 128 + 15,
        }
    }

    /// Begins a new line behind the `^C` that a terminal shows.
    pub(crate) fn tidy(self) {
        let mut stderr = io::stderr();
        if self == Self::Interrupt && stderr.is_terminal() {
            let _ = stderr.write_all(b"\n");
        }
    }
}

/// Waits for a signal, on a thread of its own: where the program stands still because nobody reads
/// its output, the thread ends it.
pub(crate) fn watch() -> io::Result<oneshot::Receiver<Signal>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupts, mut terminations) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let (tell, told) = oneshot::channel();
    let watching = async move {
        let signal = select! {
            _ = interrupts.recv() => Signal::Interrupt,
            _ = terminations.recv() => Signal::Terminate,
        };
        // Nobody is left to tell when the program is about to end by itself.
        let _ = tell.send(signal);
        sleep(GRACE).await;
        signal.tidy();
        process::exit(signal.status().into());
    };
    Builder::new().name("signals".into()).spawn(move || runtime.block_on(watching))?;
    Ok(told)
}
