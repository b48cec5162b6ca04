use std::time::Duration;

use fanfare_client::{Error, EventId, EventSource, Item, Policy};
use futures_util::StreamExt;
use reqwest::StatusCode;
use rustix::process::Signal;
use serde_json::Value;
use tokio::{sync::watch, task::JoinSet};

use crate::support::{Folder, Hub, client, free, publish, serve_at, until, within};

async fn edge(folder: &Folder, origin: &str, words: &[&str]) -> Hub {
    folder.serve(&[&["--log", origin, "--set", "log.linger=100ms"], words].concat()).await
}

async fn get(url: &str) -> (StatusCode, String) {
    let answer = client().get(url).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// How many follow a topic by its name.
async fn subscribers(hub: &Hub, topic: &str) -> u64 {
    let (_, topics) = get(&hub.url("/topics")).await;
    let topics: Value = serde_json::from_str(&topics).unwrap();
    let topics = topics["topics"].as_array().unwrap();
    let topic = topics.iter().find(|one| one["topic"] == topic);
    topic.map_or(0, |topic| topic["subscribers"].as_u64().unwrap())
}

/// A client with its own place.
struct Client {
    stream: EventSource,
    data: Vec<String>,
}

impl Client {
    fn at(url: &str, after: &str) -> Self {
        let source = EventSource::builder(url)
            .policy(Policy::resilient())
            .reconnection_time(Duration::from_millis(20));
        let id = EventId::new(after.to_owned()).unwrap();
        let source = if after.is_empty() { source } else { source.last_event_id(id) };
        Self { stream: source.build().unwrap(), data: vec![] }
    }

    async fn opened(url: &str) -> Self {
        let mut client = Self::at(url, "");
        let open = async { while !matches!(client.next().await, Some(Ok(Item::Opened(_)))) {} };
        within("an answer", open).await;
        client
    }

    async fn next(&mut self) -> Option<Result<Item, Error>> {
        within("an item", self.stream.next()).await
    }

    /// Waits for so many events.
    async fn take(&mut self, count: usize) {
        while self.data.len() < count {
            if let Item::Event(event) = self.next().await.unwrap().unwrap() {
                self.data.push(format!("{} {}", event.name(), event.data()));
            }
        }
    }

    /// The same one, somewhere else.
    fn moved(self, url: &str) -> Self {
        let moved = Self::at(url, self.stream.last_event_id());
        Self { data: self.data, ..moved }
    }
}

fn messages(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("message {number}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_has_one_stream_to_an_edge_as_long_as_somebody_follows_there() {
    let folder = Folder::new();
    let origin = folder.serve(&["--memory"]).await;
    publish(&origin.url("/sse/news"), "before").await;
    let edge = edge(&folder, &origin.url(""), &[]).await;
    assert_eq!(subscribers(&origin, "news").await, 0);
    let mut clients = vec![];
    for _ in 0..20 {
        clients.push(Client::opened(&edge.url("/sse/news")).await);
    }
    publish(&origin.url("/sse/news?event=x&retry=1500"), "after").await;
    for client in &mut clients {
        client.take(1).await;
        assert_eq!(client.data, ["x after"]);
        assert_eq!(client.stream.reconnection_time(), Duration::from_millis(1500));
    }
    assert_eq!(subscribers(&origin, "news").await, 1);
    assert_eq!(subscribers(&edge, "news").await, 20);
    drop(clients);
    until("the linger's end", || async { subscribers(&origin, "news").await == 0 }).await;
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_moves_between_edges_and_origin_and_misses_and_doubles_nothing() {
    const EVENTS: usize = 300;
    let folder = Folder::new();
    let origin = folder.serve(&["--memory"]).await;
    let edges =
        [edge(&folder, &origin.url(""), &[]).await, edge(&folder, &origin.url(""), &[]).await];
    // An edge of an edge.
    let far = edge(&folder, &edges[1].url(""), &[]).await;
    let hubs = [&edges[0], &edges[1], &far, &origin];
    let mut clients = JoinSet::new();
    for (number, path) in ["/sse/news", "/sse?topic=news&topic=other", "/sse/n*"].iter().enumerate()
    {
        let urls = hubs.map(|hub| hub.url(path));
        let mut client = Client::opened(&urls[number]).await;
        clients.spawn(async move {
            for step in 1..=EVENTS / 20 {
                client.take(step * 20).await;
                client = client.moved(&urls[(number + step) % urls.len()]);
            }
            client.take(EVENTS).await;
            client.data
        });
    }
    for number in 0..EVENTS {
        publish(&origin.url("/sse/news"), &number.to_string()).await;
    }
    while let Some(data) = within("a client", clients.join_next()).await {
        assert_eq!(data.unwrap(), messages(EVENTS));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_origin_and_edge_lose_nothing_and_double_nothing() {
    const EVENTS: usize = 300;
    let (folders, addresses) = ([(); 2].map(|()| Folder::new()), [(); 2].map(|()| free()));
    let urls = addresses.each_ref().map(|address| format!("http://{address}"));
    let start = async |index: usize| {
        let words = ["--log", &*urls[0]];
        serve_at(&folders[index], &addresses[index], if index == 0 { &[] } else { &words }).await
    };
    let mut hubs = [start(0).await, start(1).await];
    let mut client = Client::opened(&format!("{}/sse/news", urls[1])).await;
    let (answered, mut answers) = watch::channel(0);
    let url = format!("{}/sse/news", urls[0]);
    let publishing = tokio::spawn(async move {
        for number in 0..EVENTS {
            publish(&url, &number.to_string()).await;
            answered.send_replace(number + 1);
        }
    });
    let following = tokio::spawn(async move {
        client.take(EVENTS).await;
        client.data
    });
    for round in 0..6 {
        let enough = answers.wait_for(|&count| count >= EVENTS / 8 * (round + 1));
        within("answers", enough).await.unwrap();
        let index = round % 2;
        hubs[index].signal(Signal::KILL);
        hubs[index].ended().await;
        hubs[index] = start(index).await;
    }
    within("all to be published", publishing).await.unwrap();
    assert_eq!(within("the client", following).await.unwrap(), messages(EVENTS));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_published_to_the_origin_and_read_at_an_edge() {
    let folder = Folder::new();
    let origin = folder.serve(&["--memory"]).await;
    for data in ["one", "two", "three"] {
        publish(&origin.url("/sse/news/a"), data).await;
    }
    let edge = edge(&folder, &origin.url(""), &[]).await;
    let refused = client().post(edge.url("/sse/news/a")).body("x").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::MISDIRECTED_REQUEST);
    assert!(refused.text().await.unwrap().contains(&origin.url("")));
    let refused = client().delete(edge.url("/sse/news/a")).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::MISDIRECTED_REQUEST);
    for path in ["/topics", "/topics/news%2Fa/events?limit=2"] {
        assert_eq!(get(&edge.url(path)).await, get(&origin.url(path)).await, "{path}");
    }
    for (path, begin) in [("news/*?last=2", 1), ("news/a?from=earliest", 0)] {
        let mut client = Client::at(&edge.url(&format!("/sse/{path}")), "");
        client.take(3 - begin).await;
        assert_eq!(client.data, ["message one", "message two", "message three"][begin..], "{path}");
    }
    let mut stranger = Client::at(&edge.url("/sse/news/a"), "another-7");
    stranger.take(2).await;
    assert!(stranger.data[0].starts_with("gap {\"reason\":\"unknown\""), "{:?}", stranger.data);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_at_the_origin_is_told_as_a_gap_at_an_edge() {
    let folder = Folder::new();
    let words = ["--memory", "--set", "log.max_events=2", "--set", "log.trim_every=10ms"];
    let origin = folder.serve(&words).await;
    let edge = edge(&folder, &origin.url(""), &[]).await;
    let mut client = Client::opened(&edge.url("/sse/news")).await;
    publish(&origin.url("/sse/news"), "0").await;
    client.take(1).await;
    let id = client.stream.last_event_id().to_owned();
    drop(client);
    for number in 1..6 {
        publish(&origin.url("/sse/news"), &number.to_string()).await;
    }
    let is_trimmed = || async { get(&origin.url("/topics")).await.1.contains("\"events\":2,") };
    until("a trim", is_trimmed).await;
    let mut client = Client::at(&edge.url("/sse/news"), &id);
    client.take(3).await;
    assert!(client.data[0].starts_with("gap {\"reason\":\"expired\""), "{:?}", client.data);
    assert_eq!(client.data[1..], ["message 4", "message 5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_topic_is_the_end_of_its_streams_at_an_edge() {
    let folder = Folder::new();
    let origin = folder.serve(&["--memory"]).await;
    let edge = edge(&folder, &origin.url(""), &[]).await;
    let mut clients = vec![];
    for path in ["/sse/answer", "/sse?topic=answer&topic=other"] {
        clients.push(Client::opened(&edge.url(path)).await);
    }
    publish(&origin.url("/sse/answer?end=true"), "42").await;
    for client in &mut clients {
        client.take(1).await;
        assert_eq!(client.data, ["message 42"]);
    }
    // Who follows it alone is told that there is nothing more.
    let ended = loop {
        if let Err(error) = clients[0].next().await.unwrap() {
            break error;
        }
    };
    assert_eq!(ended.status(), Some(StatusCode::NO_CONTENT));
    publish(&origin.url("/sse/other"), "43").await;
    clients[1].take(2).await;
    // It begins anew.
    client().delete(origin.url("/sse/answer")).send().await.unwrap();
    let mut client = Client::opened(&edge.url("/sse/answer")).await;
    publish(&origin.url("/sse/answer"), "44").await;
    client.take(1).await;
    assert_eq!(client.data, ["message 44"]);
    clients[1].take(3).await;
    assert_eq!(clients[1].data, ["message 42", "message 43", "message 44"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_is_away_leaves_streams_open_and_another_log_ends_the_edge() {
    let (folder, address) = (Folder::new(), free());
    let mut origin = serve_at(&folder, &address, &["--memory"]).await;
    let mut edge = edge(&folder, &origin.url(""), &["--set", "log.patience=1s"]).await;
    let mut client = Client::opened(&edge.url("/sse/news")).await;
    publish(&origin.url("/sse/news"), "0").await;
    client.take(1).await;
    origin.signal(Signal::KILL);
    origin.ended().await;
    let is_ready = async || get(&edge.url("/readyz")).await.0;
    until("word that it is away", || async { is_ready().await == 503 }).await;
    assert_eq!(get(&edge.url("/sse/other")).await.0, StatusCode::SERVICE_UNAVAILABLE);
    let _other = serve_at(&folder, &address, &["--memory"]).await;
    assert_eq!(edge.ended().await.code(), Some(1), "{}", edge.said());
    edge.says("another one").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_has_the_rights_of_its_token_and_one_topic_that_it_may_not_read_is_no_harm() {
    let folder = Folder::new();
    folder.write("secret", "a secret that is long enough for everything");
    let origin = folder.serve(&["--memory", "--secret-file", "secret"]).await;
    let words = ["token", "--secret-file", "secret", "--subscribe", "news/*"];
    folder.write("token", &folder.run(&words).await.stdout);
    let edge = edge(&folder, &origin.url(""), &["--set", "log.token_file=token"]).await;
    let mut client = Client::opened(&edge.url("/sse/news/a")).await;
    assert_eq!(get(&edge.url("/sse/other")).await.0, StatusCode::SERVICE_UNAVAILABLE);
    let token = folder.run(&["token", "--secret-file", "secret", "--publish", "*"]).await.stdout;
    let publish =
        crate::support::client().post(origin.url("/sse/news/a")).bearer_auth(token.trim());
    assert_eq!(publish.body("x").send().await.unwrap().status(), StatusCode::OK);
    client.take(1).await;
    assert_eq!(client.data, ["message x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_relays_from_its_own_edge_is_told_that_it_would_follow_itself() {
    let (folder, here) = (Folder::new(), Folder::new());
    let origin = folder.serve(&[]).await;
    let (url, address) = (origin.url(""), origin.url("").replace("http://", ""));
    let edge = edge(&here, &url, &[]).await;
    origin.stop().await;
    let origin = serve_at(&folder, &address, &["--relay", &edge.url("/sse/news")]).await;
    origin.says("hubs relay from each other in a circle").await;
}
