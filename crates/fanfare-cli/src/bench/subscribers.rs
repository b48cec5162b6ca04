//! All subscribers, read by one thread.

use std::{
    io, iter, mem,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Interest, Poll, Token, Waker};

use super::{
    BenchError,
    check::Lanes,
    clock::{Clock, nanoseconds},
    sources::Sources,
    stream::{Stream, StreamError},
    tally::Tally,
    target::Template,
};
use crate::sub::Header;

/// What is read at a time. All streams share it.
const BUFFER_BYTES: usize = 256 * 1024;
/// Readiness that is taken at a time.
const READINESS: usize = 1024;
/// Connections that are not answered yet: fewer than a server's queue has room for.
const MOST_UNANSWERED: usize = 64;
/// How long nothing is looked at while nothing comes.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

const WAKER: Token = Token(usize::MAX);

/// Where and how to subscribe.
#[derive(Debug)]
pub(super) struct Subscription {
    /// Each has its share of the subscribers.
    pub(super) servers: Vec<Server>,
    pub(super) connect_rate: Option<u32>,
    pub(super) patience: Duration,
}

/// Where subscribers connect to, and what they ask for.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// For messages.
    request: String,
    /// By topic.
    requests: Vec<Rc<[u8]>>,
}

impl Server {
    pub(super) fn new(url: &Template, topics: u32, headers: &[Header]) -> Result<Self, BenchError> {
        let requests = (0..topics).map(|topic| url.subscribe(topic, headers).map(Rc::from));
        Ok(Self {
            address: url.resolve()?,
            request: format!("GET {}", url.text()),
            requests: requests.collect::<Result<_, _>>()?,
        })
    }
}

impl Subscription {
    /// The server of a subscriber, and its request. Both those of a topic and those of many are spread.
    fn of(&self, subscriber: usize, topic: usize) -> (&Server, &Rc<[u8]>) {
        let topics = self.servers[0].requests.len();
        let server = &self.servers[(subscriber / topics + topic) % self.servers.len()];
        (server, &server.requests[topic])
    }
}

pub(super) struct Subscribers {
    subscription: Subscription,
    sources: Sources,
    lanes: Lanes,
    clock: Clock,
    poll: Poll,
    readiness: mio::event::Events,
    waker: Arc<Waker>,
    streams: Vec<Stream>,
    /// Streams that have more to read, of which nothing tells.
    unfinished: Vec<usize>,
    buffer: Vec<u8>,
    opened: usize,
    ended: u64,
    /// Nanoseconds for which there was nothing to do.
    waited: u64,
}

impl Subscribers {
    pub(super) fn new(
        subscription: Subscription,
        sources: Sources,
        lanes: Lanes,
        clock: Clock,
    ) -> Result<Self, BenchError> {
        let poll = Poll::new().map_err(BenchError::Poll)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(BenchError::Poll)?;
        Ok(Self {
            subscription,
            sources,
            lanes,
            clock,
            poll,
            readiness: mio::event::Events::with_capacity(READINESS),
            waker: Arc::new(waker),
            streams: vec![],
            unfinished: vec![],
            buffer: vec![0; BUFFER_BYTES],
            opened: 0,
            ended: 0,
            waited: 0,
        })
    }

    /// Ends the wait of a turn.
    pub(super) fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    pub(super) fn ended(&self) -> u64 {
        self.ended
    }

    pub(super) fn have_all_ended(&self) -> bool {
        self.ended == u64::from(self.lanes.subscribers)
    }

    pub(super) fn waited(&self) -> u64 {
        self.waited
    }

    /// Connects all, and returns once each has been answered.
    pub(super) fn connect(
        &mut self,
        tally: &mut Tally,
        mut tell: impl FnMut(usize),
    ) -> Result<Duration, BenchError> {
        let start = Instant::now();
        let (mut newest, mut opened) = (start, 0);
        let all = self.lanes.subscribers as usize;
        while self.opened < all {
            let wait = self.begin_connections(start)?;
            self.turn(wait, tally)?;
            if mem::replace(&mut opened, self.opened) != self.opened {
                newest = Instant::now();
                tell(opened);
            } else if newest.elapsed() > self.subscription.patience {
                let patience = self.subscription.patience;
                return Err(BenchError::Silent { connected: opened, all, patience });
            }
        }
        Ok(newest - start)
    }

    /// As many as may be begun now. Returns how long it is until more may be.
    fn begin_connections(&mut self, start: Instant) -> Result<Duration, BenchError> {
        while self.streams.len() < self.lanes.subscribers as usize {
            if self.streams.len() - self.opened >= MOST_UNANSWERED {
                return Ok(LONGEST_WAIT);
            }
            let due = start + self.due(self.streams.len());
            let left = due.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Ok(left.min(LONGEST_WAIT));
            }
            self.begin_connection()?;
        }
        Ok(LONGEST_WAIT)
    }

    fn due(&self, connection: usize) -> Duration {
        let number = u32::try_from(connection).unwrap_or(u32::MAX);
        let rate = self.subscription.connect_rate;
        rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate * number)
    }

    fn begin_connection(&mut self) -> Result<(), BenchError> {
        let connected = self.streams.len();
        let (Server { address, .. }, request) = self.asked_by(connected);
        let (address, request) = (*address, request.clone());
        let failed = |error| BenchError::of_connect(address, connected, error);
        let socket = self.sources.connect(address).map_err(failed)?;
        let subscriber = u32::try_from(connected).unwrap_or(u32::MAX);
        let mut stream = Stream::new(socket, subscriber, request);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(stream.socket(), Token(connected), interest);
        registered.map_err(BenchError::Poll)?;
        self.streams.push(stream);
        Ok(())
    }

    fn asked_by(&self, connection: usize) -> (&Server, &Rc<[u8]>) {
        let subscriber = u32::try_from(connection).unwrap_or(u32::MAX);
        self.subscription.of(connection, self.lanes.topic_of(subscriber) as usize)
    }

    /// Waits for something to come, and reads it.
    pub(super) fn turn(&mut self, wait: Duration, tally: &mut Tally) -> Result<(), BenchError> {
        let unfinished = mem::take(&mut self.unfinished);
        let wait = if unfinished.is_empty() { wait.min(LONGEST_WAIT) } else { Duration::ZERO };
        let mut readiness = mem::replace(&mut self.readiness, mio::event::Events::with_capacity(0));
        let begin = Instant::now();
        match self.poll.poll(&mut readiness, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(BenchError::Poll(error));
            }
            _ => {}
        }
        self.waited += nanoseconds(begin.elapsed());
        let ready = readiness.iter().filter(|event| event.token() != WAKER);
        let ready = ready.map(|event| (event.token().0, event.is_read_closed()));
        let outcome = iter::chain(unfinished.into_iter().map(|at| (at, true)), ready)
            .try_for_each(|(at, is_closing)| self.go_on(at, is_closing, tally));
        self.readiness = readiness;
        outcome
    }

    fn go_on(&mut self, at: usize, is_closing: bool, tally: &mut Tally) -> Result<(), BenchError> {
        let clock = self.clock;
        let turn = self.streams[at].go_on(&mut self.buffer, is_closing, || clock.now(), tally);
        let turn = turn.map_err(|error| self.explain(at, error))?;
        self.opened += usize::from(turn.has_opened);
        self.ended += u64::from(turn.has_ended);
        if turn.goes_on {
            self.unfinished.push(at);
        }
        Ok(())
    }

    fn explain(&self, at: usize, error: StreamError) -> BenchError {
        let (Server { address, request, .. }, _) = self.asked_by(at);
        let (request, connected) = (request.clone(), self.opened);
        match error {
            StreamError::Connect(source) => BenchError::of_connect(*address, connected, source),
            StreamError::Closed(source) => BenchError::Closed { request, connected, source },
            StreamError::Refused { status, body } => BenchError::Refused { request, status, body },
            StreamError::NoStream { content_type } => {
                BenchError::NoStream { request, content_type }
            }
            StreamError::Malformed(why) => BenchError::Malformed { request, why },
        }
    }
}
