use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use fanfare_client::Policy;
use fastrand::Rng;
use tokio::time::sleep;

use super::{
    broker::{Broker, THREE_REPLICAS},
    hubs::Hubs,
    load::Load,
    site::Site,
    witnesses::{or_tell, outcome},
};
use crate::support::{Folder, alone, is_soak, seed};

/// Who is killed has been started again after this, at most.
const AWAY: Duration = Duration::from_millis(1500);
/// Answers between two rounds, at most.
const ANSWERS: usize = 200;

/// Who is killed, at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victims {
    Hub,
    TwoHubs,
    /// A server that has the log, drawn at random.
    Node,
    /// The server that leads the others.
    Leader,
    HubAndNode,
    AllHubs,
}

const VICTIMS: [Victims; 6] = [
    Victims::Hub,
    Victims::TwoHubs,
    Victims::Node,
    Victims::Leader,
    Victims::HubAndNode,
    Victims::AllHubs,
];

struct Kills {
    random: Rng,
    folder: Folder,
    broker: Broker,
    hubs: Hubs,
    load: Load,
    done: BTreeMap<Victims, usize>,
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_and_redis_are_killed_at_random_under_load() {
    let _alone = alone().await;
    let folder = Folder::new();
    let redis = Broker::redis(&folder, Site::here()).await;
    kill_at_random(folder, redis, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_and_nats_are_killed_at_random_under_load() {
    let _alone = alone().await;
    let folder = Folder::new();
    let nats = Broker::nats(&folder, &[Site::here()]).await;
    kill_at_random(folder, nats, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_and_a_cluster_of_nats_are_killed_at_random_under_load() {
    let _alone = alone().await;
    let folder = Folder::new();
    let nats = Broker::nats(&folder, &vec![Site::here(); 3]).await;
    kill_at_random(folder, nats, &[THREE_REPLICAS]).await;
}

/// Every acknowledged event comes to every subscriber exactly once and in order.
async fn kill_at_random(folder: Folder, broker: Broker, settings: &[&str]) {
    let (rounds, begun) = (if is_soak() { 60 } else { 2 }, Instant::now());
    let mut kills = Kills::begin(folder, broker, settings).await;
    let going = outcome(kills.rounds(rounds)).await;
    let Kills { broker, mut hubs, load, done, .. } = kills;
    or_tell(going, &broker, &hubs).await;
    let url = hubs.rotation.pick();
    let total = outcome(hubs.while_they_serve(load.end(&url))).await;
    let total = or_tell(total, &broker, &hubs).await;
    hubs.stop_all().await;
    let done: Vec<_> = done.iter().map(|(victims, times)| format!("{victims} {times}")).collect();
    let (name, time, done) = (broker.name(), begun.elapsed(), done.join(", "));
    total.settle(&format!("{name}, {rounds} rounds in {time:.0?} ({done})"));
    assert!(total.was_hard(), "{total}");
}

impl Kills {
    async fn begin(folder: Folder, broker: Broker, settings: &[&str]) -> Self {
        let mut random = Rng::with_seed(seed());
        let hubs = Hubs::start(&folder, vec![Site::here(); 3], &broker.url(), settings).await;
        let policy = Policy::resilient().with_cap(Duration::from_millis(500));
        let load = Load::start(&hubs.rotation, &policy, &mut random);
        Self { random, folder, broker, hubs, load, done: BTreeMap::new() }
    }

    async fn rounds(&mut self, rounds: usize) {
        let mut deck = vec![];
        for _ in 0..rounds {
            if deck.is_empty() {
                deck.extend(VICTIMS.iter().filter(|victims| victims.are_in(&self.broker)));
                self.random.shuffle(&mut deck);
            }
            self.round(deck.pop().unwrap()).await;
        }
    }

    async fn round(&mut self, victims: Victims) {
        self.load.ledger.more_answers(self.random.usize(..ANSWERS)).await;
        sleep(Duration::from_micros(self.random.u64(..5000))).await;
        self.kill(victims).await;
        sleep(AWAY.mul_f64(self.random.f64())).await;
        self.broker.start_again().await;
        self.hubs.start_again(&self.folder).await;
        self.hubs.while_they_serve(self.load.goes_on()).await;
        *self.done.entry(victims).or_default() += 1;
    }

    async fn kill(&mut self, victims: Victims) {
        let node = match victims {
            Victims::Node | Victims::HubAndNode => Some(self.random.usize(..self.broker.nodes())),
            Victims::Leader => Some(self.broker.leader().await),
            Victims::Hub | Victims::TwoHubs | Victims::AllHubs => None,
        };
        if let Some(node) = node {
            self.broker.kill(node).await;
        }
        let mut hubs: Vec<usize> = (0..self.hubs.count()).collect();
        self.random.shuffle(&mut hubs);
        for hub in &hubs[..victims.hubs()] {
            self.hubs.kill(*hub).await;
        }
    }
}

impl Victims {
    /// One node leads nobody.
    fn are_in(self, broker: &Broker) -> bool {
        self != Self::Leader || broker.nodes() > 1
    }

    /// How many of the three hubs.
    fn hubs(self) -> usize {
        match self {
            Self::Node | Self::Leader => 0,
            Self::Hub | Self::HubAndNode => 1,
            Self::TwoHubs => 2,
            Self::AllHubs => 3,
        }
    }
}

impl fmt::Display for Victims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hub => "a hub",
            Self::TwoHubs => "two hubs",
            Self::Node => "a node",
            Self::Leader => "the leader",
            Self::HubAndNode => "a hub and a node",
            Self::AllHubs => "all hubs",
        })
    }
}
