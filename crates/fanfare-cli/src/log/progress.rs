//! How many events are done.

use crate::progress;

pub(super) struct Progress {
    done: u64,
    all: u64,
    line: progress::Progress,
}

impl Progress {
    pub(super) fn new(all: u64) -> Self {
        Self { done: 0, all, line: progress::Progress::new() }
    }

    /// So many more events are done.
    pub(super) fn add(&mut self, events: usize) {
        self.done += events as u64;
        let Self { done, all, line } = self;
        line.tell(|| format!("{done} of {all} events"));
    }
}
