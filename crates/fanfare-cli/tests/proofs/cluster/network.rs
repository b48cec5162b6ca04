use std::{env, fmt, net::Ipv4Addr};

use tokio::process::Command;

use super::site::{Site, program};
use crate::support::{output, within};

/// Says to a test that it runs in a network of its own.
const INSIDE: &str = "FANFARE_INSIDE_NETWORK";

/// The networks that there are: subscribers and publishers reach hubs over the front, and hubs the log, and its
/// servers each other, over the back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Front,
    Back,
}

/// What joins a site and a network, at its end outside of the site.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    pub(crate) site: u8,
    pub(crate) side: Side,
}

/// Processes with a network of their own each, joined by links that can be cut. Nothing of it can be seen from
/// outside, and it is gone with this process.
pub(crate) struct Network;

/// Runs a test again, in a network of its own; `false` where it runs in one. Where none can be made, it says so.
pub(crate) async fn leave_for_own_network(test: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return false;
    }
    if let Err(reason) = try_out().await {
        println!("left out: {test}, because no network namespaces can be made here: {reason}");
        return true;
    }
    let mut command = unshare();
    command.arg(env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let status = command.env(INSIDE, "1").status().await.unwrap();
    assert!(status.success(), "{test} has failed in its network");
    true
}

/// As root of its own users, networks, mounts and processes.
fn unshare() -> Command {
    let mut command = program("unshare");
    command.args(["--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"]);
    command.args(["--mount-proc", "--"]);
    command
}

/// Whether all that is needed can be done.
async fn try_out() -> Result<(), String> {
    let mut command = unshare();
    command.args([
        "sh",
        "-c",
        "mount -t tmpfs none /run && ip netns add trial && ip link add trial type bridge",
    ]);
    let tried = within("a network", command.output()).await.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&tried.stderr).trim().replace('\n', "; ");
    if tried.status.success() { Ok(()) } else { Err(said) }
}

impl Network {
    /// Two bridges, and nobody else there yet.
    pub(crate) async fn make() -> Self {
        // Where the names of networks are kept.
        run("mount -t tmpfs none /run").await;
        run("ip link set lo up").await;
        for side in [Side::Front, Side::Back] {
            let (bridge, address) = (side.bridge(), side.address(1));
            run(&format!("ip link add {bridge} type bridge")).await;
            run(&format!("ip address add {address}/24 dev {bridge}")).await;
            run(&format!("ip link set {bridge} up")).await;
        }
        Self
    }

    /// A site with links to these; its address is that of the first.
    pub(crate) async fn site(&self, number: u8, sides: &[Side]) -> Site {
        let namespace = format!("site{number}");
        run(&format!("ip netns add {namespace}")).await;
        run(&format!("ip -n {namespace} link set lo up")).await;
        for side in sides {
            let link = Link { site: number, side: *side };
            let (bridge, address) = (side.bridge(), side.address(number));
            run(&format!("ip link add {link} type veth peer name {bridge} netns {namespace}"))
                .await;
            run(&format!("ip link set {link} master {bridge} up")).await;
            run(&format!("ip -n {namespace} address add {address}/24 dev {bridge}")).await;
            run(&format!("ip -n {namespace} link set {bridge} up")).await;
        }
        Site { address: sides[0].address(number).into(), namespace: Some(namespace) }
    }
}

impl Link {
    /// What is sent over it is lost, and nobody is told.
    pub(crate) async fn cut(&self) {
        run(&format!("ip link set {self} down")).await;
    }

    pub(crate) async fn heal(&self) {
        run(&format!("ip link set {self} up")).await;
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.side.bridge(), self.site)
    }
}

impl Side {
    fn bridge(self) -> &'static str {
        match self {
            Self::Front => "front",
            Self::Back => "back",
        }
    }

    fn address(self, number: u8) -> Ipv4Addr {
        match self {
            Self::Front => Ipv4Addr::new(10, 77, 0, number),
            Self::Back => Ipv4Addr::new(10, 77, 1, number),
        }
    }
}

async fn run(line: &str) {
    let mut words = line.split(' ');
    let mut command = program(words.next().unwrap());
    command.args(words);
    let end = output(command).await;
    assert_eq!(end.status, Some(0), "{line}: {end:?}");
}
