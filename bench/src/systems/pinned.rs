//! A process on CPUs of its own.

use std::{
    env,
    ffi::{OsStr, OsString},
    process::Command,
};

use crate::program::Outcome;

/// Where a process may run.
pub(super) type Cpus = &'static [usize];

/// The only CPU of a server, the only one of the load, and both.
pub(super) const SERVER: Cpus = &[0];
pub(super) const LOAD: Cpus = &[1];
pub(super) const BOTH: Cpus = &[0, 1];

/// A command that runs on these CPUs, that may have as many files open as the system allows, and that
/// ends when this program does.
pub(super) fn command<A: AsRef<OsStr>>(
    cpus: Cpus,
    nice: i32,
    program: &OsStr,
    arguments: impl IntoIterator<Item = A>,
) -> Outcome<Command> {
    let cpus: Vec<_> = cpus.iter().map(usize::to_string).collect();
    let mut command = Command::new(env::current_exe()?);
    command.arg("pinned").arg(cpus.join(",")).arg(format!("--nice={nice}")).arg("--");
    command.arg(program).args(arguments);
    // What the user has set for a hub of their own does not count here.
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("FANFARE_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// Goes on as another program, under the same process id.
#[cfg(target_os = "linux")]
pub(super) fn become_command(cpus: &[usize], nice: i32, command: &[OsString]) -> Outcome {
    use std::os::unix::process::CommandExt;

    use rustix::{
        process::{
            Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal,
            setpriority_process, setrlimit,
        },
        thread::{CpuSet, sched_setaffinity},
    };

    let mut allowed = CpuSet::new();
    for &cpu in cpus {
        allowed.set(cpu);
    }
    sched_setaffinity(None, &allowed)
        .map_err(|error| format!("there are no CPUs {cpus:?} to run on: {error}"))?;
    set_parent_process_death_signal(Some(Signal::TERM))?;
    if nice != 0 {
        setpriority_process(None, nice)?;
    }
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    let (program, arguments) = command.split_first().ok_or("no program is named")?;
    let error = Command::new(program).args(arguments).exec();
    Err(format!("{} cannot be run: {error}", program.display()).into())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn become_command(_: &[usize], _: i32, _: &[OsString]) -> Outcome {
    Err("this benchmark pins its processes to CPUs and reads /proc: it needs Linux".into())
}
