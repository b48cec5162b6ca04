//! Measures the hub's embedded log against the disk that it lies on, and prints Markdown tables.
//!
//! `cargo run --release -p fanfare-bench --bin log [-- --quick | --full] [FOLDER]`

#![expect(clippy::print_stdout, reason = "tables are what this program is for")]

use std::{
    env,
    fmt::Write as _,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use fanfare::Position;
use fanfare_bench::{compare::Spread, host, program::Outcome, table::Table};
use fanfare_hub::{
    Selection, TopicName,
    log::{
        Batch, Disk, Durability, EmbeddedLog, Group, Log, NewEvent, Opened, Options, Promise, Read,
        Timestamp,
    },
};
use tokio::{runtime::Runtime, task::JoinSet};

const USAGE: &str = "usage: log [--quick | --full] [FOLDER]";

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Plan {
    rounds: usize,
    /// How long each publishes.
    measurement: Duration,
    replayed: usize,
    opened: usize,
}

const DEFAULT: Plan =
    Plan { rounds: 3, measurement: Duration::from_secs(2), replayed: 1_000_000, opened: 1_000_000 };
const FULL: Plan = Plan { opened: 10_000_000, ..DEFAULT };
const QUICK: Plan =
    Plan { rounds: 3, measurement: Duration::from_millis(300), replayed: 100_000, opened: 100_000 };

const EVENT_BYTES: usize = 200;
/// What one sync of the disk is measured with.
const SYNCED_BYTES: usize = 300;
/// Topics of the log that is opened.
const TOPICS: usize = 1000;
/// What the hub reads at a time.
const PAGE_EVENTS: usize = 512;
const PAGE_BYTES: usize = 32 * 1024;

const METHOD: &str = "\
Every number is the median of all rounds, with the smallest and the largest in parentheses. Events
have 200 bytes of JSON.";

const PUBLISHING_NOTE: &str = "\
Each publisher appends one event, waits until it is answered, and appends the next. The disk's own
rate is how often 300 bytes can be written into a file of 64 MiB in the same folder and synced
(`fdatasync`), one after the other, right before; times the publishers it is the most that can be had
when each waits for a sync. How near the log comes to that: how many events share a sync, and for
which part of the time the disk is kept busy.";

const REPLAY_NOTE: &str = "\
Read page by page as the hub does (512 events, 32 KiB), up to the records that it encodes.";

const OPENING_NOTE: &str = "\
In 1000 topics. Killed: the process that wrote it ended without closing it.";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../target");
    let outcome = match words[..] {
        ["fill", folder, count, end] => fill_and_end(Path::new(folder), count, end),
        [] => run(DEFAULT, default),
        ["--quick"] => run(QUICK, default),
        ["--full"] => run(FULL, default),
        ["--quick", folder] => run(QUICK, folder),
        ["--full", folder] => run(FULL, folder),
        [folder] if !folder.starts_with('-') => run(DEFAULT, folder),
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("log: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(plan: Plan, folder: &str) -> Outcome {
    let folder = Path::new(folder).join("bench-log");
    let runtime = Runtime::new()?;
    println!("# The embedded log and its disk\n");
    println!("- {}, {} threads", host::cpu_model(), host::cpu_count());
    println!("- {}, release profile, the system's allocator", host::rustc_version());
    println!("- {}", host::package("fjall"));
    println!("- {} rounds\n\n{METHOD}\n", plan.rounds);
    measure_publishing(plan, &runtime, &folder)?;
    measure_replay(plan, &runtime, &folder)?;
    measure_opening(plan, &runtime, &folder)?;
    fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Who publishes, and how durably.
struct Publishing {
    durability: Durability,
    publishers: usize,
    topics: usize,
}

fn measure_publishing(plan: Plan, runtime: &Runtime, folder: &Path) -> Outcome {
    println!("## Publishing\n\n{PUBLISHING_NOTE}\n");
    let mut table = Table::new(&[
        "durability, publishers",
        "events/s",
        "the disk's own syncs/s",
        "the log's writes/s",
        "events a write",
        "% of the time in the disk",
    ]);
    let publishing = |durability, publishers, topics| Publishing { durability, publishers, topics };
    let interval = Durability::Interval(Duration::from_millis(10));
    for one in [
        publishing(Durability::Sync, 1, 1),
        publishing(Durability::Sync, 256, 1),
        publishing(Durability::Sync, 256, 256),
        publishing(interval, 1, 1),
        publishing(interval, 256, 1),
        publishing(Durability::None, 1, 1),
        publishing(Durability::None, 256, 1),
    ] {
        let rounds: Vec<_> = (0..plan.rounds)
            .map(|_| measure_one(plan, runtime, folder, &one))
            .collect::<Outcome<_>>()?;
        let spread = |of: fn(&Figures) -> f64| format!("{:.0}", Spread::of(rounds.iter().map(of)));
        table.push([
            one.name(),
            spread(|figures| figures.events),
            spread(|figures| figures.syncs),
            spread(|figures| figures.writes),
            spread(|figures| figures.events / figures.writes),
            spread(|figures| 100.0 * figures.busy),
        ]);
    }
    println!("{table}");
    Ok(())
}

impl Publishing {
    fn name(&self) -> String {
        let durability = match self.durability {
            Durability::Sync => "sync".to_owned(),
            Durability::Interval(interval) => format!("interval {interval:?}"),
            Durability::None => "none".to_owned(),
        };
        let topics = if self.topics == 1 { "" } else { ", each a topic" };
        format!("{durability}, {}{topics}", self.publishers)
    }
}

/// What was measured, per second.
struct Figures {
    events: f64,
    /// What the disk can do by itself.
    syncs: f64,
    writes: f64,
    /// The part of the time that was spent in the disk.
    busy: f64,
}

/// A disk that is watched.
struct Watched {
    disk: Box<dyn Disk>,
    writes: Arc<AtomicUsize>,
    nanoseconds: Arc<AtomicU64>,
}

impl Disk for Watched {
    fn write(&mut self, group: Group, promise: Promise) -> io::Result<()> {
        let began = Instant::now();
        let outcome = self.disk.write(group, promise);
        let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(took, Ordering::Relaxed);
        self.writes.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.sync()
    }

    fn free_bytes(&mut self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}

fn measure_one(
    plan: Plan,
    runtime: &Runtime,
    folder: &Path,
    publishing: &Publishing,
) -> Outcome<Figures> {
    let folder = anew(folder)?;
    let syncs = measure_syncs(&folder, plan.measurement / 2)?;
    let options = Options { durability: publishing.durability, ..Options::default() };
    let (writes, nanoseconds) = (Arc::<AtomicUsize>::default(), Arc::<AtomicU64>::default());
    let between = |disk| -> Box<dyn Disk> {
        Box::new(Watched { disk, writes: writes.clone(), nanoseconds: nanoseconds.clone() })
    };
    let log = Arc::new(EmbeddedLog::open_with_disk(&folder, 1, options, between)?.0);
    runtime.block_on(async {
        let began = Instant::now();
        let mut publishers = JoinSet::new();
        for publisher in 0..publishing.publishers {
            let topic = topic(publisher % publishing.topics)?;
            publishers.spawn(publish(log.clone(), topic, began + plan.measurement));
        }
        let mut published = 0;
        while let Some(events) = publishers.join_next().await {
            published += events??;
        }
        let took = began.elapsed();
        let busy = Duration::from_nanos(nanoseconds.load(Ordering::Relaxed));
        let writes = writes.load(Ordering::Relaxed);
        log.close().await?;
        Ok(Figures {
            events: number(published) / took.as_secs_f64(),
            syncs,
            writes: number(writes) / took.as_secs_f64(),
            busy: busy.as_secs_f64() / took.as_secs_f64(),
        })
    })
}

async fn publish(log: Arc<EmbeddedLog>, topic: TopicName, until: Instant) -> Outcome<usize> {
    let mut published = 0;
    while Instant::now() < until {
        log.append(batch([event(&topic, published)])).await?;
        published += 1;
    }
    Ok(published)
}

/// How often a second a little can be written and synced.
fn measure_syncs(folder: &Path, at_least: Duration) -> Outcome<f64> {
    let path = folder.join("syncs");
    let mut file = File::create(&path)?;
    // As fjall's journal begins.
    file.set_len(64 << 20)?;
    file.sync_all()?;
    let began = Instant::now();
    let mut syncs = 0;
    while began.elapsed() < at_least {
        file.write_all(&[b'x'; SYNCED_BYTES])?;
        file.sync_data()?;
        syncs += 1;
    }
    let rate = number(syncs) / began.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(rate)
}

fn measure_replay(plan: Plan, runtime: &Runtime, folder: &Path) -> Outcome {
    println!("## Replay of {} events\n\n{REPLAY_NOTE}\n", plan.replayed);
    let mut table = Table::new(&["written", "read", "events/s"]);
    for (size, written) in [(1000, "in batches of 1000"), (1, "one by one")] {
        let folder = anew(folder)?;
        let options = Options { durability: Durability::None, ..Options::default() };
        let log = EmbeddedLog::open(&folder, 1, options)?.0;
        // Every hundredth event is of the second topic.
        runtime.block_on(fill(&log, plan.replayed, size, |at| usize::from(at % 100 == 0)))?;
        for (topics, read) in [
            (Selection::from(topic(0)?), "the topic of 99 in 100 events"),
            (Selection::from(topic(1)?), "the topic of 1 in 100 events"),
        ] {
            let rates: Vec<_> = (0..plan.rounds)
                .map(|_| runtime.block_on(replay(&log, &topics)))
                .collect::<Outcome<_>>()?;
            let rate = Spread::of(rates.into_iter());
            table.push([written.to_owned(), read.to_owned(), format!("{rate:.0}")]);
        }
        runtime.block_on(log.close())?;
    }
    println!("{table}");
    Ok(())
}

/// Events read per second.
async fn replay(log: &EmbeddedLog, selection: &Selection) -> Outcome<f64> {
    let began = Instant::now();
    let mut after = Position::START;
    let mut events = 0;
    while after < log.newest() {
        let page = log
            .read(Read {
                selection: selection.clone(),
                after,
                until: Position::END,
                max_events: PAGE_EVENTS,
                max_bytes: PAGE_BYTES,
            })
            .await?;
        events += page.records.len();
        after = page.through;
    }
    Ok(number(events) / began.elapsed().as_secs_f64())
}

fn measure_opening(plan: Plan, runtime: &Runtime, folder: &Path) -> Outcome {
    let count = plan.opened;
    println!("## Opening a log of {count} events\n\n{OPENING_NOTE}\n");
    let mut table = Table::new(&["left", "ms", "MB on the disk"]);
    for (end, left) in [("close", "closed"), ("kill", "killed")] {
        let folder = anew(folder)?;
        let program = env::current_exe()?;
        let filling = [folder.as_os_str(), count.to_string().as_ref(), end.as_ref()]
            .map(std::ffi::OsStr::to_owned);
        Command::new(program).arg("fill").args(filling).status()?;
        let mut rounds = vec![];
        let mut bytes = 0;
        for round in 0..plan.rounds {
            let (log, opened) = EmbeddedLog::open(&folder, 1, Options::default())?;
            check(&opened, count)?;
            bytes = log.disk_bytes().unwrap_or_default();
            // What a killed one leaves is there once.
            if round == 0 || end == "close" {
                rounds.push(opened.took.as_secs_f64() * 1e3);
            }
            runtime.block_on(log.close())?;
        }
        let took = Spread::of(rounds.into_iter());
        table.push([left.to_owned(), format!("{took:.0}"), (bytes / 1_000_000).to_string()]);
    }
    println!("{table}");
    Ok(())
}

fn check(opened: &Opened, count: usize) -> Outcome {
    if opened.events == count as u64 {
        Ok(())
    } else {
        Err(format!("not all there: {opened}").into())
    }
}

/// Another process: fills a log and leaves it in one way or the other.
fn fill_and_end(folder: &Path, count: &str, end: &str) -> Outcome {
    let options = Options { durability: Durability::None, ..Options::default() };
    let (log, _) = EmbeddedLog::open(folder, 1, options)?;
    let runtime = Runtime::new()?;
    runtime.block_on(fill(&log, count.parse()?, 1000, |at| at % TOPICS))?;
    if end == "close" {
        return Ok(runtime.block_on(log.close())?);
    }
    std::process::abort();
}

/// Appends so many events in batches of this size, each to a topic that its number decides on.
async fn fill(
    log: &EmbeddedLog,
    count: usize,
    size: usize,
    topic_of: impl Fn(usize) -> usize,
) -> Outcome {
    let topics: Vec<_> = (0..TOPICS).map(topic).collect::<Outcome<_>>()?;
    for first in (0..count).step_by(size) {
        let batch_of = first..count.min(first + size);
        log.append(batch(batch_of.map(|at| event(&topics[topic_of(at)], at)))).await?;
    }
    Ok(())
}

/// The folder, empty.
fn anew(folder: &Path) -> Outcome<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    Ok(folder.to_owned())
}

fn topic(number: usize) -> Outcome<TopicName> {
    Ok(TopicName::new(&format!("sensors/{number}"))?)
}

fn batch(events: impl IntoIterator<Item = NewEvent>) -> Batch {
    Batch { events: events.into_iter().collect(), time: Timestamp(1), ..Batch::default() }
}

/// JSON that is not the same twice.
fn event(topic: &TopicName, number: usize) -> NewEvent {
    let mut noise = number as u64;
    let mut data = format!("{{\"sensor\":\"{topic}\",\"reading\":{number},\"values\":[");
    while data.len() < EVENT_BYTES - 22 {
        noise =
            noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Writing to a string does not fail.
        let _ = write!(data, "{},", (noise >> 40) as u32);
    }
    data.push_str("0]");
    data.extend(std::iter::repeat_n(' ', EVENT_BYTES.saturating_sub(data.len() + 1)));
    data.push('}');
    NewEvent { topic: topic.clone(), name: None, retry: None, data: data.into() }
}

#[expect(clippy::cast_precision_loss, reason = "nothing is counted to 2^52")]
fn number(count: usize) -> f64 {
    count as f64
}
