use std::io;

use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::{
    small_disk::{Faults, MIB, RESERVE, Running, SmallDisk, now},
    support::{Folder, alone, client, follow, next, parts, within},
};
use fanfare_client::EventSource;
use rustix::process::Signal;
use tokio::task::JoinSet;

/// A hub over HTTP.
#[derive(Clone)]
struct Remote {
    client: Client,
    url: String,
}

/// An event and its position.
type Placed = (u64, String);

impl Remote {
    fn new(url: &str) -> Self {
        Self { client: client(), url: url.to_owned() }
    }

    async fn post(&self, data: &str, key: Option<&str>) -> Response {
        let post = self.client.post(format!("{}/sse/a", self.url)).body(data.to_owned());
        let post = key.into_iter().fold(post, |post, key| post.header("idempotency-key", key));
        within("an answer", post.send()).await.unwrap()
    }

    /// Publishes, and gives the position.
    async fn publish(&self, data: &str, key: Option<&str>) -> Placed {
        let answer = self.post(data, key).await;
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 200, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        (parts(answer["id"].as_str().unwrap()).1, data.to_owned())
    }

    async fn publish_all(&self, numbers: std::ops::Range<u32>) -> Vec<Placed> {
        let mut placed = vec![];
        for number in numbers {
            placed.push(self.publish(&number.to_string(), None).await);
        }
        placed
    }

    /// A publish is refused as it should be.
    async fn is_refused(&self, data: &str, key: Option<&str>, status: u16, detail: &str) {
        let answer = self.post(data, key).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let retry_after: u32 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..60).contains(&retry_after), "{retry_after}");
        let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
    }

    /// A batch is refused too.
    async fn is_batch_refused(&self, status: u16) {
        let lines = format!("{}\n{}\n", json!({"data": "x"}), json!({"data": "y"}));
        let post = self.client.post(format!("{}/sse/a", self.url)).body(lines);
        let post = post.header("content-type", "application/x-ndjson");
        assert_eq!(within("an answer", post.send()).await.unwrap().status(), status);
    }

    fn follow(&self, target: &str) -> EventSource {
        follow(&self.client, &format!("{}{target}", self.url), "")
    }

    /// All events: what a new subscriber is given before the present.
    async fn all(&self) -> Vec<Placed> {
        let look = self.client.get(format!("{}/topics", self.url)).send();
        let topics: Value =
            serde_json::from_str(&look.await.unwrap().text().await.unwrap()).unwrap();
        let count = topics["topics"][0]["events"].as_u64().unwrap();
        read(&mut self.follow("/sse/a?from=earliest"), count.try_into().unwrap()).await
    }
}

/// The next events of a stream.
async fn read(source: &mut EventSource, count: usize) -> Vec<Placed> {
    let mut placed = vec![];
    for _ in 0..count {
        let event = within("an event", next(source)).await.expect("a stream that goes on");
        assert_eq!(event.name(), "message", "{}", event.data());
        placed.push((parts(source.last_event_id()).1, event.data().to_owned()));
    }
    placed
}

/// A stream of the hub's figures goes on: those of now come.
async fn lives(figures: &mut EventSource) {
    let now = now().0;
    let mut time = 0;
    while time < now {
        let event = within("figures", next(figures)).await.expect("a stream that goes on");
        let figures: Value = event.parse_json().unwrap();
        time = figures["time"].as_u64().unwrap();
    }
}

/// What happens while a disk has too little room, and after.
async fn runs_out_of_room(hub: &Remote, take: impl FnOnce(), give_back: impl FnOnce()) {
    let mut kept = hub.publish_all(0..20).await;
    let mut follower = hub.follow("/sse/a?from=earliest");
    let mut figures = hub.follow("/sse/$stats");
    assert_eq!(read(&mut follower, 20).await, kept);

    take();
    for _ in 0..3 {
        hub.is_refused("refused", Some("key"), 507, "no room, nothing was published").await;
    }
    hub.is_refused("refused", None, 507, "no room, nothing was published").await;
    hub.is_batch_refused(507).await;
    lives(&mut figures).await;
    assert_eq!(hub.all().await, kept, "and nothing else");

    give_back();
    kept.push(hub.publish("refused", Some("key")).await);
    assert_eq!(hub.publish("refused", Some("key")).await, kept[20]);
    kept.extend(hub.publish_all(21..40).await);
    assert_eq!(read(&mut follower, 20).await, kept[20..], "on the same stream");
    assert_eq!(hub.all().await, kept);
    lives(&mut figures).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_says_it_is_full_is_told_until_there_is_room() {
    let _alone = alone().await;
    let (folder, faults) = (Folder::new(), Faults::none());
    let hub = Running::start(folder.path(), &faults).await;
    let take = || faults.set_free_bytes(RESERVE - 1);
    runs_out_of_room(&Remote::new(&hub.url), take, || faults.set_free_bytes(RESERVE)).await;
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_file_system_is_full_until_there_is_room() {
    let _alone = alone().await;
    let folder = Folder::new();
    let Some(disk) = SmallDisk::mount(&folder, 3 * RESERVE).await else { return };
    let hub = disk.serve(&folder, RESERVE).await;
    let take = || disk.take(2 * RESERVE + MIB);
    runs_out_of_room(&Remote::new(&hub.url("")), take, || disk.give_back()).await;
    hub.stop().await;
}

/// A publish that was refused.
struct Refused {
    status: u16,
    data: String,
}

/// Publishes until it is refused; gives what was acknowledged, and what was not.
async fn publish_until_refused(hub: Remote, publisher: u32) -> (Vec<Placed>, Refused) {
    let mut kept = vec![];
    for number in 0.. {
        let data = format!("{publisher}.{number}");
        let answer = hub.post(&data, Some(&data)).await;
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        if status != 200 {
            return (kept, Refused { status, data });
        }
        let answer: Value = serde_json::from_str(&text).unwrap();
        kept.push((parts(answer["id"].as_str().unwrap()).1, data));
    }
    unreachable!("it is refused at some time")
}

/// Four publishers while something happens to the disk.
async fn publish_while(hub: &Remote, happens: impl FnOnce()) -> (Vec<Placed>, Vec<Refused>) {
    let publish = |publisher| publish_until_refused(hub.clone(), publisher);
    let publishers: JoinSet<_> = (0..4).map(publish).collect();
    read(&mut hub.follow("/sse/a?from=earliest"), 50).await;
    happens();
    let (mut kept, mut refused) = (vec![], vec![]);
    for (acknowledged, last) in publishers.join_all().await {
        kept.extend(acknowledged);
        refused.push(last);
    }
    kept.sort_unstable();
    (kept, refused)
}

fn sorted<'a>(data: impl IntoIterator<Item = &'a String>) -> Vec<&'a String> {
    let mut data: Vec<_> = data.into_iter().collect();
    data.sort_unstable();
    data
}

/// After the log was opened again it has all that was acknowledged, and what was refused once at most,
/// or not at all where it was said to be. Repeated, that is there once.
async fn has_recovered(hub: &Remote, kept: &[Placed], refused: &[Refused]) -> Vec<Placed> {
    let turned_up = hub.all().await;
    assert_eq!(turned_up[..kept.len()], *kept);
    for Refused { status, data } in refused {
        let is_there = turned_up.iter().any(|(_, other)| other == data);
        assert!(*status == 503 || (*status == 507 && !is_there), "{status}: {data}");
        hub.publish(data, Some(data)).await;
    }
    let all = hub.all().await;
    assert_eq!(all[..turned_up.len()], turned_up);
    let repeated = sorted(all[kept.len()..].iter().map(|(_, data)| data));
    assert_eq!(repeated, sorted(refused.iter().map(|refused| &refused.data)));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_sync_ends_publishing_until_the_log_is_opened_again() {
    let _alone = alone().await;
    let detail = "the log does not work, nothing was acknowledged";
    does_not_sync(io::ErrorKind::Other, 503, detail).await;
    does_not_sync(io::ErrorKind::StorageFull, 507, "no room, nothing was published").await;
}

/// What happens when a sync fails with this error; later publishes are refused with that.
async fn does_not_sync(error: io::ErrorKind, status: u16, detail: &str) {
    let (folder, faults) = (Folder::new(), Faults::none());
    let running = Running::start(folder.path(), &faults).await;
    let hub = Remote::new(&running.url);
    let mut follower = hub.follow("/sse/a?from=earliest");
    let (kept, refused) = publish_while(&hub, || faults.set_sync_error(Some(error))).await;

    faults.set_sync_error(None);
    hub.is_refused("later", None, status, detail).await;
    hub.is_batch_refused(status).await;
    let ready = hub.client.get(format!("{}/readyz", hub.url)).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    lives(&mut hub.follow("/sse/$stats")).await;
    assert_eq!(read(&mut follower, kept.len()).await, kept, "and nothing else");
    assert_eq!(hub.all().await, kept);
    running.stop().await.unwrap_err();
    assert!(next(&mut follower).await.is_none(), "it was given what nobody can promise");

    let running = Running::start(folder.path(), &faults).await;
    let hub = Remote::new(&running.url);
    let all = has_recovered(&hub, &kept, &refused).await;
    let last_event_id = follower.last_event_id();
    let mut resumed = follow(&hub.client, &format!("{}/sse/a", hub.url), last_event_id);
    assert_eq!(read(&mut resumed, refused.len()).await, all[kept.len()..]);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_reserve_that_is_full_ends_publishing_until_the_log_is_opened_again() {
    let _alone = alone().await;
    let folder = Folder::new();
    let Some(disk) = SmallDisk::mount(&folder, RESERVE).await else { return };
    let mut process = disk.serve(&folder, 0).await;
    let hub = Remote::new(&process.url(""));
    let mut follower = hub.follow("/sse/a?from=earliest");
    let (kept, refused) = publish_while(&hub, || disk.take(u64::MAX)).await;
    lives(&mut hub.follow("/sse/$stats")).await;
    assert_eq!(read(&mut follower, kept.len()).await, kept);
    assert_eq!(hub.all().await, kept);

    disk.give_back();
    hub.is_refused("later", None, 507, "no room").await;
    process.signal(Signal::TERM);
    assert_eq!(process.ended().await.code(), Some(1), "{process:?}");
    let process = disk.serve(&folder, 0).await;
    has_recovered(&Remote::new(&process.url("")), &kept, &refused).await;
    process.stop().await;
}
