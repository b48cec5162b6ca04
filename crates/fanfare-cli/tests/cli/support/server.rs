//! A server that answers what a test tells it to, byte by byte.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::within;

pub(crate) struct Server {
    listener: TcpListener,
}

/// A connection, with the request that came over it.
pub(crate) struct Peer {
    stream: TcpStream,
    /// The request's head, from its first line on.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/sse", self.listener.local_addr().unwrap())
    }

    /// The next request.
    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = within("a connection", self.listener.accept()).await.unwrap();
        within("a request", Peer::read(stream)).await
    }

    /// The next request, answered with the head of an event stream that lasts as long as the
    /// connection.
    pub(crate) async fn open(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.open().await;
        peer
    }
}

impl Peer {
    async fn read(mut stream: TcpStream) -> Self {
        let mut bytes = vec![];
        let end = loop {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "no whole request");
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
        };
        let body = bytes.split_off(end + 4);
        let head = String::from_utf8(bytes).unwrap();
        let mut peer = Self { stream, head, body: String::new() };
        peer.body = peer.read_body(body).await;
        peer
    }

    async fn read_body(&mut self, mut body: Vec<u8>) -> String {
        let length = self.header("content-length").map_or(0, |length| length.parse().unwrap());
        while body.len() < length {
            assert!(self.stream.read_buf(&mut body).await.unwrap() > 0, "no whole body");
        }
        String::from_utf8(body).unwrap()
    }

    pub(crate) fn request_line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        within("a write", self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    pub(crate) async fn open(&mut self) {
        self.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await;
    }

    /// An answer without a body; each of the `headers` with its line end.
    pub(crate) async fn answer(mut self, status: &str, headers: &str) {
        let ends = "content-length: 0\r\nconnection: close\r\n";
        self.write(format!("HTTP/1.1 {status}\r\n{ends}{headers}\r\n")).await;
    }

    /// Breaks the connection off.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}
