use std::time::Duration;

use fanfare_fanout::Position;
use fanfare_hub::{
    Selection,
    log::{Batch, Log, NewEvent, Read, Record, Timestamp},
};
use fanfare_wire::EventName;

use crate::subject::*;

pub(crate) async fn an_event_is_read_as_it_was_appended(subject: &impl Subject) {
    let log = subject.open_default().await;
    let plain = event("a", "");
    let full = NewEvent {
        topic: topic("ü/☃"),
        name: Some(EventName::new("tick").unwrap()),
        retry: Some(Duration::new(3, 141_592_653)),
        data: "line\nline\nünïcödé".into(),
    };
    let odd = NewEvent { retry: Some(Duration::MAX), ..plain.clone() };
    let events = vec![plain, full, odd];
    log.put(at(1234, Batch { events: events.clone(), ..Batch::default() })).await;
    let expected: Vec<_> = (1..)
        .zip(events)
        .map(|(position, event)| Record {
            position: Position(position),
            time: Timestamp(1234),
            event,
        })
        .collect();
    assert_eq!(log.events(all()).await, expected);
    for record in &expected {
        let selection: Selection = record.event.topic.clone().into();
        assert!(log.events(selection).await.contains(record));
    }
}

/// Ten events: of `a` where the position is odd, of `b` elsewhere; each with ten bytes.
async fn ten(log: &dyn Log) {
    for position in 1..=10 {
        let topic = if position % 2 == 1 { "a" } else { "b" };
        log.put(one(topic, &format!("{position:010}"))).await;
    }
}

pub(crate) async fn pages_end_at_each_bound(subject: &impl Subject) {
    let log = subject.open_default().await;
    ten(&*log).await;
    for (read, expected) in [
        (Read { max_events: 3, ..everything(all()) }, vec![1, 2, 3]),
        (Read { max_bytes: 39, ..everything(all()) }, vec![1, 2, 3]),
        (Read { max_bytes: 40, ..everything(all()) }, vec![1, 2, 3, 4]),
        (Read { after: Position(7), ..everything(all()) }, vec![8, 9, 10]),
        (Read { until: Position(3), ..everything(all()) }, vec![1, 2, 3]),
        (Read { after: Position(2), until: Position(5), ..everything(select(&["a"])) }, vec![3, 5]),
        (Read { max_events: 2, after: Position(2), ..everything(select(&["b"])) }, vec![4, 6]),
        (Read { max_bytes: 25, ..everything(select(&["b"])) }, vec![2, 4]),
        (Read { after: Position(10), ..everything(all()) }, vec![]),
        (Read { after: Position(99), ..everything(all()) }, vec![]),
        (Read { after: Position::END, ..everything(all()) }, vec![]),
        (Read { after: Position(5), until: Position(4), ..everything(all()) }, vec![]),
    ] {
        assert_eq!(positions(&log.page(read.clone()).await.records), expected, "{read:?}");
    }
}

pub(crate) async fn a_page_has_one_event_at_least(subject: &impl Subject) {
    let log = subject.open_default().await;
    ten(&*log).await;
    let read = Read { max_events: 0, max_bytes: 0, ..everything(select(&["b"])) };
    let page = log.page(read).await;
    assert_eq!(positions(&page.records), [2]);
}

pub(crate) async fn a_page_says_how_far_it_has_read(subject: &impl Subject) {
    let log = subject.open_default().await;
    ten(&*log).await;
    let a = || everything(select(&["a"]));
    let through = async |read: Read| log.page(read).await.through.0;
    assert_eq!(through(everything(all())).await, 10);
    assert_eq!(through(Read { until: Position(8), ..a() }).await, 8, "there is none at 8");
    assert!([3, 4].contains(&through(Read { max_events: 2, ..a() }).await), "the next is at 5");
    assert_eq!(through(Read { after: Position(9), ..a() }).await, 10);
    assert_eq!(through(everything(select(&["no such topic"]))).await, 10);
    assert_eq!(through(Read { until: Position(99), ..a() }).await, 10);
}

pub(crate) async fn what_is_selected_is_read_in_one_order(subject: &impl Subject) {
    let log = subject.open_default().await;
    for data in ["1", "2", "3"] {
        let topics = ["a", "a/b", "a/c", "b", "$own"];
        log.put(batch(&topics.map(|topic| (topic, data)))).await;
    }
    for (selectors, expected) in [
        (vec!["a"], vec![1, 6, 11]),
        (vec!["b", "a"], vec![1, 4, 6, 9, 11, 14]),
        (vec!["a/*"], vec![2, 3, 7, 8, 12, 13]),
        (vec!["a*"], vec![1, 2, 3, 6, 7, 8, 11, 12, 13]),
        (vec!["a/*", "$own"], vec![2, 3, 5, 7, 8, 10, 12, 13, 15]),
        (vec!["nothing", "none*"], vec![]),
        (vec!["b*", "nothing"], vec![4, 9, 14]),
    ] {
        let found = positions(&log.events(select(&selectors)).await);
        assert_eq!(found, expected, "{selectors:?}");
    }
}

pub(crate) async fn a_star_does_not_select_the_hubs_own(subject: &impl Subject) {
    let log = subject.open_default().await;
    log.put(batch(&[("a", "1"), ("$stats", "2"), ("$more", "3")])).await;
    assert_eq!(positions(&log.events(select(&["*"])).await), [1]);
    assert_eq!(positions(&log.events(select(&["$s*"])).await), [2]);
    assert_eq!(positions(&log.events(select(&["*", "$stats"])).await), [1, 2]);
    assert_eq!(positions(&log.events(all()).await), [1, 2, 3]);
}

/// So many events, of which every hundredth is of `rare/0` or `rare/1`.
async fn rare_among_many(log: &dyn Log, count: usize) {
    let events: Vec<_> = (1..=count)
        .map(|position| match position {
            position if position % 200 == 0 => event("rare/1", &position.to_string()),
            position if position % 100 == 0 => event("rare/0", &position.to_string()),
            _ => event("many", "x"),
        })
        .collect();
    for events in events.chunks(700) {
        log.put(Batch { events: events.to_vec(), ..Batch::default() }).await;
    }
}

pub(crate) async fn a_topic_among_many_others_is_found(subject: &impl Subject) {
    let log = subject.open_default().await;
    rare_among_many(&*log, 21_000).await;
    let rare: Vec<u64> = (1..=210).map(|hundred| hundred * 100).collect();
    assert_eq!(positions(&log.events(select(&["rare/*"])).await), rare);
    assert_eq!(positions(&log.events(select(&["rare/0", "rare/1"])).await), rare);
    let odd: Vec<u64> = rare.iter().copied().filter(|position| position % 200 != 0).collect();
    let found = log.events(select(&["rare/0"])).await;
    assert_eq!(positions(&found), odd);
    assert!(found.iter().all(|record| record.event.data == record.position.0.to_string()));
    let read = Read {
        after: Position(500),
        until: Position(901),
        max_events: 2,
        ..everything(select(&["rare/*"]))
    };
    assert_eq!(positions(&log.page(read).await.records), [600, 700]);
}

pub(crate) async fn the_last_ones_of_a_selection_are_found(subject: &impl Subject) {
    let log = subject.open_default().await;
    let before = async |selectors: &[&str], count: u64| {
        log.before_last(&select(selectors), count).await.unwrap().0
    };
    assert_eq!(before(&["*"], 3).await, 0);
    rare_among_many(&*log, 2100).await;
    log.put(one("$own", "x")).await;
    assert_eq!(before(&["*"], 0).await, 2101);
    assert_eq!(before(&["*"], 3).await, 2097);
    assert_eq!(before(&["*"], 2100).await, 0);
    assert_eq!(before(&["*"], u64::MAX).await, 0);
    assert_eq!(before(&["$own"], 1).await, 2100);
    assert_eq!(before(&["rare/0"], 1).await, 2099);
    assert_eq!(before(&["rare/0"], 3).await, 1699);
    assert_eq!(before(&["rare/*"], 3).await, 1899);
    assert_eq!(before(&["rare/1", "$own"], 3).await, 1799);
    assert_eq!(before(&["rare/0"], 99).await, 99, "as many as are kept");
    assert_eq!(before(&["nothing"], 1).await, 2101);
}

pub(crate) async fn many_of_the_last_ones_are_found(subject: &impl Subject) {
    let log = subject.open_default().await;
    for _ in 0..22 {
        log.put(batch(&vec![("a", "x"); 500])).await;
        log.put(one("b", "y")).await;
    }
    let before_last = async |selectors: &[&str], count| {
        log.before_last(&select(selectors), count).await.unwrap().0
    };
    assert_eq!(before_last(&["a"], 10_500).await, 501);
    assert_eq!(before_last(&["a", "b"], 11_000).await, 22);
    assert_eq!(before_last(&["*"], 11_021).await, 1);
    assert_eq!(before_last(&["*"], 11_022).await, 0);
    assert_eq!(before_last(&["*"], u64::MAX - 1).await, 0);
}
