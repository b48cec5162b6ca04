//! The hubs that share the log: which there are, and who follows what at each.
//!
//! Each hub tells the others through the log, every two seconds, how many follow what. That counts for six
//! seconds. What a hub tells has a bound, which is smaller the more hubs there are; of what is beyond it only its
//! amount is told.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    TopicName,
    live::Live,
    log::{Heard, Log, ReadError, Report, Timestamp},
    metrics::Metrics,
};

/// How often a hub reports.
const PERIOD: Duration = Duration::from_secs(2);
/// How long a report counts.
const GOOD_FOR: Duration = Duration::from_secs(6);
/// The topics of a report.
const MOST_TOPICS: usize = 1000;
/// The bytes that they take; those of all hubs together.
const MOST_BYTES: usize = 32 * 1024;
const ALL_BYTES: usize = 256 * 1024;

/// The hubs that share the log.
#[derive(Debug)]
pub(crate) struct Roster {
    id: u64,
    name: String,
    since: Timestamp,
    live: Arc<Live>,
    metrics: Arc<Metrics>,
    /// `None` as long as nobody shares the log.
    others: Mutex<Option<Vec<Arc<Other>>>>,
}

/// Another hub.
#[derive(Debug)]
pub(crate) struct Other {
    pub(crate) id: u64,
    heard: Instant,
    told: Told,
}

/// What a hub tells of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    #[serde(flatten)]
    state: HubState,
    #[serde(flatten)]
    followed: Followed,
}

/// What a hub is, and how many it serves.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HubState {
    name: String,
    version: String,
    /// When it started, in milliseconds since 1970.
    since: u64,
    /// Streams that are open.
    subscribers: u64,
}

/// How many follow topics by their names.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Followed {
    /// The topics that most follow.
    topics: BTreeMap<String, usize>,
    left_out: LeftOut,
}

/// What there was no room for. None of these topics is followed by more than any that is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeftOut {
    topics: usize,
    subscribers: usize,
}

impl Roster {
    /// Of a hub that has started now.
    pub(crate) fn new(
        name: String,
        since: Timestamp,
        live: Arc<Live>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { id: fastrand::u64(..), name, since, live, metrics, others: Mutex::new(None) }
    }

    /// Tells and hears until it is dropped, where anybody shares the log.
    pub(crate) async fn keep(self: Arc<Self>, log: Arc<dyn Log>) {
        let mut periods = interval(PERIOD);
        periods.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_heard = true;
        loop {
            periods.tick().await;
            let Some(exchanged) = self.exchange(&*log).await else { return };
            if let Err(error) = &exchanged
                && is_heard
            {
                let error: &dyn std::error::Error = error;
                tracing::warn!(
                    error,
                    "nothing is heard of the other hubs, or they not of this one"
                );
            }
            is_heard = exchanged.is_ok();
        }
    }

    async fn exchange(self: &Arc<Self>, log: &dyn Log) -> Option<Result<(), ReadError>> {
        let this = self.clone();
        // There may be a hundred thousand topics to sort.
        let report = spawn_blocking(move || this.report()).await.ok()?;
        let exchanging = log.exchange(report, GOOD_FOR)?;
        self.heard().get_or_insert_default();
        Some(exchanging.await.map(|heard| self.hear(heard)))
    }

    fn report(&self) -> Report {
        let hubs = 1 + self.others().map_or(0, |others| others.len());
        let followed = Followed::new(self.live.followed_topics(), MOST_BYTES.min(ALL_BYTES / hubs));
        let told = Told { state: self.state(), followed };
        // Names and numbers always serialise.
        Report { hub: self.id, content: serde_json::to_vec(&told).unwrap_or_default().into() }
    }

    fn hear(&self, heard: Vec<Heard>) {
        let others = heard.into_iter().filter_map(Other::read).map(Arc::new).collect();
        *self.heard() = Some(others);
    }

    fn heard(&self) -> MutexGuard<'_, Option<Vec<Arc<Other>>>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What names this hub among the others.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// What this hub is now.
    pub(crate) fn state(&self) -> HubState {
        HubState {
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: self.since.0,
            subscribers: self.metrics.open_streams(),
        }
    }

    /// The other hubs, as they were when they were heard of last; `None` where nobody shares the log.
    pub(crate) fn others(&self) -> Option<Vec<Arc<Other>>> {
        self.heard().clone()
    }

    /// How many hubs are there, with this one.
    pub(crate) fn count(&self) -> usize {
        1 + self.heard().iter().flatten().filter(|other| other.is_there()).count()
    }
}

impl Other {
    /// `None` where it is of a version that tells something else.
    fn read(heard: Heard) -> Option<Self> {
        let Heard { report: Report { hub, content }, age } = heard;
        let told = serde_json::from_slice(&content)
            .inspect_err(|error| tracing::debug!(hub, %error, "what a hub told makes no sense"));
        let now = Instant::now();
        Some(Self { id: hub, heard: now.checked_sub(age).unwrap_or(now), told: told.ok()? })
    }

    pub(crate) fn state(&self) -> &HubState {
        &self.told.state
    }

    pub(crate) fn left_out(&self) -> LeftOut {
        self.told.followed.left_out
    }

    /// How long ago it told that.
    pub(crate) fn age(&self) -> Duration {
        self.heard.elapsed()
    }

    /// Whether it counts.
    pub(crate) fn is_there(&self) -> bool {
        self.age() <= GOOD_FOR
    }

    /// How many follow this topic by its name; `None` if the hub may have left it out.
    pub(crate) fn followers(&self, name: &TopicName) -> Option<usize> {
        let Followed { topics, left_out } = &self.told.followed;
        let told = topics.get(name.as_str()).copied();
        told.or_else(|| left_out.is_nothing().then_some(0))
    }

    /// The topics that it told of.
    pub(crate) fn topics(&self) -> impl Iterator<Item = TopicName> {
        self.told.followed.topics.keys().filter_map(|name| TopicName::new(name).ok())
    }
}

impl Followed {
    /// As many as there is room for.
    fn new(followed: HashMap<TopicName, usize>, mut room: usize) -> Self {
        let mut left_out = LeftOut { topics: followed.len(), subscribers: followed.values().sum() };
        let mut topics = BTreeMap::new();
        for (name, followers) in most_followed(followed) {
            let Some(rest) = room.checked_sub(bytes(&name, followers)) else { break };
            room = rest;
            left_out.topics -= 1;
            left_out.subscribers -= followers;
            topics.insert(name.to_string(), followers);
        }
        Self { topics, left_out }
    }
}

impl LeftOut {
    pub(crate) fn is_nothing(&self) -> bool {
        self.topics == 0
    }
}

/// The topics that most follow, these first.
fn most_followed(followed: HashMap<TopicName, usize>) -> Vec<(TopicName, usize)> {
    let mut topics: Vec<_> = followed.into_iter().collect();
    let order = |(name, followers): &(TopicName, usize), (other, fewer): &(TopicName, usize)| {
        fewer.cmp(followers).then_with(|| name.cmp(other))
    };
    if topics.len() > MOST_TOPICS {
        topics.select_nth_unstable_by(MOST_TOPICS, order);
        topics.truncate(MOST_TOPICS);
    }
    topics.sort_unstable_by(order);
    topics
}

/// What a topic takes in a report: a name in quotes, a colon, a number and a comma.
fn bytes(name: &TopicName, followers: usize) -> usize {
    let escaped = name.as_str().bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count();
    let digits = followers.checked_ilog10().unwrap_or_default() as usize + 1;
    name.as_str().len() + escaped + digits + 4
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use fanfare_fanout::{Bounds, Epoch, Position};

    use super::*;

    fn followed(topics: impl IntoIterator<Item = (String, usize)>) -> HashMap<TopicName, usize> {
        topics.into_iter().map(|(name, count)| (TopicName::new(&name).unwrap(), count)).collect()
    }

    fn roster() -> Roster {
        let live = Arc::new(Live::new(Epoch::from_seed(1), Position::START, Bounds::default()));
        Roster::new("one".to_owned(), Timestamp(1), live, Arc::new(Metrics::new()))
    }

    fn heard(hub: u64, followed: Followed, age: Duration) -> Heard {
        let told = Told { state: roster().state(), followed };
        let content = serde_json::to_vec(&told).unwrap().into();
        Heard { report: Report { hub, content }, age }
    }

    #[test]
    fn a_report_takes_no_more_room_than_it_is_given() {
        let name = |number: usize| format!("\"quoted\" \\ {number}");
        for room in [0, 10, 1000, 5000] {
            let told = Followed::new(followed((0..500).map(|number| (name(number), number))), room);
            let length = serde_json::to_string(&told.topics).unwrap().len();
            // The braces come on top, and the last comma is not there.
            assert!(length <= room + 2, "{length} of {room}");
            let unused = room + 1 - length.min(room);
            assert!(unused < 64, "{unused} of {room} are unused");
            assert_eq!(told.topics.len() + told.left_out.topics, 500);
        }
    }

    #[test]
    fn what_is_left_out_is_what_the_fewest_follow_and_is_counted() {
        let all = (1..=MOST_TOPICS + 2).map(|number| (number.to_string(), number));
        let told = Followed::new(followed(all), usize::MAX);
        assert_eq!(told.left_out, LeftOut { topics: 2, subscribers: 1 + 2 });
        assert_eq!(told.topics.values().min(), Some(&3));
        let equal = ["c", "a", "b"].map(|name| (name.to_owned(), 1));
        let told = Followed::new(followed(equal), 2 * bytes(&TopicName::new("a").unwrap(), 1));
        assert!(told.topics.keys().eq(["a", "b"]), "the same ones each time: {:?}", told.topics);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hub_counts_until_it_has_not_been_heard_of_for_a_while() {
        let roster = roster();
        let second = Duration::from_secs(1);
        let few = || Followed::new(followed([("a".to_owned(), 2)]), 1000);
        roster.hear(vec![heard(2, few(), second), heard(3, few(), 2 * second)]);
        assert_eq!(roster.count(), 3);
        tokio::time::advance(4 * second + second / 2).await;
        assert_eq!(roster.count(), 2);
        tokio::time::advance(second).await;
        assert_eq!(roster.count(), 1);
        let others = roster.others().unwrap();
        assert_eq!(others.len(), 2, "it is told how long ago they were heard of");
        assert_eq!(others[0].age(), 6 * second + second / 2);
    }

    #[tokio::test]
    async fn a_topic_that_may_have_been_left_out_has_an_unknown_number_of_followers() {
        let topics = || followed([("a".to_owned(), 2), ("b".to_owned(), 1)]);
        let [all, some] = [1000, 10].map(|room| heard(2, Followed::new(topics(), room), PERIOD));
        let [all, some] = [all, some].map(|heard| Other::read(heard).unwrap());
        let [a, b, c] = ["a", "b", "c"].map(|name| TopicName::new(name).unwrap());
        assert_eq!([&a, &b, &c].map(|name| all.followers(name)), [Some(2), Some(1), Some(0)]);
        assert_eq!([&a, &b, &c].map(|name| some.followers(name)), [Some(2), None, None]);
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_left_out() {
        let roster = roster();
        let content = Bytes::from_static(b"{\"name\":1}");
        let wrong = Heard { report: Report { hub: 2, content }, age: PERIOD };
        roster.hear(vec![wrong, heard(3, Followed::default(), PERIOD)]);
        assert_eq!(roster.others().unwrap().len(), 1);
    }

    #[test]
    fn the_more_hubs_there_are_the_less_does_each_tell() {
        let roster = roster();
        let many: Vec<_> =
            (0..100).map(|hub| heard(hub, Followed::default(), Duration::ZERO)).collect();
        assert!(many.len() * MOST_BYTES > ALL_BYTES);
        roster.hear(many);
        for number in 0..2000 {
            let name = TopicName::new(&format!("a topic with a longer name {number}")).unwrap();
            let representation = crate::event::Representation {
                format: crate::event::Format::Plain,
                coding: crate::Coding::Identity,
            };
            // It is followed until the end.
            let listening = crate::log::Listening::default();
            std::mem::forget(roster.live.follow(&name.into(), representation, listening));
        }
        let bytes = roster.report().content.len();
        assert!((2000..3000).contains(&bytes), "{bytes}");
    }
}
