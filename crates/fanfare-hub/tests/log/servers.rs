//! Servers that the tests start, and end.

use std::{
    fs,
    io::Read,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use fanfare_hub::log::{
    Log, NatsError, NatsLog, NatsOptions, RedisClock, RedisLog, RedisOptions, Retention,
};
use tempfile::TempDir;

use crate::{
    ranked::{Known, Ranked},
    subject::{Subject, copy},
};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Redis of its own, which keeps nothing on the disk unless it is told to. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct RedisServer {
    folder: TempDir,
    arguments: Vec<String>,
    process: Mutex<Child>,
}

impl RedisServer {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        // The path of a socket has to be short.
        Self::start_in(tempfile::tempdir().unwrap(), arguments)
    }

    /// Another one with the same snapshot.
    pub(crate) fn copy(&self) -> Self {
        self.snapshot();
        let folder = tempfile::tempdir().unwrap();
        fs::copy(self.folder.path().join("dump.rdb"), folder.path().join("dump.rdb")).unwrap();
        Self::start_in(folder, self.arguments.clone())
    }

    fn start_in(folder: TempDir, arguments: Vec<String>) -> Self {
        let process = Mutex::new(launch(folder.path(), &arguments));
        let server = Self { folder, arguments, process };
        server.until_it_answers();
        server
    }

    /// Of all tests that run at the moment.
    fn of_all() -> Arc<Self> {
        static SERVER: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
        let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        server.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Self::start(&["--save", "", "--appendonly", "no"]));
            *server = Arc::downgrade(&started);
            started
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// A connection that may do everything, and goes on to when others no longer may.
    pub(crate) fn admin(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// Has it keep what it has at this moment.
    pub(crate) fn snapshot(&self) {
        self.run(&redis::cmd("SAVE"));
    }

    /// In bytes; none is no limit.
    pub(crate) fn limit_memory(&self, bytes: &str) {
        self.run(redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(bytes));
    }

    /// Forbids everybody a command, or allows everything again.
    pub(crate) fn allow(&self, rules: &[&str]) {
        self.run(redis::cmd("ACL").arg("SETUSER").arg("default").arg(rules));
    }

    /// How many commands a script has run on average since this was asked last.
    pub(crate) fn commands_per_script(&self) -> u64 {
        let mut admin = self.admin();
        let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut admin).unwrap();
        redis::cmd("CONFIG").arg("RESETSTAT").exec(&mut admin).unwrap();
        let (mut commands, mut scripts) = (0, 0);
        for line in stats.lines() {
            let Some((command, figures)) = line.split_once(":calls=") else { continue };
            let calls: u64 = figures.split_once(',').unwrap().0.parse().unwrap();
            let is_script = command.starts_with("cmdstat_eval");
            *(if is_script { &mut scripts } else { &mut commands }) += calls;
        }
        commands / scripts.max(1)
    }

    fn run(&self, command: &redis::Cmd) {
        command.exec(&mut self.admin()).unwrap();
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&self) {
        let mut process = self.process.lock().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    pub(crate) fn start_again(&self) {
        *self.process.lock().unwrap() = launch(self.folder.path(), &self.arguments);
        self.until_it_answers();
    }

    fn until_it_answers(&self) {
        let (begun, client) = (Instant::now(), redis::Client::open(self.url()).unwrap());
        let answers = || {
            let mut connection = client.get_connection().ok()?;
            redis::cmd("PING").query::<String>(&mut connection).ok()
        };
        while answers().is_none() {
            assert!(begun.elapsed() < PATIENCE, "redis-server does not answer");
            thread::yield_now();
        }
    }
}

fn launch(folder: &Path, arguments: &[String]) -> Child {
    let socket = folder.join("redis.sock");
    let launched = Command::new("redis-server")
        .args(["--port", "0", "--unixsocket"])
        .arg(socket)
        .arg("--dir")
        .arg(folder)
        .args(arguments)
        .stdout(Stdio::null())
        .spawn();
    launched.expect("redis-server is installed: tests/servers/setup.sh")
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A log of its own in a Redis that tests share.
#[derive(Debug)]
pub(crate) struct Redis {
    server: Arc<RedisServer>,
    name: String,
}

impl Redis {
    pub(crate) fn new() -> Self {
        Self::on(RedisServer::of_all())
    }

    pub(crate) fn on(server: Arc<RedisServer>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("test {}", NEXT.fetch_add(1, Ordering::Relaxed));
        Self { server, name }
    }

    /// A connection to the server.
    pub(crate) fn admin(&self) -> redis::Connection {
        self.server.admin()
    }

    /// One of its keys.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.name)
    }

    /// The log, as another hub opens it too.
    pub(crate) async fn hub(&self, seed: u64, retention: Retention) -> RedisLog {
        self.hub_at(&self.server.url(), seed, retention).await
    }

    /// The same by another address of the server.
    pub(crate) async fn hub_at(&self, url: &str, seed: u64, retention: Retention) -> RedisLog {
        RedisLog::open(url, seed, self.options(retention)).await.unwrap()
    }

    pub(crate) async fn hub_with(&self, seed: u64, options: RedisOptions) -> RedisLog {
        RedisLog::open(&self.server.url(), seed, options).await.unwrap()
    }

    pub(crate) fn options(&self, retention: Retention) -> RedisOptions {
        RedisOptions {
            name: self.name.clone(),
            retention,
            max_topics: usize::MAX,
            patience: Duration::from_secs(5),
            clock: RedisClock::Told,
        }
    }
}

impl Subject for Redis {
    async fn open(&self, retention: Retention) -> Arc<dyn Log> {
        Arc::new(self.hub(7, retention).await)
    }
}

/// A nats-server of its own, with `JetStream`. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct NatsServer {
    folder: TempDir,
    port: u16,
    arguments: &'static [&'static str],
    process: Mutex<Child>,
}

impl NatsServer {
    pub(crate) fn start() -> Self {
        Self::start_with(&["--jetstream"])
    }

    pub(crate) fn start_with(arguments: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Mutex::new(launch_nats(folder.path(), port, arguments));
        let server = Self { folder, port, arguments, process };
        server.until_it_answers();
        server
    }

    /// Of all tests that run at the moment.
    fn of_all() -> Arc<Self> {
        static SERVER: Mutex<Weak<NatsServer>> = Mutex::new(Weak::new());
        let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        server.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Self::start());
            *server = Arc::downgrade(&started);
            started
        })
    }

    pub(crate) fn url(&self) -> String {
        self.url_with("")
    }

    /// With this in front of the host.
    pub(crate) fn url_with(&self, credentials: &str) -> String {
        format!("nats://{credentials}127.0.0.1:{}", self.port)
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&self) {
        let mut process = self.process.lock().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    pub(crate) fn start_again(&self) {
        *self.process.lock().unwrap() = launch_nats(self.folder.path(), self.port, self.arguments);
        self.until_it_answers();
    }

    /// Keeps what it has by now for [`lose_the_newest`](Self::lose_the_newest). It must not run.
    pub(crate) fn remember(&self) {
        copy(&self.kept(), &self.folder.path().join("remembered"));
    }

    /// Loses what has come since. It must not run.
    pub(crate) fn lose_the_newest(&self) {
        self.lose_everything();
        copy(&self.folder.path().join("remembered"), &self.kept());
    }

    /// As if it had never kept anything. It must not run.
    pub(crate) fn lose_everything(&self) {
        fs::remove_dir_all(self.kept()).unwrap();
    }

    fn kept(&self) -> PathBuf {
        self.folder.path().join("jetstream")
    }

    fn until_it_answers(&self) {
        let begun = Instant::now();
        // What connects to a port that nobody has yet may come to itself.
        let answers = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
            stream.set_read_timeout(Some(PATIENCE)).ok()?;
            let mut greeting = [0; 4];
            stream.read_exact(&mut greeting).ok()?;
            (greeting == *b"INFO").then_some(())
        };
        while answers().is_none() {
            assert!(begun.elapsed() < PATIENCE, "nats-server does not answer");
            thread::yield_now();
        }
    }
}

fn launch_nats(folder: &Path, port: u16, arguments: &[&str]) -> Child {
    let mut command = Command::new("nats-server");
    command.args(["--addr", "127.0.0.1", "--port"]).arg(port.to_string()).args(arguments);
    command.arg("--store_dir").arg(folder).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("nats-server is installed: tests/servers/setup.sh")
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A log of its own in a NATS that tests share.
#[derive(Debug)]
pub(crate) struct Nats {
    server: Arc<NatsServer>,
    name: String,
    known: Known,
    max_unfollowed: u64,
}

impl Nats {
    pub(crate) fn new() -> Self {
        Self::on(NatsServer::of_all())
    }

    /// Hubs ask for the bodies of what is followed.
    pub(crate) fn by_heads() -> Self {
        Self { max_unfollowed: 0, ..Self::new() }
    }

    pub(crate) fn on(server: Arc<NatsServer>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("test {}", NEXT.fetch_add(1, Ordering::Relaxed));
        Self { server, name, known: Known::default(), max_unfollowed: u64::MAX }
    }

    /// The log, as another hub opens it too.
    pub(crate) async fn hub(&self, seed: u64, retention: Retention) -> NatsLog {
        self.hub_with(seed, self.options(retention)).await
    }

    pub(crate) async fn hub_with(&self, seed: u64, options: NatsOptions) -> NatsLog {
        NatsLog::open(&self.server.url(), seed, options).await.unwrap()
    }

    pub(crate) async fn try_hub(
        &self,
        seed: u64,
        retention: Retention,
    ) -> Result<NatsLog, NatsError> {
        self.try_hub_with(seed, self.options(retention)).await
    }

    pub(crate) async fn try_hub_with(
        &self,
        seed: u64,
        options: NatsOptions,
    ) -> Result<NatsLog, NatsError> {
        NatsLog::open(&self.server.url(), seed, options).await
    }

    /// Its stream, as somebody else sees it.
    pub(crate) async fn stream(&self) -> (async_nats::jetstream::Context, String) {
        let client = async_nats::connect(self.server.url()).await.unwrap();
        (async_nats::jetstream::new(client), self.name.replace(' ', "_20"))
    }

    pub(crate) fn options(&self, retention: Retention) -> NatsOptions {
        NatsOptions {
            name: self.name.clone(),
            retention,
            max_topics: usize::MAX,
            patience: Duration::from_secs(5),
            replicas: 1,
            is_in_memory: false,
            max_unfollowed: self.max_unfollowed,
            max_bytes: None,
        }
    }
}

impl Subject for Nats {
    async fn open(&self, retention: Retention) -> Arc<dyn Log> {
        Arc::new(Ranked::new(self.hub(7, retention).await, self.known.clone()).await)
    }
}
