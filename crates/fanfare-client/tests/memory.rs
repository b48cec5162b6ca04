//! How much memory an event source holds: no more than it was given to hold, whatever the server
//! sends.

#![cfg(test)]

// The transports, as the tests against faults have them.
#[path = "faults/support/carrier.rs"]
mod carrier;

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use async_compression::tokio::write::GzipEncoder;
use fanfare_client::{Error, Item};
use futures_util::StreamExt;
use peak_alloc::PeakAlloc;
use tokio::{
    io::AsyncWriteExt,
    runtime::Runtime,
    time::{interval, timeout},
};

use carrier::{Carrier, with_each};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The allocator counts for all threads.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const LIMIT: usize = 256 * KIB;
/// What a connection takes: its buffers, decompression, the runtime. Far less than what is sent.
const OVERHEAD: usize = MIB;
const PATIENCE: Duration = Duration::from_mins(1);

/// 64 KiB without a line end, of which 16 MiB are sent.
const PIECE: &[u8] = &[b'x'; 64 * KIB];
const PIECES: usize = 256;

/// What is sent on each connection.
#[derive(Clone)]
struct Answer {
    head: &'static str,
    first: Arc<[u8]>,
    piece: &'static [u8],
    pieces: usize,
}

/// A server in a thread of its own, for connections one after the other.
struct Server {
    address: SocketAddr,
    /// Pieces that could be sent, on all connections.
    sent: Arc<AtomicUsize>,
}

impl Answer {
    fn new(first: &str, piece: &'static [u8], pieces: usize) -> Self {
        Self { head: "", first: first.as_bytes().into(), piece, pieces }
    }

    fn send(&self, stream: &mut TcpStream, sent: &AtomicUsize) -> io::Result<()> {
        // A small request comes in one piece.
        let _ = stream.read(&mut [0; 4 * KIB])?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")?;
        stream.write_all(self.head.as_bytes())?;
        stream.write_all(b"\r\n")?;
        stream.write_all(&self.first)?;
        for _ in 0..self.pieces {
            stream.write_all(self.piece)?;
            sent.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

impl Server {
    fn new(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::<AtomicUsize>::default();
        let counted = sent.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                // The client may leave at any time.
                let _ = answer.send(&mut stream.unwrap(), &counted);
            }
        });
        Self { address, sent }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Runs the case with each transport while no other test allocates.
fn alone_with_each(case: impl AsyncFn(Carrier)) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    Runtime::new().unwrap().block_on(with_each(case));
}

/// The most bytes that are allocated during the task, beyond those of before; not for the first
/// time, when a transport is set up.
async fn peak_bytes(task: impl AsyncFn()) -> usize {
    task().await;
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    task().await;
    ALLOCATOR.peak_usage().saturating_sub(before)
}

/// Follows the server until its first answer has ended; the events and the errors meanwhile.
async fn follow(carrier: Carrier, server: &Server) -> (usize, usize) {
    let builder = carrier.follow(&server.url("/")).max_event_bytes(LIMIT);
    let (mut source, mut events, mut errors) = (builder.build().unwrap(), 0, 0);
    loop {
        match timeout(PATIENCE, source.next()).await.expect("an item in time") {
            Some(Ok(Item::Event(_))) => events += 1,
            Some(Err(Error::TooLarge(_))) => errors += 1,
            Some(Ok(Item::Opened(_))) => {}
            Some(Ok(Item::Reconnecting { reason: Error::Ended, .. })) => return (events, errors),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_line_without_end_holds_no_more_than_the_limit_allows() {
    alone_with_each(async |carrier| {
        for first in ["data: ", "event: ", "id: "] {
            let server = Server::new(Answer::new(first, PIECE, PIECES));
            let peak = peak_bytes(async || {
                assert_eq!(follow(carrier, &server).await, (0, 1));
            });
            let peak = peak.await;
            // A buffer that grows is twice as large as its content, and old and new exist at once.
            assert!(peak < 4 * LIMIT + OVERHEAD, "{first}: {peak} bytes");
        }
    });
}

#[test]
fn lines_without_end_hold_no_more_than_the_limit_allows() {
    const LINE: &[u8] = b"data: 0123456789012345678901234567890123456789012345678901234567890\n";
    alone_with_each(async |carrier| {
        let server = Server::new(Answer::new("", LINE, 50_000));
        let peak = peak_bytes(async || {
            assert_eq!(follow(carrier, &server).await, (0, 1));
        });
        let peak = peak.await;
        assert!(peak < 4 * LIMIT + OVERHEAD, "{peak} bytes");
    });
}

#[test]
fn lines_that_mean_nothing_hold_nothing() {
    alone_with_each(async |carrier| {
        for first in [":", "unknown: ", ""] {
            let server = Server::new(Answer::new(first, PIECE, PIECES));
            let peak = peak_bytes(async || {
                assert_eq!(follow(carrier, &server).await, (0, 0));
            });
            let peak = peak.await;
            assert!(peak < OVERHEAD, "{first}: {peak} bytes");
        }
    });
}

/// An event stream that is a line without end once it is decompressed, from next to nothing.
async fn bomb() -> Answer {
    let mut encoder = GzipEncoder::new(vec![]);
    encoder.write_all(b"data: ").await.unwrap();
    for _ in 0..PIECES {
        encoder.write_all(PIECE).await.unwrap();
    }
    encoder.shutdown().await.unwrap();
    let first = encoder.into_inner().into();
    Answer { head: "content-encoding: gzip\r\n", first, piece: b"", pieces: 0 }
}

#[test]
fn what_grows_when_it_is_decompressed_holds_no_more_than_the_limit_allows() {
    alone_with_each(async |carrier| {
        let server = Server::new(bomb().await);
        let peak = peak_bytes(async || {
            assert_eq!(follow(carrier, &server).await, (0, 1));
        });
        let peak = peak.await;
        assert!(peak < 4 * LIMIT + OVERHEAD, "{peak} bytes");
    });
}

/// Waits until the server can send no more.
async fn stand(server: &Server) {
    const LOOKS_THE_SAME: usize = 20;
    let mut looks = interval(Duration::from_millis(20));
    let (mut before, mut same) = (0, 0);
    while same < LOOKS_THE_SAME {
        looks.tick().await;
        let sent = server.sent.load(Ordering::SeqCst);
        same = if sent == before && sent > 0 { same + 1 } else { 0 };
        before = sent;
    }
}

#[test]
fn a_program_that_stops_reading_has_the_server_wait_and_holds_next_to_nothing() {
    alone_with_each(async |carrier| {
        let server = Server::new(Answer::new("data: a\n\n", PIECE, usize::MAX));
        let peak = peak_bytes(async || {
            let mut source = carrier.source(&server);
            for _ in 0..2 {
                let item = timeout(PATIENCE, source.next()).await.expect("an item in time");
                assert!(matches!(item, Some(Ok(Item::Opened(_) | Item::Event(_)))), "{item:?}");
            }
            timeout(PATIENCE, stand(&server)).await.expect("the server stands still in time");
        });
        let peak = peak.await;
        assert!(peak < OVERHEAD, "{peak} bytes");
    });
}

#[test]
fn connections_that_come_and_go_leave_nothing() {
    const CONNECTIONS: usize = 200;
    alone_with_each(async |carrier| {
        let server = Server::new(Answer::new("id: 1\nretry: 1\ndata: a\n\ndata: cut", b"", 0));
        let mut source = carrier.source(&server);
        let mut held = vec![];
        for _ in 0..3 {
            let mut connections = 0;
            while connections < CONNECTIONS {
                let item = timeout(PATIENCE, source.next()).await.expect("an item in time");
                connections += usize::from(matches!(item, Some(Ok(Item::Opened(_)))));
            }
            held.push(ALLOCATOR.current_usage());
        }
        let growth = held[2].saturating_sub(held[0]);
        assert!(growth < 64 * KIB, "{growth} bytes after {held:?}");
    });
}
