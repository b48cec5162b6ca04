use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use reqwest::StatusCode;
use rustix::process::Signal;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    join,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::support::{Folder, Hub, client, free, publish, serve_at, told, until, within};

/// A server that is no hub. What it answers, one connection after the other, it was told: headers, an empty
/// line, and events. With the last answer the connection stays open.
struct Source {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Source {
    async fn start(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(vec![]));
        let serving = tokio::spawn(serve(listener, answers, heads.clone()));
        Self { address, heads, serving }
    }

    fn url(&self) -> String {
        format!("http://{}/news", self.address)
    }

    /// The heads of so many requests.
    async fn heads(&self, count: usize) -> Vec<String> {
        let heads = || self.heads.lock().unwrap().clone();
        until("requests", || async { heads().len() >= count }).await;
        heads()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, answers: &[&str], heads: Arc<Mutex<Vec<String>>>) {
    let mut open = vec![];
    for index in 0.. {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_head(&mut stream).await;
        heads.lock().unwrap().push(head);
        let start = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n";
        let answer = answers[index.min(answers.len() - 1)];
        stream.write_all([start, answer].concat().as_bytes()).await.unwrap();
        if index + 1 >= answers.len() {
            open.push(stream);
        }
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Names and data.
async fn all(folder: &Folder, hub: &Hub, count: usize) -> Vec<String> {
    let events = folder.events(hub, "/sse/news?from=earliest", count).await;
    events.iter().map(|line| told(line)).collect()
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_of_another_hub_is_served_on_with_names_and_ids_of_its_own() {
    let folder = Folder::new();
    let origin = folder.serve(&["--memory"]).await;
    publish(&origin.url("/sse/news?event=greeting"), "before").await;
    let relay = folder.serve(&["--relay", &origin.url("/sse/news")]).await;
    assert_eq!(relay.line("relay"), format!("news from {}", origin.url("/sse/news")));
    publish(&origin.url("/sse/news"), "after").await;
    assert_eq!(all(&folder, &relay, 2).await, ["before", "after"]);
    let events = folder.events(&relay, "/sse/news?from=earliest", 2).await;
    assert!(events[0].contains("greeting"), "{events:?}");
    let metrics = client().get(relay.url("/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("fanfare_relay_connected{topic=\"news\"} 1\n"), "{metrics}");
    assert!(metrics.contains("fanfare_relay_events_total{topic=\"news\"} 2\n"), "{metrics}");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_a_hub_its_relay_and_the_relay_of_that_lose_nothing_and_double_nothing() {
    const EVENTS: usize = 500;
    let (folders, here) = ([(); 3].map(|()| Folder::new()), Folder::new());
    let addresses = [(); 3].map(|()| free());
    let urls = addresses.each_ref().map(|address| format!("http://{address}/sse/news"));
    let start = async |index: usize| {
        let relay = index.checked_sub(1).map(|upstream| ["--relay", &*urls[upstream]]);
        let words = relay.as_ref().map_or(&[][..], |words| words);
        serve_at(&folders[index], &addresses[index], words).await
    };
    let mut hubs = [start(0).await, start(1).await, start(2).await];
    let (answered, mut answers) = watch::channel(0);
    let url = urls[0].clone();
    let publishing = tokio::spawn(async move {
        for number in 0..EVENTS {
            publish(&url, &number.to_string()).await;
            answered.send_replace(number + 1);
        }
    });
    let (follow, count) = (format!("{}?from=earliest", urls[2]), EVENTS.to_string());
    let words = ["sub", &follow, "--quiet", "--json", "--count", &count, "--policy", "resilient"];
    let following = tokio::spawn(crate::support::output(here.command(&words)));
    for round in 0..9 {
        let enough = answers.wait_for(|&count| count >= EVENTS / 10 * (round + 1));
        within("answers", enough).await.unwrap();
        let index = round % hubs.len();
        hubs[index].signal(Signal::KILL);
        hubs[index].ended().await;
        hubs[index] = start(index).await;
    }
    within("all to be published", publishing).await.unwrap();
    let followed = within("the follower", following).await.unwrap();
    let followed: Vec<String> = followed.stdout.lines().map(told).collect();
    assert_eq!(followed, numbers(EVENTS));
    publish(&urls[0], &EVENTS.to_string()).await;
    for hub in &hubs {
        assert_eq!(all(&here, hub, EVENTS + 1).await, numbers(EVENTS + 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_no_hub_is_asked_behind_its_own_ids_also_by_a_new_process() {
    let folder = Folder::new();
    let source = Source::start(&[
        "\r\nid: x1\ndata: 0\n\nid: x2\ndata: 1\n\n",
        "\r\nid: x3\ndata: 2\n\n",
        "\r\nid: x4\ndata: 3\n\n",
    ])
    .await;
    let mut relay = folder.serve(&["--relay", &source.url()]).await;
    assert_eq!(all(&folder, &relay, 4).await, numbers(4));
    relay.signal(Signal::KILL);
    relay.ended().await;
    let relay = folder.serve(&["--relay", &source.url()]).await;
    let heads = source.heads(4).await;
    assert!(
        heads[0].starts_with("GET /news?from=earliest ") && !heads[0].contains("last-event-id")
    );
    assert!(heads[1].contains("last-event-id: x2\r\n"), "{heads:?}");
    assert!(heads[3].starts_with("GET /news ") && heads[3].contains("last-event-id: x4\r\n"));
    assert_eq!(all(&folder, &relay, 5).await, ["0", "1", "2", "3", "3"], "it says so again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_source_without_ids_may_have_lost_is_told_by_a_gap() {
    let folder = Folder::new();
    let source = Source::start(&["\r\ndata: 0\n\n", "\r\ndata: 1\n\n"]).await;
    let mut relay = folder.serve(&["--relay", &source.url()]).await;
    let lost = r#"gap {"reason":"lost"}"#;
    assert_eq!(all(&folder, &relay, 3).await, ["0", lost, "1"]);
    relay.signal(Signal::KILL);
    relay.ended().await;
    let relay = folder.serve(&["--relay", &source.url()]).await;
    assert_eq!(all(&folder, &relay, 5).await, ["0", lost, "1", lost, "1"]);
    let metrics = client().get(relay.url("/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("fanfare_gaps_total{reason=\"lost\"} 1\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_has_dropped_is_told_by_a_gap() {
    let folder = Folder::new();
    let origin = folder.serve(&["--memory", "--set", "log.max_events=2"]).await;
    publish(&origin.url("/sse/news"), "0").await;
    let url = origin.url("/sse/news");
    let relay = folder.serve(&["--relay", &url]).await;
    assert_eq!(all(&folder, &relay, 1).await, ["0"]);
    relay.stop().await;
    for number in 1..=4 {
        publish(&url, &number.to_string()).await;
    }
    let relay = folder.serve(&["--relay", &url]).await;
    assert_eq!(all(&folder, &relay, 4).await, ["0", r#"gap {"reason":"lost"}"#, "3", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_with_another_log_than_before_is_relayed_behind_a_gap() {
    let folder = Folder::new();
    let address = free();
    let origin = serve_at(&folder, &address, &["--memory"]).await;
    publish(&origin.url("/sse/news"), "0").await;
    let relay = folder.serve(&["--relay", &origin.url("/sse/news")]).await;
    assert_eq!(all(&folder, &relay, 1).await, ["0"]);
    origin.stop().await;
    let origin = serve_at(&folder, &address, &["--memory"]).await;
    publish(&origin.url("/sse/news"), "1").await;
    assert_eq!(all(&folder, &relay, 3).await, ["0", r#"gap {"reason":"lost"}"#, "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_whose_topic_has_ended_is_asked_until_it_begins_anew() {
    let folder = Folder::new();
    let origin = folder.serve(&["--memory"]).await;
    let url = origin.url("/sse/news");
    publish(&format!("{url}?end=true"), "0").await;
    let relay = folder.serve(&["--relay", &url]).await;
    relay.says("its topics have ended").await;
    assert_eq!(client().delete(&url).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    publish(&url, "1").await;
    assert_eq!(all(&folder, &relay, 2).await, ["0", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hub_says_when_a_token_expires_is_no_event_of_the_topic() {
    let folder = Folder::new();
    let source = Source::start(&[
        "fanfare-via: other\r\n\r\nid: 1\ndata: 0\n\nevent: expired\ndata: {}\n\n",
        "fanfare-via: other\r\n\r\nevent: expired\nid: 2\ndata: 1\n\n",
    ])
    .await;
    let relay = folder.serve(&["--relay", &source.url()]).await;
    assert_eq!(all(&folder, &relay, 2).await, ["0", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_too_large_here_is_left_out_and_told() {
    let folder = Folder::new();
    let large = format!("\r\ndata: 0\n\ndata: {}\n\ndata: 1\n\n", "x".repeat(5000)).leak();
    let source = Source::start(vec![&*large].leak()).await;
    let words = ["--relay", &source.url(), "--set", "limits.max_body=1KiB"];
    let relay = folder.serve(&words).await;
    let told = all(&folder, &relay, 3).await;
    assert_eq!(told, ["0", r#"gap {"reason":"lost","missed":1}"#, "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_more_than_a_batch_comes_in_several_and_in_order() {
    const EVENTS: usize = 3000;
    let folder = Folder::new();
    let origin = folder.serve(&["--memory"]).await;
    let lines = numbers(EVENTS).join("\n");
    let url = origin.url("/sse/news");
    assert_eq!(folder.feed(&["pub", &url, "--lines"], &lines).await.status, Some(0));
    let relay = folder.serve(&["--relay", &url]).await;
    assert_eq!(all(&folder, &relay, EVENTS).await, numbers(EVENTS));
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_that_relay_from_each_other_are_told_and_nothing_goes_round() {
    let folders = [Folder::new(), Folder::new()];
    let addresses = [free(), free()];
    let relay = |address: &str| format!("http://{address}/sse/news");
    let (first, second) = (relay(&addresses[0]), relay(&addresses[1]));
    let one = serve_at(&folders[0], &addresses[0], &["--relay", &second]).await;
    let other = serve_at(&folders[1], &addresses[1], &["--relay", &first]).await;
    let is_refused = |hub: &Hub| hub.said().contains("in a circle");
    until("the circle", || async { is_refused(&one) || is_refused(&other) }).await;
    let (refused, follower) = if is_refused(&one) { (one, other) } else { (other, one) };
    follower.says("relaying").await;
    let url = refused.url("/sse/news");
    for number in numbers(3) {
        publish(&url, &number).await;
    }
    assert_eq!(all(&folders[1], &follower, 3).await, numbers(3));
    publish(&follower.url("/sse/news"), "3").await;
    assert_eq!(all(&folders[1], &follower, 4).await, numbers(4));
    assert_eq!(all(&folders[0], &refused, 3).await, numbers(3));
    let answer = client().get(&url).header("fanfare-via", epoch(&url).await);
    let answer = answer.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::LOOP_DETECTED);
    assert!(answer.text().await.unwrap().contains("would follow itself"));
    let names = all(&folders[0], &refused, 4).await;
    assert_eq!(names, numbers(4), "what came last was published here");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_circle_of_three_that_begin_at_once_nothing_goes_round_until_it_is_broken() {
    let (folders, addresses) = ([(); 3].map(|()| Folder::new()), [(); 3].map(|()| free()));
    let start = async |index: usize| {
        let upstream = format!("http://{}/sse/news", addresses[(index + 1) % 3]);
        serve_at(&folders[index], &addresses[index], &["--relay", &upstream]).await
    };
    let mut hubs: [Hub; 3] = join!(start(0), start(1), start(2)).into();
    for hub in &hubs {
        publish(&hub.url("/sse/news"), "early").await;
    }
    until("one to find the circle", || async { refused(&hubs).await.is_some() }).await;
    let refused = refused(&hubs).await.unwrap();
    let upstream = (refused + 1) % 3;
    publish(&hubs[refused].url("/sse/news"), "late").await;
    for hub in &hubs {
        until("what comes late", || async { copies(hub, "late").await == 1 }).await;
    }
    for hub in &hubs {
        let copies = copies(hub, "early").await;
        assert!(
            (1..=6).contains(&copies),
            "{copies} of three events, and of each once more at most"
        );
    }
    hubs[upstream].signal(Signal::KILL);
    hubs[upstream].ended().await;
    hubs[upstream] = serve_at(&folders[upstream], &addresses[upstream], &[]).await;
    publish(&hubs[upstream].url("/sse/news"), "anew").await;
    for hub in &hubs {
        until("what comes anew", || async { copies(hub, "anew").await == 1 }).await;
    }
}

/// The only one of them that relays nothing, which has said why.
async fn refused(hubs: &[Hub]) -> Option<usize> {
    let mut refused = vec![];
    for (index, hub) in hubs.iter().enumerate() {
        let metrics = client().get(hub.url("/metrics")).send().await.unwrap().text().await.unwrap();
        if !metrics.contains("fanfare_relay_connected{topic=\"news\"} 1\n") {
            refused.push(index);
        }
    }
    let [only] = *refused else { return None };
    hubs[only].said().contains("in a circle").then_some(only)
}

/// How often the hub has an event with this data.
async fn copies(hub: &Hub, data: &str) -> usize {
    let answer = client().get(hub.url("/topics/news/events?limit=1000")).send().await.unwrap();
    let page: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let events = page["events"].as_array().unwrap();
    events.iter().filter(|event| event["data"] == data).count()
}

/// The epoch of the hub with a topic.
async fn epoch(url: &str) -> String {
    let answer = client().post(url).body("3").send().await.unwrap();
    let answer = answer.text().await.unwrap();
    let id = answer.split('"').nth(3).unwrap();
    id.split('-').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_asks_for_tokens_is_given_one_from_a_file() {
    let folder = Folder::new();
    folder.write("secret", "a secret of thirty-two bytes or more");
    let token = async |rights: &[&str]| {
        let words = [&["token", "--secret-file", "secret"], rights].concat();
        folder.run(&words).await.stdout
    };
    let origin = folder.serve(&["--memory", "--secret-file", "secret"]).await;
    let url = origin.url("/sse/news");
    let publisher = token(&["--publish", "news"]).await;
    let request = client().post(&url).bearer_auth(publisher.trim()).body("0");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    folder.write("token", "none");
    folder.write("relay.toml", &format!("[[relay]]\nurl = \"{url}\"\ntoken_file = \"token\"\n"));
    let words = ["--config", "relay.toml", "--set", "log.memory=true"];
    let relay = folder.serve(&words).await;
    relay.says("asks for another `token`").await;
    folder.write("token", &token(&["--subscribe", "news"]).await);
    assert_eq!(all(&folder, &relay, 1).await, ["0"]);
    assert!(!relay.said().contains("eyJ"), "{}", relay.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_that_is_too_long_is_a_loss() {
    let folder = Folder::new();
    let source = Source::start(&["\r\nid: 1\ndata: 0\n\n"]).await;
    let config = format!("relay = [{{ url = \"{}\", idle_timeout = \"1s\" }}]\n", source.url());
    folder.write("relay.toml", &config);
    let _relay = folder.serve(&["--config", "relay.toml"]).await;
    let heads = source.heads(2).await;
    assert!(heads[1].contains("last-event-id: 1\r\n"), "{heads:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_the_whole_log_leave_the_place_alone() {
    let folder = Folder::new();
    let source = Source::start(&["\r\nid: x1\ndata: 0\n\n", "\r\n:\n\n"]).await;
    let limits = ["--set", "log.max_events=10", "--set", "log.trim_every=100ms"];
    let url = source.url();
    let words = [&["--relay", &*url], &limits[..]].concat();
    let mut relay = folder.serve(&words).await;
    source.heads(2).await;
    for number in numbers(30) {
        publish(&relay.url("/sse/other"), &number).await;
    }
    let place = relay.url("/topics/$relay%2Fnews/events");
    let newest = relay.url("/topics/other/events?limit=1000");
    let id = async |url: &str| {
        let answer = client().get(url).send().await.unwrap().text().await.unwrap();
        let events: Value = serde_json::from_str(&answer).unwrap();
        let id = events["events"].as_array().unwrap().last().map(|event| event["id"].to_string());
        id.and_then(|id| id.trim_matches('"').split_once('-')?.1.parse::<u64>().ok())
    };
    until("the place", || async { id(&place).await > id(&newest).await }).await;
    relay.signal(Signal::KILL);
    relay.ended().await;
    let _relay = folder.serve(&words).await;
    assert!(source.heads(3).await[2].contains("last-event-id: x1\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_relay_is_whole_and_its_place_is_not_exported() {
    let folder = Folder::new();
    let source = Source::start(&["\r\nid: x1\ndata: 0\n\n"]).await;
    let relay = folder.serve(&["--relay", &source.url(), "--data", "data"]).await;
    assert_eq!(all(&folder, &relay, 1).await, ["0"]);
    relay.stop().await;
    let verified = folder.run(&["log", "verify", "data"]).await;
    assert_eq!((verified.status, &*verified.stderr), (Some(0), ""));
    let exported = folder.run(&["log", "export", "data"]).await;
    assert_eq!(exported.stdout, "{\"topic\":\"news\",\"data\":\"0\"}\n");
}

#[tokio::test]
async fn what_is_wrong_with_a_relay_is_told_and_credentials_are_not() {
    let folder = Folder::new();
    folder.write(
        "bad.toml",
        "[[relay]]\nurl = \"ftp://me:secret@hub/sse/news\"\ntokn = \"x\"\n\n[[relay]]\nurl = \"http://hub/sse/*\"\n",
    );
    let end = folder.run(&["config", "check", "bad.toml"]).await;
    let expected = "fanfare: bad.toml:1: relay: relay 1: unknown key `tokn`: did you mean `token`?, url: it is not the URL of a stream, such as \"https://hub.example/sse/news\"; relay 2: its URL names no topic (a trailing * selects many topics: it cannot be in the name of one): say which it is with `topic`\n";
    assert_eq!((end.status, &*end.stderr), (Some(2), expected));
    folder.write(
        "good.toml",
        "[[relay]]\nurl = \"http://me:secret@hub/sse/a%20b\"\ntoken = \"secret\"\nheaders = { x-key = \"secret\" }\n",
    );
    let end = folder.run(&["serve", "--config", "good.toml", "--print-config"]).await;
    let line = r#"{ url = "http://hub/sse/a%20b", topic = "a b", token = "(hidden)", headers = { x-key = "(hidden)" }, from = "earliest", idle_timeout = "45s" }"#;
    assert!(end.stdout.contains(line) && !end.stdout.contains("secret@"), "{}", end.stdout);
    let words = ["serve", "--relay", "http://a/sse/news", "--relay", "http://b/sse/news"];
    let end = folder.run(&words).await;
    assert!(end.stderr.contains("two relays have the topic news"), "{}", end.stderr);
}
