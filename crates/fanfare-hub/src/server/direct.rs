//! Streams on sockets without hyper: the engine's, while there is nothing to do but to wait for what
//! comes, and a task's otherwise.

use std::{
    io, mem, net,
    num::NonZeroUsize,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::{Duration, SystemTime},
};

use bytes::{Buf, Bytes};
use fanfare_fanout::{
    Frame,
    engine::{self, Adoption, Deliveries, Engine, Framing, Left, Why},
};
use futures_core::Stream;
use futures_util::FutureExt;
use http::{Version, response::Parts};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    runtime::{self, Runtime},
    sync::Semaphore,
    time::timeout,
};

use crate::{
    Hub,
    http::{Api, Parked, Reading, Streaming},
    metrics::{Closing, Disconnect},
};

use super::{
    Settings,
    handover::Answered,
    open::{Entered, Phase, Resting},
};

/// How many streams read the log at the same time. More wait for their turn.
const LOG_READERS: usize = 64;

/// How far a thread that replays gives way to others.
#[cfg(target_os = "linux")]
const REPLAY_NICENESS: i32 = 10;

/// So many bytes are worth a write of their own.
const ENOUGH_BYTES: usize = 16 * 1024;

const FRAMING: Framing = Framing::Chunked;
const LAST_CHUNK: Bytes = Bytes::from_static(b"0\r\n\r\n");

/// Serves streams on their sockets. Clones are the same.
#[derive(Clone)]
pub(super) struct Direct(Arc<Shared>);

struct Shared {
    api: Api,
    engine: Engine,
    write_timeout: Duration,
    log_readers: Semaphore,
    replays: Replays,
}

/// Threads for streams that are neither the engine's nor new: whoever has fallen behind, or has much to
/// be replayed. A crowd of them holds up neither publishers nor those who come.
struct Replays(Option<Runtime>);

/// Whose task a stream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    /// That of its connection.
    New,
    Replay,
}

/// A stream and its place among the connections.
struct Connection {
    direct: Direct,
    streaming: Streaming,
    entered: Entered,
}

/// A stream whose socket the engine has.
struct Away {
    direct: Direct,
    parked: Parked,
    resting: Resting,
}

/// What is next for a stream.
enum Step {
    Bytes(Bytes),
    /// The engine can go on with it.
    Part,
    End,
    /// It cannot go on.
    Fail,
    /// All connections are cut off.
    CutOff,
}

/// Counts what the engine delivers.
#[derive(Debug)]
struct Counter(Hub);

impl engine::Observer for Counter {
    fn delivered(&self, deliveries: Deliveries) {
        self.0.observer().delivered(deliveries);
    }

    fn failed(&self, error: &io::Error) {
        tracing::error!(%error, "a thread of the engine has failed: others go on with its streams");
    }
}

impl Direct {
    /// Starts the engine.
    pub(super) fn start(api: Api, settings: &Settings, threads: NonZeroUsize) -> io::Result<Self> {
        let engine = Engine::start(&engine::Settings {
            threads,
            framing: FRAMING,
            keep_alive: Some(api.keep_alive()),
            write_timeout: settings.write_timeout,
            observer: Arc::new(Counter(api.hub().clone())),
        })?;
        Ok(Self(Arc::new(Shared {
            api,
            engine,
            replays: Replays::start(threads)?,
            write_timeout: settings.write_timeout,
            log_readers: Semaphore::new(LOG_READERS),
        })))
    }

    /// Serves a stream whose head has not been written yet.
    pub(super) async fn serve(self, socket: TcpStream, answered: Answered, entered: Entered) {
        let Answered { head, mut streaming } = answered;
        let mut begin = head_bytes(&head, self.0.api.hub().now().into());
        if let Some(opening) = streaming.opening() {
            FRAMING.append(&opening, &mut begin);
        }
        Connection { direct: self, streaming, entered }.run(Task::New, socket, begin).await;
    }

    /// Whether the engine can serve any stream.
    pub(super) fn is_able(&self) -> bool {
        !self.0.engine.has_failed()
    }

    fn count(&self, why: Closing) {
        self.0.api.hub().metrics().closings.count(why);
    }

    /// Has the engine give all streams back, so that they end as they should. From now on none may be
    /// given to it.
    pub(super) fn begin_shutdown(&self) {
        self.0.engine.recall();
    }
}

impl Connection {
    async fn run(mut self, task: Task, mut socket: TcpStream, mut unsent: Vec<u8>) {
        loop {
            let step = self.gather(&mut unsent);
            if !self.write(&mut socket, mem::take(&mut unsent).into()).await {
                return;
            }
            let step = match step {
                Some(step) => step,
                None if task == Task::New => {
                    // It is of no use otherwise.
                    let Ok(socket) = socket.into_std() else { return };
                    return self.replay(socket, vec![]);
                }
                None => self.next().await,
            };
            match step {
                Step::Bytes(bytes) => FRAMING.append(&bytes, &mut unsent),
                Step::Part => return self.part(socket).await,
                Step::End => {
                    // Whoever is gone needs no end.
                    if self.write(&mut socket, LAST_CHUNK).await {
                        let _ = socket.shutdown().await;
                    }
                    return;
                }
                Step::Fail => return,
                Step::CutOff => return self.is_cut_off(),
            }
        }
    }

    /// Goes on in a task of its own.
    fn replay(self, socket: net::TcpStream, unsent: Vec<u8>) {
        let direct = self.direct.clone();
        direct.0.replays.spawn(async move {
            if let Ok(socket) = TcpStream::from_std(socket) {
                self.run(Task::Replay, socket, unsent).await;
            }
        });
    }

    /// Adds what is there without waiting, so that it goes in one write; tells what is next, if that is
    /// known.
    fn gather(&mut self, unsent: &mut Vec<u8>) -> Option<Step> {
        while unsent.len() < ENOUGH_BYTES {
            match self.next().now_or_never()? {
                Step::Bytes(bytes) => FRAMING.append(&bytes, unsent),
                step => return Some(step),
            }
        }
        None
    }

    async fn next(&mut self) -> Step {
        let Self { direct, streaming, entered } = self;
        let _turn = if streaming.needs_log() {
            match attend(entered, direct.0.log_readers.acquire()).await {
                Some(turn) => turn.ok(),
                None => return Step::CutOff,
            }
        } else {
            None
        };
        let next =
            std::future::poll_fn(|context| match Pin::new(&mut *streaming).poll_next(context) {
                Poll::Ready(Some(Ok(bytes))) => Poll::Ready(Step::Bytes(bytes)),
                Poll::Ready(Some(Err(_))) => Poll::Ready(Step::Fail),
                Poll::Ready(None) => Poll::Ready(Step::End),
                Poll::Pending if streaming.is_at_present() => Poll::Ready(Step::Part),
                Poll::Pending => Poll::Pending,
            });
        match attend(entered, next).await {
            Some(step) => step,
            None => Step::CutOff,
        }
    }

    /// Writes everything; tells whether that was possible.
    async fn write(&mut self, socket: &mut TcpStream, mut bytes: Bytes) -> bool {
        while bytes.has_remaining() {
            let writing = timeout(self.direct.0.write_timeout, socket.write_buf(&mut bytes));
            match attend(&self.entered, writing).await {
                Some(Ok(Ok(_))) => {}
                Some(Ok(Err(_))) => return false,
                Some(Err(_)) => {
                    self.is_stalled();
                    return false;
                }
                None => {
                    self.is_cut_off();
                    return false;
                }
            }
        }
        true
    }

    fn is_cut_off(&mut self) {
        self.streaming.cut_off(Disconnect::Shutdown);
        self.direct.count(Closing::Grace);
    }

    fn is_stalled(&mut self) {
        self.streaming.cut_off(Disconnect::Stalled);
        self.direct.count(Closing::Stalled);
    }

    /// Gives the socket to the engine.
    async fn part(self, socket: TcpStream) {
        let Self { direct, streaming, entered } = self;
        // It is of no use otherwise.
        let (Ok(socket), Some((reading, parked))) = (socket.into_std(), streaming.park()) else {
            return;
        };
        let Reading { channels, after, digest, until } = reading;
        let shared = direct.0.clone();
        let client = Box::new(Away { direct, parked, resting: entered.rest() });
        let until = until.map(Into::into);
        shared.engine.adopt(Adoption { socket, channels, after, digest, until, client });
        if shared.api.has_begun_shutdown() {
            // It may have come too late to be given back with all others.
            shared.engine.recall();
        }
        // Others who come at this moment may part with theirs first: it wakes the engine once for all.
        tokio::task::yield_now().await;
        shared.engine.settle();
    }
}

impl engine::Client for Away {
    fn comment(&self) -> Frame {
        self.parked.comment()
    }

    fn leave(self: Box<Self>, left: Left) {
        let Self { direct, mut parked, resting } = *self;
        let Left { why, after, digest, unsent, socket } = left;
        if why == Why::Stalled {
            parked.cut_off(Disconnect::Stalled);
            direct.count(Closing::Stalled);
        }
        if why == Why::Refused {
            // Its subscriber comes back, and is served by hyper.
            return parked.cut_off(Disconnect::Failed);
        }
        let Some(socket) = socket else { return };
        if why == Why::Lagged {
            direct.0.api.hub().metrics().lags.inc();
        }
        let streaming = parked.go_on(&direct.0.api, after, digest);
        let connection = Connection { direct, streaming, entered: resting.rise() };
        connection.replay(socket, unsent.into());
    }
}

impl Replays {
    fn start(threads: NonZeroUsize) -> io::Result<Self> {
        let mut builder = runtime::Builder::new_multi_thread();
        builder.worker_threads(threads.get()).thread_name("fanfare-replay").enable_all();
        builder.on_thread_start(give_way);
        builder.build().map(Some).map(Self)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // It is there until this is dropped.
        if let Some(runtime) = &self.0 {
            runtime.spawn(task);
        }
    }
}

/// Lets publishers and whatever is live go before this thread, where they share a CPU.
fn give_way() {
    // On Linux it is the thread's, elsewhere it would be the whole process's. It may always be raised.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(REPLAY_NICENESS);
}

impl Drop for Replays {
    fn drop(&mut self) {
        // Without waiting: this may be one of its own threads.
        self.0.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

/// The future's output; `None` when all connections are cut off.
async fn attend<T>(entered: &Entered, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        entered.waking().register(context.waker());
        if entered.phase() == Phase::CutOff {
            return Poll::Ready(None);
        }
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// The head of a response whose body is chunks, and ends with the connection.
fn head_bytes(head: &Parts, now: SystemTime) -> Vec<u8> {
    debug_assert_eq!(head.version, Version::HTTP_11);
    let mut bytes = Vec::with_capacity(512);
    let reason = head.status.canonical_reason().unwrap_or_default();
    bytes.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", head.status.as_str()).as_bytes());
    for (name, value) in &head.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"transfer-encoding: chunked\r\nconnection: close\r\ndate: ");
    bytes.extend_from_slice(httpdate::fmt_http_date(now).as_bytes());
    bytes.extend_from_slice(b"\r\n\r\n");
    bytes
}
