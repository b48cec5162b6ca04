use std::{
    mem,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use fanfare::Sse;
use fanfare_fanout::{Bounds, Epoch};
use fanfare_hub::{
    Hub,
    http::{self, Api},
    log::{AppendError, MemoryLog, Retention, Timestamp},
    server::{Server, Settings, Tls},
};
use fanfare_wire::{Decoder, Event, Item};
use http_body_util::{BodyExt, Empty};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::{interval, timeout},
};

use crate::decoding::Decoding;

/// Longer than anything takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(30);

/// The future's output, or a panic that says what did not come.
#[track_caller]
pub(crate) fn within<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let at = std::panic::Location::caller();
    async move {
        let outcome = timeout(PATIENCE, future).await;
        outcome.unwrap_or_else(|_| panic!("waited too long for {what} at {at}"))
    }
}

/// A hub in memory on a port of its own.
pub(crate) struct Running {
    pub(crate) api: Api,
    pub(crate) address: SocketAddr,
    /// Sent or dropped, it begins the shutdown.
    pub(crate) signal: oneshot::Sender<()>,
    pub(crate) server: JoinHandle<Result<(), AppendError>>,
}

pub(crate) fn hub() -> Hub {
    let log = Arc::new(MemoryLog::new(Epoch::from_seed(1), Retention::default()));
    Hub::new(log, Bounds::default(), Arc::new(now))
}

#[expect(clippy::disallowed_methods, reason = "a test is an edge")]
fn now() -> Timestamp {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp(time.as_millis().try_into().unwrap())
}

impl Running {
    pub(crate) async fn start(settings: Settings, http: http::Settings) -> Self {
        Self::with_tls(settings, http, None).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        Self::start(settings, http::Settings::default()).await
    }

    pub(crate) async fn with_http(http: http::Settings) -> Self {
        Self::start(Settings::default(), http).await
    }

    pub(crate) async fn with_tls(
        settings: Settings,
        http: http::Settings,
        tls: Option<Arc<Tls>>,
    ) -> Self {
        let engine_threads = settings.engine_threads.filter(|_| crate::HAS_ENGINE);
        Self::serve(hub(), Settings { engine_threads, ..settings }, http, tls).await
    }

    pub(crate) async fn serve(
        hub: Hub,
        settings: Settings,
        http: http::Settings,
        tls: Option<Arc<Tls>>,
    ) -> Self {
        Self::serve_api(Api::new(hub, Sse::new(), http), settings, tls).await
    }

    pub(crate) async fn serve_api(api: Api, settings: Settings, tls: Option<Arc<Tls>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Server::new(api.clone(), settings);
        let server = match tls {
            Some(tls) => server.listen_tls(listener, tls),
            None => server.listen(listener),
        };
        let (signal, signalled) = oneshot::channel();
        let server = tokio::spawn(server.run(async { drop(signalled.await) }));
        Self { api, address: (Ipv4Addr::LOCALHOST, port).into(), signal, server }
    }

    pub(crate) async fn peer(&self) -> Peer {
        Peer::connect(self.address, Ipv4Addr::LOCALHOST.into()).await
    }

    /// A peer with another address on this machine.
    pub(crate) async fn peer_from(&self, address: [u8; 4]) -> Peer {
        Peer::connect(self.address, address.into()).await
    }

    /// A peer that has the head of an answer to a GET.
    pub(crate) async fn get(&self, target: &str, headers: &str) -> (Peer, Head) {
        let mut peer = self.peer().await;
        peer.get(target, headers).await;
        let head = peer.head().await;
        (peer, head)
    }

    /// A peer that follows a stream, and has read what it begins with.
    pub(crate) async fn follow(&self, target: &str) -> Peer {
        let (mut peer, head) = self.get(target, "").await;
        assert_eq!(head.status(), 200, "{head:?}");
        assert!(peer.chunk().await.unwrap().starts_with(b":ok\n\nretry: "));
        peer
    }

    /// An answer without a connection.
    pub(crate) async fn ask(&self, target: &str) -> (u16, String) {
        let request = ::http::Request::get(target).body(Empty::<Bytes>::new()).unwrap();
        let response = self.api.answer(request).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// The value of a metric, named as it stands in `/metrics` behind `fanfare_`.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        metric_in(&self.ask("/metrics").await.1, name)
    }

    /// Waits until a metric has a value.
    #[track_caller]
    pub(crate) fn until(&self, name: &str, value: f64) -> impl Future<Output = ()> {
        within(name, async move {
            let mut looks = interval(Duration::from_millis(2));
            while self.metric(name).await.total_cmp(&value).is_ne() {
                looks.tick().await;
            }
        })
    }

    pub(crate) async fn publish(&self, topic: &str, data: &str) {
        let mut peer = self.peer().await;
        assert_eq!(peer.post(&format!("/sse/{topic}"), "", data).await.status(), 200);
    }
}

pub(crate) fn metric_in(text: &str, name: &str) -> f64 {
    let name = format!("fanfare_{name} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&name));
    value.unwrap_or_else(|| panic!("no {name}in {text}")).parse().unwrap()
}

/// A client that speaks HTTP/1.1 over a socket.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    read: BytesMut,
    chunk: Bytes,
    /// What there is of a chunk in which the connection ended.
    cut: Bytes,
    pub(crate) decoder: Decoder,
}

/// The connection ended before the body did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CutOff;

/// What a body means, up to its end.
pub(crate) fn decoded(coding: &str, body: &[u8]) -> String {
    let mut decoding = Decoding::new(coding);
    let text = decoding.push(body);
    decoding.end().unwrap_or_else(|error| panic!("{coding}: {error}"));
    String::from_utf8(text).unwrap()
}

/// The events in the text of a stream.
pub(crate) fn events(text: &str) -> Vec<Event> {
    let (mut decoder, mut text) = (Decoder::new(), Bytes::copy_from_slice(text.as_bytes()));
    let mut events = vec![];
    while let Some(item) = decoder.decode(&mut text).unwrap() {
        if let Item::Event(event) = item {
            events.push(event);
        }
    }
    events
}

/// Text that can hardly be compressed.
pub(crate) fn noise(len: usize, seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.alphanumeric()).take(len).collect()
}

/// The head of a response.
#[derive(Debug, Clone)]
pub(crate) struct Head(pub(crate) String);

impl Peer {
    pub(crate) async fn connect(address: SocketAddr, from: IpAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.bind((from, 0).into()).unwrap();
        let stream = within("a connection", socket.connect(address)).await.unwrap();
        let (chunk, cut) = (Bytes::new(), Bytes::new());
        Self { stream, read: BytesMut::new(), chunk, cut, decoder: Decoder::new() }
    }

    pub(crate) async fn write(&mut self, text: impl AsRef<[u8]>) {
        within("a write", self.stream.write_all(text.as_ref())).await.unwrap();
    }

    /// Asks for `target`; each of the `headers` with its line end.
    pub(crate) async fn get(&mut self, target: &str, headers: &str) {
        self.write(format!("GET {target} HTTP/1.1\r\nhost: a\r\n{headers}\r\n")).await;
    }

    /// Publishes, and has the head of the answer.
    pub(crate) async fn post(&mut self, target: &str, headers: &str, body: &str) -> Head {
        let length = body.len();
        self.write(format!(
            "POST {target} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ))
        .await;
        self.head().await
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

    /// The body behind a head with a `content-length`.
    pub(crate) async fn body(&mut self, head: &Head) -> String {
        let length: usize = head.header("content-length").unwrap().parse().unwrap();
        while self.read.len() < length {
            assert!(self.read_more().await, "no body, only {:?}", self.read);
        }
        String::from_utf8(self.read.split_to(length).to_vec()).unwrap()
    }

    /// The next chunk of a chunked body; empty at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Bytes, CutOff> {
        let size = loop {
            if let Some(end) = find(&self.read, b"\r\n") {
                let line = self.read.split_to(end + 2);
                let digits = str::from_utf8(&line[..end]).unwrap();
                break usize::from_str_radix(digits, 16).unwrap();
            }
            self.need_more().await?;
        };
        while self.read.len() < size + 2 {
            if !self.read_more().await {
                self.read.truncate(size);
                self.cut = self.read.split().freeze();
                return Err(CutOff);
            }
        }
        let chunk = self.read.split_to(size).freeze();
        assert_eq!(self.read.split_to(2), "\r\n");
        Ok(chunk)
    }

    /// A chunked body up to its end; what there is of it, if the connection ends first.
    pub(crate) async fn chunks(&mut self) -> Result<Vec<u8>, Vec<u8>> {
        let mut body = vec![];
        loop {
            match self.chunk().await {
                Ok(chunk) if chunk.is_empty() => return Ok(body),
                Ok(chunk) => body.extend(chunk),
                Err(CutOff) => {
                    body.extend(mem::take(&mut self.cut));
                    return Err(body);
                }
            }
        }
    }

    /// The next event; `None` at the end of the body.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, CutOff> {
        loop {
            while let Some(item) = self.decoder.decode(&mut self.chunk).unwrap() {
                if let Item::Event(event) = item {
                    return Ok(Some(event));
                }
            }
            self.chunk = self.chunk().await?;
            if self.chunk.is_empty() {
                return Ok(None);
            }
        }
    }

    pub(crate) async fn event(&mut self) -> Event {
        self.next().await.unwrap().expect("another event before the end of the stream")
    }

    /// All bytes up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> String {
        String::from_utf8(self.rest_bytes().await.to_vec()).unwrap()
    }

    pub(crate) async fn rest_bytes(&mut self) -> BytesMut {
        while self.read_more().await {}
        self.read.split()
    }

    async fn need_more(&mut self) -> Result<(), CutOff> {
        if self.read_more().await { Ok(()) } else { Err(CutOff) }
    }

    async fn read_more(&mut self) -> bool {
        let reading = self.stream.read_buf(&mut self.read);
        within("more bytes", reading).await.is_ok_and(|count| count > 0)
    }
}

impl Head {
    pub(crate) fn status(&self) -> u16 {
        self.0.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
