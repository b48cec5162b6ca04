use fanfare_fanout::Position;
use fanfare_hub::log::{Batch, Committed, Record};
use tokio::task::JoinSet;

use crate::subject::*;

fn position(committed: &Committed) -> u64 {
    match committed {
        Committed::Event(record) => record.position.0,
        other => panic!("not an event: {other:?}"),
    }
}

pub(crate) async fn the_tail_is_taken_once(subject: &impl Subject) {
    let log = subject.open_default().await;
    for _ in 0..200 {
        within(log.put(one("a", "before"))).await;
    }
    let mut tail = log.tail().unwrap();
    assert!(log.tail().is_none());
    log.put(one("a", "after")).await;
    assert_eq!(take(&mut tail, 1, position).await, [201], "what comes from then on");
}

pub(crate) async fn the_tail_gives_everything_once_in_order(subject: &impl Subject) {
    let log = subject.open_default().await;
    let mut tail = log.tail().unwrap();
    let mut appenders = JoinSet::new();
    for appender in 0..8 {
        let log = log.clone();
        appenders.spawn(async move {
            for round in 0..50 {
                let data = format!("{appender}.{round}");
                log.put(batch(&[("a", &data), ("b", &data)])).await;
            }
        });
    }
    let mut given: Vec<Record> = vec![];
    while given.len() < 800 {
        for committed in within(tail.recv()).await.unwrap() {
            let Committed::Event(record) = committed else { panic!("not an event") };
            assert!(log.newest() >= record.position, "it can be read");
            given.push(record);
        }
    }
    appenders.join_all().await;
    assert_eq!(positions(&given), (1..=800).collect::<Vec<_>>());
    assert_eq!(given, log.events(all()).await);
}

pub(crate) async fn the_tail_gives_ends_and_erasures(subject: &impl Subject) {
    let log = subject.open_default().await;
    let mut tail = log.tail().unwrap();
    let told = |committed: &Committed| match committed {
        Committed::Event(record) => record.event.data.to_string(),
        Committed::End(name) => format!("end of {name}"),
        Committed::Erased(name, Position(position)) => format!("{name} erased at {position}"),
        other => format!("{other:?}"),
    };
    log.put(batch(&[("a", "1"), ("b", "2")])).await;
    log.put(Batch { ends: vec![topic("a"), topic("b")], ..one("a", "3") }).await;
    // A tail that is told of an event when it is erased already can only say that it was.
    assert_eq!(take(&mut tail, 5, told).await, ["1", "2", "3", "end of a", "end of b"]);
    assert!(log.erase(&topic("a")).await.unwrap());
    assert!(!log.erase(&topic("no such topic")).await.unwrap());
    log.put(one("a", "4")).await;
    assert_eq!(take(&mut tail, 2, told).await, ["a erased at 3", "4"]);
}

pub(crate) async fn a_tail_that_nobody_reads_any_more_holds_up_nobody(subject: &impl Subject) {
    let log = subject.open_default().await;
    drop(log.tail());
    for _ in 0..100 {
        within(log.put(one("a", "x"))).await;
    }
    assert_eq!(log.newest(), Position(100));
}

pub(crate) async fn the_tail_ends_with_the_log(subject: &impl Subject) {
    let log = subject.open_default().await;
    let mut tail = log.tail().unwrap();
    log.put(one("a", "1")).await;
    log.close().await.unwrap();
    assert_eq!(take(&mut tail, 1, position).await, [1]);
    assert_eq!(within(tail.recv()).await, None);
}
