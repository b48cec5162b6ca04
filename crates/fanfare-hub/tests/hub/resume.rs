use std::sync::atomic::Ordering;

use fanfare_fanout::Bounds;
use fanfare_hub::{
    Selector, TopicName,
    log::{Batch, Limits, Retention, Rule, Timestamp},
};

use crate::support::Subject;

/// Channels keep two events in memory.
const SMALL: Bounds = Bounds { frames: 2, bytes: 1 << 20 };

async fn publish(
    subject: &Subject,
    topic: &str,
    numbers: std::ops::RangeInclusive<u32>,
) -> Vec<String> {
    let mut ids = vec![];
    for number in numbers {
        ids.push(subject.publish(topic, &number.to_string()).await);
    }
    ids
}

fn keeping(events: u64) -> Retention {
    let limits = Limits { max_events: Some(events), ..Limits::default() };
    let rules = vec![Rule { topics: Selector::new("*").unwrap(), limits }];
    Retention { rules, ..Retention::default() }
}

#[tokio::test]
async fn a_subscription_begins_where_it_is_asked_to() {
    let subject = Subject::new();
    let ids = publish(&subject, "a", 1..=5).await;
    subject.publish("b", "other").await;
    let mut latest = subject.follow("/sse/a").await;
    let mut earliest = subject.follow("/sse/a?from=earliest").await;
    let mut last = subject.follow("/sse/a?last=2").await;
    let mut after = subject.follow_after("/sse/a", &ids[2]).await;
    let mut in_query = subject.follow(&format!("/sse/a?lastEventId={}", ids[3])).await;
    publish(&subject, "a", 6..=6).await;
    assert_eq!(earliest.several(6).await, ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(last.several(3).await, ["4", "5", "6"]);
    assert_eq!(after.several(3).await, ["4", "5", "6"]);
    assert_eq!(in_query.several(2).await, ["5", "6"]);
    assert_eq!(latest.several(1).await, ["6"]);
}

#[tokio::test]
async fn who_was_given_nothing_yet_can_resume_too() {
    let subject = Subject::new();
    publish(&subject, "a", 1..=1).await;
    let mut follower = subject.follow("/sse/a").await;
    let place = follower.place().await;
    drop(follower);
    publish(&subject, "a", 2..=3).await;
    let mut resumed = subject.follow_after("/sse/a", &place).await;
    assert_eq!(resumed.several(2).await, ["2", "3"]);
}

#[tokio::test]
async fn who_falls_behind_the_memory_reads_on_from_the_log() {
    let subject = Subject::with(Retention::default(), SMALL);
    let mut follower = subject.follow("/sse/a").await;
    let mut both = subject.follow("/sse?topic=a&topic=b").await;
    publish(&subject, "a", 1..=3000).await;
    publish(&subject, "b", 3001..=3010).await;
    let all =
        |range: std::ops::RangeInclusive<u32>| range.map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(follower.several(3000).await, all(1..=3000));
    assert_eq!(both.several(3010).await, all(1..=3010));
}

#[tokio::test]
async fn what_is_missing_is_told() {
    let subject = Subject::with(keeping(3), SMALL);
    let ids = publish(&subject, "a", 1..=10).await;

    let mut resumed = subject.follow_after("/sse/a", &ids[2]).await;
    let gap = resumed.next().await.unwrap();
    assert_eq!(gap.name(), "gap");
    let told: serde_json::Value = gap.parse_json().unwrap();
    assert_eq!(told["reason"], "expired");
    assert_eq!(told["requested"], ids[2]);
    assert_eq!(told["resumed_from"], ids[6]);
    assert_eq!(resumed.several(3).await, ["8", "9", "10"]);

    let mut complete = subject.follow_after("/sse/a", &ids[6]).await;
    assert_eq!(complete.several(3).await, ["8", "9", "10"], "nothing is missing");

    for id in ["00000000-7", "nonsense", &format!("{}9", ids[9])] {
        let mut unknown = subject.follow_after("/sse/a", id).await;
        let gap = unknown.next().await.unwrap();
        assert_eq!(gap.parse_json::<serde_json::Value>().unwrap()["reason"], "unknown", "{id}");
        assert_eq!(unknown.several(3).await, ["8", "9", "10"]);
    }
}

#[tokio::test]
async fn what_is_missing_of_a_topic_that_has_ended_is_told_before_its_end() {
    let subject = Subject::with(keeping(0), SMALL);
    subject.post("/sse/a?end=true", "last").await;
    let mut foreign = subject.follow_after("/sse/a", "00000000-7").await;
    let gap = foreign.next().await.unwrap();
    assert_eq!(gap.parse_json::<serde_json::Value>().unwrap()["reason"], "unknown");
    assert_eq!(foreign.next().await, None);
    let again = http::Request::get("/sse/a").header("last-event-id", gap.id().unwrap().as_str());
    assert_eq!(subject.ask(again, "").await.status(), 204);
}

/// Other topics went on before it ended.
#[tokio::test]
async fn who_has_the_last_event_of_a_topic_that_has_ended_is_told_that_all_is_over() {
    let subject = Subject::new();
    let ids = publish(&subject, "a", 1..=2).await;
    publish(&subject, "b", 3..=3).await;
    let ends = vec![TopicName::new("a").unwrap()];
    subject.hub.publish(Batch { ends, ..Batch::default() }).await.unwrap();
    let mut resumed = subject.follow_after("/sse/a", &ids[0]).await;
    assert_eq!(resumed.data().await, "2");
    assert_eq!(resumed.next().await, None);
    let again = http::Request::get("/sse/a").header("last-event-id", &ids[1]);
    assert_eq!(subject.ask(again, "").await.status(), 204);
}

#[tokio::test]
async fn a_reader_that_is_slower_than_the_retention_is_told() {
    let subject = Subject::with(keeping(3), SMALL);
    let mut follower = subject.follow("/sse/a").await;
    follower.place().await;
    publish(&subject, "a", 1..=10).await;
    let gap = follower.next().await.unwrap();
    assert_eq!(gap.name(), "gap");
    assert_eq!(gap.parse_json::<serde_json::Value>().unwrap()["reason"], "lagged");
    assert_eq!(follower.several(3).await, ["8", "9", "10"]);
}

#[tokio::test]
async fn a_gap_is_told_before_what_is_kept_behind_it() {
    let subject = Subject::with(keeping(3), SMALL);
    let mut follower = subject.follow("/sse?topic=quiet&topic=busy").await;
    follower.place().await;
    let ids = publish(&subject, "busy", 1..=1).await;
    publish(&subject, "quiet", 2..=2).await;
    publish(&subject, "busy", 3..=10).await;
    is_gap(follower.next().await, "lagged", &ids[0]);
    let place = follower.place().await;
    assert_eq!(follower.several(4).await, ["2", "8", "9", "10"], "all that is kept");

    // Whoever was cut off right behind the gap comes back to the same.
    let mut again = subject.follow_after("/sse?topic=quiet&topic=busy", &place).await;
    is_gap(again.next().await, "expired", &place);
    assert_eq!(again.several(4).await, ["2", "8", "9", "10"]);
}

/// Of a quiet topic that is kept which is older than what a busy one has dropped.
#[tokio::test]
async fn all_that_is_kept_of_several_topics_is_given() {
    let subject = Subject::with(keeping(3), SMALL);
    let busy = publish(&subject, "busy", 1..=1).await;
    let quiet = publish(&subject, "quiet", 2..=3).await;
    let dropped = publish(&subject, "busy", 4..=10).await;
    for target in ["/sse?topic=quiet&topic=busy", "/sse/*"] {
        let glue = if target.contains('?') { '&' } else { '?' };
        let mut earliest = subject.follow(&format!("{target}{glue}from=earliest")).await;
        assert_eq!(earliest.several(5).await, ["2", "3", "8", "9", "10"], "no gap");
        let mut last = subject.follow(&format!("{target}{glue}last=4")).await;
        assert_eq!(last.several(4).await, ["3", "8", "9", "10"]);

        let mut unknown = subject.follow_after(target, "00000000-7").await;
        is_gap(unknown.next().await, "unknown", &busy[0]);
        assert_eq!(unknown.several(5).await, ["2", "3", "8", "9", "10"]);

        let mut expired = subject.follow_after(target, &quiet[0]).await;
        is_gap(expired.next().await, "expired", &quiet[0]);
        assert_eq!(expired.several(4).await, ["3", "8", "9", "10"], "nothing twice");

        // With nothing left to give before it, the gap ends behind what was dropped.
        let mut told = subject.follow_after(target, &quiet[1]).await;
        is_gap(told.next().await, "expired", &dropped[3]);
        let mut once = subject.follow_after(target, &told.place().await).await;
        assert_eq!(once.several(3).await, ["8", "9", "10"], "and is told once");
    }
}

/// What was dropped when a subscription began is no news, but what is dropped then is, wherever it lies.
#[tokio::test]
async fn what_a_quiet_topic_drops_while_it_waits_to_be_read_is_told() {
    let subject = Subject::with(keeping(3), SMALL);
    publish(&subject, "busy", 1..=1).await;
    let quiet = publish(&subject, "quiet", 2..=2).await;
    publish(&subject, "busy", 3..=10).await;
    let mut follower = subject.follow("/sse/*?from=earliest").await;
    follower.place().await;
    let erasing = http::Request::delete("/sse/quiet");
    assert_eq!(subject.ask(erasing, "").await.status(), 204);
    let gap = follower.next().await.unwrap();
    assert!(gap.id().unwrap().as_str() > &*quiet[0], "{gap:?}");
    assert_eq!(gap.parse_json::<serde_json::Value>().unwrap()["reason"], "lagged");
    assert_eq!(follower.several(3).await, ["8", "9", "10"]);
}

fn is_gap(event: Option<fanfare_wire::Event>, reason: &str, resumed_from: &str) {
    let gap = event.unwrap();
    assert_eq!(gap.name(), "gap", "{gap:?}");
    let told: serde_json::Value = gap.parse_json().unwrap();
    assert_eq!((&told["reason"], &told["resumed_from"]), (&reason.into(), &resumed_from.into()));
    assert_eq!(gap.id().map(fanfare_wire::EventId::as_str), Some(resumed_from));
}

#[tokio::test]
async fn dropped_events_of_other_topics_are_no_gap() {
    let subject = Subject::with(keeping(3), SMALL);
    let ids = publish(&subject, "quiet", 1..=1).await;
    publish(&subject, "busy", 1..=100).await;
    let mut resumed = subject.follow_after("/sse/quiet", &ids[0]).await;
    publish(&subject, "quiet", 2..=2).await;
    assert_eq!(resumed.data().await, "2");
}

#[tokio::test]
async fn a_topic_that_was_forgotten_may_have_had_events() {
    let limits = Limits { max_age: Some(std::time::Duration::from_secs(1)), ..Limits::default() };
    let retention = Retention { total: limits, ..Retention::default() };
    let subject = Subject::with(retention, SMALL);
    let ids = publish(&subject, "a", 1..=2).await;
    subject.clock.store(10_000, Ordering::SeqCst);
    subject.hub.log().trim(Timestamp(10_000)).await.unwrap();
    assert!(subject.get("/topics").await.1.contains("\"topics\":[]"));
    let mut resumed = subject.follow_after("/sse/a", &ids[0]).await;
    assert_eq!(resumed.next().await.unwrap().name(), "gap");
    let mut complete = subject.follow_after("/sse/a", &ids[1]).await;
    publish(&subject, "a", 3..=3).await;
    assert_eq!(complete.data().await, "3");
}

/// Followers come and go while publishers publish: each is given every event behind its id, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn there_is_no_seam_between_the_log_and_the_present() {
    const EVENTS: u32 = 2000;

    let subject = std::sync::Arc::new(Subject::with(
        Retention::default(),
        Bounds { frames: 50, bytes: 1 << 20 },
    ));
    let publishers: Vec<_> = (0..3)
        .map(|publisher| {
            let subject = subject.clone();
            tokio::spawn(async move {
                for number in 0..EVENTS {
                    let topic = ["a", "b/1", "b/2", "c"][(number % 4) as usize];
                    subject.publish(topic, &format!("{publisher}:{number}")).await;
                    if number % 7 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    let followers: Vec<_> = (0..6_usize)
        .map(|index| {
            let subject = subject.clone();
            tokio::spawn(async move {
                let target = ["/sse/*", "/sse?topic=a&topic=b/*&topic=c"][index % 2];
                let (mut id, mut seen) = (String::new(), vec![]);
                let mut random = fastrand::Rng::with_seed(index as u64);
                while seen.len() < (3 * EVENTS) as usize {
                    let from = if id.is_empty() { "from=earliest" } else { "" };
                    let glue = if target.contains('?') { '&' } else { '?' };
                    let mut follower =
                        subject.follow_after(&format!("{target}{glue}{from}"), &id).await;
                    for _ in 0..random.usize(1..400).min((3 * EVENTS) as usize - seen.len()) {
                        let event = follower.next().await.unwrap();
                        assert_eq!(event.name(), "message", "{event:?}");
                        id = event.id().unwrap().to_string();
                        seen.push((id.clone(), event.data().to_owned()));
                    }
                }
                seen
            })
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    let mut all = vec![];
    let mut follower = subject.follow("/sse/*?from=earliest").await;
    for _ in 0..3 * EVENTS {
        let event = follower.next().await.unwrap();
        all.push((event.id().unwrap().to_string(), event.data().to_owned()));
    }
    for follower in followers {
        let seen = follower.await.unwrap();
        assert!(seen == all, "not the same events");
    }
}
