use std::{env, process::Stdio, time::Duration};

use fanfare_hub::server::Settings;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, stdin},
    process::{Child, Command},
    time::{Instant, interval},
};

use crate::support::{Peer, Running, metric_in, within};

/// Tells the test below that it is the child.
const CHILD: &str = "FANFARE_TEST_FEW_DESCRIPTORS";
const DESCRIPTORS: u64 = 64;
const PAUSES: &str = "accept_pauses_total{reason=\"descriptors\"}";

/// Runs in a process of its own, which has few descriptors.
#[tokio::test]
#[ignore = "it is the child of the other one"]
async fn child() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let limit = Rlimit { current: Some(DESCRIPTORS), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
    let hub = Running::with(Settings::default()).await;
    println!("\nlistening on {}", hub.address);
    // Until the parent is done.
    let _ = stdin().read_to_end(&mut vec![]).await;
}

/// The processor time of a process, in ticks of 10 ms.
fn ticks(child: &Child) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id().unwrap())).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

async fn pauses(peer: &mut Peer) -> f64 {
    peer.get("/metrics", "").await;
    let head = peer.head().await;
    metric_in(&peer.body(&head).await, PAUSES)
}

#[tokio::test]
async fn without_descriptors_accepting_pauses_and_goes_on_later() {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "descriptors::child", "--ignored", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = loop {
        let line =
            within("the child", lines.next_line()).await.unwrap().expect("a child that runs");
        if let Some(address) = line.strip_prefix("listening on ") {
            break address.parse().unwrap();
        }
    };
    let loopback = [127, 0, 0, 1].into();
    let mut operator = Peer::connect(address, loopback).await;
    assert_eq!(pauses(&mut operator).await.to_string(), "0");
    let mut flood = vec![];
    for _ in 0..100 {
        flood.push(Peer::connect(address, loopback).await);
    }
    let before = ticks(&child);
    let mut looks = interval(Duration::from_millis(50));
    let begun = Instant::now();
    let paused = async {
        loop {
            looks.tick().await;
            let count = pauses(&mut operator).await;
            if count >= 3.0 && begun.elapsed() >= Duration::from_millis(500) {
                return count;
            }
        }
    };
    let count = within("some pauses", paused).await;
    // Each is longer than the one before, up to a second.
    let most = 8.0 + begun.elapsed().as_secs_f64();
    let spent = ticks(&child) - before;
    assert!(count <= most && spent < 30, "it spins: {count} pauses, {spent} ticks");
    drop(flood);
    let mut later = Peer::connect(address, loopback).await;
    later.get("/healthz", "").await;
    assert_eq!(later.head().await.status(), 200);
    drop(child.stdin.take());
    assert!(within("the child's end", child.wait()).await.unwrap().success());
}
