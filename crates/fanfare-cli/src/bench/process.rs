//! CPU time and memory of the server's processes, as Linux tells them.

use std::{fs, io};

use super::BenchError;

/// Fields behind the command's name in `/proc/PID/stat`.
const USER_TIME: usize = 11;
const SYSTEM_TIME: usize = 12;

/// What the processes have used up to now, and have in memory.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
}

/// `None` where no process was named.
pub(super) fn usage(pids: &[u32]) -> Result<Option<Usage>, BenchError> {
    let mut all = Usage::default();
    for &pid in pids {
        let one = of(pid).map_err(|source| BenchError::Process { pid, source })?;
        all.cpu_seconds += one.cpu_seconds;
        all.resident_bytes += one.resident_bytes;
    }
    Ok((!pids.is_empty()).then_some(all))
}

fn of(pid: u32) -> io::Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let ticks = ticks(&stat).ok_or(io::ErrorKind::InvalidData)?;
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or(io::ErrorKind::InvalidData)?;
    Ok(Usage {
        cpu_seconds: as_f64(ticks) / as_f64(rustix::param::clock_ticks_per_second()),
        resident_bytes: pages * rustix::param::page_size() as u64,
    })
}

fn ticks(stat: &str) -> Option<u64> {
    // The name may have blanks and brackets in it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<_> = fields.split(' ').collect();
    let field = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(field(USER_TIME)? + field(SYSTEM_TIME)?)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) fn as_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_time_and_has_memory() {
        let usage = usage(&[std::process::id(), std::process::id()]).unwrap().unwrap();
        assert!(usage.resident_bytes > 2 * 100_000, "{usage:?}");
        assert!(usage.cpu_seconds >= 0.0);
        assert_eq!(ticks("1 (a) b (c) S 0 1 2 3 4 5 6 7 8 9 30 12 0"), Some(42));
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        assert!(usage(&[u32::MAX]).unwrap_err().to_string().contains(&u32::MAX.to_string()));
        assert!(usage(&[]).unwrap().is_none());
    }
}
