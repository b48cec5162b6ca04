use fanfare_fanout::{Bounds, Position};
use fanfare_hub::{
    Relay, TopicName,
    log::{Read, Retention},
};
use fanfare_wire::{Event, EventName};

use crate::support::Subject;

fn subject() -> Subject {
    let retention = Retention { rules: vec![Relay::retention()], ..Retention::default() };
    Subject::with(retention, Bounds::default())
}

fn relay(subject: &Subject) -> Relay {
    Relay::new(subject.hub.clone(), TopicName::new("news").unwrap(), 1).unwrap()
}

fn gap(data: &'static str) -> Event {
    Event::new(data).with_name(EventName::from_static("gap"))
}

#[tokio::test]
async fn a_passage_and_its_place_are_there_once_however_often_they_are_appended() {
    let subject = subject();
    let relay = relay(&subject);
    assert_eq!(relay.place().await.unwrap(), None);
    let mut passage = relay.passage("x2".into());
    passage.push(&Event::new("1").with_name(EventName::from_static("greeting")));
    passage.push(&Event::new("2"));
    let appended = relay.append(passage.clone()).await.unwrap();
    assert!(relay.append(passage).await.unwrap().is_repeated);
    assert!(relay.is_newest(appended.last));
    assert_eq!(relay.place().await.unwrap().unwrap(), "x2");
    let mut last = relay.passage("".into());
    last.push(&Event::new("3"));
    relay.append(last).await.unwrap();
    assert_eq!(relay.place().await.unwrap().unwrap(), "");
    assert!(!relay.is_newest(appended.last));
    let mut follower = subject.follow("/sse/news?from=earliest").await;
    assert_eq!(follower.next().await.unwrap().name(), "greeting");
    assert_eq!(follower.several(2).await, ["2", "3"]);
}

#[tokio::test]
async fn of_each_topic_one_place_is_kept() {
    let subject = subject();
    let relay = relay(&subject);
    for place in ["x1", "x2", "x3"] {
        relay.append(relay.passage(place.into())).await.unwrap();
    }
    let read = Read {
        selection: TopicName::new("$relay/news").unwrap().into(),
        after: Position::START,
        until: Position::END,
        max_events: 10,
        max_bytes: 1000,
    };
    let page = subject.hub.log().read(read).await.unwrap();
    assert_eq!(page.records.len(), 1);
    assert_eq!(page.records[0].event.data, "x3");
}

#[tokio::test]
async fn gaps_of_an_upstream_are_told_as_lost_and_other_events_of_that_name_are_left_as_they_are() {
    let subject = subject();
    let relay = relay(&subject);
    let mut passage = relay.passage("x1".into());
    passage.push(&gap(r#"{"reason":"expired","requested":"x0","resumed_from":"x1"}"#));
    passage.push(&gap(r#"{"reason":"lagged","missed":3}"#));
    passage.push(&gap(r#"{"reason":"mind it"}"#));
    passage.push(&gap("between trains"));
    relay.append(passage).await.unwrap();
    let mut follower = subject.follow("/sse/news?from=earliest").await;
    let told = follower.several(4).await;
    let lost = [r#"{"reason":"lost"}"#, r#"{"reason":"lost","missed":3}"#];
    assert_eq!(told[..2], lost);
    assert_eq!(told[2..], [r#"{"reason":"mind it"}"#, "between trains"]);
    let (_, metrics) = subject.get("/metrics").await;
    assert!(metrics.contains("fanfare_gaps_total{reason=\"lost\"} 2\n"), "{metrics}");
}
