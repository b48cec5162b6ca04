use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use fanfare_fanout::{Epoch, Position};
use fanfare_hub::log::{
    Appended, Batch, Durability, EmbeddedLog, Limits, Log, NewEvent, OpenError, Options, Retention,
    Timestamp,
};
use fanfare_wire::EventName;

use tokio::task::JoinSet;

use crate::{faults::Watch, subject::*};

/// A little of everything that a log can know.
async fn fill(log: &dyn Log) {
    let full = NewEvent {
        name: Some(EventName::new("tick").unwrap()),
        retry: Some(Duration::from_millis(1500)),
        ..event("full", "line\nline")
    };
    log.put(at(10, Batch { events: vec![full], ..Batch::default() })).await;
    log.put(at(20, batch(&[("a", "1"), ("b", "2"), ("a", "3"), ("erased", "4")]))).await;
    log.put(at(30, with_key("k", one("a", "5")))).await;
    log.put(at(40, Batch { ends: vec![topic("over")], ..one("over", "6") })).await;
    assert!(log.erase(&topic("erased")).await.unwrap());
    log.put(at(50, one("old/1", "7"))).await;
}

async fn describe(log: &dyn Log) -> String {
    let events = log.events(all()).await;
    let topics = log.topics(&all(), None, 99).await.unwrap();
    let mut kept = vec![];
    for selection in [&["a"][..], &["*"], &["erased"], &["old/1"], &["never"]] {
        kept.push(log.kept(select(selection)).await);
    }
    format!("{:?} {:?} {events:#?} {topics:#?} {kept:?}", log.epoch(), log.newest())
}

#[tokio::test]
async fn what_was_closed_is_there_when_it_is_opened() {
    let subject = Embedded::new();
    let (log, opened) = subject.reopen();
    assert!(opened.is_new && !opened.was_open);
    assert_eq!(log.epoch(), Epoch::from_seed(7));

    fill(&*log).await;
    log.trim(Timestamp(50)).await.unwrap();
    let before = describe(&*log).await;
    log.close().await.unwrap();
    drop(log);

    let (log, opened) = EmbeddedLog::open(subject.path(), 8, subject.options()).unwrap();
    assert!(!opened.is_new && !opened.was_open && !opened.was_unfinished);
    assert_eq!((opened.cut_bytes, opened.events, opened.topics), (0, 7, 5));
    assert_eq!(opened.newest, Position(8));

    assert_eq!(describe(&log).await, before);
    assert_eq!(log.epoch(), Epoch::from_seed(7), "it keeps its epoch");
    assert_eq!(log.put(with_key("k", one("a", "again"))).await, 6, "it knows the key");
    log.append(one("over", "9")).await.unwrap_err();
    assert_eq!(log.put(at(0, one("a", "9"))).await, 9, "positions go on");
    let newest = log.events(select(&["a"])).await.pop().unwrap();
    assert_eq!(newest.time, Timestamp(50), "and so does time");
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_crash() {
    for durability in
        [Durability::Sync, Durability::Interval(Duration::from_mins(1)), Durability::None]
    {
        let subject = Embedded::with(durability);
        let (log, _) = subject.reopen();

        fill(&*log).await;
        let before = describe(&*log).await;
        let crashed = Crashed::of(&subject);
        let (log, opened) = EmbeddedLog::open(crashed.path(), 8, subject.options()).unwrap();
        assert!(opened.was_open && !opened.is_new);
        assert!(opened.to_string().contains("had not been closed"));
        assert_eq!(describe(&log).await, before, "{durability:?}");
    }
}

#[tokio::test]
async fn a_torn_write_is_cut_off_and_reported() {
    let subject = Embedded::new();
    let (log, _) = subject.reopen();

    fill(&*log).await;
    let before = describe(&*log).await;
    let crashed = Crashed::of(&subject);
    let torn = crashed.tear_journal();
    let (log, opened) = EmbeddedLog::open(crashed.path(), 8, subject.options()).unwrap();
    assert_eq!(opened.cut_bytes, torn);
    assert!(opened.to_string().contains("cut off"), "{opened}");

    assert_eq!(describe(&log).await, before);
    assert_eq!(log.put(one("a", "goes on")).await, 9);
}

#[tokio::test]
async fn a_creation_that_was_not_finished_is_begun_again() {
    let subject = Embedded::new();
    let (log, _) = subject.reopen();
    log.close().await.unwrap();
    fs::write(subject.path().join("open"), "being created\n").unwrap();
    fs::remove_file(subject.path().join("log/version")).unwrap();
    let (log, opened) = subject.reopen();
    assert!(opened.was_unfinished && opened.is_new, "{opened}");

    assert_eq!(log.put(one("a", "1")).await, 1);
}

#[tokio::test]
async fn a_folder_belongs_to_one_hub() {
    let subject = Embedded::new();
    let (log, _) = subject.reopen();
    let refused = EmbeddedLog::open(subject.path(), 7, subject.options()).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }));
    let (path, process) = (subject.path().display(), std::process::id());
    assert_eq!(
        refused.to_string(),
        format!("the folder {path} is in use by another hub (process {process})"),
    );
    log.close().await.unwrap();
    let (_log, opened) = subject.reopen();
    assert!(!opened.was_open, "the log that was closed has let go of it");
}

#[tokio::test]
async fn limits_that_are_new_count_from_the_first_trim() {
    let subject = Embedded::new();
    let (log, _) = subject.reopen();

    for position in 1..=5 {
        log.put(at(position, batch(&[("a", "x"), ("b", "x")]))).await;
    }
    log.close().await.unwrap();
    let total = Limits { max_events: Some(5), ..Limits::default() };
    let retention = Retention { total, ..rules([rule("a", max_events(1))]) };
    let (log, _) = subject.reopen_with(Options { retention, ..subject.options() });

    assert_eq!(log.events(all()).await.len(), 10);
    log.trim(Timestamp(5)).await.unwrap();
    assert_eq!(positions(&log.events(all()).await), [4, 6, 8, 9, 10]);
}

#[tokio::test]
async fn keys_are_forgotten_after_a_restart_too() {
    let subject = Embedded::new();
    let (log, _) = subject.reopen();
    log.append(at(1000, with_key("k", one("a", "1")))).await.unwrap();
    log.close().await.unwrap();
    let (log, _) = subject.reopen();
    let window = Retention::default().idempotency_window;
    let later = 1000 + u64::try_from(window.as_millis()).unwrap();
    let repeated = log.append(at(later, with_key("k", one("a", "2")))).await.unwrap();
    assert_eq!(repeated, Appended { last: Position(1), is_repeated: true });
    log.trim(Timestamp(later + 1)).await.unwrap();
    let appended = log.append(at(later, with_key("k", one("a", "3")))).await.unwrap();
    assert_eq!(appended, Appended { last: Position(2), is_repeated: false });
}

#[tokio::test]
async fn an_interval_syncs_by_itself() {
    let interval = Duration::from_millis(20);
    let subject = Embedded::with(Durability::Interval(interval));
    let watch = Watch::default();
    let opened = EmbeddedLog::open_with_disk(subject.path(), 7, subject.options(), watch.between());
    let log = Arc::new(opened.unwrap().0);
    log.put(one("a", "x")).await;
    let began = Instant::now();
    while watch.syncs() == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "it syncs when there is a pause");
        tokio::task::yield_now().await;
    }
    while watch.syncs() < 3 {
        assert!(began.elapsed() < Duration::from_secs(30), "it syncs when there is none");
        let mut appends = JoinSet::new();
        for _ in 0..100 {
            let log = log.clone();
            appends.spawn(async move { log.put(one("a", "x")).await });
        }
        appends.join_all().await;
    }
    assert_eq!(watch.synced_writes(), 0);
}

/// More events than are found out again from the newest bundles: most have been written down.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_many_topics_is_there_after_a_crash() {
    let subject = Embedded::with(Durability::None);
    let retention = rules([rule("topic/1*", max_events(20))]);
    let (log, _) = subject.reopen_with(Options { retention, ..subject.options() });
    for round in 0..90 {
        let events = (0..1000).map(|n| {
            let topic = if n % 3 == 0 { n * 7 + round } else { n % 5 };
            event(&format!("topic/{topic}"), &format!("{round} {n}"))
        });
        log.put(at(round, Batch { events: events.collect(), ..Batch::default() })).await;
        if round == 30 {
            log.trim(Timestamp(round)).await.unwrap();
            assert!(log.erase(&topic("topic/2")).await.unwrap());
        }
        if round == 35 {
            log.put(ends(&[&format!("topic/{round}")])).await;
        }
    }
    let before = describe_topics(&log).await;
    let crashed = Crashed::of(&subject);
    let (again, opened) = EmbeddedLog::open(crashed.path(), 8, subject.options()).unwrap();
    assert_eq!(opened.newest, log.newest());
    assert_eq!(describe_topics(&again).await, before);
    again.close().await.unwrap();

    // Closed, nothing has to be found out.
    let (again, _) = EmbeddedLog::open(crashed.path(), 8, subject.options()).unwrap();
    assert_eq!(describe_topics(&again).await, before);
}

/// What the topics are said to have, and that they have it.
async fn describe_topics(log: &EmbeddedLog) -> String {
    let topics = log.topics(&all(), None, usize::MAX).await.unwrap();
    for state in topics.iter().step_by(9) {
        let events = log.events(state.name.clone().into()).await;
        assert_eq!(events.len() as u64, state.events, "{}", state.name);
        assert_eq!(events.first().map(|record| record.position), state.oldest);
        let bytes: usize = events.iter().map(|record| record.event.data.len()).sum();
        assert_eq!(bytes as u64, state.bytes);
        let (selection, count) = (state.name.clone().into(), 3.min(state.events));
        let before = log.before_last(&selection, count).await.unwrap();
        let third = events.iter().rev().take(3).next_back();
        assert_eq!(before.0, third.map_or(log.newest().0, |record| record.position.0 - 1));
    }
    let kept = log.kept(all()).await;
    format!("{:?} {kept} {topics:#?}", log.newest())
}
