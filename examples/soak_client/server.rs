//! A server of numbered events that cuts its answers at random, anywhere.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::yield_now,
};

use super::{
    encoder::{Coding, Encoder},
    events::Numbered,
};

/// A head that is longer is none of a client that behaves.
const MOST_HEAD_BYTES: usize = 64 * 1024;
const MOST_EVENTS_A_BLOCK: u64 = 20;
const MOST_PIECE_BYTES: usize = 4 * 1024;
/// Most cuts are early, some are late: up to 128 KiB.
const CUT_BYTES_LOG2: u32 = 17;

const BUSY: &str = "HTTP/1.1 503 Busy\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n";
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What has been done to clients.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) requests: AtomicU64,
    pub(crate) cuts: AtomicU64,
}

/// What happens to an answer where it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The connection comes to its end, inside the framing too.
    Close,
    Reset,
    /// The answer's framing is whole, though its last event may not be; the connection goes on.
    Orderly,
    /// Nothing comes any more.
    Silence,
}

/// How an answer is sent.
struct Plan {
    end: End,
    is_chunked: bool,
    coding: Coding,
    /// How many bytes there are before the cut: of the body where the end is orderly, of the answer
    /// otherwise.
    left: usize,
}

/// Why an answer does not go on.
enum Stop {
    Cut,
    /// The client has left.
    Left,
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Left
    }
}

struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
    random: Rng,
    counts: Arc<Counts>,
}

/// Serves until connections can be accepted no more, and says why.
pub(crate) async fn serve(
    listener: TcpListener,
    mut random: Rng,
    counts: Arc<Counts>,
) -> io::Error {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => return error,
        };
        // Without it, pieces would wait for each other.
        let _ = stream.set_nodelay(true);
        let (random, counts) = (random.fork(), counts.clone());
        tokio::spawn(Connection { stream, read: vec![], random, counts }.serve());
    }
}

impl Connection {
    async fn serve(mut self) {
        while self.answer().await.is_ok() {}
    }

    /// Answers the next request; an error is the end of the connection.
    async fn answer(&mut self) -> Result<(), Stop> {
        let head = self.read_head().await?;
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        if self.random.u32(..20) == 0 {
            return Ok(self.stream.write_all(BUSY.as_bytes()).await?);
        }
        let mut plan = Plan::draw(&mut self.random);
        match self.tell(last_event_id(&head) + 1, &mut plan).await {
            Err(Stop::Cut) => self.cut(plan.end).await,
            stop => stop,
        }
    }

    async fn read_head(&mut self) -> Result<String, Stop> {
        loop {
            if let Some(end) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head: Vec<_> = self.read.drain(..end + 4).collect();
                return Ok(String::from_utf8_lossy(&head).into_owned());
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Result<(), Stop> {
        let count = self.stream.read_buf(&mut self.read).await?;
        let is_fine = count > 0 && self.read.len() <= MOST_HEAD_BYTES;
        if is_fine { Ok(()) } else { Err(Stop::Left) }
    }

    /// Sends events from this number on, up to the cut.
    async fn tell(&mut self, first: u64, plan: &mut Plan) -> Result<(), Stop> {
        let (mut number, mut encoder) = (first, Encoder::new(plan.coding));
        self.send_framing(plan.head().as_bytes(), plan).await?;
        loop {
            let mut block = vec![];
            let behind = number + 1 + self.random.u64(..MOST_EVENTS_A_BLOCK);
            for number in number..behind {
                Numbered::new(number).write(&mut block, &mut self.random);
            }
            number = behind;
            let block = encoder.flushed(&block).await?;
            self.send(&block, plan).await?;
        }
    }

    /// Sends a part of the body.
    async fn send(&mut self, mut body: &[u8], plan: &mut Plan) -> Result<(), Stop> {
        while !body.is_empty() {
            let length = 1 + self.random.usize(..body.len().min(MOST_PIECE_BYTES));
            let (piece, rest) = body.split_at(length);
            let (counted, is_cut) = plan.take_of_body(piece);
            if plan.is_chunked && !counted.is_empty() {
                self.send_framing(&chunk(counted), plan).await?;
            } else {
                self.send_framing(counted, plan).await?;
            }
            if is_cut {
                return Err(Stop::Cut);
            }
            body = rest;
        }
        Ok(())
    }

    /// Sends bytes as they are.
    async fn send_framing(&mut self, bytes: &[u8], plan: &mut Plan) -> Result<(), Stop> {
        let (counted, is_cut) = plan.take_of_answer(bytes);
        self.stream.write_all(counted).await?;
        yield_now().await;
        if is_cut { Err(Stop::Cut) } else { Ok(()) }
    }

    async fn cut(&mut self, end: End) -> Result<(), Stop> {
        self.counts.cuts.fetch_add(1, Ordering::Relaxed);
        match end {
            End::Orderly => return Ok(self.stream.write_all(LAST_CHUNK).await?),
            End::Close => {}
            End::Reset => self.stream.set_zero_linger()?,
            End::Silence => loop {
                self.read_more().await?;
            },
        }
        Err(Stop::Cut)
    }
}

impl Plan {
    fn draw(random: &mut Rng) -> Self {
        let end = match random.u32(..100) {
            0..2 => End::Silence,
            2..20 => End::Orderly,
            20..60 => End::Close,
            _ => End::Reset,
        };
        let most_bytes = 2 << random.u32(..CUT_BYTES_LOG2);
        Self {
            end,
            is_chunked: end == End::Orderly || random.bool(),
            coding: Coding::draw(random),
            left: random.usize(..most_bytes),
        }
    }

    fn head(&self) -> String {
        let chunked = if self.is_chunked { "transfer-encoding: chunked\r\n" } else { "" };
        format!("{HEAD}{chunked}{}\r\n", self.coding.header())
    }

    /// What of a part of the body is before the cut, and whether it is cut there.
    fn take_of_body<'a>(&mut self, bytes: &'a [u8]) -> (&'a [u8], bool) {
        if self.end == End::Orderly { self.take(bytes) } else { (bytes, false) }
    }

    /// The same for bytes of the answer, whatever they are.
    fn take_of_answer<'a>(&mut self, bytes: &'a [u8]) -> (&'a [u8], bool) {
        if self.end == End::Orderly { (bytes, false) } else { self.take(bytes) }
    }

    fn take<'a>(&mut self, bytes: &'a [u8]) -> (&'a [u8], bool) {
        let is_cut = bytes.len() > self.left;
        let taken = &bytes[..bytes.len().min(self.left)];
        self.left -= taken.len();
        (taken, is_cut)
    }
}

fn chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

/// The id in the head of a request; 0 when there is none.
fn last_event_id(head: &str) -> u64 {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut ids = fields.filter(|(name, _)| name.eq_ignore_ascii_case("last-event-id"));
    ids.next().and_then(|(_, id)| id.trim().parse().ok()).unwrap_or(0)
}
