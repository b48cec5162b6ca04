use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use fanfare_client::Policy;
use fastrand::Rng;
use reqwest::Client;
use rustix::process::Signal;
use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::{
    audit::{Audit, Fates},
    followers::{Follower, SELECTIONS},
    publishers::{Life, Publisher},
    requests::Ledger,
    support::{Folder, Hub, alone, client, is_soak, seed},
};

const PUBLISHERS: usize = 16;
/// A hub that is killed while it opens the log lives for less than this.
const OPENING: Duration = Duration::from_millis(150);

struct CrashLoop {
    random: Rng,
    /// A hub is killed after fewer answers than this.
    most_answers: usize,
    folder: Folder,
    client: Client,
    lives: watch::Sender<Life>,
    ledger: Ledger,
    audit: Audit,
    /// Requests that have been looked for after a restart.
    checked: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_killed_again_and_again_keeps_what_it_has_answered() {
    let _alone = alone().await;
    let (kills, most_answers) = if is_soak() { (200, 4000) } else { (8, 400) };
    let begun = Instant::now();
    let mut crashes = CrashLoop::new(seed(), most_answers);
    let publishers = crashes.publishers();
    let (followers, following) = crashes.followers();
    for kill in 0..kills {
        // One in four while it opens the log.
        if kill % 4 == 3 {
            crashes.kill_while_opening().await;
        } else {
            crashes.live_and_be_killed().await;
        }
    }
    let hub = crashes.serve().await;
    crashes.ledger.more_answers(PUBLISHERS).await;
    crashes.lives.send_modify(|life| life.is_last_call = true);
    publishers.join_all().await;
    let fates = crashes.check_all(&hub).await;
    for follower in &followers {
        follower.has_all(&crashes.audit.entries).await;
    }
    hub.stop().await;
    drop(following);
    for follower in &followers {
        follower.check(&crashes.audit.entries);
    }
    let verified = crashes.folder.run(&["log", "verify", "data"]).await;
    assert_eq!(verified.status, Some(0), "{verified:?}");
    println!("crash loop: {kills} kills in {:.0?}, {fates:?}", begun.elapsed());
    if is_soak() {
        // Otherwise it has proved nothing about them.
        assert!(fates.repeated_kept > 0 && fates.unanswered_kept > 0, "{fates:?}");
    }
}

impl CrashLoop {
    fn new(seed: u64, most_answers: usize) -> Self {
        Self {
            random: Rng::with_seed(seed),
            most_answers,
            folder: Folder::new(),
            client: client(),
            lives: watch::Sender::new(Life::default()),
            ledger: Ledger::new(),
            audit: Audit::default(),
            checked: 0,
        }
    }

    fn publishers(&mut self) -> JoinSet<()> {
        let publisher = |number| Publisher {
            number,
            random: self.random.fork(),
            client: client(),
            lives: self.lives.subscribe(),
            ledger: self.ledger.clone(),
        };
        (0..PUBLISHERS).map(publisher).map(Publisher::run).collect()
    }

    fn followers(&self) -> (Vec<Follower>, JoinSet<()>) {
        let followers: Vec<Follower> = SELECTIONS.into_iter().map(Follower::new).collect();
        let run = |follower: &Follower| follower.clone().run(client(), self.lives.subscribe());
        let following = followers.iter().map(run).collect();
        (followers, following)
    }

    /// A hub on the log that is there; it is told to all when what it has was checked.
    async fn serve(&mut self) -> Hub {
        let hub = self.folder.serve(&["--data", "data"]).await;
        let url = hub.url("");
        let inherited = self.audit.read_on(Policy::never(), &self.client, &url).await;
        let sent = self.ledger.sent.lock().unwrap();
        self.audit.check(&sent[self.checked..]);
        self.checked = sent.len();
        drop(sent);
        let number = self.lives.borrow().number + 1;
        self.lives.send_replace(Life { number, url, inherited, is_last_call: false });
        hub
    }

    async fn live_and_be_killed(&mut self) {
        let mut hub = self.serve().await;
        self.ledger.more_answers(self.random.usize(..self.most_answers)).await;
        sleep(Duration::from_micros(self.random.u64(..5000))).await;
        hub.signal(Signal::KILL);
        hub.ended().await;
    }

    async fn kill_while_opening(&mut self) {
        let words = ["serve", "--data", "data", "--listen", "127.0.0.1:0"];
        let mut command = self.folder.command(&words);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut hub = command.spawn().unwrap();
        sleep(OPENING.mul_f64(self.random.f64())).await;
        hub.kill().await.unwrap();
    }

    /// Reads all of the log anew, and looks for everything that was ever sent.
    async fn check_all(&mut self, hub: &Hub) -> Fates {
        let url = hub.url("");
        self.audit.read_on(Policy::never(), &self.client, &url).await;
        let mut anew = Audit::default();
        anew.read_on(Policy::never(), &self.client, &url).await;
        assert!(anew.entries == self.audit.entries, "the log has changed behind what was read");
        self.ledger.held_against(&anew)
    }
}
