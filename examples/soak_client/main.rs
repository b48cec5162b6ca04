//! Ten minutes of random cuts: a server numbers its events, and every number has to come exactly
//! once, in order, over each transport.
//!
//! Run it with `make soak`, or with `cargo run --release -p fanfare-client --all-features --example
//! soak_client -- --seconds 60`. `--seed N` has the server draw the same cuts again. It prints a
//! line every five seconds, and in the last one the verdict, as its exit status has it.

mod encoder;
mod events;
mod follower;
mod server;

use std::{
    env,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fanfare_client::{
    Transport,
    transport::{Hyper, Reqwest},
};
use fastrand::Rng;
use memory_stats::memory_stats;
use tokio::{net::TcpListener, select, task::JoinSet, time::sleep};

use follower::Follower;
use server::Counts;

const BETWEEN_LINES: Duration = Duration::from_secs(5);
/// How much more memory may be in use at the end than at the first line: what allocators keep, and
/// no leak of connections or events.
const ALLOWED_GROWTH_KIB: u64 = 32 * 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Options {
    time: Duration,
    seed: u64,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut options = Self { time: Duration::from_mins(10), seed: fastrand::u64(..) };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a number"))?;
            match &*name {
                "--seconds" => options.time = Duration::from_secs(value.parse()?),
                "--seed" => options.seed = value.parse()?,
                _ => return Err(format!("{name} is none of --seconds and --seed").into()),
            }
        }
        Ok(options)
    }
}

/// What has happened until now.
#[derive(Default)]
struct Progress {
    events: AtomicU64,
    reconnections: AtomicU64,
    server: Arc<Counts>,
}

impl Progress {
    fn line(&self, since: Instant) -> String {
        let [events, cuts, reconnections] =
            [&self.events, &self.server.cuts, &self.reconnections].map(load);
        let seconds = since.elapsed().as_secs().max(1);
        let rate = events / seconds;
        let memory = memory_kib() / 1024;
        format!(
            "{events} events, {cuts} cuts, {reconnections} reconnections in {seconds} s, \
             {rate} events/s, {memory} MiB"
        )
    }
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn memory_kib() -> u64 {
    memory_stats().map_or(0, |stats| stats.physical_mem as u64 / 1024)
}

/// Follows the server for ever, or until something is wrong.
async fn follow(
    url: String,
    transport: impl Transport + 'static,
    progress: Arc<Progress>,
) -> Result<(), Failure> {
    let mut follower = Follower::new(&url, transport)?;
    loop {
        let before = follower.reconnections;
        follower.follow().await?;
        progress.events.fetch_add(1, Ordering::Relaxed);
        progress.reconnections.fetch_add(follower.reconnections - before, Ordering::Relaxed);
    }
}

/// Prints how it goes until the time is over, and checks that memory does not grow.
async fn watch(begun: Instant, time: Duration, progress: &Progress) -> Result<(), Failure> {
    let mut first_kib = None;
    while let Some(left) = time.checked_sub(begun.elapsed()) {
        sleep(left.min(BETWEEN_LINES)).await;
        println!("{}", progress.line(begun));
        let first_kib = *first_kib.get_or_insert_with(memory_kib);
        if memory_kib() > first_kib + ALLOWED_GROWTH_KIB {
            return Err(format!("memory has grown, from {} MiB on", first_kib / 1024).into());
        }
    }
    if load(&progress.events) == 0 { Err("no event came".into()) } else { Ok(()) }
}

/// Has one of each transport follow the server, all at once.
async fn soak(options: &Options, progress: &Arc<Progress>) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let random = Rng::with_seed(options.seed);
    let server = tokio::spawn(server::serve(listener, random, progress.server.clone()));
    let mut followers = JoinSet::new();
    followers.spawn(follow(url.clone(), Reqwest::new()?, progress.clone()));
    followers.spawn(follow(url, Hyper::new()?, progress.clone()));
    select! {
        outcome = watch(Instant::now(), options.time, progress) => outcome,
        Some(outcome) = followers.join_next() => outcome?,
        error = server => Err(error?.into()),
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let options = Options::parse(env::args().skip(1))?;
    println!("cuts at random for {:?}, --seed {}", options.time, options.seed);
    let (begun, progress) = (Instant::now(), Arc::new(Progress::default()));
    let outcome = soak(&options, &progress).await;
    let line = progress.line(begun);
    match outcome {
        Ok(()) => println!("ok: every number exactly once, in order: {line}"),
        Err(ref error) => println!("FAILED: {error}: {line}"),
    }
    Ok(if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
