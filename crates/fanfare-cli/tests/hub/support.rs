use std::{
    fmt,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use reqwest::{Client, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    time::{interval, timeout},
};

/// Longer than anything takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_mins(1);

#[track_caller]
pub(crate) fn within<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let at = std::panic::Location::caller();
    async move {
        let outcome = timeout(PATIENCE, future).await;
        outcome.unwrap_or_else(|_| panic!("waited too long for {what} at {at}"))
    }
}

/// A working directory, in which commands run and files have short names.
pub(crate) struct Folder(TempDir);

/// What a command has left behind.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A hub that serves. It is killed when this is dropped.
pub(crate) struct Hub {
    child: Child,
    pub(crate) stderr: PathBuf,
    /// What it has printed, line by line.
    pub(crate) greeting: Vec<String>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// `fanfare` with these words, and nothing of this process's environment that would change it.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            let is_changing = ["FANFARE_", "http_", "HTTP_", "https_", "HTTPS_", "all_", "ALL_"];
            if is_changing.iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(&*name);
            }
        }
        command.args(words).current_dir(self.path()).kill_on_drop(true).stdin(Stdio::null());
        command
    }

    pub(crate) async fn run(&self, words: &[&str]) -> End {
        output(self.command(words)).await
    }

    pub(crate) async fn run_with(&self, words: &[&str], environment: &[(&str, &str)]) -> End {
        let mut command = self.command(words);
        command.envs(environment.iter().copied());
        output(command).await
    }

    /// Runs it with this on stdin.
    pub(crate) async fn feed(&self, words: &[&str], input: &str) -> End {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        // It may end before it has read everything.
        tokio::spawn(async move { drop(stdin.write_all(input.as_bytes()).await) });
        End::of(within("the command's end", child.wait_with_output()).await.unwrap())
    }

    /// Runs a line of a shell.
    pub(crate) fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.path()).kill_on_drop(true);
        command.env("no_proxy", "*").stdin(Stdio::null());
        command
    }

    /// Starts a hub on a free port, and waits until it has said how to use it.
    pub(crate) async fn serve(&self, words: &[&str]) -> Hub {
        let words = [&["serve", "--listen", "127.0.0.1:0"], words].concat();
        self.launch(self.command(&words)).await
    }

    /// Starts a hub with this command, and waits until it has said how to use it.
    pub(crate) async fn launch(&self, mut command: Command) -> Hub {
        let number = std::fs::read_dir(self.path()).unwrap().count();
        let stderr = self.path().join(format!("stderr-{number}"));
        command.stdout(Stdio::piped()).stderr(File::create(&stderr).unwrap());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut hub = Hub { child, stderr, greeting: vec![] };
        let is_last = |line: &String| line.trim_start().starts_with("subscribe");
        while !hub.greeting.last().is_some_and(is_last) {
            let line = within("the greeting", lines.next_line()).await.unwrap();
            let line = line.unwrap_or_else(|| panic!("no greeting: {}", hub.said()));
            hub.greeting.push(line);
        }
        hub
    }

    /// The events of a topic, as lines of JSON.
    pub(crate) async fn events(&self, hub: &Hub, path: &str, count: usize) -> Vec<String> {
        let (url, count) = (hub.url(path), count.to_string());
        let end = self.run(&["sub", &url, "--quiet", "--json", "--count", &count]).await;
        assert_eq!(end.status, Some(0), "{end:?}");
        end.stdout.lines().map(str::to_owned).collect()
    }
}

pub(crate) async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let mut looks = interval(Duration::from_millis(5));
    let looking = async {
        while !is_so().await {
            looks.tick().await;
        }
    };
    within(what, looking).await;
}

/// An address that was free just now, and that no connection takes: systems give those higher ports.
pub(crate) fn free() -> String {
    let addresses =
        std::iter::repeat_with(|| format!("127.0.0.1:{}", fastrand::u16(10_000..32_768)));
    addresses.take(1000).find(|address| std::net::TcpListener::bind(address).is_ok()).unwrap()
}

pub(crate) async fn serve_at(folder: &Folder, address: &str, words: &[&str]) -> Hub {
    let address = format!("server.listen={address}");
    folder.serve(&[&["--set", &address], words].concat()).await
}

/// For requests that go straight to a hub.
pub(crate) fn client() -> Client {
    // Another test may have done it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

/// Publishes under a key until it is answered.
pub(crate) async fn publish(url: &str, data: &str) {
    let client = client();
    let mut tries = interval(Duration::from_millis(20));
    let publishing = async {
        loop {
            tries.tick().await;
            let request = client.post(url).header("idempotency-key", data).body(data.to_owned());
            if let Ok(answer) = request.send().await
                && answer.status() == StatusCode::OK
            {
                return;
            }
        }
    };
    within("an answer", publishing).await;
}

pub(crate) fn told(line: &str) -> String {
    let event: Value = serde_json::from_str(line).unwrap();
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    match &*text("event") {
        "gap" => format!("gap {}", text("data")),
        _ => text("data"),
    }
}

/// Lines with the numbers from 0.
pub(crate) fn numbers(count: usize) -> String {
    let mut lines = String::new();
    for number in 0..count {
        lines.push_str(&number.to_string());
        lines.push('\n');
    }
    lines
}

pub(crate) async fn output(mut command: Command) -> End {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    End::of(within("the command's end", command.output()).await.unwrap())
}

impl End {
    fn of(output: std::process::Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            status: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Hub {
    /// The address that it says it has.
    pub(crate) fn url(&self, path: &str) -> String {
        let line = self.line("page");
        format!("{}{path}", line.trim_end_matches('/'))
    }

    /// What the greeting says about something.
    pub(crate) fn line(&self, about: &str) -> &str {
        let mut lines = self.greeting.iter().filter_map(|line| line.trim().strip_prefix(about));
        lines.next().unwrap().trim()
    }

    pub(crate) fn said(&self) -> String {
        let mut file = File::open(&self.stderr).unwrap();
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    }

    /// Waits until it has said something on stderr.
    pub(crate) async fn says(&self, text: &str) {
        let saying = async {
            let mut looks = interval(Duration::from_millis(2));
            while !self.said().contains(text) {
                looks.tick().await;
            }
        };
        within(text, saying).await;
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.id().try_into().unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Waits for its end, however long it takes.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        self.child.wait().await.unwrap()
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        within("the hub's end", self.end()).await
    }

    /// Ends it in good order.
    pub(crate) async fn stop(mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.ended().await.code(), Some(0), "{}", self.said());
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said())
    }
}
