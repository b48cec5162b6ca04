use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use fanfare_fanout::Position;
use fanfare_hub::log::{Batch, Limits, Log, Retention, Timestamp};

use crate::subject::*;

async fn trim(log: &dyn Log, now: u64) {
    within(log.trim(Timestamp(now))).await.unwrap();
}

pub(crate) async fn nothing_is_dropped_without_limits(subject: &impl Subject) {
    let log = subject.open_default().await;
    log.put(at(1, batch(&[("a", "1"), ("b", "2")]))).await;
    trim(&*log, u64::MAX).await;
    assert_eq!(log.data(all()).await, ["1", "2"]);
    assert_eq!(log.kept(all()).await, 0);
}

pub(crate) async fn topics_are_trimmed_to_their_number_of_events(subject: &impl Subject) {
    let log = subject.open(rules([rule("a*", max_events(2))])).await;
    for data in ["1", "2", "3"] {
        log.put(batch(&[("a", data), ("a/b", data), ("b", data)])).await;
    }
    trim(&*log, 0).await;
    assert_eq!(log.data(select(&["a"])).await, ["2", "3"]);
    assert_eq!(log.data(select(&["a/b"])).await, ["2", "3"]);
    assert_eq!(log.data(select(&["b"])).await, ["1", "2", "3"]);
    let state = log.state("a").await.unwrap();
    assert_eq!((state.events, state.bytes, state.oldest), (2, 2, Some(Position(4))));
}

pub(crate) async fn topics_are_trimmed_to_their_bytes(subject: &impl Subject) {
    let log = subject.open(rules([rule("*", max_bytes(10))])).await;
    for data in ["12345", "1234", "123", "12", "1"] {
        log.put(one("a", data)).await;
    }
    trim(&*log, 0).await;
    assert_eq!(log.data(all()).await, ["1234", "123", "12", "1"]);
    log.put(one("a", "more than ten bytes")).await;
    trim(&*log, 0).await;
    assert_eq!(log.data(all()).await, [""; 0], "the newest too");
}

pub(crate) async fn topics_are_trimmed_to_their_age(subject: &impl Subject) {
    let log = subject.open(rules([rule("a", max_age(100))])).await;
    for time in [1000, 1050, 1100] {
        log.put(at(time, batch(&[("a", &time.to_string()), ("b", "x")]))).await;
    }
    trim(&*log, 1100).await;
    assert_eq!(log.data(select(&["a"])).await, ["1000", "1050", "1100"], "not older than");
    trim(&*log, 1101).await;
    assert_eq!(log.data(select(&["a"])).await, ["1050", "1100"]);
    trim(&*log, 9999).await;
    assert_eq!(log.state("a").await, None, "forgotten");
    assert_eq!(log.data(all()).await, ["x"; 3]);
}

pub(crate) async fn the_first_rule_that_selects_a_topic_counts(subject: &impl Subject) {
    let log = subject
        .open(rules([
            rule("a/keep", Limits::default()),
            rule("a/*", max_events(1)),
            rule("*", max_events(2)),
        ]))
        .await;
    for data in ["1", "2", "3"] {
        log.put(batch(&[("a/keep", data), ("a/x", data), ("b", data), ("$own", data)])).await;
    }
    trim(&*log, 0).await;
    assert_eq!(log.data(select(&["a/keep"])).await, ["1", "2", "3"]);
    assert_eq!(log.data(select(&["a/x"])).await, ["3"]);
    assert_eq!(log.data(select(&["b"])).await, ["2", "3"]);
    assert_eq!(
        log.data(select(&["$own"])).await,
        ["1", "2", "3"],
        "a star is not for the hub's own"
    );
}

pub(crate) async fn the_oldest_of_all_go_first(subject: &impl Subject) {
    let total = Limits { max_events: Some(4), max_bytes: Some(9), ..Limits::default() };
    let log = subject.open(Retention { total, ..Retention::default() }).await;
    log.put(batch(&[("a", "11"), ("b", "22"), ("a", "33")])).await;
    log.put(batch(&[("c", "44"), ("c", "55")])).await;
    trim(&*log, 0).await;
    assert_eq!(log.data(all()).await, ["22", "33", "44", "55"]);
    log.put(one("c", "666")).await;
    trim(&*log, 0).await;
    assert_eq!(log.data(all()).await, ["33", "44", "55", "666"]);
    assert_eq!(log.state("b").await, None, "forgotten");
    let state = log.state("a").await.unwrap();
    assert_eq!((state.events, state.bytes, state.oldest), (1, 2, Some(Position(3))));
}

pub(crate) async fn all_topics_together_are_trimmed_to_an_age(subject: &impl Subject) {
    let log = subject.open(Retention { total: max_age(100), ..Retention::default() }).await;
    for time in [1000, 1050, 1100] {
        log.put(at(time, batch(&[("a", "x"), ("b", "x"), ("$own", "x")]))).await;
    }
    trim(&*log, 1101).await;
    assert_eq!(positions(&log.events(all()).await), [4, 5, 6, 7, 8, 9]);
    trim(&*log, 1200).await;
    assert_eq!(positions(&log.events(all()).await), [7, 8, 9]);
    trim(&*log, 1201).await;
    assert_eq!(log.topics(&all(), None, 9).await.unwrap(), []);
}

pub(crate) async fn kept_after_is_the_newest_that_was_dropped(subject: &impl Subject) {
    let log = subject.open(rules([rule("a", max_events(1)), rule("b", max_events(2))])).await;
    assert_eq!(log.kept(select(&["a"])).await, 0);
    for data in ["1", "2", "3"] {
        log.put(batch(&[("a", data), ("b", data), ("c", data)])).await;
    }
    trim(&*log, 0).await;
    assert_eq!(log.kept(select(&["a"])).await, 4);
    assert_eq!(log.kept(select(&["b"])).await, 2);
    assert_eq!(log.kept(select(&["c"])).await, 0);
    assert_eq!(log.kept(select(&["c", "b"])).await, 2);
    assert_eq!(log.kept(select(&["*"])).await, 4);
    assert_eq!(log.kept(select(&["c*"])).await, 0);
    assert_eq!(log.kept(select(&["never there"])).await, 0);
}

pub(crate) async fn kept_after_knows_of_forgotten_topics(subject: &impl Subject) {
    let log = subject.open(rules([rule("old/*", max_age(10))])).await;
    log.put(at(1, batch(&[("old/1", "1"), ("new", "2")]))).await;
    log.put(at(5, batch(&[("old/2", "3"), ("new", "4")]))).await;
    trim(&*log, 12).await;
    assert_eq!(log.kept(select(&["old/1"])).await, 1, "which is forgotten");
    assert_eq!(log.kept(select(&["new"])).await, 0, "which is not");
    assert_eq!(log.kept(select(&["*"])).await, 1);
    trim(&*log, 100).await;
    for forgotten in [&["old/1"][..], &["old/2"], &["old/*"], &["*"], &["new", "old/1"]] {
        assert_eq!(log.kept(select(forgotten)).await, 3, "{forgotten:?}");
    }
    assert_eq!(log.kept(select(&["new"])).await, 0);
}

pub(crate) async fn what_is_dropped_is_noticed_by_whom_it_concerns(subject: &impl Subject) {
    let log = subject.open(rules([rule("busy", max_events(1)), rule("quiet", max_age(10))])).await;
    let drops = async |selectors: &[&str], after: u64| {
        log.drops(&select(selectors), Position(after)).await.unwrap()
    };
    log.put(batch(&[("busy", "1"), ("quiet", "2"), ("other", "3"), ("busy", "4")])).await;
    assert_eq!(drops(&["other"], 0).await, 0);
    trim(&*log, 0).await;
    let first = drops(&["*"], 0).await;
    assert!(first > 0);
    assert_eq!(drops(&["busy", "quiet"], 0).await, first);
    assert_eq!(drops(&["busy"], 1).await, 0, "nothing behind it");
    assert_eq!(drops(&["quiet", "other"], 0).await, 0, "nothing of these");

    // Older than what busy has dropped by now.
    log.put(one("busy", "5")).await;
    trim(&*log, 0).await;
    let second = drops(&["*"], 0).await;
    assert!(second > first);
    trim(&*log, 100).await;
    assert!(drops(&["busy", "quiet"], 1).await > second);
    assert!(drops(&["*"], 1).await > second, "forgotten or not");
    assert_eq!(drops(&["busy", "other"], 2).await, second);
    assert_eq!(drops(&["busy", "other"], 4).await, 0);

    // The next of its name has dropped what the last one had.
    let third = drops(&["quiet"], 1).await;
    log.put(at(100, one("quiet", "6"))).await;
    assert_eq!(drops(&["quiet"], 1).await, third);
    assert!(log.erase(&topic("quiet")).await.unwrap());
    let fourth = drops(&["quiet"], 1).await;
    assert!(fourth > third);
    assert!(log.erase(&topic("quiet")).await.unwrap());
    assert_eq!(drops(&["quiet"], 1).await, fourth, "there was nothing to be dropped");
}

pub(crate) async fn a_topic_that_comes_back_has_not_kept_what_was_forgotten(
    subject: &impl Subject,
) {
    let log = subject.open(rules([rule("*", max_age(10))])).await;
    log.put(at(1, one("a", "1"))).await;
    trim(&*log, 100).await;
    log.put(at(100, batch(&[("a", "2"), ("b", "3")]))).await;
    assert_eq!(log.kept(select(&["a"])).await, 1, "its first event is missing");
    assert_eq!(log.kept(select(&["b"])).await, 1, "it may have been there before");
    log.put(at(100, ends(&["c"]))).await;
    assert_eq!(log.kept(select(&["c"])).await, 1);
}

pub(crate) async fn trimming_in_many_steps_ends_at_the_limits(subject: &impl Subject) {
    let total = Limits { max_events: Some(12_000), ..Limits::default() };
    let rules = vec![rule("topic/*", max_events(10)), rule("big", max_events(11_900))];
    let log = subject.open(Retention { rules, total, ..Retention::default() }).await;
    for _ in 0..30 {
        let small = (0..600).map(|topic| event(&format!("topic/{topic}"), "x"));
        let big = (0..600).map(|_| event("big", "x"));
        log.put(Batch { events: big.chain(small).collect(), ..Batch::default() }).await;
    }
    trim(&*log, 0).await;
    let events = log.events(all()).await;
    assert_eq!(events.len(), 12_000);
    let newest: Vec<u64> = positions(&log.events(select(&["big"])).await);
    assert_eq!(log.state("big").await.unwrap().events, newest.len() as u64);
    let topics = log.topics(&all(), None, 9999).await.unwrap();
    assert!(topics.iter().all(|topic| topic.name == self::topic("big") || topic.events == 10));
    assert_eq!(topics.iter().map(|topic| topic.events).sum::<u64>(), 12_000);
    for topic in topics.iter().step_by(100) {
        let found = positions(&log.events(topic.name.clone().into()).await);
        assert_eq!(topic.oldest.map(|oldest| oldest.0), found.first().copied());
        assert_eq!(topic.events, found.len() as u64);
    }
}

pub(crate) async fn appending_goes_on_while_trimming(subject: &impl Subject) {
    let log = subject.open(rules([rule("*", max_events(100))])).await;
    let is_done = Arc::new(AtomicBool::new(false));
    let appending = tokio::spawn({
        let (log, is_done) = (log.clone(), is_done.clone());
        async move {
            let mut appended = 0;
            while appended < 2000 || !is_done.load(Ordering::Relaxed) {
                let events = (0..100).map(|_| event("a", "x")).collect();
                log.put(Batch { events, ..Batch::default() }).await;
                appended += 100;
            }
        }
    });
    for _ in 0..10 {
        trim(&*log, 0).await;
        tokio::task::yield_now().await;
    }
    is_done.store(true, Ordering::Relaxed);
    appending.await.unwrap();
    trim(&*log, 0).await;
    let newest = log.newest().0;
    let expected: Vec<_> = (newest - 99..=newest).collect();
    assert_eq!(positions(&log.events(all()).await), expected);
    assert_eq!(log.kept(select(&["a"])).await, newest - 100);
}
