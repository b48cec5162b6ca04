use std::{
    fmt, fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use fanfare_wire::{Decoder, Event, Item};
use reqwest::Client;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
    time::interval,
};

use crate::support::{Folder, Hub, alone, client, is_soak, within};

const READERS: usize = 990;
const STALLED: usize = 10;
/// Enough for a socket to each of them.
const DESCRIPTORS: u64 = 4096;
const MIB: usize = 1024 * 1024;
/// What is published before each tick, as so many events.
const PIECE: usize = MIB / 2;
const PIECES: usize = 4;
/// What one of the readers and all who read nothing follow.
const TICKS_AND_BULK: &str = "/sse?topic=ticks&topic=bulk";

struct Plan {
    rounds: usize,
    /// Longer than the rounds take, so that they are measured with all who read nothing.
    write_timeout: &'static str,
}

/// What a run has shown.
struct Figures {
    /// From the begin of a tick's publish to its receipt, sorted.
    latencies: Vec<Duration>,
    /// The most memory that the hub had, where that is known.
    memory: Option<usize>,
}

/// A hub and its subscribers.
struct Crowd {
    hub: Hub,
    _folder: Folder,
    client: Client,
    /// When a reader has received a tick.
    receipts: UnboundedReceiver<Instant>,
    /// Each gives how many pieces it has received.
    readers: JoinSet<usize>,
    stalled: Vec<TcpStream>,
    latencies: Vec<Duration>,
}

/// A subscriber that reads.
struct Reader {
    socket: TcpStream,
    /// What has come, and has not been taken apart.
    read: BytesMut,
    decoder: Decoder,
    chunk: Bytes,
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_nothing_costs_the_others_nothing_and_is_cut_off() {
    let _alone = alone().await;
    let (rounds, write_timeout) = if is_soak() { (500, "40s") } else { (30, "8s") };
    let plan = Plan { rounds, write_timeout };
    let bulk = plan.rounds * PIECES * PIECE;
    let without = run(&plan, 0).await;
    println!("{READERS} readers: {without}");
    let with = run(&plan, STALLED).await;
    println!("and {STALLED} who read nothing of {} MiB: {with}", bulk / MIB);
    let ratio = |part| with.latency(part).div_duration_f64(without.latency(part));
    println!("latencies with them, ratio: median {:.2}, 99 % {:.2}", ratio(0.5), ratio(0.99));
    if let (Some(with), Some(without)) = (with.memory, without.memory) {
        // What waits in several queues might share its memory, so it counts once.
        assert!(with < without + bulk / 2, "who reads nothing costs memory: {without} {with}");
    }
}

async fn run(plan: &Plan, stalled: usize) -> Figures {
    let mut crowd = Crowd::gather(plan, stalled).await;
    for round in 0..plan.rounds {
        for piece in 0..PIECES {
            crowd.publish("bulk?event=bulk", &piece_of(round * PIECES + piece)).await;
        }
        crowd.tick("ticks", round).await;
    }
    let early = crowd.metric("disconnects_total{reason=\"stalled\"}").await;
    println!("cut off before the last round: {early}");
    crowd.stalled_are_cut_off().await;
    crowd.publish("bulk?event=bulk&end=true", &piece_of(plan.rounds * PIECES)).await;
    crowd.tick("ticks?end=true", plan.rounds).await;
    crowd.end(plan.rounds * PIECES + 1).await
}

fn piece_of(number: usize) -> String {
    format!("{number} {}", "x".repeat(PIECE))
}

impl Crowd {
    async fn gather(plan: &Plan, stalled: usize) -> Self {
        allow_descriptors();
        let folder = Folder::new();
        let timeout = format!("limits.write_timeout={}", plan.write_timeout);
        let hub = folder.serve(&["--data", "data", "--set", &timeout]).await;
        let address = hub.url("").trim_start_matches("http://").parse().unwrap();
        let (received, receipts) = unbounded_channel();
        let mut readers = JoinSet::new();
        for number in 0..READERS {
            let target = if number == 0 { TICKS_AND_BULK } else { "/sse/ticks" };
            let reader = Reader::connect(address, target).await;
            readers.spawn(reader.read(received.clone()));
        }
        let mut crowd = Self {
            hub,
            _folder: folder,
            client: client(),
            receipts,
            readers,
            stalled: vec![],
            latencies: vec![],
        };
        for _ in 0..stalled {
            crowd.stalled.push(ask(address, TICKS_AND_BULK).await);
        }
        let all = (READERS + stalled).to_string();
        crowd.until("subscribers", &all).await;
        crowd
    }

    async fn publish(&self, target: &str, data: &str) {
        let post = self.client.post(self.hub.url(&format!("/sse/{target}"))).body(data.to_owned());
        let answer = within("an answer", post.send()).await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    /// Publishes a tick, and waits until each reader has received it.
    async fn tick(&mut self, target: &str, number: usize) {
        let begun = Instant::now();
        self.publish(target, &number.to_string()).await;
        for _ in 0..READERS {
            let receipt = within("a tick", self.receipts.recv()).await.unwrap();
            self.latencies.push(receipt - begun);
        }
    }

    async fn stalled_are_cut_off(&self) {
        let stalled = self.stalled.len().to_string();
        self.until("disconnects_total{reason=\"stalled\"}", &stalled).await;
        self.until("connections_closed_total{reason=\"stalled\"}", &stalled).await;
        self.until("subscribers", &READERS.to_string()).await;
        assert_eq!(self.metric("disconnects_total{reason=\"left\"}").await, "0");
    }

    /// Ends it, when all readers have had everything.
    async fn end(mut self, pieces: usize) -> Figures {
        let mut received = within("the ends", self.readers.join_all()).await;
        received.sort_unstable();
        let others = vec![0; READERS - 1];
        assert_eq!(received, [&others[..], &[pieces]].concat());
        let memory = peak_memory(self.hub.id());
        self.hub.stop().await;
        self.latencies.sort_unstable();
        Figures { latencies: self.latencies, memory }
    }

    /// The value of a metric, named as it stands in `/metrics` behind `fanfare_`.
    async fn metric(&self, name: &str) -> String {
        let look = self.client.get(self.hub.url("/metrics")).send();
        let text = within("metrics", look).await.unwrap().text().await.unwrap();
        let name = format!("fanfare_{name} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&name));
        value.unwrap_or_else(|| panic!("no {name}in {text}")).to_owned()
    }

    async fn until(&self, name: &str, value: &str) {
        let looking = async {
            let mut looks = interval(Duration::from_millis(5));
            while self.metric(name).await != value {
                looks.tick().await;
            }
        };
        within(name, looking).await;
    }
}

/// A socket on which a stream was asked for.
async fn ask(address: SocketAddr, target: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut socket = within("a connection", socket.connect(address)).await.unwrap();
    let head = format!("GET {target} HTTP/1.1\r\nhost: hub\r\n\r\n");
    within("a request", socket.write_all(head.as_bytes())).await.unwrap();
    socket
}

impl Reader {
    /// A subscriber that has the head of its answer.
    async fn connect(address: SocketAddr, target: &str) -> Self {
        let socket = ask(address, target).await;
        let (read, chunk) = (BytesMut::new(), Bytes::new());
        let mut reader = Self { socket, read, decoder: Decoder::new(), chunk };
        let head = reader.through(b"\r\n\r\n").await.expect("a head");
        assert!(head.starts_with(b"HTTP/1.1 200 "));
        reader
    }

    /// Reads all: ticks and pieces in their order, each once.
    async fn read(mut self, received: UnboundedSender<Instant>) -> usize {
        let (mut ticks, mut pieces) = (0, 0);
        while let Some(event) = self.next().await {
            let number = event.data().split(' ').next().unwrap();
            let expected = match event.name() {
                "bulk" => &mut pieces,
                "message" => {
                    received.send(Instant::now()).unwrap();
                    &mut ticks
                }
                other => panic!("{other}: {}", event.data()),
            };
            assert_eq!(number, expected.to_string(), "{}", event.name());
            *expected += 1;
        }
        pieces
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(item) = self.decoder.decode(&mut self.chunk).unwrap() {
                if let Item::Event(event) = item {
                    return Some(event);
                }
            }
            self.chunk = self.chunk().await?;
        }
    }

    /// The next chunk; `None` at the end of the body.
    async fn chunk(&mut self) -> Option<Bytes> {
        let line = self.through(b"\r\n").await?;
        let size = usize::from_str_radix(str::from_utf8(&line).unwrap().trim_end(), 16).unwrap();
        while self.read.len() < size + 2 {
            self.more().await?;
        }
        let chunk = self.read.split_to(size).freeze();
        assert_eq!(self.read.split_to(2), "\r\n");
        (size > 0).then_some(chunk)
    }

    /// What comes up to a text, and that.
    async fn through(&mut self, text: &[u8]) -> Option<BytesMut> {
        loop {
            if let Some(at) = self.read.windows(text.len()).position(|part| part == text) {
                return Some(self.read.split_to(at + text.len()));
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Option<()> {
        let count = self.socket.read_buf(&mut self.read).await.ok()?;
        (count > 0).then_some(())
    }
}

impl Figures {
    fn latency(&self, part: f64) -> Duration {
        let last = self.latencies.len() - 1;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "it is a small number"
        )]
        let index = (part * last as f64) as usize;
        self.latencies[index]
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, most) = (self.latency(0.5), self.latency(0.99));
        write!(f, "latency median {median:.1?}, 99 % {most:.1?}")?;
        match self.memory {
            Some(memory) => write!(f, ", memory at most {} MiB", memory / MIB),
            None => Ok(()),
        }
    }
}

/// Where the operating system gives fewer to a process than there may be.
fn allow_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(DESCRIPTORS).min(DESCRIPTORS);
    if limit.current.is_some_and(|current| current < most) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit }).unwrap();
    }
}

/// The most memory that a process has had, in bytes; `None` where nobody tells.
fn peak_memory(process: u32) -> Option<usize> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
    Some(kib * 1024)
}
