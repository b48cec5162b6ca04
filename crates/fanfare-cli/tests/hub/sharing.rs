use std::{path::PathBuf, process::Stdio, time::Duration};

use rustix::process::Signal;
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    time::interval,
};

use crate::support::{Folder, Hub, within};

/// A Redis of its own. It is killed when this is dropped.
pub(crate) struct Redis {
    socket: PathBuf,
    arguments: &'static [&'static str],
    process: Child,
}

impl Redis {
    pub(crate) async fn start(folder: &Folder, arguments: &'static [&'static str]) -> Self {
        let socket = folder.path().join("redis.sock");
        let process = launch(&socket, arguments);
        let redis = Self { socket, arguments, process };
        redis.until_it_is_there().await;
        redis
    }

    async fn until_it_is_there(&self) {
        let mut looks = interval(Duration::from_millis(2));
        let connecting = async {
            while UnixStream::connect(&self.socket).await.is_err() {
                looks.tick().await;
            }
        };
        within("redis-server", connecting).await;
    }

    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    pub(crate) async fn start_again(&mut self) {
        self.process = launch(&self.socket, self.arguments);
        self.until_it_is_there().await;
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket.display())
    }
}

fn launch(socket: &std::path::Path, arguments: &[&str]) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(socket).args(arguments);
    command.current_dir(socket.parent().unwrap()).stdout(Stdio::null()).kill_on_drop(true);
    command.spawn().expect("redis-server is installed: tests/servers/setup.sh")
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

pub(crate) const KEPT: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

#[tokio::test(flavor = "multi_thread")]
async fn a_client_goes_on_at_another_hub_where_one_hub_has_ended() {
    let folder = Folder::new();
    let redis = Redis::start(&folder, KEPT).await;
    let log = redis.url();
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

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_while_the_log_is_away_and_streams_stay_open() {
    let folder = Folder::new();
    let mut redis = Redis::start(&folder, KEPT).await;
    let hub = folder.serve(&["--log", &redis.url()]).await;
    assert_eq!(publish(&folder, &hub, "1").await.0, "200");
    let url = hub.url("/sse/news?from=earliest");
    let mut following = folder.command(&["sub", "--quiet", "--count", "2", &url]);
    let following = tokio::spawn(async move { following.output().await.unwrap() });
    assert_eq!(all(&folder, &hub, 1).await, ["1"]);
    assert_eq!(ready(&folder, &hub).await, "200");
    redis.kill().await;
    hub.says("the log is away").await;
    assert_eq!(ready(&folder, &hub).await, "503");
    assert_eq!(publish(&folder, &hub, "not there").await.0, "503");
    let metrics = folder.shell(&format!("curl -sf '{}'", hub.url("/metrics")));
    let metrics = crate::support::output(metrics).await;
    assert!(metrics.stdout.ends_with("# EOF\n"), "{metrics:?}");
    redis.start_again().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_ends_when_its_log_turns_out_to_be_another_one() {
    let folder = Folder::new();
    let mut redis = Redis::start(&folder, &["--appendonly", "no"]).await;
    let mut hub = folder.serve(&["--log", &redis.url()]).await;
    assert_eq!(publish(&folder, &hub, "1").await.0, "200");
    redis.kill().await;
    redis.start_again().await;
    assert_eq!(hub.ended().await.code(), Some(1), "{}", hub.said());
    assert!(hub.said().contains("start the hub again"), "{}", hub.said());
    let hub = folder.serve(&["--log", &redis.url()]).await;
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
    let end = folder.run(&["serve", "--log", "memcached://127.0.0.1"]).await;
    assert_eq!(end.status, Some(2));
    assert!(end.stderr.contains("redis://"), "{end:?}");
}
