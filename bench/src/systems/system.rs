//! The systems, and how each is configured and started.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
};

use clap::ValueEnum;

use super::{
    floor,
    launch::Server,
    pinned::{self, Cpus},
    tools::{Nginx, Tools},
};
use crate::program::{HOST, Outcome};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum System {
    /// A bare loop of `send`
    Floor,
    /// `fanfare serve --memory`
    Hub,
    /// The same with `server.engine = false`
    HubHyper,
    /// `fanfare serve` with its log on the disk, synced
    HubSync,
    /// Hubs with a log in Redis, which syncs each append to its disk
    HubRedis,
    /// Hubs with a log in Redis, which syncs it each second
    HubRedisEverysec,
    /// Hubs with a log in NATS, as it keeps one by default
    HubNats,
    /// The library in an axum app
    Library,
    /// axum's own `Sse` over `tokio::sync::broadcast`
    Axum,
    /// nginx with its module Nchan
    Nchan,
    /// durable-streams, `--durability memory`
    DurableStreams,
    /// durable-streams, `--durability wal`
    DurableStreamsWal,
    /// The npm package better-sse
    BetterSse,
    /// The npm package sse
    Sse,
    /// The same program with our package in its place
    SseFanfare,
    /// Our npm package's own broadcast
    SseFanfareBroadcast,
}

/// Those that keep events in memory, which is what most scenarios are about.
pub(super) const IN_MEMORY: [System; 9] = [
    System::Floor,
    System::Hub,
    System::HubHyper,
    System::DurableStreams,
    System::Nchan,
    System::Library,
    System::Axum,
    System::BetterSse,
    System::Sse,
];

/// Those that run on node.
pub(super) const ON_NODE: [System; 4] =
    [System::Sse, System::BetterSse, System::SseFanfare, System::SseFanfareBroadcast];

/// Hubs with a log that they share.
pub(super) const SHARED: &[System] = &[System::HubRedis, System::HubRedisEverysec, System::HubNats];

/// A system that listens.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) server: Server,
    /// Addresses. Where the system has topics, `{topic}` stands for one of them.
    pub(super) subscribe: String,
    pub(super) publish: String,
    /// The process that does the work.
    pub(super) measured: u32,
}

impl System {
    /// What the tables call it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Floor => "floor: a loop of `send`",
            Self::Hub => "fanfare hub, engine",
            Self::HubHyper => "fanfare hub, hyper alone",
            Self::HubSync => "fanfare hub, engine, synced to disk",
            Self::HubRedis => "fanfare hub, Redis, appendfsync always",
            Self::HubRedisEverysec => "fanfare hub, Redis, appendfsync everysec",
            Self::HubNats => "fanfare hub, NATS",
            Self::Library => "fanfare in an axum app",
            Self::Axum => "axum's Sse, tokio broadcast",
            Self::Nchan => "Nchan",
            Self::DurableStreams => "durable-streams, memory",
            Self::DurableStreamsWal => "durable-streams, wal",
            Self::BetterSse => "better-sse on node",
            Self::Sse => "sse on node",
            Self::SseFanfare => "fanfare's npm package, the program of sse",
            Self::SseFanfareBroadcast => "fanfare's npm package, broadcast",
        }
    }

    /// Whether it is given all events of a flood, which an aim is about. It gives a subscriber that is
    /// behind many at once; others would take minutes.
    pub(super) fn takes_whole_flood(self) -> bool {
        matches!(self, Self::Hub | Self::DurableStreams)
    }

    /// The program that keeps its log, where that is another one.
    pub(super) fn log_server(self) -> Option<&'static str> {
        match self {
            Self::HubRedis | Self::HubRedisEverysec => Some("redis-server"),
            Self::HubNats => Some("nats-server"),
            _ => None,
        }
    }

    /// On the server's CPU, with one thread that does the work.
    pub(super) fn start(self, tools: &Tools) -> Outcome<Running> {
        match self {
            Self::Floor => ours(floor::NAME),
            Self::Library => ours("fanfare"),
            Self::Axum => ours("axum"),
            Self::Hub => hub(tools, pinned::SERVER, &["--memory", "--set=server.engine_threads=1"]),
            Self::HubHyper => {
                hub(tools, pinned::SERVER, &["--memory", "--set=server.engine=false"])
            }
            Self::HubSync => hub(
                tools,
                pinned::SERVER,
                &["--data=log", "--durability=sync", "--set=server.engine_threads=1"],
            ),
            Self::HubRedis | Self::HubRedisEverysec | Self::HubNats => {
                Err("it is part of a cluster: use the program `cluster`".into())
            }
            Self::Nchan => nchan(tools.nginx()?),
            Self::DurableStreams => durable_streams(tools.durable_streams()?, "memory"),
            Self::DurableStreamsWal => durable_streams(tools.durable_streams()?, "wal"),
            Self::BetterSse => on_node(tools.node_scripts()?, "better-sse.js", &[]),
            Self::Sse => on_node(tools.node_scripts()?, "sse.js", &[]),
            Self::SseFanfare => on_node(tools.addon_scripts()?, "sse.js", &["../../node"]),
            Self::SseFanfareBroadcast => on_node(tools.addon_scripts()?, "sse-broadcast.js", &[]),
        }
    }
}

/// A hub on these CPUs.
pub(super) fn hub(tools: &Tools, cpus: Cpus, arguments: &[&str]) -> Outcome<Running> {
    let server = Server::start(cpus, |port, _| {
        let listen = format!("--listen={HOST}:{port}");
        let usual = ["serve", &listen, "--log-level=warn"];
        Ok(words(tools.fanfare.as_os_str(), usual.iter().chain(arguments)))
    })?;
    Ok(Running::at(server, "/sse/{topic}", "/sse/{topic}"))
}

/// A server of this crate.
fn ours(name: &str) -> Outcome<Running> {
    let server = Server::start(pinned::SERVER, |port, _| {
        Ok(words(env::current_exe()?, &["serve", name, &port.to_string()]))
    })?;
    Ok(Running::at(server, "/sse", "/sse"))
}

const NGINX: &str = include_str!("../../systems/nginx.conf");
/// A little less than a process may have open here.
const NGINX_CONNECTIONS: &str = "19900";
const NGINX_FILES: &str = "20000";

fn nchan(nginx: &Nginx) -> Outcome<Running> {
    let server = Server::start(pinned::SERVER, |port, folder| {
        let values = [
            ("{port}", &*port.to_string()),
            ("{folder}", &folder.to_string_lossy()),
            ("{module}", &nginx.module.to_string_lossy()),
            ("{connections}", NGINX_CONNECTIONS),
            ("{files}", NGINX_FILES),
        ];
        let filled = |text: String, (word, value): (&str, &str)| text.replace(word, value);
        fs::write(folder.join("nginx.conf"), values.into_iter().fold(NGINX.to_owned(), filled))?;
        let folder = folder.to_string_lossy();
        Ok(words(&nginx.program, &["-p", &folder, "-e", "stderr", "-c", "nginx.conf"]))
    })?;
    // nginx itself only looks after its worker.
    let worker = server.first_child()?;
    let running = Running::at(server, "/subscribe/{topic}", "/publish/{topic}");
    Ok(Running { measured: worker, ..running })
}

fn durable_streams(program: &Path, durability: &str) -> Outcome<Running> {
    let server = Server::start(pinned::SERVER, |port, _| {
        let port = port.to_string();
        let arguments = ["--port", &port, "--data-dir", "log", "--durability", durability];
        Ok(words(program, arguments.iter().chain(&["--worker-threads", "1", "--wal-shards", "1"])))
    })?;
    make_stream(server.port(), "/bench")?;
    Ok(Running::at(server, "/bench?offset=now&live=sse", "/bench"))
}

/// Makes a stream of text, as it must be before it is published to.
fn make_stream(port: u16, path: &str) -> Outcome {
    ask(port, &format!("PUT {path}"), "text/plain", "", "201")
}

/// Sends a request on a connection of its own, which is to be answered with this status.
pub(super) fn ask(port: u16, request: &str, kind: &str, body: &str, expected: &str) -> Outcome {
    answer(port, request, kind, body, expected).map(drop)
}

/// The same, with what comes behind the status.
pub(super) fn answer(
    port: u16,
    request: &str,
    kind: &str,
    body: &str,
    expected: &str,
) -> Outcome<impl Read> {
    let mut socket = TcpStream::connect((HOST, port))?;
    let length = body.len();
    write!(
        socket,
        "{request} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )?;
    let mut status = String::new();
    let mut answer = BufReader::new(socket);
    answer.read_line(&mut status)?;
    if status.split(' ').nth(1) == Some(expected) {
        return Ok(answer);
    }
    Err(format!("{request} was answered {:?} instead of {expected}", status.trim()).into())
}

fn on_node(scripts: &Path, script: &str, arguments: &[&str]) -> Outcome<Running> {
    let script = scripts.join(script);
    let server = Server::start(pinned::SERVER, |port, _| {
        let begin = [&*script.to_string_lossy(), &*port.to_string()];
        Ok(words("node", begin.iter().chain(arguments)))
    })?;
    Ok(Running::at(server, "/sse", "/sse"))
}

impl Running {
    fn at(server: Server, subscribe: &str, publish: &str) -> Self {
        let address = |path| format!("http://{HOST}:{}{path}", server.port());
        let (subscribe, publish) = (address(subscribe), address(publish));
        let measured = server.id();
        Self { server, subscribe, publish, measured }
    }
}

pub(super) fn words<'a>(
    program: impl Into<OsString>,
    arguments: impl IntoIterator<Item = &'a &'a str>,
) -> Vec<OsString> {
    let arguments = arguments.into_iter().map(OsString::from);
    [program.into()].into_iter().chain(arguments).collect()
}
