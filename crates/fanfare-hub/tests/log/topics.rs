use fanfare_fanout::Position;
use fanfare_hub::{
    Selection, TopicName,
    log::{AppendError, Batch, Timestamp, TopicState},
};

use crate::subject::*;

pub(crate) async fn topics_are_listed_by_name(subject: &impl Subject) {
    let log = subject.open_default().await;
    log.put(batch(&[("b", "1"), ("a/2", "2"), ("a", "3"), ("$own", "4"), ("ü", "5")])).await;
    let list_of = async |selection: Selection, after: Option<&str>, most: usize| -> Vec<String> {
        let after: Option<TopicName> = after.map(topic);
        let topics = log.topics(&selection, after.as_ref(), most).await.unwrap();
        topics.into_iter().map(|topic| topic.name.to_string()).collect()
    };
    let list = async |after, most| list_of(all(), after, most).await;
    assert_eq!(list(None, 99).await, ["$own", "a", "a/2", "b", "ü"]);
    assert_eq!(list(None, 2).await, ["$own", "a"]);
    assert_eq!(list(Some("a"), 2).await, ["a/2", "b"]);
    assert_eq!(list(Some("a/1"), 1).await, ["a/2"], "it need not be one");
    assert_eq!(list(Some("ü"), 9).await, [""; 0]);
    assert_eq!(list(None, 0).await, [""; 0]);
    let some = select(&["ü", "a*", "c"]);
    assert_eq!(list_of(some.clone(), None, 9).await, ["a", "a/2", "ü"]);
    assert_eq!(list_of(some.clone(), None, 2).await, ["a", "a/2"]);
    assert_eq!(list_of(some.clone(), Some("a"), 9).await, ["a/2", "ü"]);
    assert_eq!(list_of(some, Some("b"), 9).await, ["ü"]);
    assert_eq!(list_of(select(&["*"]), None, 1).await, ["a"], "not the hub's own");
}

pub(crate) async fn a_topic_is_known_by_its_counts(subject: &impl Subject) {
    let log = subject.open_default().await;
    log.put(batch(&[("a", "12"), ("b", "123"), ("a", "1234")])).await;
    log.put(one("b", "")).await;
    let expected = TopicState {
        name: topic("a"),
        events: 2,
        bytes: 6,
        oldest: Some(Position(1)),
        newest: Position(3),
        ended: None,
    };
    assert_eq!(log.state("a").await, Some(expected.clone()));
    assert_eq!(log.topics(&all(), None, 1).await.unwrap(), [expected]);
    assert_eq!(log.state("c").await, None);
}

pub(crate) async fn an_ended_topic_refuses_events(subject: &impl Subject) {
    let log = subject.open_default().await;
    log.put(one("b", "1")).await;
    log.put(Batch { ends: vec![topic("a")], ..batch(&[("a", "2"), ("b", "3")]) }).await;
    log.put(one("b", "4")).await;
    for refused in [one("a", "5"), ends(&["a"]), batch(&[("b", "6"), ("a", "7")])] {
        let refused = log.append(refused).await;
        assert!(matches!(refused, Err(AppendError::Ended(name)) if name == topic("a")));
    }
    let state = log.state("a").await.unwrap();
    assert_eq!((state.ended, state.newest, state.events), (Some(Position(3)), Position(2), 1));
    assert_eq!(log.data(select(&["a"])).await, ["2"], "its events stay");
}

pub(crate) async fn a_topic_may_end_without_an_event(subject: &impl Subject) {
    let log = subject.open_default().await;
    log.put(ends(&["a"])).await;
    let state = log.state("a").await.unwrap();
    assert_eq!((state.ended, state.events, state.oldest), (Some(Position(0)), 0, None));
    assert!(matches!(log.append(one("a", "1")).await, Err(AppendError::Ended(_))));
}

pub(crate) async fn an_erased_topic_is_empty_and_begins_anew(subject: &impl Subject) {
    let log = subject.open_default().await;
    log.put(Batch { ends: vec![topic("a")], ..batch(&[("a", "1"), ("b", "2"), ("a", "3")]) }).await;
    assert!(log.erase(&topic("a")).await.unwrap());
    let state = log.state("a").await.unwrap();
    assert_eq!((state.events, state.bytes, state.oldest, state.ended), (0, 0, None, None));
    assert_eq!(log.data(all()).await, ["2"]);
    assert_eq!(log.kept(select(&["a"])).await, 3);
    assert_eq!(log.kept(select(&["b"])).await, 0);
    assert_eq!(log.put(one("a", "4")).await, 4);
    assert_eq!(log.data(all()).await, ["2", "4"]);
    assert_eq!(log.state("a").await.unwrap().oldest, Some(Position(4)));
    assert_eq!(log.kept(select(&["a"])).await, 3);
    assert!(log.erase(&topic("a")).await.unwrap(), "once more");
    assert_eq!(log.data(all()).await, ["2"]);
}

pub(crate) async fn an_ended_topic_that_is_forgotten_begins_anew(subject: &impl Subject) {
    let log = subject.open(rules([rule("*", max_age(10))])).await;
    log.put(at(1, Batch { ends: vec![topic("a")], ..one("a", "1") })).await;
    log.trim(Timestamp(12)).await.unwrap();
    assert_eq!(log.state("a").await, None);
    assert_eq!(log.put(at(12, one("a", "2"))).await, 2);
    assert_eq!(log.data(all()).await, ["2"]);
}
