//! A benchmark's processes: the program starts itself in other parts.

use std::{
    env,
    error::Error,
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// What went wrong, for the terminal.
pub type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Where the processes reach each other.
pub const HOST: &str = "127.0.0.1";

/// Keeps this process, and the threads it starts from now on, on one CPU.
///
/// # Errors
///
/// When there is no such CPU, or the system is not Linux.
#[cfg(target_os = "linux")]
pub fn pin_to(cpu: usize) -> Outcome {
    use rustix::thread::{CpuSet, sched_setaffinity};

    let mut only = CpuSet::new();
    only.set(cpu);
    Ok(sched_setaffinity(None, &only)?)
}

/// # Errors
///
/// Always: it needs Linux.
#[cfg(not(target_os = "linux"))]
pub fn pin_to(_: usize) -> Outcome {
    Err("this benchmark pins its processes to CPUs and reads /proc: it needs Linux".into())
}

/// This program, started in another part. It prints a greeting, then answers lines.
#[derive(Debug)]
pub struct Program {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    greeting: String,
}

impl Program {
    /// Starts it, and returns once it has printed its greeting.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or ends without a greeting.
    pub fn start(arguments: &[&str]) -> Outcome<Self> {
        let mut command = Command::new(env::current_exe()?);
        // The traffic stays here, whatever proxies the environment names.
        command.args(arguments).env("NO_PROXY", HOST).env("no_proxy", HOST);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) = child.stdin.take().zip(child.stdout.take()).ok_or("no pipes")?;
        let mut program =
            Self { child, input, output: BufReader::new(output).lines(), greeting: String::new() };
        program.greeting = program.answer()?;
        Ok(program)
    }

    /// Its first line.
    pub fn greeting(&self) -> &str {
        &self.greeting
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Gives it a line, and returns its answer.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn ask(&mut self, line: &str) -> Outcome<String> {
        writeln!(self.input, "{line}")?;
        self.answer()
    }

    fn answer(&mut self) -> Outcome<String> {
        Ok(self.output.next().ok_or("a process of the benchmark has ended")??)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Without it there is nobody to measure any more, whatever the reason.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
