use std::{
    net::{Ipv4Addr, SocketAddr},
    panic,
    sync::{
        Arc, Once,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fanfare::Sse;
use fanfare_fanout::{Bounds, Epoch};
use fanfare_hub::{
    Hub, Selection, Selector, TopicName,
    auth::Auth,
    http::{self, Api},
    log::{AppendError, Limits, MemoryLog, Retention, Timestamp},
    server::{Server, Settings},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use crate::answer::{Answer, find, is_head, parse, show};

/// Longer than anything takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the hub waits for the rest of a head or a body.
const SHORT: Duration = Duration::from_millis(200);
/// How long a connection may be without a request.
const IDLE: Duration = Duration::from_secs(1);
/// The time of the hub, which stands still.
pub(crate) const NOW: Timestamp = Timestamp(1_000_000_000);

/// A request that is behind another one, and whose answer ends the connection.
pub(crate) const LAST: &str = "GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts panics of the hub from here on, wherever they are caught.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // A test that fails has said so itself.
            if !info.location().is_some_and(|at| at.file().contains("tests/hostile")) {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            before(info);
        }));
    });
}

/// A hub in memory on a port of its own.
pub(crate) struct Running {
    pub(crate) hub: Hub,
    pub(crate) address: SocketAddr,
    signal: oneshot::Sender<()>,
    server: JoinHandle<Result<(), AppendError>>,
}

impl Running {
    /// One that keeps little, and that everybody may use.
    pub(crate) async fn open() -> Self {
        let limits = Limits { max_bytes: Some(1 << 20), ..Limits::default() };
        Self::start(Retention { total: limits, ..Retention::default() }, None).await
    }

    pub(crate) async fn start(retention: Retention, auth: Option<Auth>) -> Self {
        count_panics();
        let log = Arc::new(MemoryLog::new(Epoch::from_seed(1), retention));
        let hub = Hub::new(log, Bounds::default(), Arc::new(|| NOW));
        let settings = http::Settings { body_idle_timeout: SHORT, ..http::Settings::default() };
        let settings = http::Settings { stream_idle_timeout: SHORT, ..settings };
        let api = Api::new(hub.clone(), Sse::new(), settings);
        let api = match auth {
            Some(auth) => api.with_auth(Arc::new(auth)),
            None => api,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings =
            Settings { header_timeout: SHORT, idle_timeout: IDLE, ..Settings::default() };
        let server = Server::new(api, settings).listen(listener);
        let (signal, signalled) = oneshot::channel();
        let server = tokio::spawn(server.run(async { drop(signalled.await) }));
        Self { hub, address, signal, server }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        within("a connection", TcpStream::connect(self.address)).await.unwrap()
    }

    /// All that comes back, up to the end of the connection or a stream's first bytes.
    pub(crate) async fn send(&self, request: impl AsRef<[u8]>) -> (Vec<u8>, TcpStream) {
        let mut socket = self.connect().await;
        // Whoever refuses a request need not read all of it.
        let _ = within("a write", socket.write_all(request.as_ref())).await;
        let mut wire = vec![];
        loop {
            let reading = socket.read_buf(&mut wire);
            let Ok(read) = timeout(PATIENCE, reading).await else {
                panic!("{} is not answered: {}", show(request.as_ref()), show(&wire));
            };
            match read {
                Ok(1..) if !is_streaming(request.as_ref(), &wire) => {}
                _ => break,
            }
        }
        (wire, socket)
    }

    /// The answers to a request, and to [`LAST`] behind it, if that was read as one.
    pub(crate) async fn ask(&self, request: impl AsRef<[u8]>) -> Vec<Answer> {
        let wire = self.send([request.as_ref(), LAST.as_bytes()].concat()).await.0;
        let answers = parse(&wire, is_head(request.as_ref()));
        assert!(!answers.is_empty(), "no answer to {}", show(request.as_ref()));
        answers.iter().for_each(Answer::check);
        answers
    }

    /// The names of all topics.
    pub(crate) async fn topics(&self) -> Vec<String> {
        let all = Selection::new(["*", "$*"].map(|all| Selector::new(all).unwrap()));
        let topics = self.hub.log().topics(&all, None, usize::MAX).await.unwrap();
        topics.iter().map(|topic| topic.name.to_string()).collect()
    }

    pub(crate) async fn erase(&self, name: &str) {
        assert!(self.hub.erase(&TopicName::new(name).unwrap()).await.unwrap());
        // A topic without events is forgotten.
        self.hub.log().trim(NOW).await.unwrap();
    }

    /// It works, nobody has panicked, and it ends when it is told to.
    pub(crate) async fn end(self) {
        let (mut wire, mut stream) = self.send("GET /sse/works HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(parse(&wire, false)[0].is_stream());
        let post = "POST /sse/works HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nworks";
        assert_eq!(self.ask(post).await[0].status, 200);
        until(&mut stream, &mut wire, b"data: works").await;
        self.shut_down().await;
    }

    pub(crate) async fn shut_down(self) {
        drop(self.signal);
        within("the end", self.server).await.unwrap().unwrap();
        assert_eq!(PANICS.load(Ordering::SeqCst), 0, "somebody has panicked");
    }
}

/// Reads a stream until it has brought this.
pub(crate) async fn until(stream: &mut TcpStream, wire: &mut Vec<u8>, part: &[u8]) {
    while find(wire, part).is_none() {
        let count = within("more of a stream", stream.read_buf(wire)).await.unwrap();
        assert!(count > 0, "the stream has ended behind {}", show(wire));
    }
}

fn is_streaming(request: &[u8], wire: &[u8]) -> bool {
    let answers = parse(wire, is_head(request));
    answers.last().is_some_and(|last| last.is_stream() && !last.body.is_empty())
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// The memory of this process, in bytes.
#[cfg(target_os = "linux")]
pub(crate) fn memory() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn memory() -> usize {
    0
}
