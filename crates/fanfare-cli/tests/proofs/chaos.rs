use std::{fs, net::SocketAddr, time::Duration};

use fanfare_client::EventSource;
use reqwest::Client;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, interval, sleep_until, timeout_at},
};

use crate::support::{Folder, Hub, alone, client, follow, is_soak, next, seed, within};

/// What is followed, and how many topics that is.
const TARGETS: [(&str, usize); 4] =
    [("/sse/a", 1), ("/sse/b", 1), ("/sse/*", 2), ("/sse?topic=a&topic=b", 2)];
const TOPICS: [&str; 2] = ["a", "b"];
/// Between two publishes: 50 a second.
const PAUSE: Duration = Duration::from_millis(20);
/// What memory may grow by, in bytes. The connections of the long version would take more if each left
/// four bytes behind.
const GROWTH: u64 = 8 * 1024 * 1024;
/// Events that are kept, and their data in bytes.
const KEPT: usize = 1000;
const DATA: usize = 500;
/// Where streams begin: mostly in the present. Were all to read what is kept, the hub and the clients
/// would do little else with the machine's cores.
const BEGINNINGS: [&str; 8] = ["", "", "", "", "", "", "last=100", "from=earliest"];
/// How long a client reads, in milliseconds at most.
const STAY: u64 = 2000;

/// What random clients have done.
#[derive(Debug, Default)]
struct Deeds {
    came: u64,
    hung_up: u64,
    reset: u64,
    closed_half: u64,
    stalled: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_stalls_resets_and_goes_costs_the_steady_nothing_and_leaves_nothing() {
    let _alone = alone().await;
    let seed = seed();
    let (clients, time) = if is_soak() { (2000, 600) } else { (300, 6) };
    let folder = Folder::new();
    // What is kept has a bound, so that memory has one.
    let keep = ["log.max_events", "log.window_events"].map(|key| format!("{key}={KEPT}"));
    let keep = ["--memory", "--set", &keep[0], "--set", &keep[1]];
    let patience = ["--set", "limits.write_timeout=2s", "--set", "limits.idle_timeout=10s"];
    let hub = folder.serve(&[&keep[..], &patience].concat()).await;
    let watcher = Watcher { client: client(), hub };
    // As many events as are kept, and whatever is allocated once and for good.
    watcher.fill().await;
    watcher.chaos(seed, 100, Duration::from_secs(2)).await;
    let before = watcher.costs().await;

    let mut steady = JoinSet::new();
    for (target, topics) in TARGETS {
        let source = follow(&watcher.client, &watcher.hub.url(target), "");
        steady.spawn(read_to_the_last(source, topics));
    }
    watcher.until_subscribers(TARGETS.len()).await;
    let time = Duration::from_secs(time);
    let end = Instant::now() + time;
    let (published, deeds) =
        tokio::join!(watcher.publish_until(end), watcher.chaos(seed + 1, clients, time));
    let mut received = within("the last events", steady.join_all()).await;
    received.sort_unstable();
    assert_eq!(received, [published, published, published * 2, published * 2]);

    let at_once = watcher.costs().await;
    println!("{time:?}, {deeds:?}, {published} events a topic");
    println!("{before:?} before, {at_once:?} at its end");
    let most = Costs { memory: before.memory + GROWTH, ..before };
    let after = watcher.until_at_most(most).await;
    println!("{after:?} after");
    watcher.hub.stop().await;
}

/// What the hub's process takes.
#[derive(Debug, Clone, Copy)]
struct Costs {
    descriptors: usize,
    /// Resident, in bytes.
    memory: u64,
}

struct Watcher {
    client: Client,
    hub: Hub,
}

impl Watcher {
    /// Clients that do at random what peers do, each one after the other.
    async fn chaos(&self, seed: u64, clients: u64, time: Duration) -> Deeds {
        let address: SocketAddr = self.hub.url("").trim_start_matches("http://").parse().unwrap();
        let end = Instant::now() + time;
        let mut at_work = JoinSet::new();
        for number in 0..clients {
            let random = fastrand::Rng::with_seed(seed.wrapping_add(number));
            at_work.spawn(misbehave(address, random, end));
        }
        at_work.join_all().await.into_iter().fold(Deeds::default(), |sum, one| Deeds {
            came: sum.came + one.came,
            hung_up: sum.hung_up + one.hung_up,
            reset: sum.reset + one.reset,
            closed_half: sum.closed_half + one.closed_half,
            stalled: sum.stalled + one.stalled,
        })
    }

    /// Publishes as much as is kept.
    async fn fill(&self) {
        let data = "x".repeat(DATA);
        for _ in 0..KEPT {
            let post = self.client.post(self.hub.url("/sse/a")).body(data.clone());
            assert_eq!(within("an answer", post.send()).await.unwrap().status(), 200);
        }
    }

    /// Publishes numbers to each topic, and says which are the last; tells how many that was.
    async fn publish_until(&self, end: Instant) -> u64 {
        let padding = "x".repeat(DATA);
        let mut pauses = interval(PAUSE);
        for number in 0.. {
            let is_last = Instant::now() >= end;
            let name = if is_last { "last" } else { "number" };
            for topic in TOPICS {
                pauses.tick().await;
                let url = self.hub.url(&format!("/sse/{topic}?event={name}"));
                let post = self.client.post(url).body(format!("{topic} {number} {padding}"));
                assert_eq!(within("an answer", post.send()).await.unwrap().status(), 200);
            }
            if is_last {
                return number + 1;
            }
        }
        unreachable!("time passes")
    }

    async fn metrics(&self) -> String {
        let look = self.client.get(self.hub.url("/metrics")).header("connection", "close").send();
        within("metrics", look).await.unwrap().text().await.unwrap()
    }

    async fn until_subscribers(&self, count: usize) {
        let line = format!("fanfare_subscribers {count}\n");
        let looking = async {
            let mut looks = interval(Duration::from_millis(20));
            while !self.metrics().await.contains(&line) {
                looks.tick().await;
            }
        };
        within(&line, looking).await;
    }

    /// Waits until the hub takes no more than this: the allocator gives back what is free after a while.
    async fn until_at_most(&self, most: Costs) -> Costs {
        let mut looks = interval(Duration::from_secs(1));
        let looking = async {
            loop {
                looks.tick().await;
                let costs = self.costs().await;
                if costs.descriptors <= most.descriptors && costs.memory <= most.memory {
                    return costs;
                }
            }
        };
        within(&format!("{most:?}"), looking).await
    }

    /// What the hub takes when nobody is there but who asks.
    async fn costs(&self) -> Costs {
        self.until_subscribers(0).await;
        let alone = async {
            let mut looks = interval(Duration::from_millis(20));
            while !self.metrics().await.contains("fanfare_connections 1\n") {
                looks.tick().await;
            }
        };
        within("the ends of all connections", alone).await;
        let process = self.hub.id();
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count);
        Costs { descriptors, memory: resident(process).unwrap_or_default() }
    }
}

/// Memory of a process, in bytes; `None` where nobody tells.
fn resident(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024)
}

/// Reads numbers of so many topics, each in order and complete, up to the last; tells how many.
async fn read_to_the_last(mut source: EventSource, topics: usize) -> u64 {
    let (mut expected, mut ended) = ([0; TOPICS.len()], 0);
    while ended < topics {
        let event = within("the next event", next(&mut source)).await.expect("a stream that lasts");
        let mut words = event.data().split(' ');
        let topic = words.next().unwrap();
        let topic = TOPICS.iter().position(|name| *name == topic).unwrap();
        assert_eq!(
            (event.name() != "gap", words.next()),
            (true, Some(&*expected[topic].to_string()))
        );
        expected[topic] += 1;
        ended += usize::from(event.name() == "last");
    }
    expected.iter().sum()
}

/// Comes again and again, and does something else each time.
async fn misbehave(address: SocketAddr, mut random: fastrand::Rng, end: Instant) -> Deeds {
    let mut deeds = Deeds::default();
    while Instant::now() < end {
        let Ok(mut socket) = TcpStream::connect(address).await else { continue };
        deeds.came += 1;
        let (target, _) = TARGETS[random.usize(..TARGETS.len())];
        let version = if random.u8(..) < 32 { "1.0" } else { "1.1" };
        let from = BEGINNINGS[random.usize(..BEGINNINGS.len())];
        let sign = if target.contains('?') { '&' } else { '?' };
        let head = format!("GET {target}{sign}{from} HTTP/{version}\r\nhost: hub\r\n\r\n");
        // A part of a request, now and then.
        let len = if random.u8(..) < 16 { random.usize(..head.len()) } else { head.len() };
        let _ = socket.write_all(&head.as_bytes()[..len]).await;
        let stay = Duration::from_millis(random.u64(..STAY));
        read_until(&mut socket, end.min(Instant::now() + stay)).await;
        match random.u8(..8) {
            0..4 => deeds.hung_up += 1,
            4..6 => {
                deeds.reset += 1;
                let _ = socket.set_zero_linger();
            }
            6 => {
                deeds.closed_half += 1;
                let _ = socket.shutdown().await;
                read_until(&mut socket, end.min(Instant::now() + stay)).await;
            }
            _ => {
                deeds.stalled += 1;
                // It reads nothing for a while, in which it may be cut off.
                let patience = Duration::from_millis(random.u64(..4000));
                sleep_until(end.min(Instant::now() + patience)).await;
            }
        }
    }
    deeds
}

/// Reads until then, or to the end.
async fn read_until(socket: &mut TcpStream, end: Instant) {
    let mut buffer = [0; 4096];
    while let Ok(Ok(1..)) = timeout_at(end, socket.read(&mut buffer)).await {}
}
