//! The command as a child process.

use std::{
    ffi::OsStr,
    io,
    process::{ExitStatus, Stdio},
};

use rustix::{
    io::ioctl_fionread,
    pipe::fcntl_setpipe_size,
    process::{Pid, Signal, kill_process},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    try_join,
};

use super::{Terminal, within};

/// `fanfare`, running. It is killed when this is dropped.
pub(crate) struct Fanfare {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: Option<BufReader<ChildStderr>>,
}

/// What it has left behind: what nobody has read yet, and its status.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Fanfare {
    /// What fits into a pipe that has been shrunk: a page.
    pub(crate) const SHRUNK_BYTES: usize = 4096;

    /// Runs it with nothing on stdin.
    pub(crate) fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self::spawn(command(arguments).stdin(Stdio::null()))
    }

    /// Runs it with stdout and stderr at a terminal.
    pub(crate) fn run_at<A: AsRef<OsStr>>(
        terminal: &Terminal,
        arguments: impl IntoIterator<Item = A>,
        environment: &[(&str, &str)],
    ) -> Self {
        let mut command = command(arguments);
        command.envs(environment.iter().copied()).stdin(Stdio::null());
        Self::spawn(command.stdout(terminal.stdio()).stderr(terminal.stdio()))
    }

    /// Runs it to its end with this on stdin.
    pub(crate) async fn fed<A: AsRef<OsStr>>(
        arguments: impl IntoIterator<Item = A>,
        input: impl Into<Vec<u8>>,
    ) -> End {
        let (fanfare, mut stdin) = Self::piped(arguments);
        let input = input.into();
        // It may end before it has read everything.
        let feeding = tokio::spawn(async move { drop(stdin.write_all(&input).await) });
        let end = fanfare.end().await;
        within("its stdin", feeding).await.unwrap();
        end
    }

    /// Runs it with a pipe as stdin.
    pub(crate) fn piped<A: AsRef<OsStr>>(
        arguments: impl IntoIterator<Item = A>,
    ) -> (Self, ChildStdin) {
        let mut fanfare = Self::spawn(command(arguments).stdin(Stdio::piped()));
        let stdin = fanfare.child.stdin.take().unwrap();
        (fanfare, stdin)
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().map(BufReader::new);
        let stderr = child.stderr.take().map(BufReader::new);
        Self { child, stdout, stderr }
    }

    /// The next line on stdout.
    pub(crate) async fn line(&mut self) -> String {
        let line = self.maybe_line().await;
        line.expect("another line on stdout")
    }

    /// The next line on stdout; `None` at its end.
    pub(crate) async fn maybe_line(&mut self) -> Option<String> {
        read_line(self.stdout.as_mut().unwrap()).await
    }

    /// The next bytes on stdout.
    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        within("bytes", self.stdout.as_mut().unwrap().read_exact(&mut bytes)).await.unwrap();
        bytes
    }

    /// The next line on stderr.
    pub(crate) async fn news(&mut self) -> String {
        let line = read_line(self.stderr.as_mut().unwrap()).await;
        line.expect("another line on stderr")
    }

    /// Makes the pipe that is its stdout as short as can be.
    pub(crate) fn shrink_stdout(&self) {
        let stdout = self.stdout.as_ref().unwrap().get_ref();
        fcntl_setpipe_size(stdout, Self::SHRUNK_BYTES).unwrap();
    }

    /// How many bytes lie in the pipe that is its stdout.
    pub(crate) fn unread_bytes(&self) -> usize {
        let stdout = self.stdout.as_ref().unwrap().get_ref();
        ioctl_fionread(stdout).unwrap().try_into().unwrap()
    }

    /// Closes the pipe that is its stdout.
    pub(crate) fn stop_reading(&mut self) {
        self.stdout = None;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.child.id().unwrap().try_into().unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Waits for its end, while it is read empty.
    pub(crate) async fn end(mut self) -> End {
        let (mut stdout, mut stderr) = (vec![], vec![]);
        let (out, err) = (self.stdout.as_mut(), self.stderr.as_mut());
        let reading = async {
            try_join!(read_rest(out, &mut stdout), read_rest(err, &mut stderr), self.child.wait())
        };
        let ((), (), status) = within("the command's end", reading).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        End { status: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Waits for its end without reading.
    pub(crate) async fn status(&mut self) -> ExitStatus {
        within("the command's end", self.child.wait()).await.unwrap()
    }
}

fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.args(arguments).kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // What would change it: colours, and ways around the servers of the tests.
    let changing = ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "http_proxy", "HTTP_PROXY"];
    let more = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "CI"];
    for name in changing.iter().chain(&more) {
        command.env_remove(name);
    }
    command.env("TERM", "xterm");
    command
}

async fn read_line(lines: &mut (impl AsyncBufReadExt + Unpin)) -> Option<String> {
    let mut line = String::new();
    let count = within("a line", lines.read_line(&mut line)).await.unwrap();
    (count > 0).then(|| line.trim_end_matches('\n').to_owned())
}

async fn read_rest(
    pipe: Option<&mut (impl AsyncReadExt + Unpin)>,
    rest: &mut Vec<u8>,
) -> io::Result<()> {
    if let Some(pipe) = pipe {
        pipe.read_to_end(rest).await?;
    }
    Ok(())
}

impl End {
    /// Nothing more on stdout or stderr, and this status.
    #[track_caller]
    pub(crate) fn is_quietly(&self, status: i32) {
        assert_eq!((self.status, &*self.stdout, &*self.stderr), (Some(status), "", ""));
    }
}
