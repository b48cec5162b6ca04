//! How far long work has come, on stderr where that is a terminal.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// How often it is said.
const EVERY: Duration = Duration::from_millis(100);

pub(crate) struct Progress {
    /// `None` where nobody looks.
    said: Option<Instant>,
    is_shown: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { said: io::stderr().is_terminal().then(Instant::now), is_shown: false }
    }

    /// Says it, if it is time to.
    pub(crate) fn tell<T: Display>(&mut self, text: impl FnOnce() -> T) {
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
