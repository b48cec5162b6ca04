//! How much this program can read: a thread sends prepared events as fast as they are taken.

use std::{
    fmt::{self, Display, Formatter},
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread::Builder,
    time::Duration,
};

use serde::Serialize;

use super::{
    BenchError, Options,
    check::{Lanes, Wrong},
    clock::{Clock, nanoseconds},
    payload::{Mark, Marks},
    process::as_f64,
    report,
    sources::Sources,
    subscribers::{Server, Subscribers, Subscription},
    tally::Tally,
    target::template,
};
use crate::failure::Failure;

/// What is sent to one subscriber at a time: a run of events, as a server sends that has many.
const RUN_BYTES: usize = 32 * 1024;
const USUAL_TIME: Duration = Duration::from_secs(3);
const TURN: Duration = Duration::from_millis(50);

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
    transfer-encoding: chunked\r\n\r\n";

/// What the reader can do.
#[derive(Debug, Serialize)]
pub(super) struct Limits {
    subscribers: u32,
    payload_bytes: usize,
    /// Where many events come at a time.
    runs: Limit,
    /// Where each comes by itself, which takes a system call.
    singles: Limit,
}

#[derive(Debug, Serialize)]
struct Limit {
    events: u64,
    seconds: f64,
    per_second: f64,
    bytes_per_second: f64,
    busy: f64,
}

pub(super) fn measure(options: &Options) -> Result<Limits, Failure> {
    Ok(Limits {
        subscribers: options.subscribers.get(),
        payload_bytes: options.payload,
        runs: limit(options, RUN_BYTES)?,
        singles: limit(options, 1)?,
    })
}

/// Sends so many bytes at a time, or one event if that is more.
fn limit(options: &Options, bytes: usize) -> Result<Limit, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Failure::Begin)?;
    let server = listener.local_addr().map_err(Failure::Begin)?;
    let subscribers = options.subscribers.get();
    let lanes = Lanes { subscribers, topics: 1, publishers: 1, is_by_topic: true };
    let (clock, marks) = (Clock::start(), Marks::of_run(fastrand::u32(..), options.payload));
    let sources = Sources::new(&options.source, server.ip(), subscribers as usize);
    let mut reader = Subscribers::new(subscription(options, server)?, sources, lanes, clock)?;
    let mut flood = Flood {
        block: Block::new(&marks, bytes),
        listener,
        subscribers,
        clock,
        time: options.duration.unwrap_or(USUAL_TIME),
    };
    let mut tally = Tally::new(marks, lanes);
    tally.measure_from(0);
    let flooding = Builder::new().name("flood".into()).spawn(move || flood.run());
    let flooding = flooding.map_err(Failure::Begin)?;
    reader.connect(&mut tally, |_| {})?;
    let (from, waited) = (clock.now(), reader.waited());
    while !flooding.is_finished() || !reader.have_all_ended() {
        reader.turn(TURN, &mut tally)?;
    }
    let sent = flooding.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
    let sent = sent.map_err(Failure::Begin)?;
    let measured = tally.measured();
    let seconds = Duration::from_nanos(measured.newest - from).as_secs_f64();
    let waited = Duration::from_nanos(reader.waited() - waited).as_secs_f64();
    // The flood has ended its streams itself.
    let wrong = tally.finish(Some(vec![sent]), 0);
    if !wrong.as_ref().is_none_or(Wrong::is_nothing) {
        return Err(BenchError::Wrong.into());
    }
    Ok(Limit {
        events: measured.events,
        seconds,
        per_second: as_f64(measured.events) / seconds,
        bytes_per_second: as_f64(measured.bytes) / seconds,
        busy: 1.0 - waited / seconds,
    })
}

fn subscription(options: &Options, server: SocketAddr) -> Result<Subscription, BenchError> {
    let address = format!("http://{server}/");
    let url = template(&address).map_err(|_| BenchError::Address(address.clone()))?;
    Ok(Subscription {
        servers: vec![Server::new(&url, 1, &[])?],
        connect_rate: None,
        patience: options.patience,
    })
}

impl Limits {
    pub(super) fn to_json(&self) -> String {
        // Numbers always serialise.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

impl Display for Limits {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (subscribers, bytes) = (self.subscribers, self.payload_bytes);
        writeln!(f, "one thread reads, {subscribers} subscribers, events of {bytes} bytes:")?;
        for (what, limit) in [("many at a time", &self.runs), ("one at a time", &self.singles)] {
            let per_second = report::grouped(limit.per_second);
            let (megabytes, busy) = (limit.bytes_per_second / 1e6, limit.busy * 100.0);
            writeln!(
                f,
                "  {what:<15} {per_second:>11} events a second, {megabytes:>5.0} MB/s, {busy:>3.0} % busy"
            )?;
        }
        Ok(())
    }
}

struct Flood {
    block: Block,
    listener: TcpListener,
    subscribers: u32,
    clock: Clock,
    time: Duration,
}

impl Flood {
    /// How many events each subscriber was sent.
    fn run(&mut self) -> io::Result<u64> {
        let mut sockets = vec![];
        for _ in 0..self.subscribers {
            sockets.push(accept(&self.listener)?);
        }
        let end = self.clock.now() + nanoseconds(self.time);
        let mut sent = 0;
        while self.clock.now() < end {
            self.block.mark(sent, self.clock.now());
            sent += self.block.marks_at.len() as u64;
            sockets.iter().try_for_each(|mut socket| socket.write_all(&self.block.bytes))?;
        }
        Ok(sent)
    }
}

fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (mut socket, _) = listener.accept()?;
    let mut request = vec![0; 4096];
    let mut length = 0;
    while !request[..length].ends_with(b"\r\n\r\n") {
        match socket.read(&mut request[length..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => length += count,
        }
    }
    socket.set_nodelay(true)?;
    socket.write_all(HEAD)?;
    Ok(socket)
}

/// A chunk with many events.
struct Block {
    bytes: Vec<u8>,
    marks_at: Vec<usize>,
}

impl Block {
    fn new(marks: &Marks, bytes: usize) -> Self {
        let (mut events, mut marks_at) = (vec![], vec![]);
        while events.len() < bytes {
            events.extend_from_slice(b"id: 0123456789-0123456789\ndata: ");
            marks_at.push(events.len());
            events.extend_from_slice(&marks.payload());
            events.extend_from_slice(b"\n\n");
        }
        let size = format!("{:x}\r\n", events.len());
        for at in &mut marks_at {
            *at += size.len();
        }
        Self { bytes: [size.as_bytes(), &events, b"\r\n"].concat(), marks_at }
    }

    fn mark(&mut self, first: u64, sent: u64) {
        for (number, &at) in (first..).zip(&self.marks_at) {
            let mark = Mark { topic: 0, publisher: 0, number, sent };
            Marks::write(&mut self.bytes[at..], &mark);
        }
    }
}
