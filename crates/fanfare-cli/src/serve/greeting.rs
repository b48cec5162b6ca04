//! What is said on stdout when a hub serves.

use std::{
    fmt::{self, Display, Formatter},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use fanfare_hub::log::Opened;

use super::parts::OpenedLog;
use crate::config::{Engine, LogUrl, Settings};

/// Lines to copy that work as they are.
pub(super) struct Greeting<'a> {
    pub(super) settings: &'a Settings,
    /// Where it listens.
    pub(super) address: SocketAddr,
    pub(super) opened: &'a OpenedLog,
    pub(super) asks_for_tokens: bool,
}

impl Greeting<'_> {
    fn url(&self) -> String {
        let scheme = if self.settings.tls.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", reachable(self.address))
    }

    /// What a token is signed with, if this process knows.
    fn key(&self) -> String {
        match self.settings.auth.secret_files.first() {
            Some(file) => format!("--secret-file '{}'", file.display()),
            None => "--key FILE".to_owned(),
        }
    }

    /// The hub that this one is an edge of.
    fn origin(&self) -> Option<String> {
        let url = self.settings.log.url.as_ref()?;
        let is_hub = url.engine() == Engine::Origin;
        is_hub.then(|| url.without_credentials().trim_end_matches('/').to_owned())
    }

    fn log(&self) -> String {
        let opened = match self.opened {
            OpenedLog::Memory(_) => return "in memory: nothing outlives this process".to_owned(),
            OpenedLog::Embedded(_, opened) => opened,
            OpenedLog::Shared(_) => {
                if let Some(origin) = self.origin() {
                    return format!("that of the hub {origin}");
                }
                let url = self.settings.log.url.as_ref();
                let url = url.map_or_else(String::new, LogUrl::without_credentials);
                return format!("{url}, shared under the name {}", *self.settings.log.name);
            }
        };
        let (folder, durability) =
            (self.settings.log.data.display(), &self.settings.log.durability);
        let durability = format!("{:?}", **durability).to_lowercase();
        let Opened { events, topics, .. } = opened;
        format!("{folder}, events: {events}, topics: {topics}, durability: {durability}")
    }
}

/// An address under which this machine reaches itself.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

impl Display for Greeting<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let url = self.url();
        writeln!(f, "fanfare listens on {url}\n")?;
        writeln!(f, "  page       {url}/")?;
        writeln!(f, "  log        {}", self.log())?;
        for relay in &self.settings.top.relay.0 {
            writeln!(f, "  relay      {} from {}", relay.topic, relay.url.shown())?;
        }
        let token = if self.asks_for_tokens {
            let key = self.key();
            writeln!(
                f,
                "  token      TOKEN=$(fanfare token --subscribe '*' --publish '*' --admin {key})"
            )?;
            "-H \"Authorization: Bearer $TOKEN\" "
        } else {
            ""
        };
        let published_to = self.origin().unwrap_or_else(|| url.clone());
        writeln!(f, "  publish    curl {token}-d 'hello' '{published_to}/sse/news'")?;
        writeln!(f, "  subscribe  curl {token}-N '{url}/sse/news?from=earliest'")
    }
}
