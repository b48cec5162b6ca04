use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use fanfare_fanout::Position;
use fanfare_hub::log::{
    AppendError, Disk, Durability, EmbeddedLog, Group, Log, Options, Promise, Timestamp,
};
use tokio::task::JoinSet;

use crate::subject::*;

/// What a disk was asked for, and when it is to fail.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    syncs: AtomicUsize,
    synced_writes: AtomicUsize,
    /// Operations until it fails.
    left: AtomicUsize,
    free_bytes: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            syncs: AtomicUsize::new(0),
            synced_writes: AtomicUsize::new(0),
            left: AtomicUsize::new(usize::MAX),
            free_bytes: AtomicU64::new(u64::MAX),
        }
    }
}

/// How a disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nothing of what is to be written gets there.
    Write,
    /// All of it gets there, but nobody can say so.
    Sync,
    /// There is no room.
    Full,
    /// All of it gets there, but the disk says that there is no room.
    FullSync,
}

struct WatchedDisk {
    disk: Box<dyn Disk>,
    watch: Watch,
    fault: Fault,
}

impl Watch {
    pub(crate) fn syncs(&self) -> usize {
        self.0.syncs.load(Ordering::SeqCst)
    }

    /// Writes that were answered by the disk itself.
    pub(crate) fn synced_writes(&self) -> usize {
        self.0.synced_writes.load(Ordering::SeqCst)
    }

    pub(crate) fn between(&self) -> impl FnOnce(Box<dyn Disk>) -> Box<dyn Disk> {
        self.failing(Fault::Write)
    }

    fn failing(&self, fault: Fault) -> impl FnOnce(Box<dyn Disk>) -> Box<dyn Disk> {
        let watch = self.clone();
        move |disk| Box::new(WatchedDisk { disk, watch, fault })
    }

    /// So many operations go well; the next one fails.
    fn fail_after(&self, operations: usize) {
        self.0.left.store(operations, Ordering::SeqCst);
    }

    fn is_due(&self) -> bool {
        self.0
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_err()
    }
}

impl WatchedDisk {
    fn error(&self) -> io::Error {
        match self.fault {
            Fault::Full | Fault::FullSync => io::ErrorKind::StorageFull.into(),
            Fault::Write | Fault::Sync => io::Error::other("the disk is broken"),
        }
    }
}

impl Disk for WatchedDisk {
    fn write(&mut self, group: Group, promise: Promise) -> io::Result<()> {
        if self.watch.is_due() {
            if matches!(self.fault, Fault::Sync | Fault::FullSync) {
                self.disk.write(group, Promise::Handed)?;
            }
            return Err(self.error());
        }
        if promise == Promise::Synced {
            self.watch.0.synced_writes.fetch_add(1, Ordering::SeqCst);
        }
        self.disk.write(group, promise)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.watch.is_due() {
            return Err(self.error());
        }
        self.watch.0.syncs.fetch_add(1, Ordering::SeqCst);
        self.disk.sync()
    }

    fn free_bytes(&mut self) -> io::Result<u64> {
        Ok(self.watch.0.free_bytes.load(Ordering::SeqCst))
    }
}

fn open(subject: &Embedded, watch: &Watch, fault: Fault) -> Arc<EmbeddedLog> {
    let (path, options) = (subject.path(), subject.options());
    Arc::new(EmbeddedLog::open_with_disk(path, 7, options, watch.failing(fault)).unwrap().0)
}

/// Four appenders until each is refused; gives what was acknowledged, and what is never to be read.
async fn append_until_refused(log: &Arc<EmbeddedLog>) -> (Vec<(u64, String)>, Vec<String>) {
    let mut appenders = JoinSet::new();
    for appender in 0..4 {
        let log = log.clone();
        appenders.spawn(async move {
            let mut acknowledged = vec![];
            for round in 0.. {
                let data = format!("{appender}.{round}");
                match log.append(batch(&[("a", &data), (&format!("b{appender}"), &data)])).await {
                    Ok(appended) => acknowledged.push((appended.last.0, data)),
                    Err(AppendError::Full(_)) => return (acknowledged, Some(data)),
                    Err(AppendError::Unavailable(_)) => return (acknowledged, None),
                    Err(error) => panic!("{error:?}"),
                }
            }
            unreachable!("it fails at some time")
        });
    }
    let (mut all, mut gone) = (vec![], vec![]);
    for (acknowledged, refused) in appenders.join_all().await {
        all.extend(acknowledged);
        gone.extend(refused);
    }
    all.sort_unstable();
    (all, gone)
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_disk_fails_nothing_acknowledged_is_lost() {
    for fault in [Fault::Write, Fault::Sync, Fault::Full, Fault::FullSync] {
        for operations in [0, 1, 2, 9] {
            let subject = Embedded::with(Durability::None);
            let watch = Watch::default();
            let log = open(&subject, &watch, fault);
            watch.fail_after(operations);
            let (acknowledged, gone) = append_until_refused(&log).await;
            let says_full = matches!(fault, Fault::Full | Fault::FullSync);

            // It refuses, and is read as it was.
            let refused = log.append(one("a", "later")).await.unwrap_err();
            assert_eq!(matches!(refused, AppendError::Full(_)), says_full);
            log.erase(&topic("a")).await.unwrap_err();
            let before = log.events(all()).await;
            assert_eq!(before.len(), acknowledged.len() * 2, "{fault:?} {operations}");
            let last = acknowledged.last().map_or(0, |(last, _)| *last);
            assert_eq!(log.newest(), Position(last));
            for (position, data) in &acknowledged {
                let record = &before[usize::try_from(*position).unwrap() - 1];
                assert_eq!(record.event.data, data.as_str());
            }

            // What had failed turns up above what was given out, whole, or not at all.
            log.close().await.unwrap_err();
            drop(log);
            let (log, opened) = subject.reopen();
            assert!(opened.was_open);
            let after = log.events(all()).await;
            assert_eq!(after[..before.len()], before);
            let turned_up = after.len() - before.len();
            let may_turn_up = matches!(fault, Fault::Sync | Fault::FullSync);
            assert!(turned_up == 0 || may_turn_up, "{fault:?} {turned_up}");
            let is_gone = |data: &str| gone.iter().any(|gone| gone == data);
            assert!(!after.iter().any(|record| is_gone(&record.event.data)), "{fault:?} {gone:?}");
            assert!(turned_up.is_multiple_of(2) && turned_up <= 8);
            let newest = log.newest().0;
            assert_eq!(newest, after.len() as u64);
            assert_eq!(log.put(one("a", "works again")).await, newest + 1);
        }
    }
}

#[tokio::test]
async fn a_failed_sync_of_an_interval_is_said_to_the_next() {
    let subject = Embedded::with(Durability::Interval(std::time::Duration::ZERO));
    let watch = Watch::default();
    let log = open(&subject, &watch, Fault::Sync);
    watch.fail_after(1);
    log.append(one("a", "1")).await.unwrap();
    let mut refused = log.append(one("a", "2")).await;
    if refused.is_ok() {
        // It was quicker than the sync.
        refused = log.append(one("a", "3")).await;
    }
    assert!(matches!(refused, Err(AppendError::Unavailable(_))));
    assert!(log.newest() >= Position(1), "and it can be read");
}

#[tokio::test]
async fn below_the_reserve_nothing_is_appended_until_there_is_room() {
    let subject = Embedded::new();
    let watch = Watch::default();
    let options = Options { reserve_bytes: 1000, ..subject.options() };
    let between = watch.failing(Fault::Write);
    let (log, _) = EmbeddedLog::open_with_disk(subject.path(), 7, options, between).unwrap();
    log.append(one("a", "1")).await.unwrap();
    watch.0.free_bytes.store(999, Ordering::SeqCst);
    let full = log.append(one("a", "2")).await.unwrap_err();
    assert!(matches!(&full, AppendError::Full(_)));
    let why = std::error::Error::source(&full).unwrap().to_string();
    assert!(why.starts_with("999 bytes are free on the disk, and 1000 are kept"), "{why}");
    assert!(log.erase(&topic("a")).await.unwrap(), "making room is possible");
    log.trim(Timestamp(1)).await.unwrap();
    watch.0.free_bytes.store(1000, Ordering::SeqCst);
    assert_eq!(log.append(one("a", "3")).await.unwrap().last, Position(2));
}

#[tokio::test]
async fn there_are_no_more_topics_than_allowed() {
    let subject = Embedded::new();
    let (log, _) = subject.reopen_with(Options { max_topics: 2, ..subject.options() });
    log.append(one("a", "1")).await.unwrap();
    let full = log.append(batch(&[("a", "2"), ("b", "2"), ("c", "2")])).await;
    assert!(matches!(full, Err(AppendError::Full(_))));
    log.append(batch(&[("a", "2"), ("b", "2"), ("b", "2")])).await.unwrap();
    assert!(matches!(log.append(ends(&["c"])).await, Err(AppendError::Full(_))));
    log.append(one("b", "3")).await.unwrap();
    assert!(log.erase(&topic("a")).await.unwrap());
    log.trim(Timestamp(0)).await.unwrap();
    log.append(one("c", "4")).await.unwrap();
}

#[tokio::test]
async fn too_long_a_key_is_refused() {
    let subject = Embedded::new();
    let (log, _) = subject.reopen();
    let longest = "k".repeat(60_000);
    log.append(with_key(&longest, one("a", "1"))).await.unwrap();
    let repeated = log.append(with_key(&longest, one("a", "2"))).await.unwrap();
    assert!(repeated.is_repeated);
    let refused = log.append(with_key(&"k".repeat(70_000), one("a", "3"))).await;
    assert!(matches!(refused, Err(AppendError::Full(_))));
    log.append(with_key("", one("a", "4"))).await.unwrap();
    assert_eq!(log.newest(), Position(2));
}
