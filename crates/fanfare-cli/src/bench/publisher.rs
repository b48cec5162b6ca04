//! Publishers: a thread and a connection each, so that reading never makes them late.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::Builder,
    time::{Duration, Instant},
};

use http::StatusCode;
use mio::Waker;

use super::{
    BenchError,
    check::Lanes,
    clock::{Clock, nanoseconds},
    http::{Head, HeadReader},
    latency::Times,
    options::Rate,
    payload::{Mark, Marks},
    process::as_f64,
    stream::beginning,
    target::Requests,
};

/// What is read of an answer at a time.
const READ_BYTES: usize = 16 * 1024;
/// What is kept of an answer's body.
const MOST_TEXT_BYTES: usize = 4 * 1024;
/// A connection on which nothing went for this time may have been closed by the server.
const FRESH: Duration = Duration::from_secs(1);

/// What is to be published, by all publishers together.
#[derive(Debug, Clone)]
pub(super) struct Publishing {
    pub(super) server: SocketAddr,
    /// For messages.
    pub(super) request: String,
    pub(super) requests: Arc<[Requests]>,
    pub(super) lanes: Lanes,
    pub(super) rate: Rate,
    /// Events behind the warm-up.
    pub(super) events: Option<u64>,
    pub(super) time: Option<Duration>,
    pub(super) warm_up: Duration,
    pub(super) patience: Duration,
}

/// What one publisher has done.
#[derive(Debug)]
pub(super) struct Done {
    /// By lane.
    pub(super) sent: Vec<u64>,
    /// Of these, the ones that are measured.
    pub(super) measured: u64,
    /// From writing a request to having its answer.
    pub(super) answers: Times,
    /// When the last answer was there.
    pub(super) end: u64,
}

impl Publishing {
    /// When the event of this number is due that is sent at a steady rate, where it is.
    pub(super) fn due(&self, start: u64, number: u64) -> Option<u64> {
        let time = Duration::try_from_secs_f64(as_f64(number) / self.rate?);
        Some(start.saturating_add(nanoseconds(time.unwrap_or(Duration::MAX))))
    }

    /// Where the warm-up ends.
    pub(super) fn measured_from(&self, start: u64) -> u64 {
        start.saturating_add(nanoseconds(self.warm_up))
    }
}

type Outcome = Result<Done, BenchError>;

/// The threads that publish. They end when this is dropped.
#[derive(Debug)]
pub(super) struct Publishers {
    outcomes: Receiver<Outcome>,
    /// How many events have been sent so far, by all.
    pub(super) sent: Arc<AtomicU64>,
    _stops: Vec<Sender<()>>,
}

impl Publishers {
    /// What those have done that have come to their end since the last time.
    pub(super) fn ended(&self) -> Result<Vec<Done>, BenchError> {
        self.outcomes.try_iter().collect()
    }
}

/// Lets them begin, at `start` on the clock.
pub(super) fn begin(
    publishing: &Publishing,
    clock: Clock,
    start: u64,
    waker: &Arc<Waker>,
) -> io::Result<Publishers> {
    let (tell, outcomes) = mpsc::channel();
    let sent = Arc::new(AtomicU64::new(0));
    let mut stops = vec![];
    for number in 0..publishing.lanes.publishers {
        let (stop, stopped) = mpsc::channel();
        stops.push(stop);
        let publisher = Publisher {
            publishing: publishing.clone(),
            number,
            clock,
            start,
            all: sent.clone(),
            stopped,
            connection: None,
        };
        let (tell, waker) = (tell.clone(), waker.clone());
        Builder::new().name(format!("publisher {number}")).spawn(move || {
            let outcome = publisher.run();
            // Nobody listens any more where the run has failed.
            if tell.send(outcome).is_ok() {
                let _ = waker.wake();
            }
        })?;
    }
    Ok(Publishers { outcomes, sent, _stops: stops })
}

struct Publisher {
    publishing: Publishing,
    number: u32,
    clock: Clock,
    /// On the clock.
    start: u64,
    all: Arc<AtomicU64>,
    stopped: Receiver<()>,
    connection: Option<Connection>,
}

struct Connection {
    socket: TcpStream,
    used: Instant,
    patience: Duration,
}

impl Publisher {
    fn run(mut self) -> Outcome {
        let lanes = self.publishing.lanes;
        let (requests, mut request) = (self.publishing.requests.clone(), vec![]);
        let mut done = Done::nothing(lanes);
        let measured_from = self.publishing.measured_from(self.start);
        let quota = self.quota();
        for turn in 0.. {
            let due = self.due(turn);
            if self.is_over(due) || done.measured == quota || !self.wait_until(due) {
                break;
            }
            let topic = (u64::from(self.number) + turn) % u64::from(lanes.topics);
            let topic = u32::try_from(topic).unwrap_or_default();
            let lane = lanes.of(topic, self.number);
            let number = done.sent[lane];
            let Requests { bytes, payload_at } = &requests[topic as usize];
            request.clone_from(bytes);
            self.connect()?;
            let sent = self.clock.now();
            let mark = Mark { topic, publisher: self.number, number, sent };
            Marks::write(&mut request[*payload_at..], &mark);
            self.ask(&request)?;
            done.end = self.clock.now();
            done.sent[lane] += 1;
            self.all.fetch_add(1, Ordering::Relaxed);
            if sent >= measured_from {
                done.measured += 1;
                done.answers.record(done.end - sent);
            }
        }
        Ok(done)
    }

    /// Its share of all events.
    fn quota(&self) -> u64 {
        let (number, all) = (u64::from(self.number), u64::from(self.publishing.lanes.publishers));
        let share = |events: u64| events / all + u64::from(number < events % all);
        self.publishing.events.map_or(u64::MAX, share)
    }

    /// When its event of this number is to be sent; `None` is at once.
    fn due(&self, turn: u64) -> Option<u64> {
        let number = turn * u64::from(self.publishing.lanes.publishers) + u64::from(self.number);
        self.publishing.due(self.start, number)
    }

    /// Whether the time is over at which the next event is due.
    fn is_over(&self, due: Option<u64>) -> bool {
        let Some(time) = self.publishing.time else { return false };
        let end = self.publishing.measured_from(self.start).saturating_add(nanoseconds(time));
        due.unwrap_or_default().max(self.clock.now()) >= end
    }

    /// Whether to go on.
    fn wait_until(&self, due: Option<u64>) -> bool {
        let left = due.map_or(0, |due| due.saturating_sub(self.clock.now()));
        let waited = self.stopped.recv_timeout(Duration::from_nanos(left));
        matches!(waited, Err(RecvTimeoutError::Timeout))
    }

    /// Sees to it that there is a connection.
    fn connect(&mut self) -> Result<(), BenchError> {
        if self.connection.as_ref().is_none_or(Connection::is_stale) {
            let (server, patience) = (self.publishing.server, self.publishing.patience);
            let failed = |error| BenchError::of_connect(server, 0, error);
            self.connection = Some(Connection::open(server, patience).map_err(failed)?);
        }
        Ok(())
    }

    fn ask(&mut self, request: &[u8]) -> Result<(), BenchError> {
        let Some(mut connection) = self.connection.take() else { return Ok(()) };
        let (head, body) = connection.ask(request).map_err(|source| self.unanswered(source))?;
        if !head.status.is_success() {
            return Err(refusal(&self.publishing.request, head.status, &body));
        }
        if !head.closes() {
            self.connection = Some(connection);
        }
        Ok(())
    }

    fn unanswered(&self, source: io::Error) -> BenchError {
        let request = self.publishing.request.clone();
        let published = self.all.load(Ordering::Relaxed);
        BenchError::Publish { request, published, source: in_time(source) }
    }
}

/// What a read returns that has waited too long, in words.
fn in_time(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "it took too long"),
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the connection was closed"),
        _ => error,
    }
}

fn refusal(request: &str, status: StatusCode, body: &[u8]) -> BenchError {
    BenchError::Refused { request: request.into(), status, body: beginning(body) }
}

impl Connection {
    fn open(server: SocketAddr, patience: Duration) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&server, patience)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(patience))?;
        Ok(Self { socket, used: Instant::now(), patience })
    }

    /// Whether the server has closed it since it was used.
    fn is_stale(&self) -> bool {
        if self.used.elapsed() < FRESH {
            return false;
        }
        let peeked = self.socket.set_nonblocking(true).and_then(|()| self.socket.peek(&mut [0]));
        let is_quiet = peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        !is_quiet || self.socket.set_nonblocking(false).is_err()
    }

    fn ask(&mut self, request: &[u8]) -> io::Result<(Head, Vec<u8>)> {
        self.socket.write_all(request)?;
        let answer = self.answer()?;
        self.used = Instant::now();
        Ok(answer)
    }

    /// Its head, and the beginning of its body.
    fn answer(&mut self) -> io::Result<(Head, Vec<u8>)> {
        let begin = Instant::now();
        let mut buffer = [0; READ_BYTES];
        let mut reader = HeadReader::default();
        let (head, mut bytes) = loop {
            let mut bytes = self.read(&mut buffer)?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(head) = reader.read(&mut bytes).map_err(io::Error::other)? {
                break (head, bytes.to_vec());
            }
        };
        let (mut body, mut text) = (head.body(), vec![]);
        loop {
            let mut rest = &*bytes;
            while let Some(piece) = body.next(&mut rest).map_err(io::Error::other)? {
                let room = MOST_TEXT_BYTES - text.len();
                text.extend_from_slice(&piece[..piece.len().min(room)]);
            }
            if body.has_ended() {
                return Ok((head, text));
            }
            // It may go on for ever, as that of an event stream.
            if begin.elapsed() > self.patience {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            bytes = self.read(&mut buffer)?.to_vec();
            if bytes.is_empty() {
                return Ok((head, text));
            }
        }
    }

    fn read<'a>(&mut self, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
        loop {
            match self.socket.read(buffer) {
                Ok(count) => return Ok(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Done {
    pub(super) fn nothing(lanes: Lanes) -> Self {
        Self { sent: vec![0; lanes.count()], measured: 0, answers: Times::new(), end: 0 }
    }

    /// Takes another's beside it.
    pub(super) fn add(&mut self, other: &Self) {
        self.sent.iter_mut().zip(&other.sent).for_each(|(sum, sent)| *sum += sent);
        self.measured += other.measured;
        self.answers.add(&other.answers);
        self.end = self.end.max(other.end);
    }
}
