//! A server over plain sockets that does to each request what its script says.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{AbortHandle, JoinSet, yield_now},
    time::sleep,
};

use super::{until, within};

/// A server that listens until this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

/// What is done to one request.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    waits_for: Asked,
    deeds: Vec<Deed>,
    end: End,
}

/// How much of a request is read before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nothing,
    Head,
    Whole,
}

#[derive(Debug, Clone)]
enum Deed {
    Write(Bytes),
    Pass(Gate),
    Pause(Duration),
    /// Again and again, until the client has left.
    Flood(Bytes),
}

/// What becomes of the connection behind an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// An orderly end.
    Close,
    /// A reset.
    Reset,
    /// Another request may come on it.
    Keep,
    /// Nothing comes any more.
    Stall,
}

/// Holds an answer up until it is opened, once for each time.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Semaphore>);

/// A request as the server has seen it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Which connection it came on, counted from 0.
    pub(crate) connection: usize,
    pub(crate) head: String,
    pub(crate) body: Bytes,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    answers: Mutex<VecDeque<Answer>>,
    /// When the others are used up.
    always: Mutex<Option<Answer>>,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    connections: usize,
    /// The connections that the client has ended.
    left: Vec<usize>,
}

impl Server {
    /// A server that gives these answers, one after the other. A request for which there is none
    /// waits for ever.
    pub(crate) async fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = within("a port", TcpListener::bind("127.0.0.1:0")).await.unwrap();
        Self::on(listener, answers)
    }

    /// A server that gives this answer to each request.
    pub(crate) async fn always(answer: Answer) -> Self {
        let server = Self::new([]).await;
        *lock(&server.shared.always) = Some(answer);
        server
    }

    /// The same as [`new`](Self::new) on a listener from elsewhere.
    pub(crate) fn on(listener: TcpListener, answers: impl IntoIterator<Item = Answer>) -> Self {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = tokio::spawn(accept(listener, shared.clone())).abort_handle();
        let server = Self { address, shared, accepting };
        server.answer(answers);
        server
    }

    /// Gives these answers too, behind the others.
    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.shared.answers).extend(answers);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far. One that was not read whole by intent is not among them.
    pub(crate) fn requests(&self) -> Vec<Request> {
        lock(&self.shared.state).requests.clone()
    }

    /// What each request so far said in this header.
    pub(crate) fn headers(&self, name: &str) -> Vec<Option<String>> {
        let requests = self.requests();
        requests.iter().map(|request| request.header(name).map(str::to_owned)).collect()
    }

    /// The last event id of each request so far; empty where there was none.
    pub(crate) fn last_event_ids(&self) -> Vec<String> {
        self.headers("last-event-id").into_iter().map(Option::unwrap_or_default).collect()
    }

    /// Waits until so many requests have come.
    #[track_caller]
    pub(crate) fn asked(&self, times: usize) -> impl Future<Output = ()> {
        until("a request", move || lock(&self.shared.state).requests.len() >= times)
    }

    /// Waits until the client has ended the connection.
    #[track_caller]
    pub(crate) fn left(&self, connection: usize) -> impl Future<Output = ()> {
        let what = "the end of the connection";
        until(what, move || lock(&self.shared.state).left.contains(&connection))
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> usize {
        lock(&self.shared.state).connections
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Answer {
    /// Nothing yet; the connection is closed behind the answer if nothing else is said.
    pub(crate) fn new() -> Self {
        Self { waits_for: Asked::Whole, deeds: vec![], end: End::Close }
    }

    /// The status line without its version, and headers, each line with its end.
    pub(crate) fn head(head: &str) -> Self {
        Self::new().write(format!("HTTP/1.1 {head}\r\n"))
    }

    /// An event stream that goes to the end of the connection.
    pub(crate) fn stream(body: impl AsRef<[u8]>) -> Self {
        Self::head("200 OK\r\ncontent-type: text/event-stream\r\n").write(body)
    }

    /// An event stream in chunks, of which these are the first.
    pub(crate) fn chunked<T: AsRef<[u8]>>(pieces: impl IntoIterator<Item = T>) -> Self {
        let head = "200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n";
        pieces.into_iter().fold(Self::head(head), Self::chunk)
    }

    /// The answer begins before anything of the request is read, which is not recorded.
    pub(crate) fn unasked(self) -> Self {
        Self { waits_for: Asked::Nothing, ..self }
    }

    /// The body of the request is never read, and the request recorded without it.
    pub(crate) fn without_reading_the_body(self) -> Self {
        Self { waits_for: Asked::Head, ..self }
    }

    pub(crate) fn write(self, bytes: impl AsRef<[u8]>) -> Self {
        self.and(Deed::Write(Bytes::copy_from_slice(bytes.as_ref())))
    }

    /// Byte by byte.
    pub(crate) fn write_slowly(self, bytes: impl AsRef<[u8]>) -> Self {
        bytes.as_ref().iter().fold(self, |answer, &byte| answer.write([byte]))
    }

    /// A chunk of a chunked body.
    pub(crate) fn chunk(self, data: impl AsRef<[u8]>) -> Self {
        self.write(chunk(data))
    }

    /// The end of a chunked body; the connection is kept.
    pub(crate) fn last_chunk(self) -> Self {
        self.write("0\r\n\r\n").keep()
    }

    pub(crate) fn pass(self, gate: &Gate) -> Self {
        self.and(Deed::Pass(gate.clone()))
    }

    pub(crate) fn pause(self, time: Duration) -> Self {
        self.and(Deed::Pause(time))
    }

    pub(crate) fn flood(self, bytes: impl AsRef<[u8]>) -> Self {
        self.and(Deed::Flood(Bytes::copy_from_slice(bytes.as_ref())))
    }

    pub(crate) fn reset(self) -> Self {
        Self { end: End::Reset, ..self }
    }

    pub(crate) fn keep(self) -> Self {
        Self { end: End::Keep, ..self }
    }

    pub(crate) fn stall(self) -> Self {
        Self { end: End::Stall, ..self }
    }

    fn and(mut self, deed: Deed) -> Self {
        self.deeds.push(deed);
        self
    }
}

/// `data` as a chunk of a chunked body.
pub(crate) fn chunk(data: impl AsRef<[u8]>) -> Vec<u8> {
    let data = data.as_ref();
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    pub(crate) fn open(&self) {
        self.0.add_permits(1);
    }

    async fn passed(&self) {
        self.0.acquire().await.unwrap().forget();
    }
}

impl Request {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    /// The value of a header that comes once at most.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().skip(1).filter_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        });
        let value = values.next();
        assert_eq!(values.next(), None, "another {name} in {self:?}");
        value
    }

    /// The names of all headers in order.
    pub(crate) fn header_names(&self) -> Vec<String> {
        let lines = self.head.lines().skip(1);
        let names = lines.filter_map(|line| line.split_once(':'));
        let mut names: Vec<_> = names.map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort();
        names
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    for number in 0.. {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        lock(&shared.state).connections += 1;
        let connection =
            Connection { number, stream, read: BytesMut::new(), shared: shared.clone() };
        connections.spawn(connection.serve());
    }
}

struct Connection {
    number: usize,
    stream: TcpStream,
    read: BytesMut,
    shared: Arc<Shared>,
}

/// The client has ended the connection.
struct Left;

impl From<io::Error> for Left {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Connection {
    async fn serve(mut self) {
        let outcome = self.answer_all().await;
        if let Err(Left) = outcome {
            lock(&self.shared.state).left.push(self.number);
        }
    }

    async fn answer_all(&mut self) -> Result<(), Left> {
        loop {
            let answer = match self.shared.take(|answer| answer.waits_for == Asked::Nothing) {
                Some(answer) => answer,
                None => self.read_request().await?,
            };
            self.act(&answer.deeds).await?;
            match answer.end {
                End::Keep => {}
                End::Stall => self.watch().await?,
                End::Reset => return Ok(self.stream.set_zero_linger()?),
                End::Close => return Ok(()),
            }
        }
    }

    /// Reads a request, records it, and finds its answer.
    async fn read_request(&mut self) -> Result<Answer, Left> {
        let head = self.read_head().await?;
        let mut request = Request { connection: self.number, head, body: Bytes::new() };
        let answer = self.shared.take(|_| true);
        if answer.as_ref().is_none_or(|answer| answer.waits_for == Asked::Whole) {
            request.body = self.read_body(&request).await?;
        }
        lock(&self.shared.state).requests.push(request);
        Ok(answer.unwrap_or_else(|| Answer::new().stall()))
    }

    async fn read_head(&mut self) -> Result<String, Left> {
        loop {
            if let Some(end) = self.read.windows(4).position(|end| end == b"\r\n\r\n") {
                let head = self.read.split_to(end + 4);
                return Ok(String::from_utf8(head.to_vec()).unwrap());
            }
            self.read_more().await?;
        }
    }

    async fn read_body(&mut self, request: &Request) -> Result<Bytes, Left> {
        assert_eq!(request.header("transfer-encoding"), None);
        let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            self.read_more().await?;
        }
        Ok(self.read.split_to(length).freeze())
    }

    async fn read_more(&mut self) -> Result<(), Left> {
        let count = self.stream.read_buf(&mut self.read).await?;
        if count > 0 { Ok(()) } else { Err(Left) }
    }

    async fn act(&mut self, deeds: &[Deed]) -> Result<(), Left> {
        for deed in deeds {
            match deed {
                Deed::Write(bytes) => {
                    self.stream.write_all(bytes).await?;
                    yield_now().await;
                }
                Deed::Pass(gate) => gate.passed().await,
                Deed::Pause(time) => sleep(*time).await,
                Deed::Flood(bytes) => loop {
                    self.stream.write_all(bytes).await?;
                },
            }
        }
        Ok(())
    }

    /// Reads until the client has left.
    async fn watch(&mut self) -> Result<(), Left> {
        loop {
            self.read_more().await?;
            self.read.clear();
        }
    }
}

impl Shared {
    /// The next answer, if it is like that.
    fn take(&self, is_wanted: impl Fn(&Answer) -> bool) -> Option<Answer> {
        let always = lock(&self.always).clone().filter(&is_wanted);
        let mut answers = lock(&self.answers);
        match answers.front() {
            None => always,
            Some(next) if is_wanted(next) => answers.pop_front(),
            Some(_) => None,
        }
    }
}
