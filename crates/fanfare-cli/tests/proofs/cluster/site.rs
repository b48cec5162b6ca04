use std::{
    env,
    net::{IpAddr, Ipv4Addr, TcpListener},
    process::Stdio,
};

use fastrand::Rng;
use tokio::process::Command;

/// Below those that the system gives to whoever connects: who is started again finds its port free.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// Where a process runs.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) address: IpAddr,
    /// A network of its own, if it has one.
    pub(crate) namespace: Option<String>,
}

/// A program of the system, also of those that are only in the PATH of root.
pub(crate) fn program(name: &str) -> Command {
    let path = env::var("PATH").unwrap_or_default();
    let mut command = Command::new(name);
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).kill_on_drop(true).stdin(Stdio::null());
    command
}

impl Site {
    pub(crate) fn here() -> Self {
        Self { address: Ipv4Addr::LOCALHOST.into(), namespace: None }
    }

    /// Address and port, of which nobody else makes use.
    pub(crate) fn free_place(&self) -> String {
        let mut random = Rng::new();
        let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
        let mut ports = std::iter::repeat_with(|| random.u16(PORTS)).take(1000);
        format!("{}:{}", self.address, ports.find(is_free).expect("a free port"))
    }

    /// The same command, there.
    pub(crate) fn enter(&self, command: Command) -> Command {
        let Some(namespace) = &self.namespace else { return command };
        let inner = command.as_std();
        let mut outer = program("ip");
        outer.args(["netns", "exec", namespace]).arg(inner.get_program()).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        if let Some(folder) = inner.get_current_dir() {
            outer.current_dir(folder);
        }
        outer
    }
}
