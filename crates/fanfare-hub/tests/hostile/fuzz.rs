use std::{collections::BTreeMap, env, sync::Arc};

use tokio::{net::TcpStream, task::JoinSet};

use crate::{
    answer::{Answer, is_head, parse, show},
    grammar::{Grammar, Words},
    support::{LAST, Running, memory},
};

const WORDS: Words<'static> = Words {
    topics: &["a", "a/b", "b", "c*", "$stats", "$own"],
    ids: &["10000000-1", "10000000-99999", "00000000-1", "x", "10000000--1", "10000000-1\u{fc}"],
    tokens: &[],
    is_guarded: false,
};
/// Peers at once.
const PEERS: u64 = 16;

/// From which seed on, and how many.
pub(crate) fn extent(short: u64, long: u64) -> (u64, u64) {
    let seed = env::var("FANFARE_SEED").ok().map_or(1, |seed| seed.parse().expect("a number"));
    (seed, if env::var_os("FANFARE_SOAK").is_some() { long } else { short })
}

/// How often each status was answered.
pub(crate) type Statuses = BTreeMap<u16, u64>;

/// A request that was sent, and what came back.
pub(crate) struct Sent {
    pub(crate) request: Vec<u8>,
    pub(crate) wire: Vec<u8>,
    pub(crate) answers: Vec<Answer>,
    /// Which brings more, if the last answer is a stream.
    pub(crate) socket: TcpStream,
}

/// Sends the requests of these seeds, and gives each to `check`.
pub(crate) async fn send_all(
    hub: &Arc<Running>,
    words: &Arc<Words<'static>>,
    seeds: std::ops::Range<u64>,
    check: impl Fn(Sent) + Clone + Send + 'static,
) -> Statuses {
    let mut peers = JoinSet::new();
    for first in seeds.start..seeds.start + PEERS {
        let (hub, words, check, end) = (hub.clone(), words.clone(), check.clone(), seeds.end);
        peers.spawn(async move {
            let mut statuses = Statuses::new();
            for seed in (first..end).step_by(usize::try_from(PEERS).unwrap()) {
                let request = Grammar::new(seed, &words).request();
                let shown = Shown { seed, request: &request };
                let sent = [&request, LAST.as_bytes()].concat();
                let (wire, socket) = hub.send(&sent).await;
                let answers = parse(&wire, is_head(&request));
                for answer in &answers {
                    answer.check();
                    *statuses.entry(answer.status).or_default() += 1;
                }
                let request = request.clone();
                check(Sent { request, wire, answers, socket });
                drop(shown);
            }
            statuses
        });
    }
    let mut all = Statuses::new();
    while let Some(statuses) = peers.join_next().await {
        for (status, count) in statuses.unwrap() {
            *all.entry(status).or_default() += count;
        }
    }
    all
}

/// Tells of the request that something goes wrong with.
struct Shown<'a> {
    seed: u64,
    request: &'a [u8],
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("FANFARE_SEED={}: {}", self.seed, show(self.request));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_requests_are_answered_and_leave_the_hub_whole() {
    let (seed, count) = extent(10_000, 500_000);
    let words = WORDS;
    let tokens = Vec::leak(vec!["x".to_owned(), "a.b.c".to_owned(), "é".to_owned()]);
    let words = Arc::new(Words { tokens, ..words });
    let hub = Arc::new(Running::open().await);
    let is_answered = |Sent { answers, .. }| {
        assert!(answers.iter().all(|answer: &Answer| answer.status > 0), "{answers:?}");
    };
    // What is kept for long is there when a part of them has been sent.
    let first = seed + count / 4;
    let mut statuses = send_all(&hub, &words, seed..first, is_answered).await;
    let before = memory();
    for (status, count) in send_all(&hub, &words, first..seed + count, is_answered).await {
        *statuses.entry(status).or_default() += count;
    }
    let grown = memory().saturating_sub(before);
    println!("{count} requests were answered {statuses:?}; memory has grown by {grown} bytes");
    assert!(grown < 32 << 20, "memory has grown by {grown} bytes");
    assert!([200, 204, 400, 403, 404, 405, 431].iter().all(|status| statuses.contains_key(status)));
    Arc::into_inner(hub).unwrap().end().await;
}
