use fanfare_fanout::Position;
use fanfare_hub::log::{AppendError, Appended, Batch, Timestamp};
use tokio::task::JoinSet;

use crate::subject::*;

pub(crate) async fn positions_begin_with_one_and_have_no_holes(subject: &impl Subject) {
    let log = subject.open_default().await;
    assert_eq!(log.newest(), Position::START);
    assert_eq!(log.put(one("a", "1")).await, 1);
    assert_eq!(log.put(batch(&[("b", "2"), ("a", "3"), ("b", "4")])).await, 4);
    assert_eq!(log.newest(), Position(4));
    assert_eq!(positions(&log.events(all()).await), [1, 2, 3, 4]);
    assert_eq!(log.data(all()).await, ["1", "2", "3", "4"]);
}

pub(crate) async fn a_batch_is_appended_whole_or_not_at_all(subject: &impl Subject) {
    let log = subject.open_default().await;
    log.put(Batch { ends: vec![topic("over")], ..one("over", "1") }).await;
    let refused = log.append(batch(&[("a", "2"), ("over", "3"), ("b", "4")])).await;
    assert!(matches!(refused, Err(AppendError::Ended(name)) if name == topic("over")));
    assert_eq!(log.data(all()).await, ["1"]);
    assert_eq!(log.state("a").await, None);
    assert_eq!(log.put(one("a", "2")).await, 2, "no position was used up");
}

pub(crate) async fn a_batch_without_events_answers_the_newest_position(subject: &impl Subject) {
    let log = subject.open_default().await;
    assert_eq!(log.put(Batch::default()).await, 0);
    log.put(one("a", "1")).await;
    let appended = log.append(ends(&["b"])).await.unwrap();
    assert_eq!(appended, Appended { last: Position(1), is_repeated: false });
}

pub(crate) async fn time_does_not_run_backwards(subject: &impl Subject) {
    let log = subject.open_default().await;
    for time in [10, 30, 20] {
        log.put(at(time, one("a", "x"))).await;
    }
    let times: Vec<_> = log.events(all()).await.iter().map(|record| record.time).collect();
    assert_eq!(times, [Timestamp(10), Timestamp(30), Timestamp(30)]);
}

pub(crate) async fn batches_of_concurrent_appenders_stay_together(subject: &impl Subject) {
    let log = subject.open_default().await;
    let mut appenders = JoinSet::new();
    for appender in 0..8 {
        let log = log.clone();
        appenders.spawn(async move {
            for round in 0..20 {
                let data = format!("{appender}.{round}");
                let last = log.put(batch(&[("a", &data), ("b", &data), ("a", &data)])).await;
                assert!(log.newest() >= Position(last), "visible when answered");
            }
        });
    }
    appenders.join_all().await;
    let records = log.events(all()).await;
    assert_eq!(positions(&records), (1..=480).collect::<Vec<_>>());
    for one in records.chunks(3) {
        assert!(one.iter().all(|record| record.event.data == one[0].event.data));
    }
}

pub(crate) async fn whoever_got_an_answer_reads_it(subject: &impl Subject) {
    let log = subject.open_default().await;
    let mut appenders = JoinSet::new();
    for appender in 0..4 {
        let log = log.clone();
        appenders.spawn(async move {
            let mine = format!("mine/{appender}");
            for round in 1..=20 {
                let last = log.put(one(&mine, &round.to_string())).await;
                let read = everything(topic(&mine).into());
                let page = log.page(read.clone()).await;
                assert_eq!(page.records.len(), round);
                assert_eq!(page.records[round - 1].position, Position(last));
                assert_eq!(log.state(&mine).await.unwrap().events, round as u64);
            }
        });
    }
    appenders.join_all().await;
}

pub(crate) async fn an_append_that_nobody_waits_for_harms_nobody(subject: &impl Subject) {
    let log = subject.open_default().await;
    for _ in 0..50 {
        let mut append = log.append(one("a", "given up"));
        tokio::select! {
            biased;
            _ = &mut append => {}
            () = std::future::ready(()) => {}
        }
    }
    log.put(one("a", "waited for")).await;
    let data = log.data(all()).await;
    assert_eq!(data.last().unwrap(), "waited for");
    assert!(data.len() <= 51);
    assert_eq!(positions(&log.events(all()).await), (1..=data.len() as u64).collect::<Vec<_>>());
}

pub(crate) async fn a_closed_log_refuses_what_would_change_it(subject: &impl Subject) {
    let log = subject.open_default().await;
    log.put(one("a", "1")).await;
    log.close().await.unwrap();
    assert!(matches!(log.append(one("a", "2")).await, Err(AppendError::Unavailable(_))));
    assert!(matches!(log.erase(&topic("a")).await, Err(AppendError::Unavailable(_))));
    assert!(matches!(log.trim(Timestamp(0)).await, Err(AppendError::Unavailable(_))));
    log.close().await.unwrap();
}
