//! A thread of the engine.

use std::{
    collections::{HashMap, VecDeque},
    io, mem,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Events, Poll, event::Event, net::TcpStream};
use slab::Slab;

use super::{
    Adoption, Deliveries, Framing, Observer, Settings, Why,
    clients::{Reading, Seat, Took, enter},
    inbox::{Command, INBOX, Inbox, Mail, News},
    readers::{Next, Piece, Readers, Runs},
    several::Several,
    wheel::{Entry, Wheel},
    written::Written,
};
use crate::{Channel, Position};

/// Clients that are visited before others get a turn, and what they are given until then.
const SLICE: usize = 64;
const SLICE_BYTES: u64 = 128 * 1024;
const EVENTS: usize = 256;
/// How precise times are: a part of the silence before a comment, within bounds.
const TICKS_PER_SILENCE: u32 = 32;
const SHORTEST_TICK: Duration = Duration::from_millis(5);
const LONGEST_TICK: Duration = Duration::from_secs(1);

pub(super) struct Thread {
    poll: Poll,
    inbox: Arc<Inbox>,
    framing: Framing,
    keep_alive: Option<Duration>,
    write_timeout: Duration,
    observer: Arc<dyn Observer>,

    clients: Slab<Seat>,
    channels: Slab<Readers>,
    keys: HashMap<usize, u32>,
    waiting: Waiting,
    wheel: Wheel,
    tick: u64,
    runs: Runs,
    /// What was delivered since it was told.
    tally: Deliveries,
    /// Bytes that were given to sockets, ever.
    given: u64,
    is_over: bool,
}

/// What waits for its turn. In each turn of the thread, some of each is done.
#[derive(Default)]
struct Waiting {
    commands: VecDeque<Command>,
    /// Channels that have news.
    channels: VecDeque<u32>,
    /// Clients that have news of their own: they read several channels, or their socket takes more again.
    clients: VecDeque<u32>,
    /// Clients to look at because of the time.
    looks: VecDeque<Entry>,
}

/// What came of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visit {
    /// There may be more to give.
    Given,
    /// It has everything, or its socket takes no more.
    Done,
    /// It has left.
    Left,
}

impl Thread {
    pub(super) fn new(settings: &Settings) -> io::Result<(Self, Arc<Inbox>)> {
        let poll = Poll::new()?;
        let inbox = Arc::new(Inbox::new(poll.registry())?);
        let silence = settings.keep_alive.unwrap_or(settings.write_timeout);
        let tick = (silence / TICKS_PER_SILENCE).clamp(SHORTEST_TICK, LONGEST_TICK);
        let thread = Self {
            poll,
            inbox: inbox.clone(),
            framing: settings.framing,
            keep_alive: settings.keep_alive,
            write_timeout: settings.write_timeout,
            observer: settings.observer.clone(),
            clients: Slab::new(),
            channels: Slab::new(),
            keys: HashMap::new(),
            waiting: Waiting::default(),
            wheel: Wheel::new(Instant::now(), tick),
            tick: 0,
            runs: Runs::default(),
            tally: Deliveries::default(),
            given: 0,
            is_over: false,
        };
        Ok((thread, inbox))
    }

    /// Works until it is told to stop.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        let mut mail = Mail::default();
        while !self.is_over {
            match self.wait(&mut events) {
                Ok(()) => self.turn(&events, &mut mail),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Without a poller nothing can be done for anybody.
                Err(error) => return self.observer.failed(&error),
            }
        }
    }

    /// Waits until there is something to do.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let wait = if self.waiting.is_empty() {
            self.wheel.idle(Instant::now())
        } else {
            Some(Duration::ZERO)
        };
        self.poll.poll(events, wait)
    }

    fn turn(&mut self, events: &Events, mail: &mut Mail) {
        let now = Instant::now();
        self.tick = self.wheel.tick(now);
        events.iter().filter(|event| event.token() != INBOX).for_each(|event| self.notice(event));
        self.read(mail);
        self.waiting.looks.extend(self.wheel.take(now));
        self.work();
    }

    fn read(&mut self, mail: &mut Mail) {
        self.inbox.take(mail);
        for channel in mail.channels.drain(..) {
            self.has_news(channel);
        }
        for client in mail.clients.drain(..) {
            self.has_own_news(client);
        }
        self.waiting.commands.extend(mail.commands.drain(..));
        mail.commands.shrink_to(SLICE);
    }

    /// Does some of what waits.
    fn work(&mut self) {
        self.some(|waiting| &mut waiting.commands, Self::obey);
        self.some(|waiting| &mut waiting.looks, Self::look_at);
        self.sweep_channels();
        self.some(|waiting| &mut waiting.clients, Self::visit_client);
    }

    /// One slice of a queue.
    fn some<T>(&mut self, queue: fn(&mut Waiting) -> &mut VecDeque<T>, act: fn(&mut Self, T)) {
        let enough = self.given + SLICE_BYTES;
        for _ in 0..SLICE.min(queue(&mut self.waiting).len()) {
            if self.given >= enough {
                return;
            }
            let Some(next) = queue(&mut self.waiting).pop_front() else { return };
            act(self, next);
            self.tell();
        }
        if queue(&mut self.waiting).is_empty() {
            // A burst may come once.
            queue(&mut self.waiting).shrink_to(SLICE);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Adopt(adoption) => self.adopt(adoption),
            Command::Recall => self.recall(),
            Command::Stop => self.is_over = true,
        }
    }

    fn has_news(&mut self, channel: usize) {
        let Some(readers) = self.channels.get_mut(channel) else { return };
        readers.has_more = true;
        if !mem::replace(&mut readers.is_queued, true) {
            self.waiting.channels.extend(u32::try_from(channel).ok());
        }
    }

    /// A client has news of its own. If it is another than the one that was told of, it is visited in vain.
    fn has_own_news(&mut self, key: u32) {
        let Some(seat) = self.clients.get_mut(key as usize) else { return };
        if !mem::replace(&mut seat.is_queued, true) {
            self.waiting.clients.push_back(key);
        }
    }

    fn adopt(&mut self, adoption: Adoption) {
        // It is the next in the slab.
        let key = u32::try_from(self.clients.vacant_key()).unwrap_or(u32::MAX);
        let Some(reading) = self.reading(&adoption.channels, adoption.after, key) else {
            return adoption.give_back(Why::Lagged);
        };
        let Adoption { socket, after, digest, until, client, .. } = adoption;
        let channel = match &reading {
            Reading::One { channel, .. } => *channel,
            // No channel has so high a key.
            Reading::Several(_) => u32::MAX,
        };
        let seat = Seat {
            socket: TcpStream::from_std(socket),
            reading,
            after,
            digest,
            blocked: None,
            is_queued: false,
            written: self.tick,
            look: u64::MAX,
            until: until.map_or(u64::MAX, |until| self.wheel.tick(until).saturating_add(1)),
            client,
        };
        if !enter(&mut self.clients, seat, self.poll.registry()) {
            return self.forget_if_unread(channel);
        }
        self.sit_down(key);
        self.runs.clear();
        if self.visit(key) == Visit::Given {
            self.has_own_news(key);
        }
    }

    /// Where a client begins; `None` if that is no longer kept.
    fn reading(&mut self, channels: &[Channel], after: Position, key: u32) -> Option<Reading> {
        let [channel] = channels else {
            let several = Several::new(channels, after, key, self.inbox.clone())?;
            return Some(Reading::Several(Box::new(several)));
        };
        let place = channel.place_after(after)?;
        let channel = self.channel(channel)?;
        Some(Reading::One { channel, index: 0, place })
    }

    /// The key of a channel.
    fn channel(&mut self, channel: &Channel) -> Option<u32> {
        if let Some(key) = self.keys.get(&channel.address()) {
            return Some(*key);
        }
        let place = self.channels.vacant_entry();
        let key = u32::try_from(place.key()).ok()?;
        self.keys.insert(channel.address(), key);
        let news = News::new(self.inbox.clone(), place.key());
        place.insert(Readers::new(channel.clone(), news));
        Some(key)
    }

    /// A client takes its place among the readers of its channel, and in the wheel.
    fn sit_down(&mut self, key: u32) {
        if let Some(seat) = self.clients.get_mut(key as usize)
            && let Reading::One { channel, index, .. } = &mut seat.reading
            && let Some(readers) = self.channels.get_mut(*channel as usize)
        {
            // There are fewer than there are keys.
            *index = u32::try_from(readers.keys.len()).unwrap_or(u32::MAX);
            readers.keys.push(key);
        }
        self.schedule(key);
    }

    /// Has a client looked at when something is due, unless that is so already.
    fn schedule(&mut self, key: u32) {
        let due = self.due(key);
        let Some(seat) = self.clients.get_mut(key as usize) else { return };
        if due < seat.look || seat.look == u64::MAX {
            seat.look = self.wheel.insert(key, due);
        }
    }

    /// The tick in which to look at a client.
    fn due(&self, key: u32) -> u64 {
        let Some(seat) = self.clients.get(key as usize) else { return u64::MAX };
        let due = match (&seat.blocked, self.keep_alive) {
            (Some(blocked), _) => self.wheel.after(blocked.since, self.write_timeout),
            (None, Some(silence)) => self.wheel.after(seat.written, silence),
            (None, None) => u64::MAX,
        };
        due.min(seat.until)
    }

    /// Something has happened on a socket.
    fn notice(&mut self, event: &Event) {
        let key = event.token().0;
        let registry = self.poll.registry();
        let Some(seat) = self.clients.get_mut(key) else { return };
        // Keys come from the slab.
        let key = u32::try_from(key).unwrap_or(u32::MAX);
        let is_gone = event.is_error()
            || event.is_read_closed()
            || event.is_write_closed()
            || (event.is_readable() && !seat.is_there(event.token(), registry));
        if is_gone {
            let why = if seat.has_timed_out() { Why::Stalled } else { Why::Gone };
            return self.leave(key, why);
        }
        if event.is_writable() && seat.blocked.is_some() {
            self.has_own_news(key);
        }
    }

    /// Looks at a client because of the time.
    fn look_at(&mut self, entry: Entry) {
        let Some(seat) = self.clients.get_mut(entry.key as usize) else { return };
        if seat.look != entry.tick {
            return;
        }
        seat.look = u64::MAX;
        if seat.until <= self.tick {
            return self.leave(entry.key, Why::Due);
        }
        if self.due(entry.key) <= self.tick && !self.break_silence(entry.key) {
            return;
        }
        self.schedule(entry.key);
    }

    /// Says something to a client that has heard nothing for long; tells whether it is still there.
    fn break_silence(&mut self, key: u32) -> bool {
        let Some(seat) = self.clients.get_mut(key as usize) else { return false };
        if seat.blocked.is_some() {
            self.leave(key, Why::Stalled);
            return false;
        }
        if self.keep_alive.is_none() {
            return true;
        }
        let comment = seat.client.comment();
        seat.digest = seat.digest.then(comment.digest);
        if seat.write(&Written::new(comment.bytes, self.framing), self.tick) == Took::Gone {
            self.leave(key, Why::Gone);
            return false;
        }
        true
    }

    /// One slice of all channels that have news: of one that has many readers, or of many that have few.
    fn sweep_channels(&mut self) {
        let (mut visits, enough) = (SLICE, self.given + SLICE_BYTES);
        for _ in 0..self.waiting.channels.len() {
            if visits == 0 || self.given >= enough {
                return;
            }
            let Some(channel) = self.waiting.channels.pop_front() else { return };
            visits = self.sweep(channel, visits, enough);
            self.tell();
        }
    }

    /// Visits so many of the readers of a channel, until they have been given enough. Returns how many more
    /// may be visited.
    fn sweep(&mut self, channel: u32, mut visits: usize, enough: u64) -> usize {
        let Some(readers) = self.channels.get_mut(channel as usize) else { return visits };
        if readers.left == 0 {
            readers.begin_sweep();
        }
        self.runs.clear();
        while visits > 0 && self.given < enough {
            let Some(readers) = self.channels.get_mut(channel as usize) else { return visits };
            let Some(key) = readers.next_key() else { break };
            visits -= 1;
            if self.visit(key) == Visit::Given {
                // It is behind the others, and they need not be visited once more for it.
                self.has_own_news(key);
            }
        }
        let Some(readers) = self.channels.get_mut(channel as usize) else { return visits };
        readers.is_queued = readers.left > 0 || readers.has_more;
        if readers.is_queued {
            self.waiting.channels.push_back(channel);
        }
        visits
    }

    /// A client goes on with what its socket did not take, and with news of its own.
    fn visit_client(&mut self, key: u32) {
        let Some(seat) = self.clients.get_mut(key as usize) else { return };
        seat.is_queued = false;
        if let Some(blocked) = &seat.blocked {
            self.given += blocked.rest() as u64;
            match seat.go_on(self.tick) {
                Took::NotAll => return,
                Took::Gone => return self.leave(key, Why::Gone),
                Took::Everything => self.schedule(key),
            }
        }
        // Its channel may be another than that of the one before.
        self.runs.clear();
        if self.visit(key) == Visit::Given {
            self.has_own_news(key);
        }
    }

    /// Gives a client the next run.
    fn visit(&mut self, key: u32) -> Visit {
        let Some(seat) = self.clients.get_mut(key as usize) else { return Visit::Left };
        if seat.blocked.is_some() {
            return Visit::Done;
        }
        let next = match &mut seat.reading {
            Reading::One { channel, place, .. } => match self.channels.get(*channel as usize) {
                Some(readers) => readers.next(place, &mut self.runs, self.framing),
                None => return Visit::Left,
            },
            Reading::Several(several) => several.next(self.framing),
        };
        let piece = match next {
            Next::Piece(piece) => piece,
            Next::Nothing => return Visit::Done,
            Next::Lag => return self.send_off(key, Why::Lagged),
            Next::End => return self.send_off(key, Why::Ended),
        };
        seat.after = piece.last;
        if let Some(suffix) = &piece.digest {
            seat.digest = seat.digest.end_with(suffix);
        }
        self.tally.add(&piece);
        self.given += piece.bytes;
        match seat.write(&piece.written, self.tick) {
            Took::Everything if self.is_at_end(key) => Visit::Done,
            Took::Everything => Visit::Given,
            Took::NotAll => {
                self.schedule(key);
                Visit::Done
            }
            Took::Gone => self.send_off(key, Why::Gone),
        }
    }

    /// Whether there is nothing more to give to a client until news are told.
    fn is_at_end(&self, key: u32) -> bool {
        match self.clients.get(key as usize).map(|seat| &seat.reading) {
            Some(Reading::One { channel, place, .. }) => {
                let readers = self.channels.get(*channel as usize);
                readers.is_some_and(|readers| readers.is_at_end(place))
            }
            Some(Reading::Several(_)) | None => false,
        }
    }

    fn send_off(&mut self, key: u32, why: Why) -> Visit {
        self.leave(key, why);
        Visit::Left
    }

    fn leave(&mut self, key: u32, why: Why) {
        let Some(seat) = self.clients.try_remove(key as usize) else { return };
        if let Reading::One { channel, index, .. } = seat.reading {
            self.stand_up(channel, index);
        }
        seat.leave(why, self.poll.registry());
    }

    /// A reader of a channel is no more; the last one takes its place.
    fn stand_up(&mut self, channel: u32, index: u32) {
        let Some(readers) = self.channels.get_mut(channel as usize) else { return };
        readers.keys.swap_remove(index as usize);
        if let Some(moved) = readers.keys.get(index as usize)
            && let Some(moved) = self.clients.get_mut(*moved as usize)
            && let Reading::One { index: its, .. } = &mut moved.reading
        {
            *its = index;
        }
        self.forget_if_unread(channel);
    }

    fn forget_if_unread(&mut self, channel: u32) {
        let is_unread =
            self.channels.get(channel as usize).is_some_and(|readers| readers.keys.is_empty());
        if is_unread && let Some(readers) = self.channels.try_remove(channel as usize) {
            self.keys.remove(&readers.address());
            if readers.is_queued {
                // Another channel may get its key.
                self.waiting.channels.retain(|&waiting| waiting != channel);
            }
            readers.close();
        }
    }

    /// Gives everybody back.
    fn recall(&mut self) {
        let keys: Vec<usize> = self.clients.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.leave(u32::try_from(key).unwrap_or(u32::MAX), Why::Recalled);
        }
    }

    fn tell(&mut self) {
        let deliveries = mem::take(&mut self.tally);
        if deliveries.count > 0 {
            self.observer.delivered(deliveries);
        }
    }
}

/// However it ends, nobody goes on waiting for it.
impl Drop for Thread {
    fn drop(&mut self) {
        // Nobody who is given back is to come here again.
        let mail = self.inbox.close();
        self.recall();
        for command in self.waiting.commands.drain(..).chain(mail.commands) {
            if let Command::Adopt(adoption) = command {
                adoption.give_back(Why::Recalled);
            }
        }
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        let Self { commands, channels, clients, looks } = self;
        commands.is_empty() && channels.is_empty() && clients.is_empty() && looks.is_empty()
    }
}

impl Deliveries {
    fn add(&mut self, piece: &Piece) {
        self.count += 1;
        self.frames += piece.frames;
        self.bytes += piece.bytes;
        self.newest = self.newest.max(piece.last);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{self, Ipv4Addr, TcpListener},
        num::NonZeroUsize,
        sync::{Mutex, atomic::AtomicUsize, mpsc},
    };

    use fanfare_wire::Event;

    use super::*;
    use crate::{
        Digest, Frame, Options,
        engine::{Client, Engine, Left, Threads},
    };

    #[derive(Debug)]
    struct Nobody;

    impl Observer for Nobody {
        fn delivered(&self, _: Deliveries) {}

        fn failed(&self, _: &io::Error) {}
    }

    impl Client for Nobody {
        fn comment(&self) -> Frame {
            Frame::default()
        }

        fn leave(self: Box<Self>, _: Left) {}
    }

    /// Tells why it left, and whether with its socket.
    struct Teller(mpsc::Sender<(Why, bool)>);

    impl Client for Teller {
        fn comment(&self) -> Frame {
            Frame::default()
        }

        fn leave(self: Box<Self>, left: Left) {
            self.0.send((left.why, left.socket.is_some())).unwrap();
        }
    }

    /// Sums up what is delivered.
    #[derive(Debug, Default)]
    struct Sum(Mutex<Deliveries>);

    impl Sum {
        /// Deliveries and frames since this was asked last.
        fn take(&self) -> (u64, u64) {
            let Deliveries { count, frames, .. } = mem::take(&mut *self.0.lock().unwrap());
            (count, frames)
        }
    }

    impl Observer for Sum {
        fn delivered(&self, Deliveries { count, frames, .. }: Deliveries) {
            let mut sum = self.0.lock().unwrap();
            sum.count += count;
            sum.frames += frames;
        }

        fn failed(&self, _: &io::Error) {}
    }

    fn thread() -> Thread {
        watched(Arc::new(Nobody))
    }

    fn watched(observer: Arc<dyn Observer>) -> Thread {
        let settings = Settings {
            threads: NonZeroUsize::MIN,
            framing: Framing::Plain,
            keep_alive: Some(Duration::from_secs(15)),
            write_timeout: Duration::from_mins(1),
            observer,
        };
        Thread::new(&settings).unwrap().0
    }

    /// A reader of a channel, and the other end of its socket.
    fn adoption(channel: &Channel, client: Box<dyn Client>) -> (Adoption, net::TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let peer = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let (channels, after) = (vec![channel.clone()], Position::START);
        let digest = Digest::EMPTY;
        (Adoption { socket, channels, after, digest, until: None, client }, peer)
    }

    /// Readers of a channel, and the other ends of their sockets.
    fn adopt(thread: &mut Thread, channel: &Channel, count: usize) -> Vec<net::TcpStream> {
        let adopt = |_| {
            let (adoption, peer) = adoption(channel, Box::new(Nobody));
            thread.adopt(adoption);
            peer
        };
        (0..count).map(adopt).collect()
    }

    #[test]
    fn who_was_on_a_thread_that_is_no_more_is_given_back_and_goes_to_another() {
        let [mut first, second] = [0; 2].map(|_| thread());
        let inboxes = vec![first.inbox.clone(), second.inbox.clone()];
        let engine = Engine(Arc::new(Threads { inboxes, turn: AtomicUsize::new(0) }));
        let channel = Channel::<()>::new(Options::default());
        let (sender, left) = mpsc::channel();
        let mut peers = vec![];
        let mut adopt = || {
            let (adoption, peer) = adoption(&channel, Box::new(Teller(sender.clone())));
            peers.push(peer);
            engine.adopt(adoption);
        };
        adopt();
        first.read(&mut Mail::default());
        first.work();
        adopt();
        adopt();
        // One that was read, and one that was not; the other thread has one.
        drop(first);
        assert_eq!(left.try_iter().collect::<Vec<_>>(), [(Why::Recalled, true); 2]);
        adopt();
        adopt();
        assert!(left.try_recv().is_err() && !engine.has_failed());
        drop(second);
        assert_eq!(left.try_iter().collect::<Vec<_>>(), [(Why::Recalled, true); 3]);
        adopt();
        assert_eq!(left.try_iter().collect::<Vec<_>>(), [(Why::Refused, true)]);
        assert!(engine.has_failed());
    }

    #[test]
    fn a_large_channel_does_not_hold_up_a_small_one() {
        let sum = Arc::new(Sum::default());
        let mut thread = watched(sum.clone());
        let [large, small] = [0; 2].map(|_| Channel::<()>::new(Options::default()));
        let _large = adopt(&mut thread, &large, 3 * SLICE);
        let _small = adopt(&mut thread, &small, 1);
        let mut mail = Mail::default();
        large.append(Event::new("x")).unwrap();
        small.append(Event::new("x")).unwrap();
        thread.read(&mut mail);
        let slice = SLICE as u64;
        let mut delivered = vec![];
        for step in 0..4 {
            if step == 2 {
                // What comes while the sweep goes on takes no turn away either.
                large.append(Event::new("y")).unwrap();
                small.append(Event::new("y")).unwrap();
                thread.read(&mut mail);
            }
            thread.work();
            delivered.push(sum.take());
        }
        // Of the second slice the small one has its part, and the large one the rest. The third slice is
        // given both events; so is the last reader, in the fourth, behind the small channel's.
        assert_eq!(delivered, [(slice, slice), (slice, slice), (slice, 2 * slice), (2, 3)]);
    }

    #[test]
    fn small_channels_share_a_slice() {
        let sum = Arc::new(Sum::default());
        let mut thread = watched(sum.clone());
        let channels: Vec<_> =
            (0..=SLICE).map(|_| Channel::<()>::new(Options::default())).collect();
        let _peers: Vec<_> =
            channels.iter().map(|channel| adopt(&mut thread, channel, 1)).collect();
        for channel in &channels {
            channel.append(Event::new("x")).unwrap();
        }
        thread.read(&mut Mail::default());
        for deliveries in [SLICE as u64, 1] {
            thread.work();
            assert_eq!(sum.take(), (deliveries, deliveries));
        }
        assert!(thread.waiting.is_empty());
    }

    #[test]
    fn neither_does_a_crowd_of_clients_each_with_news_of_its_own() {
        let sum = Arc::new(Sum::default());
        let mut thread = watched(sum.clone());
        let [crowd, small] = [0; 2].map(|_| Channel::<()>::new(Options::default()));
        let peers = adopt(&mut thread, &crowd, 3 * SLICE);
        let _small = adopt(&mut thread, &small, 1);
        let keys: Vec<_> = thread.clients.iter().map(|(key, _)| key).take(peers.len()).collect();
        crowd.append(Event::new("x")).unwrap();
        small.append(Event::new("x")).unwrap();
        // As if each had been blocked, and its socket took more now.
        for key in keys {
            thread.has_own_news(u32::try_from(key).unwrap());
        }
        thread.has_news(thread.keys[&small.address()] as usize);
        let slice = SLICE as u64;
        for deliveries in [slice + 1, slice, slice] {
            thread.work();
            assert_eq!(sum.take().0, deliveries);
        }
        assert!(thread.waiting.is_empty());
    }

    #[test]
    fn neither_does_a_burst_of_new_clients() {
        let mut thread = thread();
        let channel = Channel::<()>::new(Options::default());
        let mut peers = vec![];
        for _ in 0..=SLICE {
            let (adoption, peer) = adoption(&channel, Box::new(Nobody));
            peers.push(peer);
            assert!(thread.inbox.post(Command::Adopt(adoption)).is_ok());
        }
        thread.read(&mut Mail::default());
        for clients in [SLICE, SLICE + 1] {
            thread.work();
            assert_eq!(thread.clients.len(), clients);
        }
        assert!(thread.waiting.is_empty());
    }

    #[test]
    fn a_slice_is_short_where_there_is_much_to_give() {
        let sum = Arc::new(Sum::default());
        let mut thread = watched(sum.clone());
        let channel = Channel::<()>::new(Options::default());
        let _peers = adopt(&mut thread, &channel, SLICE);
        let large = "x".repeat(usize::try_from(SLICE_BYTES / 3).unwrap());
        channel.append(Event::new(large)).unwrap();
        thread.read(&mut Mail::default());
        thread.work();
        assert_eq!(sum.take().0, 3);
        while !thread.waiting.is_empty() {
            thread.work();
        }
        assert_eq!(sum.take().0, SLICE as u64 - 3);
    }

    #[test]
    fn a_channel_that_is_forgotten_waits_for_nothing() {
        let mut thread = thread();
        let channel = Channel::<()>::new(Options::default());
        let _peer = adopt(&mut thread, &channel, 1);
        channel.append(Event::new("x")).unwrap();
        thread.read(&mut Mail::default());
        thread.recall();
        assert!(thread.waiting.is_empty());
    }

    #[test]
    fn who_leaves_in_the_middle_of_a_sweep_has_nobody_left_out() {
        let sum = Arc::new(Sum::default());
        let mut thread = watched(sum.clone());
        let channel = Channel::<()>::new(Options::default());
        let count = 2 * SLICE;
        let _peers = adopt(&mut thread, &channel, count);
        channel.append(Event::new("x")).unwrap();
        thread.read(&mut Mail::default());
        thread.work();
        // One that was visited, one that was not.
        for index in [count - 1, 3] {
            let key = thread.channels[0].keys[index];
            thread.leave(key, Why::Recalled);
        }
        while !thread.waiting.is_empty() {
            thread.work();
        }
        assert_eq!(sum.take().1, count as u64 - 1);
        assert_eq!(thread.clients.len(), count - 2);
        thread.recall();
        assert!(thread.channels.is_empty() && thread.keys.is_empty());
    }
}
