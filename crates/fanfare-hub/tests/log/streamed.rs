//! The log in NATS: what several hubs see, and a server that goes away.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::stream::Config;
use bytes::Bytes;
use fanfare_fanout::Position;
use fanfare_hub::log::{
    AppendError, Batch, Log, NatsError, NatsLog, NatsOptions, Report, Retention, Tail, Timestamp,
};

use crate::{
    servers::{Nats, NatsServer},
    subject::*,
};

/// A log with one event, and its tail, which has told that.
async fn begun(subject: &Nats) -> (NatsLog, Tail) {
    let log = subject.hub(1, Retention::default()).await;
    let tail = first_told(&log).await;
    (log, tail)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_hub_appends_another_reads_and_is_told() {
    let subject = Nats::new();
    let [this, other] =
        [subject.hub(1, Retention::default()).await, subject.hub(2, Retention::default()).await];
    two_hubs_are_one(&this, &other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_has_all_of_it() {
    let server = Arc::new(NatsServer::start());
    let subject = Nats::on(server.clone());
    let options = NatsOptions {
        patience: Duration::from_millis(500),
        ..subject.options(Retention::default())
    };
    let log = subject.hub_with(1, options).await;
    let mut tail = log.tail().unwrap();
    log.put(with_key("k", one("a", "1"))).await;
    server.kill();
    let refused = log.append(one("a", "maybe")).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    assert_eq!(log.is_available(), Some(false));
    assert!(log.kept_after(&all()).await.is_err());
    server.start_again();
    until_appended(&log, one("a", "2")).await;
    assert_eq!(log.is_available(), Some(true));
    assert!(log.append(with_key("k", one("a", "3"))).await.unwrap().is_repeated);
    let mut told = vec![];
    while told.last().is_none_or(|last| last != "2") {
        told.extend(within(tail.recv()).await.unwrap().iter().map(data));
    }
    // What was not acknowledged may be there, once.
    told.retain(|data| data != "maybe");
    assert_eq!(told, ["1", "2"]);
    assert!(!log.is_replaced());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_empty_has_another_log() {
    let server = Arc::new(NatsServer::start());
    let subject = Nats::on(server.clone());
    let (log, mut tail) = begun(&subject).await;
    server.kill();
    server.lose_everything();
    server.start_again();
    // Another hub goes on in the meantime, and gives the position out again.
    let other = subject.hub(2, Retention::default()).await;
    assert_ne!(other.epoch(), log.epoch());
    other.put(one("a", "another")).await;
    within(log.replaced()).await;
    assert_eq!(within(tail.recv()).await, None);
    let refused = log.append(one("a", "2")).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))));
    assert!(!other.is_replaced());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_lost_its_newest_events_has_another_log_for_every_hub() {
    let server = Arc::new(NatsServer::start());
    let subject = Nats::on(server.clone());
    let this = subject.hub(1, Retention::default()).await;
    this.put(one("a", "1")).await;
    server.kill();
    server.remember();
    server.start_again();
    until_appended(&this, one("a", "2")).await;
    server.kill();
    server.lose_the_newest();
    server.start_again();
    // It has seen nothing of what is lost, and may give the position out again before the first one notices.
    let other = subject.hub(2, Retention::default()).await;
    if other.epoch() == this.epoch() {
        let _ = other.append(one("a", "another")).await;
        within(other.replaced()).await;
    }
    within(this.replaced()).await;
    let renamed = subject.hub(3, Retention::default()).await;
    assert_ne!(renamed.epoch(), this.epoch());
    renamed.put(one("a", "3")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_deleted_is_no_log_any_more() {
    let subject = Nats::new();
    let (log, _tail) = begun(&subject).await;
    let (context, name) = subject.stream().await;
    context.delete_stream(&name).await.unwrap();
    within(log.replaced()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_does_not_fit_is_refused_with_the_reason() {
    let subject = Nats::new();
    let (context, name) = subject.stream().await;
    let strange =
        Config { name: name.clone(), subjects: vec!["strange".into()], ..Config::default() };
    context.create_stream(strange).await.unwrap();
    let open = async || subject.try_hub(1, Retention::default()).await.unwrap_err();
    let error = open().await;
    assert!(matches!(error, NatsError::Unfit { .. }), "{error:?}");
    context.delete_stream(&name).await.unwrap();
    let log = subject.hub(1, Retention::default()).await;
    let config = context.get_stream(&name).await.unwrap().cached_info().config.clone();
    let dropping = Config { max_age: Duration::from_hours(1), ..config };
    context.update_stream(dropping).await.unwrap();
    assert!(open().await.to_string().contains("drops messages by itself"));
    drop(log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_somebody_else_is_passed_over() {
    let subject = Nats::new();
    let (log, mut tail) = begun(&subject).await;
    let (context, name) = subject.stream().await;
    for subject in ["event.a", "batch", "kept.a", "forgotten"] {
        let subject = format!("{name}.log.{subject}");
        context.publish(subject, "strange".into()).await.unwrap().await.unwrap();
    }
    log.put(one("a", "2")).await;
    assert_eq!(take(&mut tail, 1, data).await, ["2"]);
    assert_eq!(subject.hub(2, Retention::default()).await.data(all()).await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_too_large_is_refused_as_such() {
    let subject = Nats::new();
    let log = subject.hub(1, Retention::default()).await;
    let large = "x".repeat(2 * 1024 * 1024);
    let refused = log.append(one("a", &large)).await;
    assert!(matches!(refused, Err(AppendError::TooLarge(_))), "{refused:?}");
    let many = Batch { events: vec![event("a", ""); 20_000], ..Batch::default() };
    assert!(matches!(log.append(many).await, Err(AppendError::TooLarge(_))));
    // What NATS takes of headers is less.
    let many = Batch { events: vec![event("a", ""); 16_000], ..Batch::default() };
    let refused = log.append(many).await;
    assert!(matches!(refused, Err(AppendError::TooLarge(_))), "{refused:?}");
    assert_eq!(log.is_available(), Some(true));
    log.put(Batch { events: vec![event("a", ""); 8000], ..Batch::default() }).await;
    log.put(one("a", &large[..1000 * 1000])).await;
    assert_eq!(log.size().await.unwrap().events, 8001);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_topics_with_long_names_are_forgotten() {
    let subject = Nats::new();
    let log = subject.hub(1, rules([rule("*", max_events(0))])).await;
    let names: Vec<_> = (0..2000).map(|number| format!("{}{number}", "x".repeat(200))).collect();
    for names in names.chunks(100) {
        let events = names.iter().map(|name| event(name, "")).collect();
        log.put(Batch { events, ..Batch::default() }).await;
    }
    for _ in 0..3 {
        log.trim(Timestamp(0)).await.unwrap();
        assert_eq!(log.size().await.unwrap().topics, 0);
    }
    let later = subject.hub(2, Retention::default()).await;
    assert_eq!(later.kept(all()).await, log.kept(all()).await);
    assert_eq!(later.size().await.unwrap().topics, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_room_refuses_until_there_is_some() {
    let subject = Nats::new();
    let options = NatsOptions {
        max_bytes: Some(100_000),
        ..subject.options(rules([rule("*", max_events(2))]))
    };
    let log = subject.hub_with(1, options).await;
    let large = "x".repeat(20_000);
    let refused = loop {
        if let Err(refused) = log.append(one("a", &large)).await {
            break refused;
        }
    };
    assert!(matches!(refused, AppendError::Full(_)), "{refused:?}");
    assert!((3..=5).contains(&log.size().await.unwrap().events));
    log.trim(Timestamp(0)).await.unwrap();
    log.put(one("a", &large)).await;
    assert_eq!(log.events(all()).await.len(), 3);
}

const MINUTE: u64 = 60_000;

/// Appends until there is no room, which is said with this word.
async fn fill(log: &NatsLog, name: &str, word: &str) {
    let large = "x".repeat(20_000);
    let refused = loop {
        if let Err(refused) = log.append(at(0, one(name, &large))).await {
            break refused;
        }
    };
    let AppendError::Full(why) = refused else { panic!("{refused:?}") };
    assert!(why.to_string().contains(word), "{why}");
}

/// What the stream holds, and what it may.
async fn held_and_limit(subject: &Nats) -> (u64, i64) {
    let (context, name) = subject.stream().await;
    let stream = context.get_stream(&name).await.unwrap();
    let info = stream.cached_info();
    (info.state.bytes, info.config.max_bytes)
}

/// As when hubs have appended at the same moment all that the stream takes.
async fn leave_no_room(subject: &Nats) {
    let (context, name) = subject.stream().await;
    let info = context.get_stream(&name).await.unwrap().cached_info().clone();
    let max_bytes = info.state.bytes.try_into().unwrap();
    context.update_stream(Config { max_bytes, ..info.config }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_any_room_is_trimmed_and_erased_by_all_hubs() {
    let subject = Nats::new();
    let options = NatsOptions {
        max_bytes: Some(200_000),
        ..subject.options(rules([rule("old*", max_age(MINUTE))]))
    };
    let this = subject.hub_with(1, options.clone()).await;
    let other = subject.hub_with(2, options).await;
    for old in 0..5 {
        this.put(at(0, one(&format!("old{old}"), "1"))).await;
    }
    fill(&this, "erased", "log.max_stored").await;
    leave_no_room(&subject).await;
    let refused = other.append(one("new", "1")).await;
    assert!(matches!(refused, Err(AppendError::Full(_))), "{refused:?}");
    let later = Timestamp(2 * MINUTE);
    let (one_trims, other_trims) = tokio::join!(this.trim(later), other.trim(later));
    one_trims.and(other_trims).unwrap();
    assert_eq!(this.size().await.unwrap().topics, 1);
    leave_no_room(&subject).await;
    assert!(other.erase(&topic("erased")).await.unwrap());
    other.trim(later).await.unwrap();
    let large = "x".repeat(100_000);
    let takes = async |log: &NatsLog| log.put(at(2 * MINUTE, one("new", &large))).await;
    takes(&this).await;
    assert_eq!(other.events(all()).await.len(), 1);
    fill(&other, "new", "log.max_stored").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_stream_may_hold_is_changed_by_who_starts() {
    const MB: u64 = 1_000_000;
    let subject = Nats::new();
    let with = async |seed, max_bytes| {
        let options = NatsOptions { max_bytes, ..subject.options(Retention::default()) };
        subject.hub_with(seed, options).await
    };
    let large = "x".repeat(900_000);
    let small = with(1, Some(MB)).await;
    small.put(one("a", &large)).await;
    fill(&small, "a", "1000000").await;
    let limits = async || held_and_limit(&subject).await.1;
    let limit = limits().await;
    let larger = with(2, Some(3 * MB)).await;
    assert_eq!(limits().await, limit + 2_000_000);
    larger.put(one("a", &large)).await;
    with(3, None).await.put(one("a", &large)).await;
    assert_eq!(limits().await, -1);
    // A limit so low would take events away.
    let small = with(4, Some(MB)).await;
    assert_eq!(limits().await, -1);
    fill(&small, "a", "log.max_stored").await;
    let events = small.size().await.unwrap().events;
    assert_eq!(small.events(all()).await.len() as u64, events);
    assert!(small.erase(&topic("a")).await.unwrap());
    small.trim(Timestamp(0)).await.unwrap();
    with(5, Some(MB)).await.put(one("a", "1")).await;
    assert_eq!(limits().await, limit);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_room_says_what_to_do() {
    const SMALL: &[&str] = &["-c", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/log/small.conf")];
    let subject = Nats::on(Arc::new(NatsServer::start_with(SMALL)));
    let log = subject.hub(1, Retention::default()).await;
    fill(&log, "a", "max_file_store").await;
    let max_bytes = Some(4_000_000);
    let options = NatsOptions { max_bytes, ..subject.options(Retention::default()) };
    let other = subject.hub_with(2, options.clone()).await;
    assert!(!other.events(all()).await.is_empty(), "it can be read");
    let empty = Nats::on(Arc::new(NatsServer::start_with(SMALL)));
    let refused = empty.try_hub_with(3, options).await.unwrap_err();
    assert!(matches!(refused, NatsError::ServerFull(_)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_more_topics_than_allowed() {
    let subject = Nats::new();
    let options = NatsOptions { max_topics: 2, ..subject.options(Retention::default()) };
    let log = subject.hub_with(1, options.clone()).await;
    let other = subject.hub_with(2, options).await;
    log.put(one("a", "1")).await;
    let full = log.append(batch(&[("a", "2"), ("b", "2"), ("c", "2")])).await;
    assert!(matches!(full, Err(AppendError::Full(_))), "{full:?}");
    log.put(batch(&[("a", "2"), ("b", "2"), ("b", "2")])).await;
    assert!(matches!(log.append(ends(&["c"])).await, Err(AppendError::Full(_))));
    // The other one makes room.
    assert!(other.erase(&topic("a")).await.unwrap());
    other.trim(Timestamp(0)).await.unwrap();
    log.put(one("c", "4")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_behind_what_is_deleted_knows_that_something_is_missing() {
    const EVENTS: usize = 3000;
    let subject = Nats::new();
    let retention = rules([rule("*", max_events(1))]);
    let [this, other] = [subject.hub(1, retention.clone()).await, subject.hub(2, retention).await];
    // It is held up by its tail, which is not read.
    let mut tail = other.tail().unwrap();
    for number in 1..=EVENTS {
        this.put(one("a", &number.to_string())).await;
    }
    this.trim(Timestamp(0)).await.unwrap();
    let mut told = vec![];
    while told.last().is_none_or(|last| *last != EVENTS.to_string()) {
        told.extend(within(tail.recv()).await.unwrap().iter().map(data));
    }
    let missed =
        told.iter().position(|data| data.starts_with("Missed(")).expect("something is missing");
    assert!((1..EVENTS - 1).contains(&missed), "{missed}");
    let before: Vec<_> = (1..=missed).map(|number| number.to_string()).collect();
    assert_eq!(told[..missed], before);
    assert_eq!(told[missed + 1..], [EVENTS.to_string()]);
    assert_eq!(other.data(all()).await, [EVENTS.to_string()]);
    assert_eq!(other.kept(all()).await, this.kept(all()).await);
    assert!(other.drops(&all(), Position::START).await.unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_opens_while_another_deletes() {
    let subject = Nats::new();
    let retention = rules([rule("*", max_events(3))]);
    let this = Arc::new(subject.hub(1, retention.clone()).await);
    let topics: Vec<_> = (0..300).map(|number| format!("t{number}")).collect();
    let put = async |topic: &String| this.put(one(topic, "1")).await;
    for _ in 0..4 {
        for topic in &topics {
            put(topic).await;
        }
    }
    let (done, mut is_done) = tokio::sync::watch::channel(());
    let deleting = async {
        for topic in topics.iter().cycle() {
            put(topic).await;
            this.trim(Timestamp(0)).await.unwrap();
            if is_done.has_changed().unwrap() {
                break;
            }
        }
    };
    let opening = async {
        for seed in 2..12 {
            let opened = subject.hub(seed, retention.clone()).await;
            assert_eq!(opened.kept(select(&["u*"])).await, 0);
            opened.close().await.unwrap();
        }
        done.send(()).unwrap();
    };
    within(Box::pin(async { tokio::join!(deleting, opening) })).await;
    is_done.mark_unchanged();
    let opened = subject.hub(12, retention).await;
    assert_eq!(opened.data(all()).await, this.data(all()).await);
    assert_eq!(opened.kept(all()).await, this.kept(all()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_told_the_password_of_its_address() {
    let by_name = NatsServer::start_with(&["--jetstream", "--user", "u", "--pass", "p@ss"]);
    let by_token = NatsServer::start_with(&["--jetstream", "--auth", "to/ken"]);
    let options = Nats::new().options(Retention::default());
    let open = async |url: String| within(NatsLog::open(&url, 1, options.clone())).await;
    let elsewhere = NatsServer::start_with(&[]);
    elsewhere.kill();
    let several = format!("{},{}", elsewhere.url(), by_name.url_with("u:p%40ss@"));
    for url in [by_name.url_with("u:p%40ss@"), by_token.url_with("to%2Fken@"), several] {
        open(url).await.unwrap().put(one("a", "1")).await;
    }
    for url in [by_name.url(), by_name.url_with("u:other@"), by_token.url_with("other@")] {
        let refused = open(url).await.unwrap_err();
        assert!(matches!(refused, NatsError::Unauthorized(_)), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_jetstream_is_refused_with_the_reason() {
    let server = Arc::new(NatsServer::start_with(&[]));
    let refused = Nats::on(server).try_hub(1, Retention::default()).await.unwrap_err();
    assert!(matches!(refused, NatsError::NoJetStream), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_hear_the_newest_that_the_others_have_told() {
    let subject = Nats::new();
    let [this, other] =
        [subject.hub(1, Retention::default()).await, subject.hub(2, Retention::default()).await];
    assert_eq!(hears(&this, u64::MAX, "one", LONG).await, []);
    let until_told = async |content: &'static str| {
        let told = [(u64::MAX, Bytes::from_static(content.as_bytes()))];
        within(async {
            while contents(hears(&other, 2, "two", LONG).await) != told {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    until_told("one").await;
    hears(&this, u64::MAX, "\0", LONG).await;
    until_told("\0").await;
    let heard = hears(&this, u64::MAX, "one", LONG).await;
    assert!(heard.iter().all(|one| one.age < LONG), "{heard:?}");
    let apart = Nats::new().hub(1, Retention::default()).await;
    assert_eq!(hears(&apart, 4, "apart", LONG).await, [], "logs with other names are not told");
    this.close().await.unwrap();
    let short = Duration::from_millis(200);
    within(async {
        while !hears(&other, 2, "two", short).await.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let report = Report { hub: 1, content: Bytes::new() };
    assert!(this.exchange(report, LONG).unwrap().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_hub_was_told_of_sooner_is_waited_for() {
    let subject = Nats::new();
    let options =
        NatsOptions { patience: Duration::from_secs(2), ..subject.options(Retention::default()) };
    let [this, other] =
        [subject.hub_with(1, options.clone()).await, subject.hub_with(2, options).await];
    let last = Position(this.put(one("a", "1")).await);
    assert!(within(other.comes_to(last)).await.unwrap());
    // Messages are numbered, and events within them.
    let next = Position(last.0 + (1 << 14));
    let (comes, appended) = tokio::join!(within(other.comes_to(next)), async {
        assert!(this.comes_to(last).await.unwrap());
        Position(this.put(one("a", "2")).await)
    });
    assert_eq!((comes.unwrap(), appended), (true, next));
    assert!(!within(other.comes_to(Position(next.0 + 1))).await.unwrap());
}
