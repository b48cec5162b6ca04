//! How far a run has come, on stderr where that is a terminal.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

const EVERY: Duration = Duration::from_millis(200);

pub(super) struct Progress {
    /// `None` where nobody looks.
    said: Option<Instant>,
    is_shown: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { said: io::stderr().is_terminal().then(Instant::now), is_shown: false }
    }

    pub(super) fn tell<T: Display>(&mut self, text: impl FnOnce() -> T) {
        if self.said.is_none_or(|said| said.elapsed() < EVERY) {
            return;
        }
        self.said = Some(Instant::now());
        self.is_shown = true;
        let _ = write!(io::stderr(), "\r\x1b[Kfanfare: {}", text());
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
