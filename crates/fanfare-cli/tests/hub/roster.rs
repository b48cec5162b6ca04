use std::{process::Stdio, time::Duration};

use rustix::process::Signal;
use serde_json::Value;
use tokio::{process::Child, time::interval};

use crate::{
    sharing::{Engine, REDIS, Server, on_both, publish},
    support::{Folder, Hub, output, within},
};

/// How long a report counts, and what may pass between looking at that and telling it.
const GOOD_FOR_MS: u64 = 6000 + 500;

async fn get(folder: &Folder, hub: &Hub, path: &str) -> String {
    let end = output(folder.shell(&format!("curl -s '{}'", hub.url(path)))).await;
    assert_eq!(end.status, Some(0), "{end:?}");
    end.stdout
}

/// What `/topics` tells, as soon as it is what is waited for.
async fn topics(folder: &Folder, hub: &Hub, is_so: impl Fn(&Value) -> bool) -> Value {
    let mut looks = interval(Duration::from_millis(50));
    let looking = async {
        loop {
            looks.tick().await;
            let topics = serde_json::from_str(&get(folder, hub, "/topics").await).unwrap();
            check_ages(&topics);
            if is_so(&topics) {
                return topics;
            }
        }
    };
    within("the hubs to hear of each other", looking).await
}

/// Nobody counts who has not been heard of for a while.
fn check_ages(topics: &Value) {
    let hubs = topics["hubs"].as_array().into_iter().flatten();
    let old = hubs.filter(|hub| hub["age"].as_u64().unwrap() > GOOD_FOR_MS);
    for hub in old {
        let id = hub["id"].as_str().unwrap();
        let counted = topics["topics"].as_array().unwrap().iter();
        let mut counted = counted.map(|topic| &topic["subscribers_by_hub"][id]);
        assert!(counted.all(Value::is_null), "{topics}");
    }
}

fn follow(folder: &Folder, hub: &Hub) -> Child {
    let mut command = folder.command(&["sub", "--quiet", &hub.url("/sse/news")]);
    command.stdout(Stdio::null()).spawn().unwrap()
}

fn has(count: usize, subscribers: u64) -> impl Fn(&Value) -> bool {
    move |topics| {
        topics["hubs"].as_array().is_some_and(|hubs| hubs.len() == count)
            && topics["topics"][0]["all_subscribers"] == subscribers
    }
}

on_both! {
    hubs_that_share_a_log_count_together_and_a_dead_one_counts_no_more,
    without_the_log_a_hub_tells_what_it_knows,
}

async fn pair(folder: &Folder, server: &Server) -> [Hub; 2] {
    let log = server.url();
    let [one, other] = ["server.name=one", "server.name=other"];
    [
        folder.serve(&["--log", &log, "--set", one]).await,
        folder.serve(&["--log", &log, "--set", other]).await,
    ]
}

async fn hubs_that_share_a_log_count_together_and_a_dead_one_counts_no_more(engine: Engine) {
    let folder = Folder::new();
    let server = Server::start(&folder, engine).await;
    let [one, other] = pair(&folder, &server).await;
    assert_eq!(publish(&folder, &one, "1").await.0, "200");
    let _following = [&one, &one, &other].map(|hub| follow(&folder, hub));
    let told = topics(&folder, &other, has(2, 3)).await;
    let [this, that] = [&told["hubs"][0], &told["hubs"][1]];
    let topic = &told["topics"][0];
    assert_eq!((&topic["topic"], &topic["events"]), (&"news".into(), &1.into()), "{told}");
    assert_eq!((&topic["subscribers"], &topic["partial"]), (&1.into(), &false.into()), "{told}");
    let by_hub = |hub: &Value| &topic["subscribers_by_hub"][hub["id"].as_str().unwrap()];
    assert_eq!((by_hub(this), by_hub(that)), (&1.into(), &2.into()), "{told}");
    assert_eq!((&this["name"], &that["name"]), (&"other".into(), &"one".into()), "{told}");
    assert_eq!((&this["subscribers"], &that["subscribers"]), (&1.into(), &2.into()), "{told}");
    assert_eq!(this["age"], 0, "{told}");
    assert_eq!(this["version"], that["version"], "{told}");
    assert!(this["since"].as_u64() >= that["since"].as_u64(), "{told}");
    assert!(get(&folder, &other, "/metrics").await.contains("fanfare_hubs 2\n"));
    one.signal(Signal::KILL);
    let told = topics(&folder, &other, has(1, 1)).await;
    assert_eq!(told["topics"][0]["partial"], false, "{told}");
    assert!(get(&folder, &other, "/metrics").await.contains("fanfare_hubs 1\n"));
}

async fn without_the_log_a_hub_tells_what_it_knows(engine: Engine) {
    let folder = Folder::new();
    let mut server = Server::start(&folder, engine).await;
    let hubs = pair(&folder, &server).await;
    assert_eq!(publish(&folder, &hubs[0], "1").await.0, "200");
    let _following = hubs.each_ref().map(|hub| follow(&folder, hub));
    topics(&folder, &hubs[0], has(2, 2)).await;
    server.kill().await;
    let told = topics(&folder, &hubs[0], has(2, 1)).await;
    let topic = &told["topics"][0];
    assert_eq!((&topic["topic"], &topic["subscribers"]), (&"news".into(), &1.into()), "{told}");
    assert_eq!((&topic["events"], &topic["partial"]), (&Value::Null, &true.into()), "{told}");
    server.start_again().await;
    let told = topics(&folder, &hubs[0], has(2, 2)).await;
    assert_eq!(told["topics"][0]["events"], 1, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_the_figures_is_told_how_many_follow_but_not_of_the_hubs() {
    let folder = Folder::new();
    let server = Server::start(&folder, REDIS).await;
    let rights = ["auth.anonymous_subscribe=news", "auth.anonymous_publish=news"];
    let words = ["--log", &server.url(), "--set", rights[0], "--set", rights[1]];
    let hub = folder.serve(&words).await;
    assert_eq!(publish(&folder, &hub, "1").await.0, "200");
    let _following = follow(&folder, &hub);
    let told = topics(&folder, &hub, |topics| topics["topics"][0]["all_subscribers"] == 1).await;
    assert_eq!(told["hubs"], Value::Null, "{told}");
}

#[tokio::test]
async fn a_hub_has_a_name_that_can_be_told() {
    let folder = Folder::new();
    for name in ["", &"x".repeat(101)] {
        let set = format!("server.name={name}");
        let end = folder.run(&["serve", "--print-config", "--set", &set]).await;
        assert_eq!(end.status, Some(2), "{end:?}");
        assert!(end.stderr.contains("1 to 100 bytes"), "{end:?}");
    }
}
