use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::Signal;
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::interval,
};

use crate::support::{Folder, Hub, until, within};

/// A server of its own that holds a log. It is killed when this is dropped.
pub(crate) struct Server {
    folder: PathBuf,
    engine: Engine,
    is_encrypted: bool,
    port: u16,
    process: Child,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Engine {
    /// With these settings.
    Redis(&'static [&'static str]),
    Nats,
}

impl Server {
    pub(crate) async fn start(folder: &Folder, engine: Engine) -> Self {
        Self::start_with(folder, engine, false).await
    }

    /// It has the certificate `certificate.pem`, which nobody trusts.
    async fn start_encrypted(folder: &Folder, engine: Engine) -> Self {
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        folder.write("key.pem", &certified.signing_key.serialize_pem());
        folder.write("certificate.pem", &certified.cert.pem());
        Self::start_with(folder, engine, true).await
    }

    async fn start_with(folder: &Folder, engine: Engine, is_encrypted: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let folder = folder.path().join("server");
        fs::create_dir(&folder).unwrap();
        let process = launch(engine, is_encrypted, &folder, port);
        let server = Self { folder, engine, is_encrypted, port, process };
        server.until_it_is_there().await;
        server
    }

    async fn until_it_is_there(&self) {
        let mut looks = interval(Duration::from_millis(2));
        let connecting = async {
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                looks.tick().await;
            }
        };
        within("the server", connecting).await;
    }

    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    pub(crate) async fn start_again(&mut self) {
        self.process = launch(self.engine, self.is_encrypted, &self.folder, self.port);
        self.until_it_is_there().await;
    }

    /// It must not run.
    fn lose_everything(&self) {
        fs::remove_dir_all(&self.folder).unwrap();
        fs::create_dir(&self.folder).unwrap();
    }

    pub(crate) fn url(&self) -> String {
        let scheme = match (self.engine, self.is_encrypted) {
            (Engine::Redis(_), false) => "redis",
            (Engine::Redis(_), true) => "rediss",
            (Engine::Nats, false) => "nats",
            (Engine::Nats, true) => "tls",
        };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }
}

/// As seen from the server's folder.
const CERTIFICATE: &str = "../certificate.pem";
const KEY: &str = "../key.pem";

fn launch(engine: Engine, is_encrypted: bool, folder: &Path, port: u16) -> Child {
    let port = port.to_string();
    let mut command = match engine {
        Engine::Redis(arguments) => {
            let mut command = Command::new("redis-server");
            command.args(["--bind", "127.0.0.1", "--save", ""]).args(arguments);
            if is_encrypted {
                command.args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"]);
                command.args(["--tls-cert-file", CERTIFICATE, "--tls-key-file", KEY]);
                command.args(["--tls-ca-cert-file", CERTIFICATE]);
            } else {
                command.args(["--port", &port]);
            }
            command
        }
        Engine::Nats => {
            let mut command = Command::new("nats-server");
            command.args(["--jetstream", "--addr", "127.0.0.1", "--port", &port]);
            command.arg("--store_dir").arg(folder);
            if is_encrypted {
                command.args(["--tls", "--tlscert", CERTIFICATE, "--tlskey", KEY]);
            }
            command
        }
    };
    command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().expect("the server is installed: tests/servers/setup.sh")
}

/// One that loses nothing.
pub(crate) const REDIS: Engine = Engine::Redis(&["--appendonly", "yes", "--appendfsync", "always"]);

/// Runs a test against both.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod redis {
            $( #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::sharing::REDIS).await;
            } )*
        }

        mod nats {
            $( #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::sharing::Engine::Nats).await;
            } )*
        }
    };
}

pub(crate) use on_both;

on_both! {
    a_client_goes_on_at_another_hub_where_one_hub_has_ended,
    nothing_is_acknowledged_while_the_log_is_away_and_streams_stay_open,
    a_relay_waits_for_a_log_that_is_away_and_leaves_nothing_out,
    a_hub_ends_when_its_log_turns_out_to_be_another_one,
    a_log_is_reached_over_tls_where_its_certificate_is_trusted,
    a_client_that_leaves_a_quiet_topic_is_noticed,
}

/// Publishes with curl; gives the status and the answer.
pub(crate) async fn publish(folder: &Folder, hub: &Hub, data: &str) -> (String, String) {
    let line = format!("curl -s -w '\\n%{{http_code}}' -d '{data}' '{}'", hub.url("/sse/news"));
    let end = crate::support::output(folder.shell(&line)).await;
    let (answer, status) = end.stdout.rsplit_once('\n').unwrap();
    (status.to_owned(), answer.to_owned())
}

async fn ready(folder: &Folder, hub: &Hub) -> String {
    let line = format!("curl -s -o /dev/null -w '%{{http_code}}' '{}'", hub.url("/readyz"));
    crate::support::output(folder.shell(&line)).await.stdout
}

async fn all(folder: &Folder, hub: &Hub, count: usize) -> Vec<String> {
    let events = folder.events(hub, "/sse/news?from=earliest", count).await;
    let data =
        |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap()["data"].clone();
    events.iter().map(|line| data(line).as_str().unwrap().to_owned()).collect()
}

async fn a_client_goes_on_at_another_hub_where_one_hub_has_ended(engine: Engine) {
    let folder = Folder::new();
    let server = Server::start(&folder, engine).await;
    let log = server.url();
    let [one, other] = [folder.serve(&["--log", &log]).await, folder.serve(&["--log", &log]).await];
    assert!(one.line("log").contains("shared under the name fanfare"));
    assert_eq!(publish(&folder, &one, "1").await.0, "200");
    let (_, answer) = publish(&folder, &other, "2").await;
    assert_eq!(all(&folder, &one, 2).await, ["1", "2"]);
    assert_eq!(publish(&folder, &one, "3").await.0, "200");
    one.signal(Signal::KILL);
    let id = answer.split('"').nth(3).unwrap();
    let line =
        format!("fanfare sub --quiet --count 1 --last-event-id {id} '{}'", other.url("/sse/news"));
    let line = line.replace("fanfare sub", &format!("'{}' sub", env!("CARGO_BIN_EXE_fanfare")));
    let end = crate::support::output(folder.shell(&line)).await;
    assert!(end.stdout.ends_with(" 3\n"), "{end:?}");
}

async fn nothing_is_acknowledged_while_the_log_is_away_and_streams_stay_open(engine: Engine) {
    let folder = Folder::new();
    let mut server = Server::start(&folder, engine).await;
    let hub = folder.serve(&["--log", &server.url()]).await;
    assert_eq!(publish(&folder, &hub, "1").await.0, "200");
    let url = hub.url("/sse/news?from=earliest");
    let mut following = folder.command(&["sub", "--quiet", "--count", "2", &url]);
    let following = tokio::spawn(async move { following.output().await.unwrap() });
    assert_eq!(all(&folder, &hub, 1).await, ["1"]);
    assert_eq!(ready(&folder, &hub).await, "200");
    server.kill().await;
    hub.says("the log is away").await;
    assert_eq!(ready(&folder, &hub).await, "503");
    assert_eq!(publish(&folder, &hub, "not there").await.0, "503");
    let metrics = folder.shell(&format!("curl -sf '{}'", hub.url("/metrics")));
    let metrics = crate::support::output(metrics).await;
    assert!(metrics.stdout.ends_with("# EOF\n"), "{metrics:?}");
    server.start_again().await;
    let mut looks = interval(Duration::from_millis(20));
    let back = async {
        while publish(&folder, &hub, "2").await.0 != "200" {
            looks.tick().await;
        }
    };
    within("the log", back).await;
    let followed = within("the second event", following).await.unwrap();
    let followed = String::from_utf8(followed.stdout).unwrap();
    let data: Vec<_> = followed.lines().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(data, ["1", "2"]);
    assert_eq!(all(&folder, &hub, 2).await, ["1", "2"]);
    assert_eq!(ready(&folder, &hub).await, "200");
}

async fn a_relay_waits_for_a_log_that_is_away_and_leaves_nothing_out(engine: Engine) {
    let folder = Folder::new();
    let mut server = Server::start(&folder, engine).await;
    let origin = folder.serve(&["--memory"]).await;
    let url = origin.url("/sse/news");
    let hub = folder.serve(&["--log", &server.url(), "--relay", &url]).await;
    assert_eq!(publish(&folder, &origin, "0").await.0, "200");
    assert_eq!(all(&folder, &hub, 1).await, ["0"]);
    server.kill().await;
    let numbers: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let end = folder.feed(&["pub", &url, "--lines"], &numbers[1..].join("\n")).await;
    assert_eq!(end.status, Some(0), "{end:?}");
    hub.says("the relay waits for the log").await;
    server.start_again().await;
    assert_eq!(all(&folder, &hub, 1000).await, numbers);
}

async fn a_hub_ends_when_its_log_turns_out_to_be_another_one(engine: Engine) {
    let folder = Folder::new();
    let mut server = Server::start(&folder, engine).await;
    let mut hub = folder.serve(&["--log", &server.url()]).await;
    assert_eq!(publish(&folder, &hub, "1").await.0, "200");
    server.kill().await;
    server.lose_everything();
    server.start_again().await;
    assert_eq!(hub.ended().await.code(), Some(1), "{}", hub.said());
    assert!(hub.said().contains("start the hub again"), "{}", hub.said());
    let hub = folder.serve(&["--log", &server.url()]).await;
    assert_eq!(publish(&folder, &hub, "2").await.0, "200");
    assert_eq!(all(&folder, &hub, 1).await, ["2"]);
}

#[tokio::test]
async fn a_log_that_cannot_be_reached_is_named_without_its_password() {
    let folder = Folder::new();
    let words = ["serve", "--listen", "127.0.0.1:0", "--log", "redis://me:secret@127.0.0.1:1"];
    let end = folder.run(&words).await;
    assert_eq!(end.status, Some(1));
    assert!(end.stderr.contains("the log at redis://127.0.0.1:1 cannot be used"), "{end:?}");
    assert!(!end.stderr.contains("secret"), "{end:?}");
    let words = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--log",
        "nats://me:secret@127.0.0.1:1,nats://x:secret@127.0.0.1:2",
    ];
    let end = folder.run(&words).await;
    assert_eq!(end.status, Some(1));
    let told = "the log at nats://127.0.0.1:1,nats://127.0.0.1:2 cannot be used";
    assert!(end.stderr.contains(told) && !end.stderr.contains("secret"), "{end:?}");
    let end = folder.run(&["serve", "--log", "memcached://127.0.0.1"]).await;
    assert_eq!(end.status, Some(2));
    assert!(end.stderr.contains("redis://"), "{end:?}");
}

async fn a_log_is_reached_over_tls_where_its_certificate_is_trusted(engine: Engine) {
    let folder = Folder::new();
    let server = Server::start_encrypted(&folder, engine).await;
    let words = ["serve", "--listen", "127.0.0.1:0", "--log", &server.url()];
    let end = folder.run(&words).await;
    assert_eq!(end.status, Some(1), "{end:?}");
    assert!(end.stderr.contains("invalid peer certificate"), "{end:?}");
    let mut command = folder.command(&words);
    command.env("SSL_CERT_FILE", folder.path().join("certificate.pem"));
    let hub = folder.launch(command).await;
    assert_eq!(publish(&folder, &hub, "1").await.0, "200");
    assert_eq!(all(&folder, &hub, 1).await, ["1"]);
}

async fn a_client_that_leaves_a_quiet_topic_is_noticed(engine: Engine) {
    let folder = Folder::new();
    let server = Server::start(&folder, engine).await;
    let log = server.url();
    let [one, other] = [folder.serve(&["--log", &log]).await, folder.serve(&["--log", &log]).await];
    assert_eq!(publish(&folder, &one, "1").await.0, "200");
    let mut following = folder.command(&["sub", "--quiet", &other.url("/sse/news")]);
    let mut following = following.stdout(Stdio::null()).spawn().unwrap();
    let metrics = format!("curl -sf '{}'", other.url("/metrics"));
    let until_subscribers = async |count: &str| {
        until("the number of subscribers", || async {
            let metrics = crate::support::output(folder.shell(&metrics)).await.stdout;
            metrics.lines().any(|line| line == format!("fanfare_subscribers {count}"))
        })
        .await;
    };
    until_subscribers("1").await;
    following.kill().await.unwrap();
    until_subscribers("0").await;
}
