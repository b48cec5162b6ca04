//! A server of event streams that does what the test says, byte by byte.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::within;

/// Longer than a reconnection takes that has no delay.
const QUIET: Duration = Duration::from_millis(500);

pub(crate) struct StreamServer {
    listener: TcpListener,
    address: SocketAddr,
}

/// A connection whose request has been read.
pub(crate) struct Connection {
    pub(crate) request: Request,
    stream: TcpStream,
}

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) body: String,
    head: String,
}

/// How an open stream ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Break {
    /// As it should, with its last chunk.
    Orderly,
    /// The connection is closed where no end should be.
    CutOff,
    /// The connection is reset.
    Reset,
}

impl StreamServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next connection, with its request.
    pub(crate) async fn connection(&self) -> Connection {
        let (stream, _) = within("a connection", self.listener.accept()).await.unwrap();
        Connection::read(stream).await
    }

    /// The next connection, answered with an event stream.
    pub(crate) async fn open(&self) -> Connection {
        let mut connection = self.connection().await;
        connection.open().await;
        connection
    }

    /// Sees to it that nobody asks again. That something does not come can only be seen by waiting.
    pub(crate) async fn stays_quiet(&self) {
        assert!(timeout(QUIET, self.listener.accept()).await.is_err(), "asked again");
    }
}

impl Connection {
    async fn read(mut stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        let reading = async {
            let mut read = vec![];
            while !read.ends_with(b"\r\n\r\n") {
                read.push(stream.read_u8().await.expect("a whole head"));
            }
            let mut request = Request::of_head(String::from_utf8(read).unwrap());
            let length =
                request.headers("content-length").first().map_or(0, |l| l.parse().unwrap());
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.expect("a whole body");
            request.body = String::from_utf8(body).unwrap();
            request
        };
        let request = within("a request", reading).await;
        Self { request, stream }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        within("a write", self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Answers without a body; `headers` with their line ends.
    pub(crate) async fn answer(mut self, status: &str, headers: &str) {
        let head = format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n");
        self.write(head).await;
    }

    pub(crate) async fn open(&mut self) {
        self.write(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
             connection: close\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .await;
    }

    /// Sends a chunk, which the client gets as one.
    pub(crate) async fn send(&mut self, chunk: impl AsRef<[u8]>) {
        let chunk = chunk.as_ref();
        self.write([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()).await;
    }

    pub(crate) async fn end(mut self, how: Break) {
        match how {
            Break::Orderly => self.write("0\r\n\r\n").await,
            Break::CutOff => {}
            Break::Reset => self.stream.set_zero_linger().unwrap(),
        }
    }

    /// Waits until the client has closed the connection.
    pub(crate) async fn closed(mut self) {
        let end = within("the end of the connection", self.stream.read_u8()).await;
        assert!(end.is_err(), "the client sends something else");
    }
}

impl Request {
    fn of_head(head: String) -> Self {
        let mut words = head.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        Self { method, target, body: String::new(), head }
    }

    /// The values of all headers of that name.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }
}
