use std::time::{Duration, Instant};

use fanfare_client::Policy;
use fastrand::Rng;
use tokio::time::sleep;

use super::{
    broker::{Broker, THREE_REPLICAS},
    hubs::Hubs,
    load::Load,
    network::{Link, Network, Side, leave_for_own_network},
    site::Site,
    witnesses::{or_tell, outcome},
};
use crate::support::{Folder, alone, is_soak, seed};

/// The first of the hubs' sites, and of the servers' that have the log.
const HUBS: u8 = 10;
const NODES: u8 = 20;

/// What is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// A hub from those who publish and follow.
    HubInFront,
    /// A hub from the log. Its subscribers are still there.
    HubBehind,
    /// A server that has the log, drawn at random.
    Node,
    /// The server that leads the others.
    Leader,
}

const CUTS: [Cut; 4] = [Cut::HubInFront, Cut::HubBehind, Cut::Node, Cut::Leader];

struct Partition {
    begun: Instant,
    random: Rng,
    broker: Broker,
    hubs: Hubs,
    load: Load,
    /// A cut is healed after this, at most.
    longest: Duration,
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_and_redis_are_cut_off_from_each_other_under_load() {
    let _alone = alone().await;
    let test = "cluster::partition::hubs_and_redis_are_cut_off_from_each_other_under_load";
    if leave_for_own_network(test).await {
        return;
    }
    let (folder, network) = (Folder::new(), Network::make().await);
    let redis = Broker::redis(&folder, network.site(NODES, &[Side::Back]).await).await;
    cut_at_random(folder, network, redis, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_and_a_cluster_of_nats_are_cut_off_from_each_other_under_load() {
    let _alone = alone().await;
    let test =
        "cluster::partition::hubs_and_a_cluster_of_nats_are_cut_off_from_each_other_under_load";
    if leave_for_own_network(test).await {
        return;
    }
    let (folder, network) = (Folder::new(), Network::make().await);
    let mut nodes = vec![];
    for number in NODES..NODES + 3 {
        nodes.push(network.site(number, &[Side::Back]).await);
    }
    let nats = Broker::nats(&folder, &nodes).await;
    cut_at_random(folder, network, nats, &[THREE_REPLICAS]).await;
}

/// Every acknowledged event comes to every subscriber exactly once and in order.
async fn cut_at_random(folder: Folder, network: Network, broker: Broker, settings: &[&str]) {
    // Longer than subscribers wait for a word, and in the long version than hubs wait for the log.
    let (times, longest) = if is_soak() { (8, 8) } else { (1, 3) };
    if is_soak() && !broker.bears_long_cuts() {
        println!("left out: long cuts, which {} does not bear: docs/guarantees.md", broker.name());
        return;
    }
    let begun = Instant::now();
    let mut random = Rng::with_seed(seed());
    let mut sites: Vec<Site> = vec![];
    for number in HUBS..HUBS + 3 {
        sites.push(network.site(number, &[Side::Front, Side::Back]).await);
    }
    // An address that is not loopback, and no tokens.
    let settings = [settings, &["server.insecure=true"]].concat();
    let hubs = Hubs::start(&folder, sites, &broker.url(), &settings).await;
    let policy = Policy::resilient().with_cap(Duration::from_millis(500));
    let load = Load::start(&hubs.rotation, &policy, &mut random);
    let longest = Duration::from_secs(longest);
    let mut partition = Partition { begun, random, broker, hubs, load, longest };
    let mut cuts = CUTS.repeat(times);
    cuts.retain(|cut| *cut != Cut::Leader || partition.broker.nodes() > 1);
    let rounds = outcome(partition.rounds(&cuts)).await;
    let Partition { broker, mut hubs, load, .. } = partition;
    or_tell(rounds, &broker, &hubs).await;
    let url = hubs.rotation.pick();
    let total = outcome(hubs.while_they_serve(load.end(&url))).await;
    let total = or_tell(total, &broker, &hubs).await;
    hubs.stop_all().await;
    total.settle(&format!("{}, {} cuts in {:.0?}", broker.name(), cuts.len(), begun.elapsed()));
    assert!(total.was_hard() || !is_soak(), "{total}");
}

impl Partition {
    async fn rounds(&mut self, cuts: &[Cut]) {
        for cut in cuts {
            self.round(*cut).await;
        }
    }

    async fn round(&mut self, cut: Cut) {
        self.hubs.while_they_serve(self.load.goes_on()).await;
        let link = self.draw(cut).await;
        let time = self.longest.mul_f64(self.random.f64());
        println!("{:.1?}: {link} is cut for {time:.1?} ({cut:?})", self.begun.elapsed());
        link.cut().await;
        sleep(time).await;
        link.heal().await;
        self.broker.until_all_are_there().await;
        self.hubs.while_they_serve(self.load.goes_on()).await;
    }

    async fn draw(&mut self, cut: Cut) -> Link {
        let node = match cut {
            Cut::Leader => self.broker.leader().await,
            _ => self.random.usize(..self.broker.nodes()),
        };
        let (hub, node) = (HUBS + self.random.u8(..3), NODES + u8::try_from(node).unwrap());
        match cut {
            Cut::HubInFront => Link { site: hub, side: Side::Front },
            Cut::HubBehind => Link { site: hub, side: Side::Back },
            Cut::Node | Cut::Leader => Link { site: node, side: Side::Back },
        }
    }
}
