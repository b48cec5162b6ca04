//! A client that speaks HTTP/1 over a socket, byte by byte.

use std::net::SocketAddr;

use bytes::{Buf, Bytes, BytesMut};
use fanfare_wire::{Decoder, Event, Item};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::within;

pub(crate) struct Peer {
    stream: TcpStream,
    read: BytesMut,
    chunk: Bytes,
    decoder: Decoder,
}

/// The connection ended before the body did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CutOff;

/// The head of a response.
#[derive(Debug, Clone)]
pub(crate) struct Head(pub(crate) String);

impl Peer {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        let stream = within("a connection", socket.connect(address)).await.unwrap();
        Self { stream, read: BytesMut::new(), chunk: Bytes::new(), decoder: Decoder::new() }
    }

    pub(crate) async fn write(&mut self, text: impl AsRef<[u8]>) {
        within("a write", self.stream.write_all(text.as_ref())).await.unwrap();
    }

    /// Asks for `target`; each of the `headers` with its line end.
    pub(crate) async fn get(&mut self, target: &str, headers: &str) {
        self.write(format!("GET {target} HTTP/1.1\r\nhost: a\r\n{headers}\r\n")).await;
    }

    pub(crate) async fn head(&mut self) -> Head {
        loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                let head = self.read.split_to(end + 4);
                return Head(String::from_utf8(head.to_vec()).unwrap());
            }
            assert!(self.read_more().await, "no head, only {:?}", self.read);
        }
    }

    /// The next chunk of a chunked body; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, CutOff> {
        let size = loop {
            if let Some(end) = find(&self.read, b"\r\n") {
                let line = self.read.split_to(end + 2);
                let digits = str::from_utf8(&line[..end]).unwrap();
                break usize::from_str_radix(digits, 16).unwrap();
            }
            self.need_more().await?;
        };
        while self.read.len() < size + 2 {
            self.need_more().await?;
        }
        let chunk = self.read.split_to(size).freeze();
        assert_eq!(self.read.split_to(2), "\r\n");
        Ok((size > 0).then_some(chunk))
    }

    /// What else comes of a chunked body, and whether it ends as it should.
    pub(crate) async fn rest(&mut self) -> (Bytes, Result<(), CutOff>) {
        let mut rest = BytesMut::from(&self.chunk[..]);
        loop {
            match self.chunk().await {
                Ok(Some(chunk)) => rest.extend_from_slice(&chunk),
                end => return (rest.freeze(), end.map(|_| ())),
            }
        }
    }

    /// What else comes of a body with a `content-length`.
    pub(crate) async fn sized(&mut self, length: usize) -> Bytes {
        while self.read.len() < length {
            self.need_more().await.unwrap();
        }
        self.read.split_to(length).freeze()
    }

    /// All bytes up to the end of the connection.
    pub(crate) async fn raw_rest(&mut self) -> Bytes {
        while self.read_more().await {}
        self.read.split().freeze()
    }

    /// The next event; `None` at the end of the body.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, CutOff> {
        loop {
            while let Some(item) = self.decoder.decode(&mut self.chunk).unwrap() {
                if let Item::Event(event) = item {
                    return Ok(Some(event));
                }
            }
            match self.chunk().await? {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(None),
            }
        }
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Event {
        self.next().await.unwrap().expect("another event before the end of the stream")
    }

    /// The data of the next event.
    pub(crate) async fn data(&mut self) -> String {
        self.event().await.into_data().to_string()
    }

    /// Breaks the connection off: the server gets a reset instead of an orderly end.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    async fn need_more(&mut self) -> Result<(), CutOff> {
        if self.read_more().await { Ok(()) } else { Err(CutOff) }
    }

    async fn read_more(&mut self) -> bool {
        let reading = self.stream.read_buf(&mut self.read);
        within("more bytes", reading).await.is_ok_and(|count| count > 0)
    }

    /// Whether nothing is there to be read.
    pub(crate) fn is_silent(&self) -> bool {
        !self.read.has_remaining()
            && !self.chunk.has_remaining()
            && self.stream.try_read(&mut [0]).is_err()
    }
}

impl Head {
    pub(crate) fn status(&self) -> u16 {
        self.0.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The head without the date.
    pub(crate) fn timeless(&self) -> String {
        self.0.split_inclusive("\r\n").filter(|line| !line.starts_with("date: ")).collect()
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
