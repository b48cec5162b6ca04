use std::{cell::RefCell, fmt::Display, thread};

/// How many steps are shown.
const SHOWN: usize = 100;

/// Prints how to repeat a schedule, and its last steps, when it fails.
pub(crate) struct Trace {
    name: &'static str,
    seed: u64,
    steps: RefCell<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(name: &'static str, seed: u64) -> Self {
        Self { name, seed, steps: RefCell::default() }
    }

    pub(crate) fn note(&self, step: impl Display) {
        self.steps.borrow_mut().push(step.to_string());
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        let steps = self.steps.borrow();
        let first = steps.len().saturating_sub(SHOWN);
        eprintln!("\n{} schedule, FANFARE_SEED={}: the last steps", self.name, self.seed);
        for (number, step) in steps.iter().enumerate().skip(first) {
            eprintln!("{number:>4} {step}");
        }
    }
}
