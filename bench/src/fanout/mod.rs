//! The fan-out comparison: who serves, who listens, and who measures both.

pub mod compare;
pub mod load;
pub mod server;

use std::error::Error;

/// What went wrong, for the terminal.
pub type Outcome = Result<(), Box<dyn Error>>;

/// Stands once in each event and nowhere else in the stream: the load counts events by it.
pub const MARK: u8 = b'#';

/// An event's data: 100 bytes.
pub fn payload() -> String {
    format!("{}{}", char::from(MARK), "0123456789".repeat(10).split_off(1))
}

/// Keeps this process, and the threads it starts from now on, on one CPU.
#[cfg(target_os = "linux")]
fn pin_to(cpu: usize) -> Outcome {
    use rustix::thread::{CpuSet, sched_setaffinity};

    let mut only = CpuSet::new();
    only.set(cpu);
    Ok(sched_setaffinity(None, &only)?)
}

#[cfg(not(target_os = "linux"))]
fn pin_to(_: usize) -> Outcome {
    Err("this benchmark pins its processes to CPUs and reads /proc: it needs Linux".into())
}
