use std::{collections::BTreeMap, env, sync::Arc};

use tokio::task::JoinSet;

use crate::{
    answer::{Answer, is_head, parse, show},
    grammar::{Grammar, Words},
    support::{LAST, Running, memory},
};

const WORDS: Words<'static> = Words {
    topics: &["a", "a/b", "b", "c*", "$stats", "$own"],
    ids: &["10000000-1", "10000000-99999", "00000000-1", "x", "10000000--1", "10000000-1\u{fc}"],
    tokens: &[],
};
/// Peers at once.
const PEERS: u64 = 16;

/// From which seed on, and how many requests.
pub(crate) fn extent(short: u64, long: u64) -> (u64, u64) {
    let seed = env::var("FANFARE_SEED").ok().map_or(1, |seed| seed.parse().expect("a number"));
    (seed, if env::var_os("FANFARE_SOAK").is_some() { long } else { short })
}

/// How often each status was answered.
pub(crate) type Statuses = BTreeMap<u16, u64>;

/// Sends the requests of these seeds, and gives each answer to `check`.
pub(crate) async fn send_all(
    hub: &Arc<Running>,
    words: &Arc<Words<'static>>,
    seeds: std::ops::Range<u64>,
    check: fn(&[u8], &[u8], &[Answer]),
) -> Statuses {
    let mut peers = JoinSet::new();
    for first in seeds.start..seeds.start + PEERS {
        let (hub, words, end) = (hub.clone(), words.clone(), seeds.end);
        peers.spawn(async move {
            let mut statuses = Statuses::new();
            for seed in (first..end).step_by(usize::try_from(PEERS).unwrap()) {
                let request = Grammar::new(seed, &words).request();
                let shown = Shown { seed, request: &request };
                let sent = [&request, LAST.as_bytes()].concat();
                let wire = hub.send(&sent).await.0;
                let answers = parse(&wire, is_head(&request));
                answers.iter().for_each(Answer::check);
                check(&request, &wire, &answers);
                for answer in answers {
                    *statuses.entry(answer.status).or_default() += 1;
                }
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
    let (seed, count) = extent(10_000, 1_000_000);
    let words = WORDS;
    let tokens = Vec::leak(vec!["x".to_owned(), "a.b.c".to_owned(), "é".to_owned()]);
    let words = Arc::new(Words { tokens, ..words });
    let hub = Arc::new(Running::start(None).await);
    let is_answered = |_: &[u8], _: &[u8], answers: &[Answer]| {
        assert!(answers.iter().all(|answer| answer.status > 0), "{answers:?}");
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
