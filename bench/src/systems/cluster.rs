//! Hubs that share a log, and the server that keeps it.

use super::{
    launch::Server,
    pinned::BOTH,
    system::{self, Running, System, words},
    tools::Tools,
};
use crate::program::{HOST, Outcome};

/// Hubs with one log. They end before the log does.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) hubs: Vec<Running>,
    log: Option<Server>,
}

impl Cluster {
    /// So many hubs of this kind.
    pub(super) fn start(tools: &Tools, kind: System, count: usize) -> Outcome<Self> {
        let log = shared_log(kind)?;
        let arguments = match &log {
            Some((_, url)) => vec!["--log", url],
            None => vec!["--data=log", "--durability=sync"],
        };
        let hubs = (0..count).map(|_| system::hub(tools, BOTH, &arguments));
        let hubs = hubs.collect::<Outcome<_>>()?;
        Ok(Self { hubs, log: log.map(|(server, _)| server) })
    }

    /// What the server of the log has taken, where there is one.
    pub(super) fn log_cpu_seconds(&self) -> Outcome<f64> {
        self.log.as_ref().map_or(Ok(0.0), Server::cpu_seconds)
    }

    pub(super) fn hub(&self, number: usize) -> Outcome<&Running> {
        Ok(self.hubs.get(number).ok_or("there are not so many hubs")?)
    }
}

/// The server that keeps the log, with its files on the disk that the project lies on, and its address.
fn shared_log(kind: System) -> Outcome<Option<(Server, String)>> {
    match kind {
        System::HubRedis => redis("always").map(Some),
        System::HubRedisEverysec => redis("everysec").map(Some),
        System::HubNats => nats().map(Some),
        _ => Ok(None),
    }
}

fn redis(appendfsync: &str) -> Outcome<(Server, String)> {
    let server = Server::start(BOTH, |port, _| {
        let port = port.to_string();
        let kept = ["--save", "", "--appendonly", "yes", "--appendfsync", appendfsync];
        Ok(words("redis-server", ["--bind", HOST, "--port", &port].iter().chain(&kept)))
    })?;
    let url = format!("redis://{HOST}:{}", server.port());
    Ok((server, url))
}

fn nats() -> Outcome<(Server, String)> {
    let server = Server::start(BOTH, |port, folder| {
        let (port, folder) = (port.to_string(), folder.to_string_lossy());
        Ok(words("nats-server", &["--addr", HOST, "--port", &port, "-js", "-sd", &folder]))
    })?;
    let url = format!("nats://{HOST}:{}", server.port());
    Ok((server, url))
}
