//! A server's process, from its start to its end.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

#[cfg(unix)]
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::pinned::{self, Cpus};
use crate::program::{HOST, Outcome};

const LONGEST_START: Duration = Duration::from_secs(10);
const LONGEST_END: Duration = Duration::from_secs(2);
/// Between looks at what another process does.
const PAUSE: Duration = Duration::from_millis(5);

/// A server that listens. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Server {
    /// Starts a program and returns once it listens.
    ///
    /// `command` makes the program and its arguments from a port and a folder that are its own.
    pub(super) fn start(
        cpus: Cpus,
        command: impl FnOnce(u16, &Path) -> Outcome<Vec<OsString>>,
    ) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(runs()?)?;
        let port = free_port()?;
        let command = command(port, folder.path())?;
        let (program, arguments) = command.split_first().ok_or("no program is named")?;
        let child = pinned::command(cpus, 0, program, arguments)?
            .current_dir(folder.path())
            // Some of them end with their input.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join(MESSAGES))?)
            .spawn()?;
        let mut server = Self { child, port, folder };
        server.wait_until_it_listens(program)?;
        Ok(server)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What its threads have taken of CPUs, in seconds.
    pub(super) fn cpu_seconds(&self) -> Outcome<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let ticks = ticks_in(&stat).ok_or("/proc tells no CPU time")?;
        Ok(ticks / TICKS_PER_SECOND)
    }

    /// Does nothing until it is let go on.
    #[cfg(unix)]
    pub(super) fn stop(&self) -> Outcome {
        Ok(kill_process(Pid::from_child(&self.child), Signal::STOP)?)
    }

    #[cfg(unix)]
    pub(super) fn go_on(&self) -> Outcome {
        Ok(kill_process(Pid::from_child(&self.child), Signal::CONT)?)
    }

    #[cfg(not(unix))]
    pub(super) fn stop(&self) -> Outcome {
        Err("there is no signal that lets a process stand still".into())
    }

    #[cfg(not(unix))]
    pub(super) fn go_on(&self) -> Outcome {
        self.stop()
    }

    /// The first process that this one has started, once it has.
    pub(super) fn first_child(&self) -> Outcome<u32> {
        wait(LONGEST_START, || child_of(self.child.id())).ok_or("it has started no process".into())
    }

    /// How many files and sockets it has open.
    pub(super) fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    fn wait_until_it_listens(&mut self, program: &OsStr) -> Outcome {
        let address = (HOST, self.port);
        let child = &mut self.child;
        let listens = wait(LONGEST_START, || match child.try_wait() {
            Ok(None) => TcpStream::connect(address).is_ok().then_some(true),
            _ => Some(false),
        });
        match listens {
            Some(true) => Ok(()),
            Some(false) => Err(self.complaint(program, "has ended").into()),
            None => Err(self.complaint(program, "does not listen").into()),
        }
    }

    /// What went wrong, in its own words where it has any.
    fn complaint(&self, program: &OsStr, what: &str) -> String {
        let messages = fs::read_to_string(self.folder.path().join(MESSAGES)).unwrap_or_default();
        let last = messages.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no message");
        let program = Path::new(program).file_name().unwrap_or(program);
        format!("{} {what}: {last}", program.display())
    }
}

const MESSAGES: &str = "messages";
/// The unit in which Linux tells times to programs.
const TICKS_PER_SECOND: f64 = 100.0;

impl Drop for Server {
    fn drop(&mut self) {
        // A server of several processes ends the others when it is asked to end.
        terminate(&self.child);
        let ended = wait(LONGEST_END, || self.child.try_wait().ok().flatten());
        if ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[cfg(unix)]
fn terminate(child: &Child) {
    // It has ended already, if not.
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
}

#[cfg(not(unix))]
fn terminate(_: &Child) {}

/// Looks again and again, until there is something to see.
pub(super) fn wait<T>(longest: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < longest {
        if let Some(seen) = look() {
            return Some(seen);
        }
        thread::park_timeout(PAUSE);
    }
    None
}

fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind((HOST, 0))?.local_addr()?.port())
}

/// Where servers keep their files: on the disk that the project lies on.
pub(super) fn runs() -> Outcome<PathBuf> {
    let folder = super::tools::target().join("bench-runs");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// What is there of a run that was killed.
pub(super) fn remove_leftovers() {
    // Where they cannot be removed, they do no harm.
    let _ = runs().and_then(|folder| Ok(fs::remove_dir_all(folder)?));
}

fn child_of(parent: u32) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut children = ids.filter(|id| {
        fs::read_to_string(format!("/proc/{id}/stat"))
            .is_ok_and(|stat| parent_in(&stat) == Some(parent))
    });
    children.next()
}

/// The parent in `/proc/PID/stat`: behind the state, which is behind the name in brackets.
fn parent_in(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(1)?.parse().ok()
}

/// The time in user mode and in the kernel, in `/proc/PID/stat`.
fn ticks_in(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut ticks = fields.split(' ').skip(11).map_while(|field| field.parse::<f64>().ok());
    Some(ticks.next()? + ticks.next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_time_is_that_of_both_modes() {
        let stat = "12 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 20 30 40 50";
        assert_eq!(ticks_in(stat), Some(50.0));
        assert_eq!(ticks_in("12"), None);
    }

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(parent_in("12 (a) b) (c) S 34 5 6"), Some(34));
        assert_eq!(parent_in("12"), None);
    }

    #[test]
    fn waiting_ends_with_what_is_waited_for_or_in_time() {
        let mut looks = 0;
        let seen = wait(LONGEST_START, || {
            looks += 1;
            (looks == 3).then_some("seen")
        });
        assert_eq!(seen, Some("seen"));
        assert_eq!(wait(Duration::from_millis(1), || None::<()>), None);
    }
}
