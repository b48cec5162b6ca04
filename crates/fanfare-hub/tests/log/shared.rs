//! A log that several hubs share, and a server that goes away.

use std::{fs, os::unix::fs::symlink, sync::Arc, time::Duration};

use bytes::Bytes;
use fanfare_fanout::Position;
use fanfare_hub::log::{
    AppendError, Batch, Log, Record, RedisClock, RedisLog, RedisOptions, Report, Retention, Size,
    Tail, Timestamp,
};

use tokio::task::JoinSet;

use crate::{
    servers::{Redis, RedisServer},
    subject::*,
};

/// A log with one event, and its tail, which has told that.
async fn begun(subject: &Redis) -> (RedisLog, Tail) {
    let log = subject.hub(1, Retention::default()).await;
    let tail = first_told(&log).await;
    (log, tail)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_hub_appends_another_reads_and_is_told() {
    let subject = Redis::new();
    let [this, other] =
        [subject.hub(1, Retention::default()).await, subject.hub(2, Retention::default()).await];
    two_hubs_are_one(&this, &other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_its_file_comes_back_with_all_of_it() {
    let server = Arc::new(RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]));
    let subject = Redis::on(server.clone());
    let (log, mut tail) = begun(&subject).await;
    server.kill();
    let refused = log.append(one("a", "lost")).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    server.start_again();
    assert_eq!(until_appended(&log, one("a", "2")).await, Position(2));
    assert_eq!(take(&mut tail, 1, data).await, ["2"]);
    assert!(!log.is_replaced());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refused_a_connection_is_connected_to_again() {
    let server = Arc::new(RedisServer::start(&["--save", "", "--appendonly", "no"]));
    let subject = Redis::on(server.clone());
    let mut admin = server.admin();
    let mut run = |command: &mut redis::Cmd| command.exec(&mut admin).unwrap();
    run(redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("right"));
    let url = format!("{}?pass=right", server.url());
    let log = subject.hub_at(&url, 1, Retention::default()).await;
    let mut tail = log.tail().unwrap();
    log.put(one("a", "1")).await;
    assert_eq!(take(&mut tail, 1, data).await, ["1"]);
    run(redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("another"));
    run(redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal"));
    for _ in 0..3 {
        let refused = log.append(one("a", "lost")).await;
        assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    }
    assert_eq!(log.is_available(), Some(false));
    run(redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("right"));
    assert_eq!(until_appended(&log, one("a", "2")).await, Position(2));
    assert_eq!(take(&mut tail, 1, data).await, ["2"]);
    assert_eq!(log.is_available(), Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_another_server_takes_over_the_old_one_is_left() {
    let old = Arc::new(RedisServer::start(&["--save", "", "--appendonly", "no"]));
    let subject = Redis::on(old.clone());
    let folder = tempfile::tempdir().unwrap();
    let [address, next] = ["redis.sock", "next"].map(|name| folder.path().join(name));
    symlink(old.socket(), &address).unwrap();
    let url = format!("redis+unix://{}", address.display());
    let log = subject.hub_at(&url, 1, Retention::default()).await;
    let mut tail = log.tail().unwrap();
    log.put(one("a", "1")).await;
    assert_eq!(take(&mut tail, 1, data).await, ["1"]);
    let new = old.copy();
    symlink(new.socket(), &next).unwrap();
    fs::rename(next, address).unwrap();
    let mut admin = old.admin();
    redis::cmd("REPLICAOF").arg("127.0.0.1").arg(1).exec(&mut admin).unwrap();
    assert_eq!(until_appended(&log, one("a", "2")).await, Position(2));
    assert_eq!(take(&mut tail, 1, data).await, ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_memory_refuses_a_batch_as_a_whole() {
    let server = Arc::new(RedisServer::start(&["--save", "", "--maxmemory-policy", "noeviction"]));
    let subject = Redis::on(server.clone());
    let log = subject.hub(1, Retention::default()).await;
    log.put(one("a", "1")).await;
    server.limit_memory("1");
    let refused = log.append(with_key("k", batch(&[("a", "2"), ("b", "3")]))).await;
    assert!(matches!(refused, Err(AppendError::Full(_))), "{refused:?}");
    assert_eq!(log.data(all()).await, ["1"]);
    assert!(log.erase(&topic("a")).await.unwrap(), "it makes room");
    log.trim(Timestamp(0)).await.unwrap();
    assert_eq!(log.data(all()).await, [""; 0]);
    server.limit_memory("0");
    assert_eq!(log.put(with_key("k", batch(&[("a", "2"), ("b", "3")]))).await, 3);
    assert_eq!(log.data(all()).await, ["2", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_memory_takes_events_again_when_some_are_dropped() {
    const MINUTE: u64 = 60_000;
    let server = Arc::new(RedisServer::start(&["--save", "", "--maxmemory-policy", "noeviction"]));
    let subject = Redis::on(server.clone());
    let log = subject.hub(1, rules([rule("old", max_age(MINUTE))])).await;
    server.limit_memory("8mb");
    let large = "x".repeat(100_000);
    let fill = async |topic: &str, time: u64| {
        let refused = loop {
            if let Err(refused) = log.append(at(time, one(topic, &large))).await {
                break refused;
            }
        };
        assert!(matches!(refused, AppendError::Full(_)), "{refused:?}");
    };
    fill("erased", 0).await;
    assert!(log.erase(&topic("erased")).await.unwrap());
    log.trim(Timestamp(0)).await.unwrap();
    fill("old", 0).await;
    assert!(log.size().await.unwrap().events > 10);
    log.trim(Timestamp(2 * MINUTE)).await.unwrap();
    fill("new", 2 * MINUTE).await;
    assert!(log.size().await.unwrap().events > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_more_topics_than_allowed() {
    let subject = Redis::new();
    let options = RedisOptions { max_topics: 2, ..subject.options(Retention::default()) };
    let log = subject.hub_with(1, options).await;
    log.put(one("a", "1")).await;
    let full = log.append(batch(&[("a", "2"), ("b", "2"), ("c", "2")])).await;
    assert!(matches!(full, Err(AppendError::Full(_))), "{full:?}");
    log.put(batch(&[("a", "2"), ("b", "2"), ("b", "2")])).await;
    assert!(matches!(log.append(ends(&["c"])).await, Err(AppendError::Full(_))));
    log.put(one("b", "3")).await;
    assert!(log.erase(&topic("a")).await.unwrap());
    log.trim(Timestamp(0)).await.unwrap();
    log.put(one("c", "4")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_fast_drops_nothing_where_that_of_redis_counts() {
    let subject = Redis::new();
    let hour = Duration::from_hours(1);
    let retention =
        Retention { idempotency_window: hour, ..rules([rule("*", max_age(3_600_000))]) };
    let options = RedisOptions { clock: RedisClock::Redis, ..subject.options(retention) };
    let [slow, fast] =
        [subject.hub_with(1, options.clone()).await, subject.hub_with(2, options).await];
    let far = 1 << 50;
    slow.put(at(1, with_key("k", one("a", "1")))).await;
    fast.put(at(far, one("a", "2"))).await;
    slow.put(at(2, one("a", "3"))).await;
    fast.trim(Timestamp(far)).await.unwrap();
    assert_eq!(slow.data(all()).await, ["1", "2", "3"]);
    let repeated = fast.append(at(far, with_key("k", one("a", "4")))).await.unwrap();
    assert!(repeated.is_repeated);
    let times: Vec<_> = slow.events(all()).await.iter().map(|record| record.time.0).collect();
    assert!(times.iter().all(|&time| 1_000_000_000_000 < time && time < far), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_fails_half_way_leaves_nothing_behind() {
    let server = Arc::new(RedisServer::start(&["--save", "", "--appendonly", "no"]));
    let subject = Redis::on(server.clone());
    let log = subject.hub(1, rules([rule("b", max_events(2))])).await;
    let mut tail = log.tail().unwrap();
    let mut expected = vec![];
    let commands =
        ["xadd", "hset", "zadd", "rpush", "zcard", "ltrim", "xrange", "xlen", "zrange", "lindex"];
    for (round, command) in commands.iter().enumerate() {
        let ended = round.to_string();
        let [first, second] = ["a", "b"].map(|name| format!("{command} {name}"));
        let appended = with_key(&ended, batch(&[("a", &first), ("b", &second)]));
        let appended = Batch { ends: vec![topic(&ended)], ..appended };
        server.allow(&[&format!("-{command}")]);
        let outcome = log.append(appended.clone()).await;
        server.allow(&["+@all"]);
        let is_there = log.data(select(&["a"])).await.contains(&first);
        assert_eq!(is_there, log.data(select(&["b"])).await.contains(&second), "{command}");
        assert_eq!(is_there, log.state(&ended).await.is_some(), "{command}");
        assert_eq!(is_there, outcome.is_ok(), "{command}");
        let repeated = log.append(appended).await.unwrap();
        assert_eq!(repeated.is_repeated, is_there, "{command}");
        expected.extend([first, second, format!("End({ended:?})")]);
    }
    assert_eq!(log.newest(), Position(2 * commands.len() as u64), "no position is left out");
    assert_eq!(take(&mut tail, expected.len(), data).await, expected);
    log.trim(Timestamp(0)).await.unwrap();
    assert_eq!(log.state("a").await.unwrap().events, commands.len() as u64);
    assert_eq!(log.size().await.unwrap().events, commands.len() as u64 + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_taken_back_when_one_of_its_topics_cannot_be_written() {
    let server = Arc::new(RedisServer::start(&["--save", "", "--appendonly", "no"]));
    let subject = Redis::on(server.clone());
    let (log, mut tail) = begun(&subject).await;
    server.allow(&["resetkeys", "~*}:[^e]*", "~*}:erased", "~*}:e:a"]);
    let refused = log.append(batch(&[("a", "2"), ("b", "3")])).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    server.allow(&["allkeys"]);
    assert_eq!(log.data(all()).await, ["1"]);
    assert_eq!(log.newest(), Position(1));
    assert_eq!(log.put(batch(&[("a", "4"), ("b", "5")])).await, 3);
    assert_eq!(log.data(all()).await, ["1", "4", "5"]);
    assert_eq!(take(&mut tail, 2, data).await, ["4", "5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_somebody_else_has_taken_away_do_not_keep_others_from_being_trimmed() {
    let server = Arc::new(RedisServer::start(&["--save", "", "--appendonly", "no"]));
    let subject = Redis::on(server.clone());
    let log = subject.hub(1, Retention::default()).await;
    log.put(batch(&[("a", "1"), ("a", "2"), ("b", "3"), ("b", "4")])).await;
    redis::cmd("DEL").arg(subject.key("e:a")).exec(&mut server.admin()).unwrap();
    let limited = subject.hub(2, rules([rule("*", max_events(1))])).await;
    limited.trim(Timestamp(0)).await.unwrap();
    assert_eq!(log.data(all()).await, ["4"]);
    limited.put(batch(&[("a", "5"), ("b", "6")])).await;
    assert_eq!(log.data(all()).await, ["5", "6"]);
    assert_eq!(log.size().await.unwrap().events, 2);
}

/// Others are served between scripts, so none must do much.
#[tokio::test(flavor = "multi_thread")]
async fn no_script_does_much_at_once() {
    const MOST_COMMANDS: u64 = 1200;
    let server = Arc::new(RedisServer::start(&["--save", "", "--appendonly", "no"]));
    let subject = Redis::on(server.clone());
    let log = subject.hub(1, Retention::default()).await;
    for part in 0..30 {
        let names: Vec<_> = (0..100).map(|name| format!("many/{part}/{name}")).collect();
        let events: Vec<_> = names.iter().map(|name| (&**name, "x")).collect();
        log.put(batch(&events)).await;
    }
    for _ in 0..30 {
        log.put(batch(&vec![("big", "x"); 100])).await;
    }
    let within_bounds = |what: &str| {
        let commands = server.commands_per_script();
        assert!(commands < MOST_COMMANDS, "{what}: {commands} commands");
    };
    within_bounds("appending");
    assert_eq!(log.kept(select(&["*"])).await, 0);
    within_bounds("what is kept");
    assert_eq!(log.drops(&select(&["*"]), Position::START).await.unwrap(), 0);
    within_bounds("what is dropped");
    assert_eq!(log.before_last(&select(&["*"]), 5000).await.unwrap(), Position(1000));
    within_bounds("the last ones");
    assert_eq!(log.topics(&all(), None, usize::MAX).await.unwrap().len(), 3001);
    within_bounds("the topics");
    assert_eq!(log.events(select(&["*"])).await.len(), 6000);
    within_bounds("a page");
    let limited = subject.hub(2, rules([rule("big", max_events(1))])).await;
    limited.put(one("big", "x")).await;
    within_bounds("appending where much is to be dropped");
    log.erase(&topic("big")).await.unwrap();
    within_bounds("erasing");
    let limited = subject.hub(2, rules([rule("many/*", max_events(0))])).await;
    limited.trim(Timestamp(0)).await.unwrap();
    within_bounds("trimming");
    assert_eq!(log.size().await.unwrap(), Size::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_empty_has_another_log() {
    let server = Arc::new(RedisServer::start(&["--save", "", "--appendonly", "no"]));
    let subject = Redis::on(server.clone());
    let (log, mut tail) = begun(&subject).await;
    server.kill();
    server.start_again();
    // Another hub goes on in the meantime, and gives the position out again.
    let other = subject.hub(2, Retention::default()).await;
    assert_ne!(other.epoch(), log.epoch());
    other.put(one("a", "another")).await;
    within(log.replaced()).await;
    assert_eq!(within(tail.recv()).await, None);
    let refused = log.append(one("a", "2")).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_lost_its_newest_events_has_another_log_for_every_hub() {
    let server = Arc::new(RedisServer::start(&["--save", "", "--appendonly", "no"]));
    let subject = Redis::on(server.clone());
    let [this, other] =
        [subject.hub(1, Retention::default()).await, subject.hub(2, Retention::default()).await];
    let mut tail = this.tail().unwrap();
    this.put(one("a", "1")).await;
    server.snapshot();
    this.put(one("a", "2")).await;
    assert_eq!(take(&mut tail, 2, data).await, ["1", "2"]);
    server.kill();
    server.start_again();
    within(this.replaced()).await;
    // The other one has seen nothing of what is lost, and is told all the same.
    within(async {
        while !other.is_replaced() {
            let refused = other.append(one("a", "3")).await;
            assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
        }
    })
    .await;
    let new = subject.hub(3, Retention::default()).await;
    assert_ne!(new.epoch(), this.epoch());
    assert_eq!(new.data(all()).await, ["1"]);
    assert_eq!(new.put(one("a", "another")).await, 2, "a position that was given out before");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_or_erased_at_once_is_told_all_the_same() {
    let subject = Redis::new();
    let log = subject.hub(1, rules([rule("a", max_events(1))])).await;
    let mut tail = log.tail().unwrap();
    let many: Vec<_> = (0..1000).map(|_| ("a", "x")).collect();
    log.put(batch(&many)).await;
    assert!(log.erase(&topic("a")).await.unwrap());
    let told = take(&mut tail, 1001, data).await;
    assert_eq!(told[..1000], vec!["x"; 1000]);
    assert!(told[1000].starts_with("Erased"), "{}", told[1000]);
    assert_eq!(log.data(all()).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_too_late_is_told_that_something_is_missing() {
    let subject = Redis::new();
    let retention = rules([rule("a", max_events(1))]);
    let log = subject.hub(1, retention).await;
    let mut tail = log.tail().unwrap();
    let many: Vec<_> = (0..1000).map(|_| ("a", "x")).collect();
    for _ in 0..60 {
        log.put(batch(&many)).await;
    }
    let mut newest = 0;
    let mut has_skipped = false;
    while newest < 60_000 {
        for committed in within(tail.recv()).await.unwrap() {
            match committed {
                Committed::Event(record) => newest = record.position.0,
                Committed::Skipped(position) => {
                    has_skipped = true;
                    newest = newest.max(position.0);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(has_skipped);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_too_late_of_an_end_or_an_erasure_is_told_that_it_may_have_missed_one() {
    let subject = Redis::new();
    let retention = rules([rule("a", max_events(1))]);
    let [log, other] = [subject.hub(1, retention.clone()).await, subject.hub(2, retention).await];
    assert_eq!(log.put(one("b", "1")).await, 1);
    assert!(other.erase(&topic("b")).await.unwrap());
    for _ in 0..18 {
        other.put(batch(&vec![("a", "x"); 1000])).await;
    }
    let mut tail = log.tail().unwrap();
    let told = within(tail.recv()).await.unwrap();
    assert!(matches!(told[0], Committed::Missed(_)), "{:?}", told[0]);
    let mut newest = 0;
    let mut told = told.into_iter();
    while newest < 18_001 {
        let Some(one) = told.next() else {
            told = within(tail.recv()).await.unwrap().into_iter();
            continue;
        };
        match one {
            Committed::Event(Record { position, .. }) => newest = position.0,
            Committed::Skipped(_) | Committed::Missed(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(other.erase(&topic("a")).await.unwrap());
    assert_eq!(take(&mut tail, 1, data).await, ["Erased(\"a\", Position(18001))"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_when_nothing_of_it_is_left_is_told_so_once() {
    let subject = Redis::new();
    let retention = rules([rule("a", max_bytes(1))]);
    let [log, other] = [subject.hub(1, retention.clone()).await, subject.hub(2, retention).await];
    let large = "x".repeat(1 << 20);
    for _ in 0..20 {
        other.put(one("a", &large)).await;
    }
    redis::cmd("DEL").arg(subject.key("order")).exec(&mut subject.admin()).unwrap();
    let mut tail = log.tail().unwrap();
    assert_eq!(take(&mut tail, 1, data).await, ["Skipped(Position(20))"]);
    other.put(one("a", "1")).await;
    assert_eq!(take(&mut tail, 1, data).await, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_ends_although_others_go_on_appending() {
    let subject = Redis::new();
    let log = subject.hub(1, Retention::default()).await;
    let mut tail = log.tail().unwrap();
    let mut others = JoinSet::new();
    for seed in 2..6 {
        let other = subject.hub(seed, Retention::default()).await;
        others.spawn(async move {
            loop {
                other.put(one("a", "x")).await;
            }
        });
    }
    within(tail.recv()).await.unwrap();
    let last = log.put(one("b", "last")).await;
    log.close().await.unwrap();
    let mut newest = 0;
    let ending = async {
        while let Some(told) = tail.recv().await {
            for one in told {
                let Committed::Event(record) = one else { panic!("{one:?}") };
                newest = record.position.0;
            }
        }
    };
    within(ending).await;
    assert!(newest >= last, "what was appended before it was closed is told");
    others.abort_all();
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_hear_the_newest_that_the_others_have_told() {
    let subject = Redis::new();
    let [this, other] =
        [subject.hub(1, Retention::default()).await, subject.hub(2, Retention::default()).await];
    assert_eq!(hears(&this, u64::MAX, "one", LONG).await, []);
    assert_eq!(
        contents(hears(&other, 2, "two", LONG).await),
        [(u64::MAX, Bytes::from_static(b"one"))]
    );
    for content in ["three", "three", "\0"] {
        hears(&this, u64::MAX, content, LONG).await;
    }
    assert_eq!(
        contents(hears(&other, 3, "", LONG).await),
        [(2, Bytes::from_static(b"two")), (u64::MAX, Bytes::from_static(b"\0"))]
    );
    let heard = hears(&this, u64::MAX, "one", LONG).await;
    assert!(heard.iter().all(|one| one.age < LONG), "{heard:?}");
    let apart = Redis::new().hub(1, Retention::default()).await;
    assert_eq!(hears(&apart, 4, "apart", LONG).await, [], "logs with other names are not told");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_for_a_while_is_heard_of_no_more() {
    let subject = Redis::new();
    let log = subject.hub(1, Retention::default()).await;
    hears(&log, 1, "gone", LONG).await;
    let mut ages = vec![];
    within(async {
        let short = Duration::from_millis(200);
        while let [heard] = &hears(&log, 2, "there", short).await[..] {
            ages.push(heard.age);
        }
    })
    .await;
    assert!(ages.is_sorted(), "{ages:?}");
    assert_eq!(hears(&log, 2, "there", LONG).await, [], "it is forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_was_heard_of_when_the_clock_was_ahead_is_forgotten() {
    let subject = Redis::new();
    let log = subject.hub(1, Retention::default()).await;
    let mut ahead = redis::cmd("ZADD");
    ahead.arg(subject.key("hubs")).arg(1e15).arg(7);
    ahead.exec(&mut subject.admin()).unwrap();
    assert_eq!(hears(&log, 1, "", LONG).await, []);
    let left: u64 =
        redis::cmd("ZCARD").arg(subject.key("hubs")).query(&mut subject.admin()).unwrap();
    assert_eq!(left, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_too_many_is_refused_and_the_others_are_not() {
    let subject = Redis::new();
    let log = subject.hub(1, Retention::default()).await;
    hears(&log, 1, "one", LONG).await;
    let (seconds, _): (u64, u64) = redis::cmd("TIME").query(&mut subject.admin()).unwrap();
    let mut crowd = redis::cmd("ZADD");
    crowd.arg(subject.key("hubs"));
    for hub in 2..=1000 {
        crowd.arg(seconds * 1000).arg(hub);
    }
    crowd.exec(&mut subject.admin()).unwrap();
    let one_more = Report { hub: 1001, content: Bytes::new() };
    let refused = log.exchange(one_more, LONG).unwrap().await.unwrap_err();
    assert!(format!("{:?}", refused.0).contains("Crowded"), "{refused:?}");
    assert_eq!(hears(&log, 1, "one", LONG).await.len(), 999);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hubs_told_is_gone_when_they_are() {
    let subject = Redis::new();
    let log = subject.hub(1, Retention::default()).await;
    hears(&log, 1, "one", Duration::from_millis(50)).await;
    let mut admin = subject.admin();
    let keys = [subject.key("hubs"), subject.key("reports")];
    within(async {
        while redis::cmd("EXISTS").arg(&keys).query::<u64>(&mut admin).unwrap() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_hear_of_each_other_when_there_is_no_memory_left() {
    let server = Arc::new(RedisServer::start(&["--save", "", "--maxmemory-policy", "noeviction"]));
    let subject = Redis::on(server.clone());
    let log = subject.hub(1, Retention::default()).await;
    server.limit_memory("1");
    hears(&log, 1, "one", LONG).await;
    assert_eq!(hears(&log, 2, "two", LONG).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_closed_tells_nobody_anything() {
    let subject = Redis::new();
    let log = subject.hub(1, Retention::default()).await;
    log.close().await.unwrap();
    let report = Report { hub: 1, content: Bytes::new() };
    assert!(log.exchange(report, LONG).unwrap().await.is_err());
    let memory = Memory.open(Retention::default()).await;
    assert!(memory.exchange(Report { hub: 1, content: Bytes::new() }, LONG).is_none());
}
