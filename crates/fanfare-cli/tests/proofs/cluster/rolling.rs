use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use fanfare_client::Policy;
use fastrand::Rng;

use super::{
    broker::{Broker, THREE_REPLICAS},
    hubs::Hubs,
    load::Load,
    site::Site,
};
use crate::support::{Folder, alone, is_soak, seed};

/// What a subscriber is told to wait when its hub ends.
const FAREWELL: &str = "http.farewell_retry=500ms..2500ms";
/// What a bar of the histogram stands for.
const BAR: Duration = Duration::from_millis(250);
const LONGEST_BAR: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn hubs_on_redis_are_restarted_one_after_the_other_under_load() {
    let _alone = alone().await;
    let folder = Folder::new();
    let redis = Broker::redis(&folder, Site::here()).await;
    restart_one_after_the_other(&folder, &redis, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_on_a_cluster_of_nats_are_restarted_one_after_the_other_under_load() {
    let _alone = alone().await;
    let folder = Folder::new();
    let nats = Broker::nats(&folder, &vec![Site::here(); 3]).await;
    restart_one_after_the_other(&folder, &nats, &[THREE_REPLICAS]).await;
}

/// No subscriber misses an event, and they do not come back all at once.
async fn restart_one_after_the_other(folder: &Folder, broker: &Broker, settings: &[&str]) {
    let mut random = Rng::with_seed(seed());
    let settings = [settings, &[FAREWELL]].concat();
    let mut hubs = Hubs::start(folder, vec![Site::here(); 3], &broker.url(), &settings).await;
    let policy = Policy::standard();
    let mut load = Load::start(&hubs.rotation, &policy, &mut random);
    let mut returns = vec![];
    for _ in 0..if is_soak() { 5 } else { 1 } {
        for hub in 0..hubs.count() {
            load.goes_on().await;
            load.are_back_since(Instant::now()).await;
            returns.extend(restart(folder, &mut hubs, hub, &load).await);
        }
    }
    load.goes_on().await;
    let total = load.end(&hubs.rotation.pick()).await;
    hubs.stop_all().await;
    println!(
        "{}, a rolling restart: when subscribers came back\n{}",
        broker.name(),
        bars(&returns)
    );
    total.settle(&format!("{}, a rolling restart", broker.name()));
    let (most, all) = (counts(&returns).into_iter().max().unwrap_or_default(), returns.len());
    // Were all told the same time, more than half of them would come in one moment.
    assert!(all > 0 && most * 3 < all, "{most} of {all} came back within {BAR:?}");
}

/// Restarts a hub as an operator would: out of the rotation, ended, started, back in; tells when
/// subscribers came back, since the hub was told to end.
async fn restart(folder: &Folder, hubs: &mut Hubs, hub: usize, load: &Load) -> Vec<Duration> {
    let url = hubs.url(hub);
    hubs.rotation.take_out(&url);
    let told = Instant::now();
    hubs.stop(hub).await;
    hubs.start_again(folder).await;
    hubs.rotation.put_back(url);
    load.are_back_since(told).await
}

/// How many came in each quarter of a second.
fn counts(returns: &[Duration]) -> Vec<usize> {
    let mut counts = vec![];
    for back in returns {
        let bar = usize::try_from(back.as_millis() / BAR.as_millis()).unwrap();
        counts.resize(counts.len().max(bar + 1), 0);
        counts[bar] += 1;
    }
    counts
}

fn bars(returns: &[Duration]) -> String {
    let mut bars = String::new();
    let counts = counts(returns);
    let most = counts.iter().copied().max().unwrap_or_default().max(LONGEST_BAR);
    for (bar, count) in (0..).zip(counts) {
        let (since, len) = ((BAR * bar).as_millis(), count * LONGEST_BAR / most);
        writeln!(bars, "{since:>6} ms {count:>4} {}", "#".repeat(len)).unwrap();
    }
    bars
}
