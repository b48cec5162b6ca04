use std::{
    env,
    io::{self, Write},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use fanfare::{Channel, Client, Sse};
use futures_util::{future::join_all, stream};
use memory_stats::memory_stats;
use tokio::runtime::Handle;

use crate::support::{Peer, Server, until};

const CLIENTS: usize = 2000;
/// At a time, so that the usual limit of open files is enough.
const WAVE: usize = 200;
const ALLOWED_KIB: i64 = 512;
/// Set for the process in which nothing else runs, so that memory is this test's own.
const ALONE: &str = "FANFARE_TEST_ALONE";

/// Clients in a channel, each with tasks of its own that wait for it in all ways.
struct Crowd {
    server: Server,
    sse: Sse,
    channel: Channel,
    running: Arc<AtomicUsize>,
    /// Of the server itself.
    tasks: usize,
}

/// A task that runs.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

fn memory_kib() -> i64 {
    i64::try_from(memory_stats().unwrap().physical_mem / 1024).unwrap()
}

impl Crowd {
    async fn new() -> Self {
        let sse = Sse::builder().queue_bytes(1000).build();
        let channel = Channel::builder(&sse).history(100).build();
        let running = Arc::new(AtomicUsize::new(0));
        let server = Server::of(&sse).await;
        let crowd = Self { server, sse, channel, running, tasks: tasks() };
        crowd.on_connection(|client| async move {
            let _ = client.closed().await;
        });
        crowd.on_connection(|client| async move {
            for _ in 0..10 {
                let _ = client.send("x").await;
            }
        });
        crowd.on_connection(|client| async move {
            let _ = client.pipe(stream::pending::<String>()).await;
        });
        let channel = crowd.channel.clone();
        crowd.sse.on_connection(move |client| {
            client.insert("x".repeat(1000));
            std::future::ready(channel.join(&client))
        });
        crowd
    }

    fn on_connection<R>(&self, handler: impl Fn(Client) -> R + Send + Sync + 'static)
    where
        R: Future<Output = ()> + Send + 'static,
    {
        let running = self.running.clone();
        self.sse.on_connection(move |client| {
            let (running, future) = (Running::new(&running), handler(client));
            async move {
                future.await;
                drop(running);
            }
        });
    }

    async fn connect_and_vanish(&self, way: usize) {
        match way % 8 {
            0 => self.half_a_head().await.reset(),
            1 => drop(self.half_a_head().await),
            2 | 4 | 6 => self.server.open("/sse").await.reset(),
            _ => drop(self.server.open("/sse").await),
        }
    }

    async fn half_a_head(&self) -> Peer {
        let mut peer = self.server.peer().await;
        peer.write("GET /sse HTTP/1.1\r\nhost: half a h").await;
        peer
    }

    /// How much memory a round takes for good, in KiB. What leaks does so in each of several, while
    /// the allocator comes to rest.
    async fn least_growth(&self) -> i64 {
        let mut least = i64::MAX;
        for _ in 0..4 {
            let before = memory_kib();
            self.round().await;
            least = least.min(memory_kib() - before);
            if least < ALLOWED_KIB {
                break;
            }
        }
        least
    }

    async fn round(&self) {
        for _ in 0..CLIENTS / WAVE {
            join_all((0..WAVE).map(|way| self.connect_and_vanish(way))).await;
            self.channel.broadcast("to whoever is left").unwrap();
        }
        until("all clients' ends", || self.sse.is_empty() && self.channel.is_empty()).await;
        until("all handlers' ends", || self.running.load(Ordering::SeqCst) == 0).await;
        until("all tasks' ends", || tasks() == self.tasks).await;
    }
}

async fn assert_nothing_is_left() {
    let crowd = Crowd::new().await;
    // What is used again and again is there after this.
    crowd.round().await;
    let more = crowd.least_growth().await;
    let left = tasks() - crowd.tasks;
    // Not a macro, whose words the test harness would keep to itself.
    writeln!(io::stderr(), "vanished clients: {CLIENTS}, tasks left: {left}, memory: {more:+} KiB")
        .unwrap();
    assert!(more < ALLOWED_KIB, "{more} KiB more than before");
}

#[test]
fn vanished_clients_leave_nothing_behind() {
    if env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(assert_nothing_is_left());
    }
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", "leaks::vanished_clients_leave_nothing_behind"])
        .env(ALONE, "1")
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

/// Has `build` make an `Sse` around a value, and tells whether the value goes with it.
#[track_caller]
fn assert_goes(build: impl FnOnce(Arc<()>)) {
    let value = Arc::new(());
    build(value.clone());
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn handlers_go_with_the_last_handle_of_their_sse() {
    assert_goes(|value| {
        Sse::new().on_connection(move |_| {
            let value = value.clone();
            async move { drop(value) }
        });
    });
}

#[test]
fn handlers_that_know_a_channel_of_their_sse_go_with_it_too() {
    assert_goes(|value| {
        let sse = Sse::new();
        let channel = Channel::new(&sse);
        sse.on_connection(move |client| {
            let value = value.clone();
            std::future::ready((channel.join(&client), value).0)
        });
    });
}

#[tokio::test]
async fn audiences_go_with_the_history() {
    assert_goes(|value| {
        let channel = Channel::builder(&Sse::new()).history(4).build();
        channel.broadcast_to("x", move |_| Arc::strong_count(&value) > 0).unwrap();
        for _ in 0..20 {
            channel.broadcast("y").unwrap();
        }
    });
}
