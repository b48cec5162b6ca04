//! The figures of this process.

use std::time::Instant;

use cpu_time::ProcessTime;
use memory_stats::memory_stats;
use peak_alloc::PeakAlloc;
use serde::Serialize;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What the page is sent, as JSON.
#[derive(Serialize)]
pub(crate) struct Figures {
    /// Memory that the operating system has given to the process, in bytes.
    resident: Option<usize>,
    /// Memory that the program has allocated and not given back, in bytes.
    heap: usize,
    /// Share of one core since the last reading: two busy cores are 200.
    cpu_percent: f64,
}

/// Measures from reading to reading.
pub(crate) struct Meter {
    read_at: Instant,
    cpu_then: ProcessTime,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { read_at: Instant::now(), cpu_then: ProcessTime::now() }
    }

    pub(crate) fn read(&mut self) -> Figures {
        let then = std::mem::replace(self, Self::start());
        let wall = self.read_at.duration_since(then.read_at).as_secs_f64();
        let cpu = self.cpu_then.duration_since(then.cpu_then).as_secs_f64();
        Figures {
            resident: memory_stats().map(|memory| memory.physical_mem),
            heap: HEAP.current_usage(),
            cpu_percent: if wall > 0.0 { 100.0 * cpu / wall } else { 0.0 },
        }
    }
}
