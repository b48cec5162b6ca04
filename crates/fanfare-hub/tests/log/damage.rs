use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use fanfare_hub::log::{Batch, Durability, EmbeddedLog, Log, OpenError, Options, Timestamp};

use crate::subject::*;

/// A log that was closed, with tables and with something in its journal.
async fn closed() -> Embedded {
    let subject = Embedded::new();
    let (log, _) = subject.reopen();
    for (topic, count) in [("a", 2000), ("erased", 5000), ("b", 2000)] {
        let events = (0..count).map(|n| event(topic, &format!("{topic} {n}"))).collect();
        log.put(Batch { events, ..Batch::default() }).await;
    }
    log.close().await.unwrap();
    let (log, _) = subject.reopen_with(Options { slack_bytes: 0, ..subject.options() });
    assert!(log.erase(&topic("erased")).await.unwrap());
    // Has everything written into tables.
    let began = Instant::now();
    while count_tables(subject.path()) < 3 {
        log.trim(Timestamp(0)).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(30), "it makes tables");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    log.put(with_key("k", one("a", "last"))).await;
    log.close().await.unwrap();
    subject
}

fn count_tables(folder: &Path) -> usize {
    let of = |keyspace: &str| files(&folder.join("log/keyspaces").join(keyspace).join("tables"));
    ["1", "2", "3"].into_iter().filter(|keyspace| !of(keyspace).is_empty()).count()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// Opens and reads everything. Whatever comes of it, it is no panic.
async fn use_it(path: PathBuf, options: Options) -> Result<usize, String> {
    let opened = EmbeddedLog::open(path, 7, options);
    let (log, _) = opened.map_err(|error| format!("{error:?}"))?;
    let read = everything(select(&["a"]));
    let page = log.read(read).await.map_err(|error| format!("{error:?}"));
    log.close().await.map_err(|error| error.to_string())?;
    page.map(|page| page.records.len())
}

/// Places in a file of which so much is written, at its ends and between.
fn places(written: usize) -> impl Iterator<Item = usize> {
    let last = written.saturating_sub(1);
    (0..written).step_by(written.div_ceil(4).max(1)).chain([last / 2 + 1, last])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_byte_loses_nothing_silently() {
    let subject = closed().await;
    assert_eq!(use_it(subject.path().to_owned(), subject.options()).await, Ok(2001));
    let mut errors = 0;
    for file in files(subject.path()) {
        let name = file.strip_prefix(subject.path()).unwrap();
        let bytes = fs::read(&file).unwrap();
        for at in places(written(&bytes)).filter(|&at| at < bytes.len()) {
            let damaged = Crashed::of(&subject);
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x10;
            fs::write(damaged.path().join(name), bytes).unwrap();
            let using = tokio::spawn(use_it(damaged.path().to_owned(), subject.options()));
            let outcome = using.await.expect("it does not panic");
            errors += usize::from(outcome.is_err());
            assert!(
                outcome.is_err() || outcome == Ok(2001),
                "{} {at}: {outcome:?}",
                name.display()
            );
        }
    }
    assert!(errors > 30, "only {errors} were noticed");
}

#[tokio::test]
async fn a_damaged_journal_is_not_taken_for_its_end() {
    for durability in [Durability::Sync, Durability::None] {
        let subject = Embedded::with(durability);
        let (log, _) = subject.reopen();
        for data in ["first", "second", "third"] {
            log.put(one("a", data)).await;
        }
        let crashed = Crashed::of(&subject);
        let path = crashed.path().join("log/0.jnl");
        let mut journal = fs::read(&path).unwrap();
        let second = journal.windows(6).position(|bytes| bytes == b"second").unwrap();
        journal[second] ^= 0x10;
        fs::write(path, journal).unwrap();
        let outcome = use_it(crashed.path().to_owned(), subject.options()).await;
        match durability {
            Durability::Sync => assert!(outcome.unwrap_err().contains("a journal")),
            // Writes that the system has not done yet may be missing anywhere.
            _ => assert_eq!(outcome, Ok(1)),
        }
    }
}

#[tokio::test]
async fn another_format_is_refused() {
    let subject = Embedded::new();
    let (log, _) = subject.reopen();
    log.close().await.unwrap();
    let path = subject.path().join("log/0.jnl");
    let mut journal = fs::read(&path).unwrap();
    let at = journal.windows(11).position(|bytes| bytes == b"fanfare-log").unwrap();
    assert_eq!(journal[at + 11..at + 13], [0, 1]);
    journal[at + 12] = 2;
    let (start, end) = (13, journal[..].windows(4).position(|bytes| bytes == b"FJL\x03").unwrap());
    let checksum = xxhash_rust::xxh3::xxh3_64(&journal[start..end - 9]);
    journal[end - 8..end].copy_from_slice(&checksum.to_le_bytes());
    fs::write(path, journal).unwrap();
    let refused = EmbeddedLog::open(subject.path(), 7, subject.options()).unwrap_err();
    assert!(matches!(refused, OpenError::Version { found: 2, .. }), "{refused:?}");
    assert!(
        refused
            .to_string()
            .ends_with("has the format 2; this version reads and writes the format 1")
    );
}
