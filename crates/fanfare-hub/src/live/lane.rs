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
    log::{Committed, Record},
};

/// Channels, and how far they are.
#[derive(Debug)]
pub(super) struct Lane {
    epoch: Epoch,
    bounds: Bounds,
    /// Every channel has been given its events up to here.
    delivered: Positions,
    channels: Mutex<Channels>,
    /// Who waits until the streams of an erased topic have ended.
    erasing: Mutex<HashMap<TopicName, Vec<oneshot::Sender<()>>>>,
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
    representation: Representation,
    events: Vec<(Position, Event)>,
}

/// What somebody follows; dropping it gives the channels up that nobody else follows.
#[derive(Debug)]
pub(crate) struct Following {
    lane: Arc<Lane>,
    channels: Vec<(Selector, Channel)>,
}

impl Lane {
    pub(super) fn new(epoch: Epoch, newest: Position, bounds: Bounds) -> Self {
        let delivered = Positions::new();
        delivered.advance(newest);
        let channels = Mutex::new(Channels { routed: newest, ..Channels::default() });
        Self { epoch, bounds, delivered, channels, erasing: Mutex::default() }
    }

    pub(super) fn follow(
        self: &Arc<Self>,
        selection: &Selection,
        representation: Representation,
    ) -> Following {
        let mut channels = self.channels();
        let mut follow = |selector| channels.follow(selector, representation, self);
        let followed = selection.selectors().iter().map(&mut follow).collect();
        drop(channels);
        Following { lane: self.clone(), channels: followed }
    }

    pub(super) fn is_unfollowed(&self) -> bool {
        self.channels().followed.is_empty()
    }

    /// Gives the channels what the log has committed.
    pub(super) fn deliver(&self, committed: &[Committed]) {
        // Readers have to look themselves for what they are not told.
        if committed.iter().any(|one| matches!(one, Committed::Skipped(_))) {
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
        let Route { channel, representation, events } = route;
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

    /// Ends the streams of topics that have ended or were erased.
    fn end(&self, committed: &[Committed]) {
        for name in committed.iter().filter_map(ended) {
            let ended = self.channels().take(name);
            ended.iter().for_each(Channel::close);
        }
        for committed in committed {
            self.tell_erased(committed);
        }
    }

    /// Is ready when the next erasure of this topic has ended its streams.
    pub(super) fn when_erased(&self, name: &TopicName) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.erasing().entry(name.clone()).or_default().push(sender);
        receiver
    }

    fn tell_erased(&self, committed: &Committed) {
        let Committed::Erased(name, _) = committed else { return };
        let waiting = self.erasing().remove(name);
        for waiting in waiting.into_iter().flatten() {
            let _ = waiting.send(());
        }
    }

    fn erasing(&self) -> MutexGuard<'_, HashMap<TopicName, Vec<oneshot::Sender<()>>>> {
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
        let followed = channels.followed.get(&Selector::Topic(name.clone()));
        followed.into_iter().flatten().map(|followed| followed.followers).sum()
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

pub(super) fn record(committed: &Committed) -> Option<&Record> {
    match committed {
        Committed::Event(record) => Some(record),
        Committed::End(_) | Committed::Erased(..) | Committed::Skipped(_) => None,
    }
}

pub(super) fn position(committed: &Committed) -> Option<Position> {
    match committed {
        Committed::Event(record) => Some(record.position),
        Committed::Skipped(position) => Some(*position),
        Committed::End(_) | Committed::Erased(..) => None,
    }
}

fn ended(committed: &Committed) -> Option<&TopicName> {
    match committed {
        Committed::Event(_) | Committed::Skipped(_) => None,
        Committed::End(name) | Committed::Erased(name, _) => Some(name),
    }
}

impl Channels {
    /// One follower more; its selector shares memory with those of others.
    fn follow(
        &mut self,
        selector: &Selector,
        representation: Representation,
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
            let channel = lane.channel(self.routed);
            followed.push(Followed { representation, channel, followers: 0 });
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

    /// Which events each channel is given: none that have been skipped.
    fn route(&self, committed: &[Committed]) -> Vec<Route> {
        let mut routes: HashMap<&Selector, Vec<Route>> = HashMap::new();
        let records = committed.iter().filter_map(record);
        for record in records.filter(|record| record.position > self.routed) {
            for (selector, followed) in self.followed_by(record) {
                let begin = || followed.iter().map(Route::to).collect();
                let routes = routes.entry(selector).or_insert_with(begin);
                for route in routes {
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
        let Followed { representation, channel, .. } = followed;
        Self { channel: channel.clone(), representation: *representation, events: vec![] }
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
