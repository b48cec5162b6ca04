use std::{
    fmt, mem,
    time::{Duration, Instant},
};

use fanfare_client::{EventSource, Item, Policy};
use fastrand::Rng;
use futures_util::StreamExt;
use reqwest::{Client, StatusCode};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::rotation::Rotation;
use crate::{
    audit::Audit,
    followers::{Account, Follower, SELECTIONS},
    requests::{Fate, Keys, Ledger, Request},
    support::{client, is_soak, within},
};

const PUBLISHERS: usize = 8;
/// Between two requests of a publisher.
const PAUSE: Duration = Duration::from_millis(40);
/// How long a publisher waits for an answer.
const ANSWER: Duration = Duration::from_secs(3);
/// Until a publisher asks again who was given no answer, at most, in milliseconds.
const AGAIN: u64 = 100;

/// Who publishes and who follows, at whichever hub there is.
pub(crate) struct Load {
    pub(crate) ledger: Ledger,
    followers: Vec<Follower>,
    /// They end only when something is wrong.
    following: JoinSet<()>,
    publishers: JoinSet<Trouble>,
    is_last_call: watch::Sender<bool>,
    streams: watch::Sender<Streams>,
}

/// The streams of all subscribers.
#[derive(Debug, Default)]
struct Streams {
    /// When each was opened.
    openings: Vec<Instant>,
    /// How many are open.
    open: usize,
}

/// What it came to.
#[derive(Debug)]
pub(crate) struct Total {
    requests: usize,
    acknowledged: usize,
    subscribers: usize,
    streams: usize,
    account: Account,
    trouble: Trouble,
}

/// What publishers had to put up with.
#[derive(Debug, Default, Clone, Copy)]
struct Trouble {
    /// Requests that were sent more than once.
    repeated: usize,
    /// The longest time until one was acknowledged.
    longest: Duration,
}

struct Publisher {
    number: usize,
    random: Rng,
    client: Client,
    rotation: Rotation,
    ledger: Ledger,
}

impl Load {
    pub(crate) fn start(rotation: &Rotation, policy: &Policy, random: &mut Rng) -> Self {
        // A debug build on two slow cores is to bear the short version.
        let subscribers = if is_soak() { 200 } else { 40 };
        let ledger = Ledger::new();
        let (streams, is_last_call) = (watch::Sender::default(), watch::Sender::new(false));
        // Half of them follow exact topics, half patterns.
        let (exact, patterns) = SELECTIONS.split_at(2);
        let selection = |number: usize| match number % 2 {
            0 => exact[number / 2 % exact.len()],
            _ => patterns[number / 2 % patterns.len()],
        };
        let followers: Vec<_> = (0..subscribers).map(selection).map(Follower::new).collect();
        let client = client();
        let mut following = JoinSet::new();
        for follower in &followers {
            let source = rotation.follow(&client, follower.target, policy.clone());
            following.spawn(follow(follower.clone(), source, streams.clone()));
        }
        let publisher = |number| Publisher {
            number,
            random: random.fork(),
            client: client.clone(),
            rotation: rotation.clone(),
            ledger: ledger.clone(),
        };
        let publishers = (0..PUBLISHERS).map(publisher);
        let publishers = publishers.map(|one| one.run(is_last_call.subscribe())).collect();
        Self { ledger, followers, following, publishers, is_last_call, streams }
    }

    /// Waits until every subscriber has a stream; tells when those were opened that were since then.
    pub(crate) async fn are_back_since(&self, since: Instant) -> Vec<Duration> {
        let mut streams = self.streams.subscribe();
        let is_whole = |streams: &Streams| streams.open == self.followers.len();
        let whole = within("all streams", streams.wait_for(is_whole)).await.unwrap();
        whole.openings.iter().filter_map(|opened| opened.checked_duration_since(since)).collect()
    }

    /// Waits until everyone has an answer, and what is newer has come to everyone.
    pub(crate) async fn goes_on(&mut self) {
        self.ledger.more_answers(PUBLISHERS).await;
        let newest = self.ledger.newest();
        for follower in &self.followers {
            follower.has_come_to(newest).await;
        }
        assert!(self.following.try_join_next().is_none(), "a subscriber has given up");
    }

    /// Ends it, and reads the log from a hub, which has to have what was acknowledged.
    pub(crate) async fn end(mut self, url: &str) -> Total {
        self.is_last_call.send_replace(true);
        let troubles = within("the last answers", self.publishers.join_all()).await;
        let mut audit = Audit::default();
        // A hub that cannot reach the log for a while ends streams that have to read it.
        audit.read_on(Policy::resilient(), &client(), url).await;
        for follower in &self.followers {
            follower.has_all(&audit.entries).await;
        }
        assert!(self.following.try_join_next().is_none(), "a subscriber has given up");
        let fates = self.ledger.held_against(&audit);
        let mut account = Account::default();
        for follower in &self.followers {
            let one = follower.account(&audit.entries);
            if !one.is_whole() {
                println!("{one} {}", follower.complaint(&audit.entries));
            }
            account += one;
        }
        Total {
            requests: fates.acknowledged,
            acknowledged: fates.events,
            subscribers: self.followers.len(),
            streams: self.streams.borrow().openings.len(),
            account,
            trouble: troubles.into_iter().fold(Trouble::default(), Trouble::and),
        }
    }
}

/// Follows for ever.
async fn follow(follower: Follower, mut source: EventSource, streams: watch::Sender<Streams>) {
    let mut is_open = false;
    while let Some(item) = source.next().await {
        match item.unwrap() {
            Item::Event(event) => {
                follower.note(event.name(), source.last_event_id(), event.data());
            }
            Item::Opened(_) => {
                is_open = true;
                streams.send_modify(Streams::open);
            }
            Item::Reconnecting { .. } if mem::take(&mut is_open) => {
                streams.send_modify(|streams| streams.open -= 1);
            }
            _ => {}
        }
    }
}

impl Streams {
    fn open(&mut self) {
        self.openings.push(Instant::now());
        self.open += 1;
    }
}

impl Publisher {
    async fn run(mut self, is_last_call: watch::Receiver<bool>) -> Trouble {
        let mut pauses = interval(PAUSE);
        pauses.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trouble = Trouble::default();
        for number in 0.. {
            pauses.tick().await;
            if *is_last_call.borrow() {
                break;
            }
            let request = Request::draw(&mut self.random, self.number, number, Keys::All);
            let begun = Instant::now();
            let (last, attempts) = self.publish(&request).await;
            let repeated = usize::from(attempts > 1);
            trouble = trouble.and(Trouble { repeated, longest: begun.elapsed() });
            self.ledger.note(request, Fate::Acknowledged(last));
        }
        trouble
    }

    /// Asks one hub after the other until it is acknowledged.
    async fn publish(&mut self, request: &Request) -> (u64, usize) {
        for attempts in 1.. {
            let url = self.rotation.pick();
            let answer = timeout(ANSWER, request.send(&self.client, &url)).await.ok().flatten();
            match answer {
                Some(answer) if answer.status != StatusCode::SERVICE_UNAVAILABLE => {
                    return (answer.last(), attempts);
                }
                _ => sleep(Duration::from_millis(self.random.u64(..AGAIN))).await,
            }
        }
        unreachable!("asked for ever")
    }
}

impl Trouble {
    fn and(self, other: Self) -> Self {
        let repeated = self.repeated + other.repeated;
        Self { repeated, longest: self.longest.max(other.longest) }
    }
}

impl Total {
    /// Prints the account, and says no to one that is not whole.
    pub(crate) fn settle(&self, what: &str) {
        println!("{what}: {self}");
        assert!(self.account.is_whole(), "{what}: {self}");
    }

    /// Requests had to be sent again, or it has proved nothing about them.
    pub(crate) fn was_hard(&self) -> bool {
        self.trouble.repeated > 0
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, acknowledged, subscribers, streams, account, trouble } = self;
        let Trouble { repeated, longest } = trouble;
        writeln!(f, "acknowledged {acknowledged} events in {requests} requests, {account}")?;
        write!(
            f,
            "    to {subscribers} subscribers in {streams} streams; {repeated} requests were "
        )?;
        write!(f, "sent more than once, the longest was acknowledged after {longest:.1?}")
    }
}
