//! What is asked of the server, as the bytes of requests.

use std::{
    fmt::Write,
    net::{SocketAddr, ToSocketAddrs},
};

use http::{HeaderName, header};
use url::{Position, Url};

use super::BenchError;
use crate::sub::Header;

/// Stands for a topic in addresses and bodies.
pub(super) const TOPIC: &str = "{topic}";
/// Stands for the payload in a body.
pub(super) const PAYLOAD: &str = "{payload}";

const USER_AGENT: &str = concat!("fanfare/", env!("CARGO_PKG_VERSION"));

/// An address with or without a place for the topic.
#[derive(Debug, Clone)]
pub(super) struct Template {
    text: String,
}

/// What publishes an event.
#[derive(Debug, Clone)]
pub(super) struct Publish {
    pub(super) method: String,
    pub(super) url: Template,
}

impl Template {
    pub(super) fn has_topic(&self) -> bool {
        self.text.contains(TOPIC)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn url(&self, topic: u32) -> Result<Url, BenchError> {
        let text = self.text.replace(TOPIC, &topic.to_string());
        Url::parse(&text).map_err(|_| BenchError::Address(text))
    }

    /// The first address that the host's name leads to.
    pub(super) fn resolve(&self) -> Result<SocketAddr, BenchError> {
        let url = self.url(0)?;
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = url.port_or_known_default().unwrap_or(80);
        let found = (host, port).to_socket_addrs();
        let addresses = found.map_err(|source| BenchError::Host { host: host.into(), source })?;
        // Servers that are tried out listen on IPv4, and a name such as localhost leads to both.
        let (v4, v6): (Vec<_>, Vec<_>) = addresses.partition(SocketAddr::is_ipv4);
        let address = v4.into_iter().chain(v6).next();
        address.ok_or_else(|| BenchError::Address(self.text.clone()))
    }

    /// The request of a subscriber.
    pub(super) fn subscribe(&self, topic: u32, headers: &[Header]) -> Result<Vec<u8>, BenchError> {
        let usual = [(header::ACCEPT, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
        let head = head("GET", &self.url(topic)?, &usual, headers);
        Ok([head.as_bytes(), b"\r\n"].concat())
    }
}

/// The requests that publish to one topic: all are alike but for the mark.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    pub(super) bytes: Vec<u8>,
    /// Where the payload begins.
    pub(super) payload_at: usize,
}

impl Publish {
    pub(super) fn requests(
        &self,
        topic: u32,
        headers: &[Header],
        body: &str,
        payload: &[u8],
    ) -> Result<Requests, BenchError> {
        let body = body.replace(TOPIC, &topic.to_string());
        let (before, behind) = body.split_once(PAYLOAD).unwrap_or((&body, ""));
        let length = before.len() + payload.len() + behind.len();
        let usual = [(header::CONTENT_TYPE, "text/plain")];
        let mut head = head(&self.method, &self.url.url(topic)?, &usual, headers);
        // A string takes all that is written.
        let _ = write!(head, "content-length: {length}\r\n\r\n{before}");
        let payload_at = head.len();
        let bytes = [head.as_bytes(), payload, behind.as_bytes()].concat();
        Ok(Requests { bytes, payload_at })
    }
}

/// A head without the empty line at its end.
fn head(method: &str, url: &Url, usual: &[(HeaderName, &str)], headers: &[Header]) -> String {
    let path = &url[Position::BeforePath..Position::AfterQuery];
    let host = url[Position::BeforeHost..Position::AfterPort].to_owned();
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    let own = [(header::HOST, &*host), (header::USER_AGENT, USER_AGENT)];
    for (name, value) in own.iter().chain(usual) {
        if !headers.iter().any(|header| header.name == *name) {
            let _ = write!(head, "{name}: {value}\r\n");
        }
    }
    for Header { name, value } in headers {
        let _ = write!(head, "{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
    }
    head
}

pub(super) fn template(text: &str) -> Result<Template, String> {
    let template = Template { text: text.to_owned() };
    match template.url(0).as_ref().map(Url::scheme) {
        Ok("http") => Ok(template),
        Ok("https") => {
            Err("it must be http://: TLS is not measured here, but a proxy in front of \
             the server, or the server without it, can be"
                .into())
        }
        _ => Err(format!("it begins with http://, such as http://{text}")),
    }
}

pub(super) fn publish(text: &str) -> Result<Publish, String> {
    let (method, url) = text.trim().split_once(' ').unwrap_or(("POST", text.trim()));
    let method: http::Method =
        method.to_ascii_uppercase().parse().map_err(|_| "it is written 'METHOD URL'")?;
    Ok(Publish { method: method.to_string(), url: template(url.trim())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_stands_in_address_and_body() {
        let publish = publish("put http://localhost:1/a/{topic}?x=1").unwrap();
        let requests = publish.requests(7, &[], "{\"{topic}\": \"{payload}\"}", b"...").unwrap();
        let text = String::from_utf8(requests.bytes).unwrap();
        assert!(text.starts_with("PUT /a/7?x=1 HTTP/1.1\r\nhost: localhost:1\r\n"), "{text}");
        assert!(text.ends_with("content-length: 12\r\n\r\n{\"7\": \"...\"}"), "{text}");
        assert_eq!(&text[requests.payload_at..][..3], "...");
    }

    #[test]
    fn headers_of_the_command_line_win() {
        let own = crate::sub::header("accept: a/b").unwrap();
        let request = template("http://[::1]:1/{topic}").unwrap().subscribe(0, &[own]).unwrap();
        let text = String::from_utf8(request).unwrap();
        assert!(text.starts_with("GET /0 HTTP/1.1\r\nhost: [::1]:1\r\n"), "{text}");
        assert!(text.ends_with("\r\naccept: a/b\r\n\r\n"), "{text}");
        assert!(!text.contains("text/event-stream"), "{text}");
    }

    #[test]
    fn other_addresses_are_refused() {
        assert!(template("https://localhost/").unwrap_err().contains("TLS"));
        assert!(template("localhost/x").unwrap_err().contains("http://localhost/x"));
        assert!(publish("a b http://localhost/").is_err());
    }
}
