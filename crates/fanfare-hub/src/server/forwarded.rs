//! Whose address a request has that comes through proxies.
//!
//! Standards: [RFC 7239](https://www.rfc-editor.org/rfc/rfc7239) for `Forwarded`; `X-Forwarded-For`
//! is a custom.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;
use thiserror::Error;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A network of addresses, such as `10.0.0.0/8` or `2001:db8::/32`; an address alone is a network of
/// one.
///
/// ```
/// use fanfare_hub::server::Network;
///
/// let network: Network = "10.1.0.0/16".parse()?;
/// assert!(network.contains("10.1.2.3".parse()?));
/// assert!(!network.contains("10.2.0.1".parse()?));
/// assert!("127.0.0.1".parse::<Network>()?.contains("::ffff:127.0.0.1".parse()?));
/// assert!("10.0.0.0/33".parse::<Network>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpNet);

/// The text is no network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no network of addresses: write 10.0.0.0/8, 2001:db8::/32 or an address")]
pub struct NetworkError(String);

impl Network {
    /// Whether the address is in it. An IPv4 address counts also as it looks to an IPv6 socket.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let network = text.parse::<IpNet>();
        let network = network.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(|network| Self(network.trunc())).map_err(|_| NetworkError(text.to_owned()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// In which header trusted proxies tell where a request comes from. Only this one is looked at: a
/// proxy passes the other one on as a client has made it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardingHeader {
    /// `X-Forwarded-For`, which most proxies append to.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Who is trusted for the addresses of clients.
#[derive(Debug)]
pub(super) struct Forwarding {
    trusted: Vec<Network>,
    header: ForwardingHeader,
}

impl Forwarding {
    pub(super) fn new(trusted: Vec<Network>, header: ForwardingHeader) -> Self {
        Self { trusted, header }
    }

    /// The address of the client: going back from the peer, the first that is not a trusted proxy's.
    /// What stands behind it in the header may be made up.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        for hop in self.hops(headers).into_iter().rev() {
            // Somebody who is hidden, or nonsense: then it is the proxy that says so.
            let Some(address) = hop else { return client };
            client = address.to_canonical();
            if !self.trusts(client) {
                return client;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// The addresses in the header, the nearest last.
    fn hops(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let (name, parse): (_, fn(&str) -> Option<IpAddr>) = match self.header {
            ForwardingHeader::XForwardedFor => (X_FORWARDED_FOR, parse_node),
            ForwardingHeader::Forwarded => (header::FORWARDED, parse_element),
        };
        let values = headers.get_all(name).iter();
        let texts = values.map(|value| value.to_str().unwrap_or_default());
        texts.flat_map(|text| split(text, ',')).map(parse).collect()
    }
}

/// The address in an element such as `for="[2001:db8::1]:4711";proto=https`.
fn parse_element(element: &str) -> Option<IpAddr> {
    let pairs = split(element, ';').into_iter().filter_map(|pair| pair.split_once('='));
    let mut nodes = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    let (_, node) = nodes.next()?;
    let node = node.trim();
    parse_node(node.strip_prefix('"').and_then(|node| node.strip_suffix('"')).unwrap_or(node))
}

/// An address, with or without a port.
fn parse_node(node: &str) -> Option<IpAddr> {
    let node = node.trim();
    let bare = node.strip_prefix('[').and_then(|node| node.strip_suffix(']')).unwrap_or(node);
    let address = bare.parse().ok();
    address.or_else(|| node.parse().ok().map(|address: SocketAddr| address.ip()))
}

/// The parts between separators that stand outside of quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |letter| {
        let is_end = letter == separator && !is_quoted;
        match letter {
            '"' if !is_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        is_escaped = letter == '\\' && is_quoted && !is_escaped;
        is_end
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const PROXIES: [&str; 2] = ["10.0.0.0/8", "2001:db8:1::/48"];

    fn client(header: ForwardingHeader, peer: &str, headers: &[(&'static str, &str)]) -> String {
        let trusted = PROXIES.iter().map(|network| network.parse().unwrap()).collect();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        Forwarding::new(trusted, header).client(peer.parse().unwrap(), &map).to_string()
    }

    #[test]
    fn the_first_that_is_no_proxy_is_the_client() {
        let client = |peer, values: &[&str]| {
            let headers: Vec<_> = values.iter().map(|value| ("x-forwarded-for", *value)).collect();
            client(ForwardingHeader::XForwardedFor, peer, &headers)
        };
        assert_eq!(client("192.0.2.1", &[]), "192.0.2.1");
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1", "not a proxy's word");
        assert_eq!(client("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["198.51.100.7, 203.0.113.9,10.0.0.2"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["198.51.100.7", "203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(client("10.0.0.1", &["203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["[2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(client("2001:db8:1::1", &["2001:db8::7"]), "2001:db8::7");
        for nonsense in ["", "unknown", "198.51.100.7, garbage", "1.2.3", "[::1", "198.51.100.7,"] {
            assert_eq!(client("10.0.0.1", &[nonsense]), "10.0.0.1", "{nonsense}");
        }
    }

    #[test]
    fn forwarded_is_read_as_its_standard_says() {
        let client = |value| {
            let headers = [("forwarded", value), ("x-forwarded-for", "192.0.2.99")];
            client(ForwardingHeader::Forwarded, "10.0.0.1", &headers)
        };
        assert_eq!(client("for=192.0.2.60;proto=http;by=203.0.113.43"), "192.0.2.60");
        assert_eq!(client(r#"proto=https; For="[2001:db8:cafe::17]:4711""#), "2001:db8:cafe::17");
        assert_eq!(client("for=192.0.2.43, for=198.51.100.17, for=10.0.0.2"), "198.51.100.17");
        assert_eq!(client(r#"for=192.0.2.43, by="a,\"b;for=1.2.3.4";for=10.0.0.2"#), "192.0.2.43");
        for nonsense in ["for=unknown", "for=_hidden", "proto=http", "for=\"", "", "for"] {
            assert_eq!(client(nonsense), "10.0.0.1", "{nonsense}");
        }
    }

    #[test]
    fn a_header_that_is_not_the_proxys_is_not_looked_at() {
        let headers = [("x-forwarded-for", "198.51.100.7"), ("forwarded", "for=192.0.2.60")];
        let client = |header| client(header, "10.0.0.1", &headers);
        assert_eq!(client(ForwardingHeader::XForwardedFor), "198.51.100.7");
        assert_eq!(client(ForwardingHeader::Forwarded), "192.0.2.60");
    }
}
