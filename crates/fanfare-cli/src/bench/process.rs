//! CPU time and memory of the server's processes, as Linux tells them.

use std::{fs, io, time::Duration};

use super::BenchError;

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
    let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or(io::ErrorKind::InvalidData)?;
    Ok(Usage {
        cpu_seconds: cpu_time(pid)?.as_secs_f64(),
        resident_bytes: pages * rustix::param::page_size() as u64,
    })
}

/// Of all its threads, those that have ended among them. What `/proc` tells has steps of 10 ms.
#[cfg(target_os = "linux")]
fn cpu_time(pid: u32) -> io::Result<Duration> {
    use nix::{time::clock_getcpuclockid, unistd::Pid};

    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    Ok(clock_getcpuclockid(Pid::from_raw(pid))?.now()?.into())
}

#[cfg(not(target_os = "linux"))]
fn cpu_time(_: u32) -> io::Result<Duration> {
    Err(io::ErrorKind::Unsupported.into())
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
        let usage = || usage(&[std::process::id(), std::process::id()]).unwrap().unwrap();
        let before = usage();
        assert!(before.resident_bytes > 2 * 100_000, "{before:?}");
        std::hint::black_box((0..100_000_u64).map(std::hint::black_box).sum::<u64>());
        let used = usage().cpu_seconds - before.cpu_seconds;
        assert!(used > 0.0, "less than a step of 10 ms counts too");
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        assert!(usage(&[u32::MAX]).unwrap_err().to_string().contains(&u32::MAX.to_string()));
        assert!(usage(&[]).unwrap().is_none());
    }
}
