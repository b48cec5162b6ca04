//! The log in NATS, of which a hub takes what is followed there.

use fanfare_hub::log::{Committed, Log, NatsLog, NatsOptions, Retention, Timestamp};
use futures_util::TryStreamExt;

use crate::{servers::Nats, subject::*};

/// Hubs of one log; the first is the one that is looked at.
async fn hubs(subject: &Nats) -> [NatsLog; 2] {
    [subject.hub(1, Retention::default()).await, subject.hub(2, Retention::default()).await]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_is_told_what_is_followed_there_and_every_end() {
    let subject = Nats::by_heads();
    let [this, other] = hubs(&subject).await;
    let mut tail = this.tail().unwrap();
    other.put(one("a", "before")).await;
    assert_eq!(this.data(all()).await, ["before"]);
    let listening = this.listen(&select(&["a", "b/*"])).await.unwrap();
    assert!(listening.after >= this.newest(), "what was before is read");
    other.put(one("c", "of nobody")).await;
    other.put(one("a", "1")).await;
    this.put(one("b/x", "2")).await;
    other.put(ends(&["c"])).await;
    other.put(batch(&[("d", "of nobody"), ("b/y", "3")])).await;
    let told = take(&mut tail, 5, data).await;
    assert_eq!(told, ["1", "2", "End(\"c\")", "of nobody", "3"]);
    assert_eq!(this.data(select(&["c"])).await, ["of nobody"], "it can be read");
    drop(listening);
    other.put(one("a", "not told")).await;
    let _listening = this.listen(&select(&["e"])).await.unwrap();
    other.put(one("e", "4")).await;
    assert_eq!(take(&mut tail, 1, data).await, ["4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_body_is_gone_is_said_to_be_skipped() {
    let subject = Nats::by_heads();
    let [this, other] = hubs(&subject).await;
    let _listening = this.listen(&all()).await.unwrap();
    let mut tail = this.tail().unwrap();
    other.put(one("a", "1")).await;
    let (context, name) = subject.stream().await;
    let stream = context.get_stream(&name).await.unwrap();
    let sent =
        stream.get_last_raw_message_by_subject(&format!("{name}.log.event.a")).await.unwrap();
    let sent = async_nats::jetstream::message::PublishMessage::build().headers(sent.headers);
    let again = format!("{name}.log.event.a");
    context.send_publish(again, sent).await.unwrap().await.unwrap();
    let told = take(&mut tail, 2, Clone::clone).await;
    assert_eq!(data(&told[0]), "1");
    assert!(matches!(told[1], Committed::Skipped(_)), "{told:?}");
    other.put(one("a", "2")).await;
    assert_eq!(take(&mut tail, 1, data).await, ["2"]);
}

/// Whether the hub that has begun to read the stream last is given heads only, by what the server knows.
async fn heads_only(subject: &Nats) -> bool {
    let (context, name) = subject.stream().await;
    let stream = context.get_stream(name).await.unwrap();
    let readers: Vec<_> = stream.consumers().try_collect().await.unwrap();
    readers.iter().max_by_key(|reader| reader.created).unwrap().config.headers_only
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_left_out_where_much_comes_that_nobody_follows() {
    let subject = Nats::new();
    let retention = Retention::default;
    let options = NatsOptions { max_unfollowed: 10_000, ..subject.options(retention()) };
    let other = subject.hub(2, retention()).await;
    let this = subject.hub_with(1, options).await;
    let mut tail = this.tail().unwrap();
    let large = "x".repeat(50_000);
    // The tail is read, or it would hold up everything.
    let mut until_readers = async |topic, leave_out| {
        within(async {
            while heads_only(&subject).await != leave_out {
                other.put(one(topic, &large)).await;
                while let Ok(_told) = tail.try_recv() {}
            }
        })
        .await;
    };
    until_readers("a", false).await;
    until_readers("a", true).await;
    let _listening = this.listen(&select(&["b"])).await.unwrap();
    until_readers("b", false).await;
}

/// Who begins to follow a quiet log reads up to where the tail goes on, and waits there.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_comes_to_where_what_is_listened_to_is_told() {
    for subject in [Nats::new(), Nats::by_heads()] {
        let retention = rules([rule("*", max_events(1))]);
        let log = subject.hub(1, retention.clone()).await;
        let other = subject.hub(2, retention).await;
        let reached = async || {
            // Whatever there is has been applied then.
            let newest = log.size().await.map(|_| log.newest()).unwrap();
            let listening = log.listen(&select(&["b"])).await.unwrap();
            assert!(listening.after <= newest, "{listening:?}, {newest:?}");
            let page = log.page(everything(select(&["b"]))).await;
            assert!(listening.after <= page.through, "{listening:?}, {page:?}");
        };
        reached().await;
        other.put(batch(&[("a", "1"), ("a", "2")])).await;
        reached().await;
        other.trim(Timestamp(0)).await.unwrap();
        reached().await;
        other.put(ends(&["a"])).await;
        reached().await;
    }
}
