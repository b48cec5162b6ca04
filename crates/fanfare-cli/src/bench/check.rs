//! What has come against what was sent.

use std::{collections::HashMap, ops::Range};

use serde::Serialize;

use super::payload::Mark;

/// Wrong events that are named.
const MOST_NAMED: usize = 5;
/// Gaps that are remembered in all. What comes late in others counts as doubled.
const MOST_GAPS: usize = 1 << 20;

/// Which events go to which subscriber.
///
/// A lane is what one publisher sends to one topic: the order inside it is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lanes {
    pub(super) subscribers: u32,
    pub(super) topics: u32,
    pub(super) publishers: u32,
    /// A subscriber is given one topic, instead of all.
    pub(super) is_by_topic: bool,
}

impl Lanes {
    pub(super) fn count(self) -> usize {
        self.topics as usize * self.publishers as usize
    }

    pub(super) fn of(self, topic: u32, publisher: u32) -> usize {
        topic as usize * self.publishers as usize + publisher as usize
    }

    /// The topic and the publisher of a lane.
    fn names(self, lane: usize) -> (usize, usize) {
        (lane / self.publishers as usize, lane % self.publishers as usize)
    }

    pub(super) fn topic_of(self, subscriber: u32) -> u32 {
        if self.is_by_topic { subscriber % self.topics } else { 0 }
    }

    /// How many subscribers a topic has.
    pub(super) fn subscribers_of(self, topic: u32) -> u32 {
        if !self.is_by_topic {
            return self.subscribers;
        }
        self.subscribers / self.topics + u32::from(topic < self.subscribers % self.topics)
    }

    /// The lanes of one subscriber.
    fn of_subscriber(self, subscriber: u32) -> Range<usize> {
        if !self.is_by_topic {
            return 0..self.count();
        }
        let first = self.of(self.topic_of(subscriber), 0);
        first..first + self.publishers as usize
    }
}

/// What is wrong, in all.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Wrong {
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) out_of_order: u64,
    /// Given to a subscriber of another topic.
    pub(super) astray: u64,
    /// Streams that did not last until the end.
    pub(super) ended_streams: u64,
    pub(super) first: Vec<Named>,
}

/// One event that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Named {
    pub(super) what: &'static str,
    pub(super) subscriber: u32,
    pub(super) topic: u32,
    pub(super) publisher: u32,
    pub(super) number: u64,
}

/// What an event is for its subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    First,
    /// Again, or where it does not belong.
    Wrong,
}

#[derive(Debug)]
pub(super) struct Check {
    lanes: Lanes,
    /// By subscriber, then by lane: the number that comes next.
    next: Vec<u64>,
    /// By the place in `next`: what was passed over, in order.
    gaps: HashMap<usize, Vec<Range<u64>>>,
    gap_count: usize,
    arrived: u64,
    given_up: u64,
    wrong: Wrong,
}

impl Check {
    pub(super) fn new(lanes: Lanes) -> Self {
        let of_one = lanes.of_subscriber(0).len();
        Self {
            lanes,
            next: vec![0; lanes.subscribers as usize * of_one],
            gaps: HashMap::new(),
            gap_count: 0,
            arrived: 0,
            given_up: 0,
            wrong: Wrong::default(),
        }
    }

    /// How many have come, each counted once.
    pub(super) fn arrived(&self) -> u64 {
        self.arrived
    }

    pub(super) fn take(&mut self, subscriber: u32, mark: &Mark) -> Arrival {
        let Some(place) = self.place(subscriber, mark) else {
            self.wrong.astray += 1;
            return self.complain("astray", subscriber, mark);
        };
        let next = &mut self.next[place];
        if mark.number >= *next {
            let gap = *next..mark.number;
            *next = mark.number + 1;
            self.arrived += 1;
            if !gap.is_empty() {
                self.remember(place, gap);
            }
            return Arrival::First;
        }
        if !self.fill(place, mark.number) {
            self.wrong.doubled += 1;
            return self.complain("doubled", subscriber, mark);
        }
        self.arrived += 1;
        self.wrong.out_of_order += 1;
        self.complain("out of order", subscriber, mark);
        Arrival::First
    }

    fn place(&self, subscriber: u32, mark: &Mark) -> Option<usize> {
        let lanes = self.lanes;
        if mark.topic >= lanes.topics || mark.publisher >= lanes.publishers {
            return None;
        }
        let own = lanes.of_subscriber(subscriber);
        let lane = lanes.of(mark.topic, mark.publisher);
        own.contains(&lane).then(|| subscriber as usize * own.len() + lane - own.start)
    }

    #[cold]
    fn remember(&mut self, place: usize, gap: Range<u64>) {
        if self.gap_count == MOST_GAPS {
            self.given_up += gap.end - gap.start;
            return;
        }
        self.gap_count += 1;
        self.gaps.entry(place).or_default().push(gap);
    }

    /// Whether the event was missing until now.
    #[cold]
    fn fill(&mut self, place: usize, number: u64) -> bool {
        let Some(gaps) = self.gaps.get_mut(&place) else { return false };
        let at = gaps.partition_point(|gap| gap.end <= number);
        let Some(gap) = gaps.get(at).filter(|gap| gap.contains(&number)).cloned() else {
            return false;
        };
        let rest = [gap.start..number, number + 1..gap.end];
        let before = gaps.len();
        gaps.splice(at..=at, rest.into_iter().filter(|gap| !gap.is_empty()));
        self.gap_count = self.gap_count + gaps.len() - before;
        true
    }

    #[cold]
    fn complain(&mut self, what: &'static str, subscriber: u32, mark: &Mark) -> Arrival {
        if self.wrong.first.len() < MOST_NAMED {
            let Mark { topic, publisher, number, .. } = *mark;
            self.wrong.first.push(Named { what, subscriber, topic, publisher, number });
        }
        Arrival::Wrong
    }

    /// What should have come, by how much was sent in each lane.
    pub(super) fn expected(&self, sent: &[u64]) -> u64 {
        let each = sent.iter().enumerate().map(|(lane, sent)| {
            let topic = u32::try_from(self.lanes.names(lane).0).unwrap_or(u32::MAX);
            sent * u64::from(self.lanes.subscribers_of(topic))
        });
        each.sum()
    }

    /// What is wrong in the end.
    pub(super) fn finish(mut self, sent: &[u64], ended_streams: u64) -> Wrong {
        self.wrong.ended_streams = ended_streams;
        self.wrong.lost = self.given_up;
        for subscriber in 0..self.lanes.subscribers {
            let own = self.lanes.of_subscriber(subscriber);
            let first_place = subscriber as usize * own.len();
            for (place, lane) in (first_place..).zip(own) {
                let mut gaps = self.gaps.remove(&place).unwrap_or_default();
                gaps.push(self.next[place]..sent[lane].max(self.next[place]));
                for gap in gaps {
                    self.lose(subscriber, lane, gap);
                }
            }
        }
        self.wrong
    }

    fn lose(&mut self, subscriber: u32, lane: usize, gap: Range<u64>) {
        self.wrong.lost += gap.end - gap.start;
        let (topic, publisher) = self.lanes.names(lane);
        let room = MOST_NAMED.saturating_sub(self.wrong.first.len());
        for number in gap.take(room) {
            let topic = u32::try_from(topic).unwrap_or(u32::MAX);
            let publisher = u32::try_from(publisher).unwrap_or(u32::MAX);
            let named = Named { what: "lost", subscriber, topic, publisher, number };
            self.wrong.first.push(named);
        }
    }
}

impl Wrong {
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const LANES: Lanes = Lanes { subscribers: 1, topics: 1, publishers: 1, is_by_topic: true };

    fn mark(topic: u32, number: u64) -> Mark {
        Mark { topic, publisher: 0, number, sent: 0 }
    }

    fn check(numbers: &[u64], sent: u64) -> (u64, Wrong) {
        let mut check = Check::new(LANES);
        for &number in numbers {
            check.take(0, &mark(0, number));
        }
        (check.arrived(), check.finish(&[sent], 0))
    }

    #[test]
    fn each_kind_of_wrong_is_told_from_the_others() {
        let (arrived, wrong) = check(&[0, 2, 1, 3, 3, 6], 8);
        assert_eq!(arrived, 5);
        assert_eq!((wrong.lost, wrong.doubled, wrong.out_of_order), (3, 1, 1));
        let first: Vec<_> = wrong.first.iter().map(|named| (named.what, named.number)).collect();
        let expected = [("out of order", 1), ("doubled", 3), ("lost", 4), ("lost", 5), ("lost", 7)];
        assert_eq!(first, expected);
        assert_eq!(check(&[0, 1, 2], 3), (3, Wrong::default()));
    }

    proptest! {
        /// Against a plain list: lost is what never came, doubled what came again, and out of order
        /// what came first behind a later one.
        #[test]
        fn it_counts_as_a_list_does(numbers in vec(0_u64..12, 0..30)) {
            let (mut seen, mut doubled, mut late) = (vec![], 0, 0);
            for number in &numbers {
                if seen.contains(number) {
                    doubled += 1;
                } else {
                    late += u64::from(seen.iter().any(|other| other > number));
                    seen.push(*number);
                }
            }
            let (arrived, wrong) = check(&numbers, 12);
            prop_assert_eq!(arrived, seen.len() as u64);
            let counted = (wrong.lost, wrong.doubled, wrong.out_of_order);
            prop_assert_eq!(counted, (12 - seen.len() as u64, doubled, late));
        }
    }

    #[test]
    fn subscribers_have_their_own_topics_or_all() {
        let lanes = Lanes { subscribers: 5, topics: 3, publishers: 2, is_by_topic: true };
        assert_eq!([0, 1, 2].map(|topic| lanes.subscribers_of(topic)), [2, 2, 1]);
        let mut check = Check::new(lanes);
        assert_eq!(check.take(4, &mark(1, 0)), Arrival::First);
        assert_eq!(check.take(4, &mark(0, 0)), Arrival::Wrong);
        assert_eq!(check.take(4, &mark(3, 0)), Arrival::Wrong);
        assert_eq!(check.expected(&[1, 0, 10, 0, 100, 0]), 2 + 20 + 100);
        let wrong = check.finish(&[0, 0, 1, 0, 0, 0], 1);
        assert_eq!((wrong.lost, wrong.astray, wrong.ended_streams), (1, 2, 1));

        let all = Lanes { is_by_topic: false, ..lanes };
        let mut check = Check::new(all);
        assert_eq!(check.take(4, &mark(2, 0)), Arrival::First);
        assert_eq!(check.expected(&[1, 0, 1, 0, 1, 0]), 15);
        assert_eq!(check.finish(&[0, 0, 0, 0, 1, 0], 0).lost, 4);
    }
}
