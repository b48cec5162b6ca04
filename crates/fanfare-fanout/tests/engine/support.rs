use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use fanfare_fanout::{
    Bounds, Channel, Digest, Frame, Options, Position,
    engine::{Adoption, Client, Deliveries, Engine, Framing, Left, Observer, Settings},
};

/// Longer than anything takes on a machine that is busy with something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An engine that counts, and hands out who leaves.
pub(crate) struct Running {
    pub(crate) engine: Engine,
    pub(crate) counted: Arc<Counted>,
    listener: TcpListener,
}

#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) count: AtomicU64,
    pub(crate) frames: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Observer for Counted {
    fn delivered(&self, Deliveries { count, frames, bytes, .. }: Deliveries) {
        self.count.fetch_add(count, Ordering::SeqCst);
        self.frames.fetch_add(frames, Ordering::SeqCst);
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
    }

    fn failed(&self, error: &io::Error) {
        panic!("{error}");
    }
}

struct Leaver(Sender<Left>);

/// What breaks a silence. It has a digest, as what the channels have in some tests.
pub(crate) fn comment() -> Frame {
    Frame { bytes: Bytes::from_static(b":\n\n"), digest: Digest::new(0x5b0f_7c5a, 3) }
}

impl Client for Leaver {
    fn comment(&self) -> Frame {
        comment()
    }

    fn leave(self: Box<Self>, left: Left) {
        let _ = self.0.send(left);
    }
}

/// The other end of a client's socket.
pub(crate) struct Peer {
    pub(crate) socket: TcpStream,
    pub(crate) left: Receiver<Left>,
}

pub(crate) fn settings(framing: Framing) -> Settings {
    Settings {
        threads: NonZeroUsize::new(2).unwrap(),
        framing,
        keep_alive: Some(Duration::from_secs(100)),
        write_timeout: Duration::from_secs(100),
        observer: Arc::new(Counted::default()),
    }
}

pub(crate) fn bounded(frames: usize) -> Channel {
    let bounds = Bounds { frames, bytes: usize::MAX };
    Channel::new(Options { bounds, ..Options::default() })
}

impl Running {
    pub(crate) fn start(mut settings: Settings) -> Self {
        let counted = Arc::new(Counted::default());
        settings.observer = counted.clone();
        let engine = Engine::start(&settings).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self { engine, counted, listener }
    }

    pub(crate) fn plain() -> Self {
        Self::start(settings(Framing::Plain))
    }

    pub(crate) fn connect(&self) -> (TcpStream, TcpStream) {
        let peer = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = self.listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        (socket, peer)
    }

    /// A peer that reads what lies behind `after`.
    pub(crate) fn adopt(&self, channel: &Channel, after: Position) -> Peer {
        self.adopt_until(channel, after, None)
    }

    pub(crate) fn adopt_until(
        &self,
        channel: &Channel,
        after: Position,
        until: Option<Instant>,
    ) -> Peer {
        self.adopt_with(vec![channel.clone()], after, until)
    }

    /// A peer that reads several channels.
    pub(crate) fn adopt_several(&self, channels: &[Channel], after: Position) -> Peer {
        self.adopt_with(channels.to_vec(), after, None)
    }

    fn adopt_with(&self, channels: Vec<Channel>, after: Position, until: Option<Instant>) -> Peer {
        let (socket, peer) = self.connect();
        let (sender, left) = mpsc::channel();
        let (digest, client) = (Digest::EMPTY, Box::new(Leaver(sender)));
        self.engine.adopt(Adoption { socket, channels, after, digest, until, client });
        self.engine.settle();
        Peer { socket: peer, left }
    }

    /// Waits until so many frames have been given to sockets.
    pub(crate) fn until_frames(&self, frames: u64) {
        let begun = Instant::now();
        while self.counted.frames.load(Ordering::SeqCst) < frames {
            assert!(begun.elapsed() < PATIENCE, "waited too long for {frames} frames");
            std::thread::yield_now();
        }
    }
}

impl Peer {
    #[track_caller]
    pub(crate) fn reads(&mut self, expected: &str) {
        let mut bytes = vec![0; expected.len()];
        self.socket.read_exact(&mut bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
    }

    #[track_caller]
    pub(crate) fn left(&self) -> Left {
        self.left.recv_timeout(PATIENCE).unwrap()
    }

    pub(crate) fn write(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).unwrap();
    }
}
