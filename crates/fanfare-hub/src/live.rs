//! The newest events in memory: a channel for whatever somebody follows.
//!
//! Whoever follows a topic or a prefix reads a channel that all who follow the same share. It begins
//! behind what the log has given to the channels so far; what is before that is read from the log.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fanfare_fanout::{Bounds, Channel, Cursor, Epoch, LagPolicy, Options, Position, Positions};
use fanfare_wire::Event;
use tokio::sync::oneshot;

use crate::{
    Selection, Selector, TopicName,
    event::{self, Format},
    log::{Committed, Record, Timestamp},
    times::Times,
};

/// All channels.
#[derive(Debug)]
pub(crate) struct Live {
    epoch: Epoch,
    bounds: Bounds,
    /// Every channel has been given its events up to here.
    delivered: Positions,
    times: Times,
    channels: Mutex<Channels>,
    /// Who waits until the streams of an erased topic have ended.
    erasing: Mutex<HashMap<TopicName, Vec<oneshot::Sender<()>>>>,
}

#[derive(Debug, Default)]
struct Channels {
    /// Where events go is decided up to here.
    routed: Position,
    followed: HashMap<Key, Followed>,
    is_closed: bool,
    /// The beginnings among the keys.
    prefixes: Vec<(Arc<str>, Format)>,
}

/// What a channel is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    selector: Selector,
    format: Format,
}

#[derive(Debug)]
struct Followed {
    channel: Channel,
    followers: usize,
}

/// What somebody follows; dropping it gives the channels up that nobody else follows.
#[derive(Debug)]
pub(crate) struct Following {
    live: Arc<Live>,
    channels: Vec<(Key, Channel)>,
}

impl Live {
    pub(crate) fn new(epoch: Epoch, newest: Position, bounds: Bounds) -> Self {
        let delivered = Positions::new();
        delivered.advance(newest);
        let channels = Mutex::new(Channels { routed: newest, ..Channels::default() });
        let times = Times::new();
        Self { epoch, bounds, delivered, times, channels, erasing: Mutex::default() }
    }

    /// Every channel has been given its events up to here.
    pub(crate) fn delivered(&self) -> Position {
        self.delivered.newest()
    }

    /// When an event was published that a channel had; `None` if that was long ago.
    pub(crate) fn published(&self, position: Position) -> Option<Timestamp> {
        self.times.of(position)
    }

    pub(crate) fn follow(self: &Arc<Self>, selection: &Selection, format: Format) -> Following {
        let keys = selection.selectors().iter();
        let keys = keys.map(|selector| Key { selector: selector.clone(), format });
        let mut channels = self.channels();
        let followed = keys.map(|key| channels.follow(key, self)).collect();
        drop(channels);
        Following { live: self.clone(), channels: followed }
    }

    /// Gives the channels what the log has committed.
    pub(crate) fn deliver(&self, committed: &[Committed]) {
        let Some(newest) = committed.iter().filter_map(position).max() else {
            return self.end(committed);
        };
        self.times.note(committed.iter().filter_map(record));
        let mut channels = self.channels();
        let routes = channels.route(committed);
        channels.routed = channels.routed.max(newest);
        drop(channels);
        // Readers are woken outside the lock.
        for (channel, events) in routes {
            let _ = channel.append_at(events);
        }
        self.delivered.advance(newest);
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
    pub(crate) fn when_erased(&self, name: &TopicName) -> oneshot::Receiver<()> {
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
    pub(crate) fn close(&self) {
        let mut channels = self.channels();
        channels.is_closed = true;
        let followed: Vec<Channel> =
            channels.followed.values().map(|followed| followed.channel.clone()).collect();
        drop(channels);
        followed.iter().for_each(Channel::close);
    }

    /// Whether all streams have been ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.channels().is_closed
    }

    /// How many follow this topic by its name.
    pub(crate) fn followers(&self, name: &TopicName) -> usize {
        let channels = self.channels();
        let keys =
            Format::ALL.map(|format| Key { selector: Selector::Topic(name.clone()), format });
        keys.iter().filter_map(|key| channels.followed.get(key)).map(|one| one.followers).sum()
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

fn record(committed: &Committed) -> Option<&Record> {
    match committed {
        Committed::Event(record) => Some(record),
        Committed::End(_) | Committed::Erased(..) => None,
    }
}

fn position(committed: &Committed) -> Option<Position> {
    record(committed).map(|record| record.position)
}

fn ended(committed: &Committed) -> Option<&TopicName> {
    match committed {
        Committed::Event(_) => None,
        Committed::End(name) | Committed::Erased(name, _) => Some(name),
    }
}

impl Channels {
    /// One follower more; its key shares memory with those of others.
    fn follow(&mut self, key: Key, live: &Live) -> (Key, Channel) {
        let routed = self.routed;
        let prefixes = &mut self.prefixes;
        let entry = self.followed.entry(key);
        let key = entry.key().clone();
        let followed = entry.or_insert_with(|| {
            if let Selector::Prefix(prefix) = &key.selector {
                prefixes.push((prefix.clone(), key.format));
            }
            Followed { channel: live.channel(routed), followers: 0 }
        });
        followed.followers += 1;
        (key, followed.channel.clone())
    }

    /// One follower less.
    fn give_up(&mut self, key: &Key, channel: &Channel) -> Option<Channel> {
        let followed = self.followed.get_mut(key).filter(|one| one.channel.is_same(channel))?;
        followed.followers -= 1;
        if followed.followers > 0 {
            return None;
        }
        self.remove(key)
    }

    fn remove(&mut self, key: &Key) -> Option<Channel> {
        if let Selector::Prefix(prefix) = &key.selector {
            self.prefixes.retain(|(other, format)| other != prefix || *format != key.format);
        }
        self.followed.remove(key).map(|followed| followed.channel)
    }

    /// The channels of a topic that is no more.
    fn take(&mut self, name: &TopicName) -> Vec<Channel> {
        let keys =
            Format::ALL.map(|format| Key { selector: Selector::Topic(name.clone()), format });
        keys.iter().filter_map(|key| self.remove(key)).collect()
    }

    /// Which events each channel is given.
    fn route(&self, committed: &[Committed]) -> Vec<(Channel, Vec<(Position, Event)>)> {
        let mut routes: HashMap<Key, Vec<(Position, Event)>> = HashMap::new();
        for committed in committed {
            let Committed::Event(record) = committed else { continue };
            for key in self.keys_of(record) {
                let event = event::of_record(record, key.format);
                routes.entry(key).or_default().push((record.position, event));
            }
        }
        let channel = |key: &Key| self.followed.get(key).map(|followed| followed.channel.clone());
        routes.into_iter().filter_map(|(key, events)| Some((channel(&key)?, events))).collect()
    }

    fn keys_of(&self, record: &Record) -> impl Iterator<Item = Key> {
        let name = &record.event.topic;
        let exact = Format::ALL.into_iter().map(|format| (Selector::Topic(name.clone()), format));
        let exact = exact.map(|(selector, format)| Key { selector, format });
        let prefixes = self.prefixes.iter().map(|(prefix, format)| Key {
            selector: Selector::Prefix(prefix.clone()),
            format: *format,
        });
        let prefixes = prefixes.filter(|key| key.selector.matches(name));
        exact.filter(|key| self.followed.contains_key(key)).chain(prefixes)
    }
}

impl Following {
    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.live
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
        Selection::new(self.channels.iter().map(|(key, _)| key.selector.clone()))
    }

    /// The highest position up to which everything is in the channels; load it before reading.
    pub(crate) fn delivered(&self) -> Position {
        self.live.delivered()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut given_up = vec![];
        let mut channels = self.live.channels();
        for (key, channel) in &self.channels {
            given_up.extend(channels.give_up(key, channel));
        }
        drop(channels);
        // Their memory is freed outside the lock.
        drop(given_up);
    }
}
