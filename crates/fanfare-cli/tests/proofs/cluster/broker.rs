use std::{
    collections::HashMap,
    fmt::Write,
    fs::{self, File},
    path::PathBuf,
    time::Duration,
};

use reqwest::Client;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Child,
    time::{interval, timeout},
};

use super::{
    site::{Site, program},
    witnesses,
};
use crate::support::{Folder, client, within};

/// How long one look at a server may take.
const LOOK: Duration = Duration::from_secs(1);

/// Where a node of NATS tells how it is.
const LOOKS: [&str; 4] =
    ["/healthz", "/jsz?accounts=true&streams=true&consumers=true&raft=true", "/varz", "/routez"];

/// What hubs are set to on three nodes.
pub(crate) const THREE_REPLICAS: &str = "log.replicas=3";

/// The servers that have the log. They are killed when this is dropped.
pub(crate) struct Broker {
    kind: Kind,
    servers: Vec<Server>,
    client: Client,
    /// What they say it is, for NATS.
    version: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Redis,
    Nats,
}

/// One of them, on a folder and an address that stay what they are.
struct Server {
    site: Site,
    program: &'static str,
    arguments: Vec<String>,
    /// Where it is spoken to, and where NATS tells how it is.
    place: String,
    monitor: String,
    process: Option<Child>,
    /// Where it writes what it says.
    said: PathBuf,
}

/// What NATS tells of its streams.
#[derive(Deserialize)]
struct JetStream {
    #[serde(default)]
    account_details: Vec<Account>,
    meta_cluster: Option<Group>,
}

/// What NATS tells of a server.
#[derive(Deserialize)]
struct Varz {
    version: String,
}

#[derive(Deserialize)]
struct Account {
    #[serde(default)]
    stream_detail: Vec<Stream>,
}

#[derive(Deserialize)]
struct Stream {
    cluster: Option<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    leader: String,
}

impl Broker {
    /// A Redis that has synced what it answers.
    pub(crate) async fn redis(folder: &Folder, site: Site) -> Self {
        let place = site.free_place();
        let (address, port) = place.rsplit_once(':').unwrap();
        let data = make(folder, "redis");
        let words = format!("--bind {address} --port {port} --protected-mode no --save");
        let mut arguments: Vec<String> = words.split(' ').map(str::to_owned).collect();
        // No snapshots, but a file to which everything is appended.
        let rest = ["", "--appendonly", "yes", "--appendfsync", "always", "--dir"];
        arguments.extend(rest.into_iter().map(str::to_owned));
        arguments.push(data.display().to_string());
        let (program, monitor) = ("redis-server", String::new());
        let said = data.with_extension("said");
        let server = Server { site, program, arguments, place, monitor, process: None, said };
        Self::start(Kind::Redis, vec![server]).await
    }

    /// NATS with its streams: a cluster where there are several sites.
    pub(crate) async fn nats(folder: &Folder, sites: &[Site]) -> Self {
        let routes: Vec<String> = sites.iter().map(Site::free_place).collect();
        let server = |(index, site)| Server::nats(folder, site, index, &routes);
        let servers = sites.iter().cloned().enumerate().map(server).collect();
        Self::start(Kind::Nats, servers).await
    }

    async fn start(kind: Kind, servers: Vec<Server>) -> Self {
        let mut broker = Self { kind, servers, client: client(), version: String::new() };
        for server in &mut broker.servers {
            server.start();
        }
        broker.until_all_are_there().await;
        if let Some(text) = broker.ask(&broker.servers[0], "/varz").await {
            let Varz { version } = serde_json::from_str(&text).unwrap();
            broker.version = version;
        }
        broker
    }

    /// What hubs are told.
    pub(crate) fn url(&self) -> String {
        let scheme = match self.kind {
            Kind::Redis => "redis",
            Kind::Nats => "nats",
        };
        let url = |server: &Server| format!("{scheme}://{}", server.place);
        self.servers.iter().map(url).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn name(&self) -> String {
        let version = &self.version;
        match (self.kind, self.servers.len()) {
            (Kind::Redis, _) => "Redis".to_owned(),
            (Kind::Nats, 1) => format!("NATS {version}"),
            (Kind::Nats, count) => format!("NATS {version} on {count} nodes"),
        }
    }

    /// Whether its nodes stay the same when links are cut for long: those of nats-server 2.9 come apart.
    pub(crate) fn bears_long_cuts(&self) -> bool {
        self.servers.len() == 1 || !self.version.starts_with("2.9.")
    }

    pub(crate) fn nodes(&self) -> usize {
        self.servers.len()
    }

    pub(crate) async fn kill(&mut self, node: usize) {
        let mut process = self.servers[node].process.take().expect("a node that runs");
        process.kill().await.unwrap();
    }

    /// Starts again who was killed, and waits until all are whole.
    pub(crate) async fn start_again(&mut self) {
        for server in self.servers.iter_mut().filter(|server| server.process.is_none()) {
            server.start();
        }
        self.until_all_are_there().await;
    }

    /// The node that leads what the hubs append to; of one, that one.
    pub(crate) async fn leader(&self) -> usize {
        if self.servers.len() == 1 {
            return 0;
        }
        let mut looks = interval(Duration::from_millis(20));
        let looking = async {
            loop {
                looks.tick().await;
                if let Some(leader) = self.look_for_leader().await {
                    return leader;
                }
            }
        };
        within("a leader", looking).await
    }

    /// Whom most of the nodes take for it: one that was cut off may take itself for it.
    async fn look_for_leader(&self) -> Option<usize> {
        let mut votes: HashMap<String, usize> = HashMap::new();
        for server in &self.servers {
            let text = self.ask(server, "/jsz?streams=true").await.unwrap_or_default();
            let Ok(state) = serde_json::from_str::<JetStream>(&text) else { continue };
            let leader = state.leader().unwrap_or_default();
            *votes.entry(leader).or_default() += 1;
        }
        let is_majority = |(_, votes): &(String, usize)| *votes > self.servers.len() / 2;
        let (name, _) = votes.into_iter().find(is_majority)?;
        name.parse().ok()
    }

    /// Waits until all can be used, and have caught up with each other.
    pub(crate) async fn until_all_are_there(&self) {
        let mut looks = interval(Duration::from_millis(20));
        for server in &self.servers {
            let looking = async {
                while !self.is_there(server).await {
                    looks.tick().await;
                }
            };
            within(&self.name(), looking).await;
        }
    }

    /// Prints how each of them is.
    pub(crate) async fn tell(&self) {
        for server in &self.servers {
            if self.kind == Kind::Nats {
                for path in LOOKS {
                    let url = format!("http://{}{path}", server.monitor);
                    witnesses::tell(&self.client, &url).await;
                }
            }
            witnesses::tell_end(&server.said);
        }
    }

    async fn is_there(&self, server: &Server) -> bool {
        match self.kind {
            Kind::Redis => {
                timeout(LOOK, ping(&server.place)).await.is_ok_and(|answer| answer.is_ok())
            }
            Kind::Nats => self.ask(server, "/healthz").await.is_some(),
        }
    }

    /// What a node of NATS tells; `None` when it does not, or is not well.
    async fn ask(&self, server: &Server, path: &str) -> Option<String> {
        let url = format!("http://{}{path}", server.monitor);
        let answer = self.client.get(url).timeout(LOOK).send().await.ok()?;
        answer.error_for_status().ok()?.text().await.ok()
    }
}

impl Server {
    fn nats(folder: &Folder, site: Site, index: usize, routes: &[String]) -> Self {
        let (place, monitor) = (site.free_place(), site.free_place());
        let data = make(folder, &format!("nats-{index}"));
        let mut text = format!(
            "server_name: \"{index}\"\nlisten: \"{place}\"\nhttp: \"{monitor}\"\n\
             ping_interval: \"1s\"\nping_max: 2\nwrite_deadline: \"2s\"\n\
             jetstream {{ store_dir: {data:?} }}\n"
        );
        if routes.len() > 1 {
            let others: Vec<String> =
                routes.iter().map(|place| format!("nats://{place}")).collect();
            let listen = &routes[index];
            let cluster = format!("name: fanfare, listen: \"{listen}\", routes: {others:?}");
            writeln!(text, "cluster {{ {cluster} }}").unwrap();
        }
        let file = data.with_extension("conf");
        fs::write(&file, text).unwrap();
        let arguments = ["-c", file.to_str().unwrap()].map(str::to_owned).to_vec();
        let said = data.with_extension("said");
        Self { site, program: "nats-server", arguments, place, monitor, process: None, said }
    }

    fn start(&mut self) {
        let mut command = program(self.program);
        command.args(&self.arguments);
        let mut command = self.site.enter(command);
        let said = File::options().create(true).append(true).open(&self.said).unwrap();
        command.stdout(said.try_clone().unwrap()).stderr(said);
        let started = command.spawn();
        let wanted = |_| panic!("{} is installed: tests/servers/setup.sh", self.program);
        self.process = Some(started.unwrap_or_else(wanted));
    }
}

impl JetStream {
    /// The server that leads the streams, of which hubs have one; or all of its nodes.
    fn leader(self) -> Option<String> {
        let streams = self.account_details.into_iter().flat_map(|account| account.stream_detail);
        let groups = streams.filter_map(|stream| stream.cluster).chain(self.meta_cluster);
        groups.map(|group| group.leader).find(|leader| !leader.is_empty())
    }
}

fn make(folder: &Folder, name: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::create_dir(&path).unwrap();
    path
}

/// Whether Redis answers, and has loaded its file.
async fn ping(place: &str) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(place).await?;
    socket.write_all(b"PING\r\n").await?;
    let mut answer = [0; 5];
    socket.read_exact(&mut answer).await?;
    if &answer == b"+PONG" { Ok(()) } else { Err(std::io::ErrorKind::ResourceBusy.into()) }
}

#[tokio::test]
async fn a_cluster_of_nats_whose_leader_is_killed_has_another_one() {
    let folder = Folder::new();
    let mut nats = Broker::nats(&folder, &vec![Site::here(); 3]).await;
    let leader = nats.leader().await;
    nats.kill(leader).await;
    let mut looks = interval(Duration::from_millis(20));
    let looking = async {
        while nats.look_for_leader().await.is_none_or(|other| other == leader) {
            looks.tick().await;
        }
    };
    within("another leader", looking).await;
    nats.start_again().await;
    assert_eq!(nats.nodes(), 3);
}
