//! Giving dropped events' place on the disk back.
//!
//! Dropping an event only raises its topic's mark. When enough is dropped, whole tables in front of the
//! oldest event that is alive are deleted; if more than half of the rest is dropped too, it is
//! written anew without. That goes on beside everything else, and takes as much room again as what
//! is alive until it is done.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use fjall::compaction::filter::{
    CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict,
};

use super::{
    Shared,
    format::{Bundle, Damaged, Heads, read_index_key, read_position},
    keeper::TOPICS_AT_A_TIME,
    topics::Counters,
};

/// What was alive at one time, and durably so: what was dead then may go.
#[derive(Debug)]
pub(super) struct Alive {
    pub(super) newest: u64,
    next_topic: u64,
    dropped: HashMap<u64, u64>,
    /// No event up to here is alive.
    pub(super) none_until: u64,
}

impl Alive {
    /// What is alive now. It looks at the topics a few at a time: meanwhile more can be dropped, and
    /// what is appended is newer.
    pub(super) fn of(shared: &Shared) -> Self {
        let Counters { newest, next_topic, .. } = shared.topics().counters;
        let mut alive = Self { newest, next_topic, dropped: HashMap::new(), none_until: newest };
        let mut cursor = None;
        loop {
            let topics = shared.topics();
            let mut last = None;
            for (name, topic) in topics.behind(cursor.as_ref()).take(TOPICS_AT_A_TIME) {
                alive.dropped.insert(topic.id, topic.dropped);
                if topic.events > 0 {
                    alive.none_until = alive.none_until.min(topic.oldest - 1);
                }
                last = Some(name.clone());
            }
            if last.is_none() {
                return alive;
            }
            cursor = last;
        }
    }

    fn is_dead(&self, topic: u64, position: u64) -> bool {
        let is_old = position <= self.newest && topic < self.next_topic;
        is_old && self.dropped.get(&topic).is_none_or(|&dropped| position <= dropped)
    }
}

/// Whether dead events may go now. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Reclaiming(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    alive: Option<Arc<Alive>>,
    is_stopped: bool,
}

impl Reclaiming {
    pub(super) fn begin(&self, alive: Arc<Alive>) {
        self.change(|state| state.alive = Some(alive));
    }

    pub(super) fn end(&self) {
        self.change(|state| state.alive = None);
    }

    /// What is going on gives up, and nothing is begun.
    pub(super) fn stop(&self) {
        self.change(|state| state.is_stopped = true);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.change(|state| state.is_stopped)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn alive(&self) -> Option<Arc<Alive>> {
        self.change(|state| state.alive.clone())
    }

    pub(super) fn events(&self) -> EventsFilter {
        EventsFilter(self.clone())
    }

    pub(super) fn index(&self) -> IndexFilter {
        IndexFilter(self.clone())
    }
}

/// Leaves dead events out when bundles are written anew.
pub(super) struct EventsFilter(Reclaiming);

/// Leaves dead rows out when the index is written anew.
pub(super) struct IndexFilter(Reclaiming);

impl Factory for EventsFilter {
    fn name(&self) -> &'static str {
        "dead events"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(Filter { reclaiming: self.0.clone(), alive: self.0.alive(), judge: judge_bundle })
    }
}

impl Factory for IndexFilter {
    fn name(&self) -> &'static str {
        "dead rows"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(Filter { reclaiming: self.0.clone(), alive: self.0.alive(), judge: judge_rows })
    }
}

struct Filter {
    reclaiming: Reclaiming,
    alive: Option<Arc<Alive>>,
    judge: fn(&Alive, &ItemAccessor<'_>) -> CompactionFilterResult,
}

impl CompactionFilter for Filter {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        let Some(alive) = &self.alive else { return Ok(Verdict::Keep) };
        if self.reclaiming.is_stopped() {
            return Err(std::io::Error::other("the log is being closed").into());
        }
        (self.judge)(alive, &item)
    }
}

fn judge_bundle(alive: &Alive, item: &ItemAccessor<'_>) -> CompactionFilterResult {
    // What is damaged is kept: reading it says so.
    Ok(prune(alive, item.key(), &item.value()?.into()).unwrap_or_default())
}

#[expect(clippy::unnecessary_wraps, reason = "the signature is fjall's")]
fn judge_rows(alive: &Alive, item: &ItemAccessor<'_>) -> CompactionFilterResult {
    match read_index_key(item.key()) {
        Ok((topic, bundle)) if alive.is_dead(topic, bundle) => Ok(Verdict::Destroy),
        _ => Ok(Verdict::Keep),
    }
}

/// What becomes of a bundle.
fn prune(alive: &Alive, key: &[u8], bundle: &Bytes) -> Result<Verdict, Damaged> {
    read_position(key)?;
    let mut pruned = Bundle::default();
    let (mut living, mut dead) = (0, 0);
    for head in Heads::read(bundle)? {
        let head = head?;
        if alive.is_dead(head.place.topic, head.position()) {
            dead += head.size();
        } else {
            living += head.size();
            pruned.push(head.place, head.content(bundle)?);
        }
    }
    Ok(match pruned.seal() {
        None => Verdict::Destroy,
        Some((_, bundle)) if dead > living => Verdict::ReplaceValue(bundle.into()),
        Some(_) => Verdict::Keep,
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::format::{Content, Place},
        *,
    };

    fn bundle(events: &[(u64, u64)]) -> Bytes {
        let mut bundle = Bundle::default();
        for &(position, topic) in events {
            let content = Content { name: None, retry: None, data: b"data" };
            bundle.push(Place { position, time: 0, topic }, content);
        }
        bundle.seal().unwrap().1.into()
    }

    /// Topic 1 has dropped up to 5, topic 2 nothing; topic 3 is forgotten; 10 are written.
    fn alive() -> Alive {
        Alive { newest: 10, next_topic: 4, dropped: [(1, 5), (2, 0)].into(), none_until: 0 }
    }

    fn places(bundle: &[u8]) -> Vec<(u64, u64)> {
        let heads = Heads::read(bundle).unwrap().map(Result::unwrap);
        heads.map(|head| (head.position(), head.place.topic)).collect()
    }

    #[test]
    fn a_bundle_goes_when_all_its_events_are_dead() {
        let key = 9_u64.to_be_bytes();
        let pruned = |events: &[(u64, u64)]| prune(&alive(), &key, &bundle(events)).unwrap();
        assert!(matches!(pruned(&[(4, 1), (5, 1), (9, 3)]), Verdict::Destroy));
        assert!(matches!(pruned(&[(4, 1), (6, 1)]), Verdict::Keep), "half of it is alive");
        let Verdict::ReplaceValue(left) = pruned(&[(3, 1), (4, 2), (5, 1), (9, 1), (10, 3)]) else {
            panic!("it is not replaced");
        };
        assert_eq!(places(&left), [(4, 2), (9, 1)]);
    }

    #[test]
    fn what_came_later_is_alive() {
        let alive = alive();
        assert!(!alive.is_dead(3, 11), "it was not written yet");
        assert!(!alive.is_dead(4, 10), "it was not known yet");
        assert!(alive.is_dead(3, 10));
    }

    #[test]
    fn what_is_damaged_is_kept() {
        assert!(prune(&alive(), &[0; 8], &Bytes::from_static(b"\x80")).is_err());
    }
}
