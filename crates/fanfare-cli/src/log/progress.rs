//! How far long work has come, on stderr where that is a terminal.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// How often it is said.
const EVERY: Duration = Duration::from_millis(100);

pub(super) struct Progress {
    done: u64,
    all: u64,
    /// `None` where nobody looks.
    said: Option<Instant>,
    is_shown: bool,
}

impl Progress {
    pub(super) fn new(all: u64) -> Self {
        let said = io::stderr().is_terminal().then(Instant::now);
        Self { done: 0, all, said, is_shown: false }
    }

    /// So many more events are done.
    pub(super) fn add(&mut self, events: usize) {
        self.done += events as u64;
        if self.said.is_none_or(|said| said.elapsed() < EVERY) {
            return;
        }
        self.said = Some(Instant::now());
        self.is_shown = true;
        let _ = write!(io::stderr(), "\rfanfare: {} of {} events", self.done, self.all);
    }
}

impl Drop for Progress {
    /// Leaves an empty line.
    fn drop(&mut self) {
        if self.is_shown {
            let _ = io::stderr().write_all(b"\r\x1b[K");
        }
    }
}
