//! What is said on stdout when a hub serves.

use std::{
    fmt::{self, Display, Formatter},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use fanfare_hub::log::Opened;

use super::parts::OpenedLog;
use crate::config::{LogUrl, Settings};

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

    fn log(&self) -> String {
        let opened = match self.opened {
            OpenedLog::Memory(_) => return "in memory: nothing outlives this process".to_owned(),
            OpenedLog::Embedded(_, opened) => opened,
            OpenedLog::Shared(_) => {
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
        writeln!(f, "  publish    curl {token}-d 'hello' '{url}/sse/news'")?;
        writeln!(f, "  subscribe  curl {token}-N '{url}/sse/news?from=earliest'")
    }
}
