//! Channels that are given their events together, up to the same position.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fanfare_fanout::{
    Bounds, Channel, Cursor, Epoch, Frame, LagPolicy, Options, Position, Positions,
};
use fanfare_wire::Event;
use tokio::sync::oneshot;

use crate::{
    Coding, Selection, Selector, TopicName,
    event::{self, Representation},
    log::{Committed, Listening, Record},
};

/// Channels, and how far they are.
#[derive(Debug)]
pub(super) struct Lane {
    epoch: Epoch,
    bounds: Bounds,
    /// Every channel has been given its events up to here.
    delivered: Positions,
    channels: Mutex<Channels>,
    /// Who waits until the streams of an erased topic have ended; `None` when nothing more will be told.
    erasing: Mutex<Option<HashMap<TopicName, Vec<oneshot::Sender<()>>>>>,
}

/// Somebody who waits until the streams of an erased topic have ended.
pub(super) struct Erasing {
    lane: Arc<Lane>,
    name: TopicName,
    done: oneshot::Receiver<()>,
}

#[derive(Debug, Default)]
struct Channels {
    /// Where events go is decided up to here.
    routed: Position,
    followed: HashMap<Selector, Vec<Followed>>,
    is_closed: bool,
    /// The patterns among what is followed.
    patterns: Vec<Selector>,
}

/// A channel, and how many follow it.
#[derive(Debug)]
struct Followed {
    representation: Representation,
    channel: Channel,
    /// It is given what lies behind this position.
    after: Position,
    followers: usize,
}

/// Compressed events.
type Blocks = HashMap<(Position, Representation), Frame>;

/// What a channel is given.
enum Ready {
    Events(Vec<(Position, Event)>),
    Frames(Vec<(Position, Frame)>),
}

/// Which events a channel is to be given.
struct Route {
    channel: Channel,
    /// Those behind this position.
    after: Position,
    representation: Representation,
    events: Vec<(Position, Event)>,
}

/// What somebody follows; dropping it gives the channels up that nobody else follows.
#[derive(Debug)]
pub(crate) struct Following {
    lane: Arc<Lane>,
    channels: Box<[(Selector, Channel)]>,
    /// What has the log tell of that. There is one for each stream, and mostly it is none, so it is small then.
    _listening: Option<Box<Listening>>,
}

impl Lane {
    pub(super) fn new(epoch: Epoch, newest: Position, bounds: Bounds) -> Self {
        let delivered = Positions::new();
        delivered.advance(newest);
        let channels = Mutex::new(Channels { routed: newest, ..Channels::default() });
        Self { epoch, bounds, delivered, channels, erasing: Mutex::new(Some(HashMap::new())) }
    }

    pub(super) fn follow(
        self: &Arc<Self>,
        selection: &Selection,
        representation: Representation,
        listening: Listening,
    ) -> Following {
        let mut channels = self.channels();
        let after = listening.after.max(channels.routed);
        let mut follow = |selector| channels.follow(selector, representation, after, self);
        let followed = selection.selectors().iter().map(&mut follow).collect();
        drop(channels);
        let listening = listening.until_dropped.is_some().then(|| Box::new(listening));
        Following { lane: self.clone(), channels: followed, _listening: listening }
    }

    pub(super) fn is_unfollowed(&self) -> bool {
        self.channels().followed.is_empty()
    }

    /// Gives the channels what the log has committed. What comes behind an end is not for those who followed before.
    pub(super) fn deliver(&self, committed: &[Committed]) {
        committed.split_inclusive(is_end).for_each(|part| self.deliver_up_to_end(part));
    }

    fn deliver_up_to_end(&self, committed: &[Committed]) {
        // Readers have to look themselves for what they are not told.
        if committed.iter().any(is_gap) {
            return self.skip(committed);
        }
        if let Some(newest) = committed.iter().filter_map(position).max() {
            let mut channels = self.channels();
            let routes = channels.route(committed);
            channels.routed = channels.routed.max(newest);
            drop(channels);
            let mut blocks = HashMap::new();
            let ready: Vec<_> =
                routes.into_iter().map(|one| self.ready(one, &mut blocks)).collect();
            // Outside the lock, since readers are woken; and one behind the other, since who reads
            // several channels waits until all have theirs.
            for (channel, frames) in ready {
                // It may have been closed.
                let _ = match frames {
                    Ready::Events(events) => channel.append_at(events),
                    Ready::Frames(frames) => channel.append_frames(frames),
                };
            }
            self.delivered.advance(newest);
        }
        self.end(committed);
    }

    /// What a channel is given. What is compressed once is a block for all who take the same.
    fn ready(&self, route: Route, blocks: &mut Blocks) -> (Channel, Ready) {
        let Route { channel, representation, events, .. } = route;
        if representation.coding == Coding::Identity {
            return (channel, Ready::Events(events));
        }
        let frame = |(position, event): (Position, Event)| {
            let block = blocks.entry((position, representation)).or_insert_with(|| {
                representation.coding.block(event.with_id(self.epoch.id(position)).to_bytes())
            });
            (position, block.clone())
        };
        (channel, Ready::Frames(events.into_iter().map(frame).collect()))
    }

    /// Leaves out what the log has committed: readers go to the log.
    pub(super) fn skip(&self, committed: &[Committed]) {
        if let Some(newest) = committed.iter().filter_map(position).max() {
            let mut channels = self.channels();
            channels.routed = channels.routed.max(newest);
            let followed = channels.all();
            drop(channels);
            for channel in followed {
                channel.skip_to(newest);
            }
            self.delivered.advance(newest);
        }
        self.end(committed);
    }

    /// Ends the streams of topics that have ended or were erased, or may have.
    fn end(&self, committed: &[Committed]) {
        for one in committed.iter().filter(|one| is_end(one)) {
            let ended = match ended(one) {
                Some(name) => self.channels().take(name),
                None => self.channels().take_topics(),
            };
            ended.iter().for_each(Channel::close);
            self.tell_erased(one);
        }
    }

    /// Is ready when the next erasure of this topic has ended its streams.
    pub(super) fn when_erased(self: &Arc<Self>, name: &TopicName) -> Erasing {
        let (sender, done) = oneshot::channel();
        if let Some(erasing) = &mut *self.erasing() {
            erasing.entry(name.clone()).or_default().push(sender);
        }
        Erasing { lane: self.clone(), name: name.clone(), done }
    }

    fn tell_erased(&self, committed: &Committed) {
        let mut erasing = self.erasing();
        let Some(waiting) = &mut *erasing else { return };
        match committed {
            Committed::Erased(name, _) => drop(waiting.remove(name)),
            Committed::Missed(_) => waiting.clear(),
            Committed::Event(_) | Committed::End(_) | Committed::Skipped(_) => {}
        }
    }

    /// Nobody is told of erasures any more, so nobody is to wait for them.
    pub(super) fn tell_no_more(&self) {
        *self.erasing() = None;
    }

    fn erasing(&self) -> MutexGuard<'_, Option<HashMap<TopicName, Vec<oneshot::Sender<()>>>>> {
        self.erasing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the streams of all who follow anything.
    pub(super) fn close(&self) {
        let mut channels = self.channels();
        channels.is_closed = true;
        let followed = channels.all();
        drop(channels);
        followed.iter().for_each(Channel::close);
    }

    /// How many follow this topic by its name.
    pub(super) fn followers(&self, name: &TopicName) -> usize {
        let channels = self.channels();
        channels.followed.get(&Selector::Topic(name.clone())).map_or(0, |followed| count(followed))
    }

    /// The topics that are followed by name, and how many follow each.
    pub(super) fn followed_topics(&self) -> Vec<(TopicName, usize)> {
        let channels = self.channels();
        let topics = channels.followed.iter().filter_map(|(selector, followed)| match selector {
            Selector::Topic(name) => Some((name, followed)),
            Selector::Prefix(_) => None,
        });
        topics.map(|(name, followed)| (name.clone(), count(followed))).collect()
    }

    fn channels(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn channel(&self, after: Position) -> Channel {
        Channel::new(Options {
            bounds: self.bounds,
            lag_policy: LagPolicy::Gap,
            positions: self.delivered.clone(),
            epoch: Some(self.epoch),
            after,
        })
    }
}

impl Erasing {
    /// Waits. It is told by dropping the other end.
    pub(super) async fn done(mut self) {
        let _ = (&mut self.done).await;
    }
}

impl Drop for Erasing {
    fn drop(&mut self) {
        self.done.close();
        let mut erasing = self.lane.erasing();
        let Some(erasing) = &mut *erasing else { return };
        if let Some(waiting) = erasing.get_mut(&self.name) {
            waiting.retain(|sender| !sender.is_closed());
            if waiting.is_empty() {
                erasing.remove(&self.name);
            }
        }
    }
}

/// How many follow any of these channels.
fn count(followed: &[Followed]) -> usize {
    followed.iter().map(|followed| followed.followers).sum()
}

pub(super) fn record(committed: &Committed) -> Option<&Record> {
    match committed {
        Committed::Event(record) => Some(record),
        Committed::End(_)
        | Committed::Erased(..)
        | Committed::Skipped(_)
        | Committed::Missed(_) => None,
    }
}

pub(super) fn position(committed: &Committed) -> Option<Position> {
    match committed {
        Committed::Event(record) => Some(record.position),
        Committed::Skipped(position) | Committed::Missed(position) => Some(*position),
        Committed::End(_) | Committed::Erased(..) => None,
    }
}

fn ended(committed: &Committed) -> Option<&TopicName> {
    match committed {
        Committed::Event(_) | Committed::Skipped(_) | Committed::Missed(_) => None,
        Committed::End(name) | Committed::Erased(name, _) => Some(name),
    }
}

/// Something is not told.
fn is_gap(committed: &Committed) -> bool {
    matches!(committed, Committed::Skipped(_) | Committed::Missed(_))
}

/// It may end streams.
fn is_end(committed: &Committed) -> bool {
    ended(committed).is_some() || matches!(committed, Committed::Missed(_))
}

impl Channels {
    /// One follower more; its selector shares memory with those of others.
    fn follow(
        &mut self,
        selector: &Selector,
        representation: Representation,
        after: Position,
        lane: &Lane,
    ) -> (Selector, Channel) {
        if let Selector::Prefix(_) = selector
            && !self.followed.contains_key(selector)
        {
            self.patterns.push(selector.clone());
        }
        let entry = self.followed.entry(selector.clone());
        let selector = entry.key().clone();
        let followed = entry.or_default();
        let index = followed.iter().position(|one| one.representation == representation);
        let index = index.unwrap_or_else(|| {
            let channel = lane.channel(after);
            followed.push(Followed { representation, channel, after, followers: 0 });
            followed.len() - 1
        });
        followed[index].followers += 1;
        (selector, followed[index].channel.clone())
    }

    /// All channels.
    fn all(&self) -> Vec<Channel> {
        self.followed.values().flatten().map(|followed| followed.channel.clone()).collect()
    }

    /// One follower less.
    fn give_up(&mut self, selector: &Selector, channel: &Channel) -> Option<Channel> {
        let all = self.followed.get_mut(selector)?;
        let index = all.iter().position(|one| one.channel.is_same(channel))?;
        all[index].followers -= 1;
        if all[index].followers > 0 {
            return None;
        }
        let unfollowed = all.swap_remove(index);
        if all.is_empty() {
            self.remove(selector);
        }
        Some(unfollowed.channel)
    }

    fn remove(&mut self, selector: &Selector) -> Vec<Followed> {
        self.patterns.retain(|pattern| pattern != selector);
        self.followed.remove(selector).unwrap_or_default()
    }

    /// The channels of a topic that is no more.
    fn take(&mut self, name: &TopicName) -> Vec<Channel> {
        let followed = self.remove(&Selector::Topic(name.clone()));
        followed.into_iter().map(|followed| followed.channel).collect()
    }

    /// The channels of all topics; those of patterns have no end.
    fn take_topics(&mut self) -> Vec<Channel> {
        let topics = self.followed.extract_if(|selector, _| matches!(selector, Selector::Topic(_)));
        topics.flat_map(|(_, followed)| followed).map(|followed| followed.channel).collect()
    }

    /// Which events each channel is given: none that have been skipped.
    fn route(&self, committed: &[Committed]) -> Vec<Route> {
        let mut routes: HashMap<&Selector, Vec<Route>> = HashMap::new();
        let records = committed.iter().filter_map(record);
        for record in records.filter(|record| record.position > self.routed) {
            for (selector, followed) in self.followed_by(record) {
                let begin = || followed.iter().map(Route::to).collect();
                let routes = routes.entry(selector).or_insert_with(begin);
                for route in routes.iter_mut().filter(|route| record.position > route.after) {
                    route.add(record);
                }
            }
        }
        routes.into_values().flatten().collect()
    }

    fn followed_by(&self, record: &Record) -> impl Iterator<Item = (&Selector, &[Followed])> {
        let name = &record.event.topic;
        let exact = self.followed.get_key_value(&Selector::Topic(name.clone()));
        let patterns = self.patterns.iter().filter(|pattern| pattern.matches(name));
        let by_pattern = patterns.filter_map(|pattern| self.followed.get_key_value(pattern));
        exact.into_iter().chain(by_pattern).map(|(selector, followed)| (selector, &**followed))
    }
}

impl Route {
    fn to(followed: &Followed) -> Self {
        let Followed { representation, channel, after, .. } = followed;
        let (channel, representation) = (channel.clone(), *representation);
        Self { channel, after: *after, representation, events: vec![] }
    }

    fn add(&mut self, record: &Record) {
        let event = event::of_record(record, self.representation.format);
        self.events.push((record.position, event));
    }
}

impl Following {
    /// Whether all streams have been ended.
    pub(crate) fn is_over(&self) -> bool {
        self.lane.channels().is_closed
    }

    /// Readers of what is newer than `position`; `None` when the channels have not all of that.
    pub(crate) fn cursors(&self, position: Position) -> Option<Vec<Cursor>> {
        self.channels.iter().map(|(_, channel)| channel.cursor_after(position)).collect()
    }

    /// The channels, which share their positions.
    pub(crate) fn channels(&self) -> Vec<Channel> {
        self.channels.iter().map(|(_, channel)| channel.clone()).collect()
    }

    /// What is followed.
    pub(crate) fn selection(&self) -> Selection {
        Selection::new(self.channels.iter().map(|(selector, _)| selector.clone()))
    }

    /// The highest position up to which everything is in the channels; load it before reading.
    pub(crate) fn delivered(&self) -> Position {
        self.lane.delivered.newest()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut given_up = vec![];
        let mut channels = self.lane.channels();
        for (selector, channel) in &self.channels {
            given_up.extend(channels.give_up(selector, channel));
        }
        drop(channels);
        // Their memory is freed outside the lock.
        drop(given_up);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;
    use crate::{event::Format, log::NewEvent};

    const PLAIN: Representation =
        Representation { format: Format::Plain, coding: Coding::Identity };

    fn lane() -> Arc<Lane> {
        Arc::new(Lane::new(Epoch::from_seed(1), Position::START, Bounds::default()))
    }

    fn topic(name: &str) -> TopicName {
        TopicName::new(name).unwrap()
    }

    fn event(position: u64, name: &str) -> Committed {
        let event =
            NewEvent { topic: topic(name), name: None, retry: None, data: "x".to_owned().into() };
        let time = crate::log::Timestamp(0);
        Committed::Event(Record { position: Position(position), time, event })
    }

    /// The position of the newest event that a follower is given before the end.
    fn last(cursor: &mut Cursor) -> Option<Position> {
        let mut last = None;
        while let Ok(Some(run)) = cursor.read(usize::MAX, Position::END) {
            last = Some(run.last);
        }
        last
    }

    #[test]
    fn an_event_behind_the_end_of_a_topic_is_not_given_to_those_who_followed_before() {
        let lane = lane();
        let following = lane.follow(&topic("a").into(), PLAIN, Listening::default());
        let mut cursors = following.cursors(Position::START).unwrap();
        let erased = Committed::Erased(topic("a"), Position(1));
        lane.deliver(&[event(1, "a"), erased, event(2, "a"), event(3, "b")]);
        assert_eq!(last(&mut cursors[0]), Some(Position(1)));
        assert_eq!(following.delivered(), Position(3));
    }

    #[test]
    fn when_ends_may_have_been_missed_topics_end_and_nobody_waits_for_an_erasure() {
        let lane = lane();
        let [one, all] = ["a", "*"]
            .map(|text| Selection::new([Selector::new(text).unwrap()]))
            .map(|selection| lane.follow(&selection, PLAIN, Listening::default()));
        let mut erasing = Box::pin(lane.when_erased(&topic("b")).done());
        let mut context = Context::from_waker(Waker::noop());
        assert!(erasing.as_mut().poll(&mut context).is_pending());
        lane.deliver(&[event(1, "a"), Committed::Missed(Position(2))]);
        assert!(erasing.as_mut().poll(&mut context).is_ready());
        assert_eq!(lane.followers(&topic("a")), 0);
        lane.deliver(&[event(3, "a")]);
        assert!(one.cursors(Position(2)).is_none_or(|mut cursors| last(&mut cursors[0]).is_none()));
        assert_eq!(last(&mut all.cursors(Position(2)).unwrap()[0]), Some(Position(3)));
    }

    #[test]
    fn a_channel_begins_where_the_tail_begins_to_tell_of_it() {
        let lane = lane();
        let listening = Listening { after: Position(3), ..Listening::default() };
        let following = lane.follow(&topic("a").into(), PLAIN, listening);
        assert!(following.cursors(Position(2)).is_none(), "the log has what is before");
        let mut cursors = following.cursors(Position(3)).unwrap();
        lane.deliver(&[event(2, "a"), event(3, "a")]);
        assert_eq!(last(&mut cursors[0]), None);
        lane.deliver(&[event(4, "a")]);
        assert_eq!(last(&mut cursors[0]), Some(Position(4)));
    }

    #[test]
    fn who_no_longer_waits_for_an_erasure_is_forgotten() {
        let lane = lane();
        let [one, other] = [(); 2].map(|()| lane.when_erased(&topic("a")));
        drop(one);
        assert_eq!(lane.erasing().as_ref().unwrap()[&topic("a")].len(), 1);
        drop(other);
        assert!(lane.erasing().as_ref().unwrap().is_empty());
    }

    #[test]
    fn when_nothing_more_is_told_nobody_waits() {
        let lane = lane();
        let mut before = Box::pin(lane.when_erased(&topic("a")).done());
        lane.tell_no_more();
        let mut after = Box::pin(lane.when_erased(&topic("a")).done());
        let mut context = Context::from_waker(Waker::noop());
        assert!(before.as_mut().poll(&mut context).is_ready());
        assert!(after.as_mut().poll(&mut context).is_ready());
    }
}
