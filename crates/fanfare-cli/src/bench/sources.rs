//! The addresses that connections come from. One has some 28,000 ports, so for more it takes several.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

use ipnet::IpNet;
use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

/// What one address is asked to carry. The fuller it is, the longer Linux looks for a free port: 15,000
/// connections are made twice as fast from several addresses as from one.
const CONNECTIONS_OF_ONE: usize = 4000;
/// The most that is taken of a network.
const MOST_OF_A_NETWORK: usize = 4096;

/// What is buffered of all connections, at most. With buffers that grow as they like, those who do not
/// keep up would take all the memory that Linux has for TCP, and every connection of the machine loses
/// packets.
const BUFFERED_BYTES: usize = 128 * 1024 * 1024;

/// An address or a network, as it is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source(IpNet);

/// Takes turns. Without any, the system chooses.
#[derive(Debug)]
pub(super) struct Sources {
    addresses: Vec<IpAddr>,
    next: usize,
    /// What the kernel keeps for each connection until it is read.
    buffer_bytes: usize,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse::<IpAddr>().map(IpNet::from).ok();
        let network = address.or_else(|| text.parse().ok());
        network.map(Self).ok_or("it is an address or a network, such as 127.0.0.0/24".into())
    }
}

impl Sources {
    /// All addresses of this machine are loopback's without being set up, so there more are taken by
    /// themselves.
    pub(super) fn new(given: &[Source], target: IpAddr, connections: usize) -> Self {
        let addresses = if !given.is_empty() {
            given.iter().flat_map(|source| source.0.hosts().take(MOST_OF_A_NETWORK)).collect()
        } else if target.is_loopback() && target.is_ipv4() && cfg!(target_os = "linux") {
            of_loopback(connections.div_ceil(CONNECTIONS_OF_ONE))
        } else {
            vec![]
        };
        let buffer_bytes = (BUFFERED_BYTES / connections.max(1)).clamp(4 * 1024, 128 * 1024);
        Self { addresses, next: 0, buffer_bytes }
    }

    /// Begins a connection from the next one.
    pub(super) fn connect(&mut self, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(self.buffer_bytes)?;
        if !self.addresses.is_empty() {
            let from = self.addresses[self.next % self.addresses.len()];
            self.next += 1;
            choose_port_late(&socket)?;
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        match socket.connect(&to.into()) {
            Err(error) if !is_under_way(&error) => Err(error),
            _ => Ok(TcpStream::from_std(socket.into())),
        }
    }
}

/// Has `connect` choose the port, which knows where to. `bind` does not, so it would pass over each port
/// that a run before has left in `TIME_WAIT`, one by one.
fn choose_port_late(socket: &Socket) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true)?;
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
    Ok(())
}

fn is_under_way(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

/// None where one is enough: then the system chooses.
fn of_loopback(count: usize) -> Vec<IpAddr> {
    if count < 2 {
        return vec![];
    }
    let first = u32::from(Ipv4Addr::LOCALHOST);
    (first..).take(count).map(|address| Ipv4Addr::from(address).into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_as_many_as_are_needed() {
        let count = |given: &[Source], target: &str, connections| {
            Sources::new(given, target.parse().unwrap(), connections).addresses.len()
        };
        assert_eq!(count(&[], "127.0.0.1", CONNECTIONS_OF_ONE), 0);
        assert_eq!(count(&[], "192.0.2.1", 100_000), 0);
        if cfg!(target_os = "linux") {
            assert_eq!(count(&[], "127.0.0.1", 100_000), 25);
        }
        let given = ["127.0.1.0/24".parse().unwrap(), "127.0.2.1".parse().unwrap()];
        assert_eq!(count(&given, "127.0.0.1", 1), 255);
    }
}
