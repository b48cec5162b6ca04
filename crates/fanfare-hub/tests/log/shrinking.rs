use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use fanfare_hub::log::{
    Batch, Durability, EmbeddedLog, Limits, Log, Options, Retention, Timestamp,
};

use crate::subject::*;

const MIB: u64 = 1024 * 1024;

/// What the tables of a log take on the disk. The journals have a size of their own.
fn table_bytes(folder: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let Ok(entry) = entry else { continue };
        let path = entry.path();
        if path.is_dir() {
            bytes += table_bytes(&path);
        } else if path.extension().is_none_or(|extension| extension != "jnl") {
            bytes += entry.metadata().map_or(0, |file| file.blocks() * 512);
        }
    }
    bytes
}

/// Text that does not get smaller when it is compressed.
fn noise() -> String {
    let mut seed: u64 = 1;
    let letters = (0..MIB).map(|_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'0' + u8::try_from(seed >> 58).unwrap())
    });
    letters.collect()
}

/// Appends 16 MiB to a topic, in events of 64 KiB.
async fn append_much(log: &dyn Log, topic: &str) {
    let noise = noise();
    for time in 0..16 {
        let events = (0..16).map(|n| event(topic, &noise[n * 65536..][..65536]));
        log.put(at(time, Batch { events: events.collect(), ..Batch::default() })).await;
    }
}

fn open(subject: &Embedded, retention: Retention) -> Arc<EmbeddedLog> {
    subject.reopen_with(Options { retention, slack_bytes: MIB, ..subject.options() }).0
}

/// Trims until the tables are as small as that.
async fn trim_to(log: &EmbeddedLog, subject: &Embedded, bytes: u64) {
    let began = Instant::now();
    loop {
        log.trim(Timestamp(16)).await.unwrap();
        let now = table_bytes(subject.path());
        if now <= bytes {
            return;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "{now} bytes are on the disk");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_lies_in_front_is_given_back() {
    let subject = Embedded::with(Durability::None);
    let total = Limits { max_bytes: Some(4 * MIB), ..Limits::default() };
    let log = open(&subject, Retention { total, ..Retention::default() });
    append_much(&*log, "a").await;
    trim_to(&log, &subject, 6 * MIB).await;
    assert_eq!(log.events(all()).await.len(), 64);
    log.close().await.unwrap();
}

#[tokio::test]
async fn what_lies_between_is_given_back() {
    let subject = Embedded::with(Durability::None);
    let keep = rule("keep", max_events(64));
    let log = open(&subject, rules([keep]));
    // The first event is kept for ever: nothing in front of it can go.
    log.put(one("first", "x")).await;
    append_much(&*log, "keep").await;
    trim_to(&log, &subject, 6 * MIB).await;
    assert_eq!(log.events(all()).await.len(), 65);
    assert_eq!(log.events(select(&["keep"])).await.len(), 64);
    log.close().await.unwrap();
    drop(log);

    let (log, opened) = subject.reopen();
    assert_eq!(opened.events, 65);
    assert_eq!(log.events(all()).await.len(), 65);
}
