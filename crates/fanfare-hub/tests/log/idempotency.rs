use std::{sync::Arc, time::Duration};

use fanfare_fanout::Position;
use fanfare_hub::log::{AppendError, Appended, Log, Retention, Timestamp};
use tokio::task::JoinSet;

use crate::subject::*;

pub(crate) async fn a_key_answers_as_the_first_time(subject: &impl Subject) {
    let log = subject.open_default().await;
    let first = log.append(with_key("k", batch(&[("a", "1"), ("a", "2")]))).await.unwrap();
    log.put(one("a", "3")).await;
    let again = log.append(with_key("k", one("b", "something else"))).await.unwrap();
    assert_eq!(first, Appended { last: Position(2), is_repeated: false });
    assert_eq!(again, Appended { last: Position(2), is_repeated: true });
    assert_eq!(log.data(all()).await, ["1", "2", "3"]);
}

pub(crate) async fn concurrent_repetitions_append_once(subject: &impl Subject) {
    let log = subject.open_default().await;
    let mut appenders = JoinSet::new();
    for _ in 0..8 {
        let log: Arc<dyn Log> = log.clone();
        appenders.spawn(async move {
            let mut answers = vec![];
            for key in 0..20 {
                let batch = with_key(&format!("k{key}"), one("a", &key.to_string()));
                answers.push(log.append(batch).await.unwrap());
            }
            answers
        });
    }
    let all_answers = appenders.join_all().await;
    for key in 0..20 {
        let answers: Vec<_> = all_answers.iter().map(|answers| answers[key]).collect();
        assert!(answers.iter().all(|answer| answer.last == answers[0].last));
        assert_eq!(answers.iter().filter(|answer| !answer.is_repeated).count(), 1);
    }
    assert_eq!(log.newest(), Position(20));
}

pub(crate) async fn a_key_is_forgotten_after_its_window(subject: &impl Subject) {
    let window = Duration::from_millis(100);
    let log = subject.open(Retention { idempotency_window: window, ..Retention::default() }).await;
    log.put(at(1000, with_key("k", one("a", "1")))).await;
    assert_eq!(log.put(at(1100, with_key("k", one("a", "2")))).await, 1, "just within");
    assert_eq!(log.put(at(1101, with_key("k", one("a", "3")))).await, 2);
    assert_eq!(log.put(at(1201, with_key("k", one("a", "4")))).await, 2, "as of the second use");
    log.trim(Timestamp(1202)).await.unwrap();
    assert_eq!(log.put(at(1201, with_key("k", one("a", "5")))).await, 3, "trimmed");
}

pub(crate) async fn a_key_is_forgotten_when_there_are_too_many(subject: &impl Subject) {
    let log = subject.open(Retention { max_idempotency_keys: 2, ..Retention::default() }).await;
    for key in ["k1", "k2", "k3"] {
        log.put(with_key(key, one("a", key))).await;
    }
    assert_eq!(log.put(with_key("k2", one("a", ""))).await, 2);
    assert_eq!(log.put(with_key("k3", one("a", ""))).await, 3);
    assert_eq!(log.put(with_key("k1", one("a", ""))).await, 4);
    log.trim(Timestamp(0)).await.unwrap();
    assert_eq!(log.put(with_key("k3", one("a", ""))).await, 3);
    assert_eq!(log.put(with_key("k2", one("a", ""))).await, 5);
}

pub(crate) async fn a_key_of_a_refused_batch_is_not_used(subject: &impl Subject) {
    let log = subject.open_default().await;
    log.put(ends(&["over"])).await;
    let refused = log.append(with_key("k", one("over", "1"))).await;
    assert!(matches!(refused, Err(AppendError::Ended(_))));
    let appended = log.append(with_key("k", one("a", "2"))).await.unwrap();
    assert_eq!(appended, Appended { last: Position(1), is_repeated: false });
}
