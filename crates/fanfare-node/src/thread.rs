//! The thread that writes.

use std::{
    collections::{BTreeSet, VecDeque},
    io, mem,
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token};

use crate::{
    frame::Frame,
    inbox::{Command, INBOX, Inbox},
    slot::{Seat, Slot, Word},
};

/// How often it is looked for what has waited too long.
const LOOK: Duration = Duration::from_millis(100);

const EVENTS: usize = 1024;

/// How many sockets are written to before it is looked what is new: so JavaScript never waits for long, and what
/// comes meanwhile goes out together with what is there.
const SLICE: usize = 256;

struct Writer<T> {
    inbox: Arc<Inbox>,
    clients: Vec<Option<Client>>,
    /// Who has been given something that is not yet tried.
    given: VecDeque<u32>,
    /// Whose socket takes no more.
    blocked: BTreeSet<u32>,
    looked: Instant,
    /// Of this round.
    now: Instant,
    tell: T,
}

/// A socket, and what is for it.
struct Client {
    slot: Arc<Slot>,
    /// When its socket last took something, or was given the first that waits.
    took: Instant,
    /// It is to be told when nothing waits any more.
    is_asked: bool,
    /// It is among the given.
    is_given: bool,
}

/// How a socket took what waited for it.
enum Took {
    Everything,
    NotAll,
    Nothing,
}

/// Starts a thread, which tells of sockets by their numbers.
pub(crate) fn start(
    tell: impl Fn(u32, Word) + Send + 'static,
) -> io::Result<(Arc<Inbox>, JoinHandle<()>)> {
    let poll = Poll::new()?;
    let inbox = Arc::new(Inbox::new(poll.registry())?);
    let writer = Writer {
        inbox: inbox.clone(),
        clients: vec![],
        given: VecDeque::new(),
        blocked: BTreeSet::new(),
        looked: Instant::now(),
        now: Instant::now(),
        tell,
    };
    let thread = Builder::new().name("sse-writer".into()).spawn(move || writer.run(poll))?;
    Ok((inbox, thread))
}

impl<T: Fn(u32, Word)> Writer<T> {
    fn run(mut self, mut poll: Poll) {
        let mut events = Events::with_capacity(EVENTS);
        let mut commands = vec![];
        while !self.inbox.is_closed() {
            // Only an interruption can fail it, after which it is looked all the same.
            let _ = poll.poll(&mut events, self.timeout());
            self.now = Instant::now();
            let posted = self.inbox.take(&mut commands);
            commands.drain(..).for_each(|command| self.obey(command));
            self.inbox.done(posted);
            self.give();
            for event in events.iter().filter(|event| event.token() != INBOX) {
                self.go_on(event.token());
            }
            self.look();
        }
    }

    fn timeout(&self) -> Option<Duration> {
        if self.given.is_empty() {
            (!self.blocked.is_empty()).then_some(LOOK)
        } else {
            Some(Duration::ZERO)
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Enter { number, slot } => self.enter(number, slot),
            Command::Write { frame, numbers } => {
                numbers.iter().for_each(|&number| self.put(number, &frame));
            }
            Command::Ask { number } => self.promise(number),
            Command::Leave { number } => self.leave(number),
        }
    }

    fn enter(&mut self, number: u32, slot: Arc<Slot>) {
        let index = number as usize;
        if index >= self.clients.len() {
            self.clients.resize_with(index + 1, || None);
        }
        self.clients[index] = Some(Client::new(slot));
    }

    fn put(&mut self, number: u32, frame: &Arc<Frame>) {
        let Some(client) = self.clients.get_mut(number as usize).and_then(Option::as_mut) else {
            return;
        };
        client.put(frame, self.now);
        client.note(number, &mut self.given);
    }

    fn promise(&mut self, number: u32) {
        if let Some(Some(client)) = self.clients.get_mut(number as usize) {
            client.is_asked = true;
            client.note(number, &mut self.given);
        }
    }

    fn leave(&mut self, number: u32) {
        if let Some(client) = self.clients.get_mut(number as usize) {
            *client = None;
        }
        self.blocked.remove(&number);
        (self.tell)(number, Word::Left);
    }

    /// Writes to some of those who have been given something.
    fn give(&mut self) {
        for _ in 0..SLICE {
            let Some(number) = self.given.pop_front() else { return };
            self.visit(number);
        }
    }

    fn visit(&mut self, number: u32) {
        let Some(Some(client)) = self.clients.get_mut(number as usize) else { return };
        client.is_given = false;
        if self.blocked.contains(&number) {
            self.check(number);
        } else {
            self.write(number);
        }
    }

    fn go_on(&mut self, Token(number): Token) {
        let Ok(number) = u32::try_from(number) else { return };
        if self.blocked.contains(&number) {
            self.write(number);
        }
    }

    fn write(&mut self, number: u32) {
        let Some(Some(client)) = self.clients.get_mut(number as usize) else { return };
        match client.write(self.now) {
            Took::NotAll => {
                self.blocked.insert(number);
                let (registry, token) = (self.inbox.registry(), Token(number as usize));
                match client.slot.with(|seat| seat.watch(registry, token)) {
                    // What cannot be watched would wait for ever.
                    Some(Err(_)) => self.lag(number),
                    Some(Ok(())) | None => self.check(number),
                }
            }
            Took::Everything => self.settle(number),
            // Node will find the peer gone.
            Took::Nothing => {
                client.slot.with(Seat::give_up);
                self.settle(number);
            }
        }
    }

    /// Nothing waits for it.
    fn settle(&mut self, number: u32) {
        let Some(Some(client)) = self.clients.get_mut(number as usize) else { return };
        if self.blocked.remove(&number) {
            client.slot.with(|seat| seat.unwatch(self.inbox.registry()));
        }
        if mem::take(&mut client.is_asked) {
            (self.tell)(number, Word::Ready);
        }
    }

    /// Whether what waits for it is within its limits.
    fn check(&mut self, number: u32) {
        let Some(Some(client)) = self.clients.get(number as usize) else { return };
        if client.has_lagged(self.now) {
            self.lag(number);
        }
    }

    fn lag(&mut self, number: u32) {
        let Some(Some(client)) = self.clients.get_mut(number as usize) else { return };
        client.slot.with(Seat::give_up);
        (self.tell)(number, Word::Lagged);
        self.settle(number);
    }

    /// Looks for what has waited too long.
    fn look(&mut self) {
        if self.blocked.is_empty() || self.now.duration_since(self.looked) < LOOK {
            return;
        }
        self.looked = self.now;
        for number in self.blocked.iter().copied().collect::<Vec<u32>>() {
            self.check(number);
        }
    }
}

impl Client {
    fn new(slot: Arc<Slot>) -> Self {
        Self { slot, took: Instant::now(), is_asked: false, is_given: false }
    }

    fn put(&mut self, frame: &Arc<Frame>, now: Instant) {
        self.slot.with(|seat| {
            if seat.bytes() == 0 {
                self.took = now;
            }
            seat.put(frame);
        });
    }

    fn note(&mut self, number: u32, given: &mut VecDeque<u32>) {
        if !self.is_given {
            self.is_given = true;
            given.push_back(number);
        }
    }

    /// Writes until nothing waits or the socket takes no more: only then the poller tells when it does.
    fn write(&mut self, now: Instant) -> Took {
        loop {
            match self.slot.with(Seat::write) {
                Some(Ok(true)) => return Took::Everything,
                Some(Ok(false)) => self.took = now,
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Took::NotAll;
                }
                Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Some(Err(_)) | None => return Took::Nothing,
            }
        }
    }

    fn has_lagged(&self, now: Instant) -> bool {
        let limits = self.slot.limits;
        let stalled = now.saturating_duration_since(self.took);
        let bytes = self.slot.with(|seat| seat.bytes()).unwrap_or_default();
        bytes > limits.bytes || (bytes > 0 && limits.age.is_some_and(|limit| stalled > limit))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        os::{fd::AsRawFd, unix::net::UnixStream},
        sync::{
            Arc,
            mpsc::{Receiver, channel},
        },
        thread::JoinHandle,
        time::Duration,
    };

    use super::start;
    use crate::{
        frame::{Frame, Framing},
        inbox::{Command, Inbox},
        slot::{Limits, Numbers, Slot, Word},
    };

    const UNLIMITED: Limits = Limits { bytes: usize::MAX, age: None };
    const PATIENCE: Duration = Duration::from_secs(10);

    struct Writer {
        inbox: Arc<Inbox>,
        numbers: Numbers,
        heard: Receiver<(u32, Word)>,
        thread: JoinHandle<()>,
    }

    impl Writer {
        fn start() -> Self {
            let (tell, heard) = channel();
            let (inbox, thread) =
                start(move |number, word| tell.send((number, word)).unwrap()).unwrap();
            Self { numbers: Numbers::new(&inbox), inbox, heard, thread }
        }

        /// A socket under this number, and its peer.
        fn enter(&mut self, number: u32, limits: Limits) -> (UnixStream, UnixStream) {
            let (ours, theirs) = UnixStream::pair().unwrap();
            theirs.set_read_timeout(Some(PATIENCE)).unwrap();
            self.numbers.enter(number, Slot::borrow(ours.as_raw_fd(), Framing::Plain, limits));
            (ours, theirs)
        }

        fn write(&self, bytes: &[u8], numbers: &[u32]) {
            let frame = Arc::new(Frame::new(bytes));
            self.inbox.post(Command::Write { frame, numbers: numbers.into() });
        }

        fn ask(&self, number: u32) {
            self.inbox.post(Command::Ask { number });
        }

        fn hear(&self) -> (u32, Word) {
            self.heard.recv_timeout(PATIENCE).unwrap()
        }

        fn stop(self) {
            self.inbox.close();
            self.thread.join().unwrap();
        }
    }

    fn read(theirs: &mut UnixStream, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        theirs.read_exact(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn everybody_is_given_the_frames_that_are_for_them_in_order() {
        let mut writer = Writer::start();
        let (_one, mut to_one) = writer.enter(0, UNLIMITED);
        let (_other, mut to_other) = writer.enter(1, UNLIMITED);
        writer.write(b"a", &[0, 1]);
        writer.write(b"b", &[1]);
        writer.write(b"c", &[1, 0]);
        assert_eq!(read(&mut to_one, 2), b"ac");
        assert_eq!(read(&mut to_other, 3), b"abc");
        writer.stop();
    }

    #[test]
    fn who_does_not_read_holds_up_nobody_and_is_given_all_when_it_does() {
        let mut writer = Writer::start();
        let (_slow, mut to_slow) = writer.enter(0, UNLIMITED);
        let (_fast, mut to_fast) = writer.enter(1, UNLIMITED);
        let frames: Vec<Vec<u8>> = (0..100).map(|number| vec![number; 50_000]).collect();
        for frame in &frames {
            writer.write(frame, &[0, 1]);
        }
        writer.ask(0);
        assert!(read(&mut to_fast, 5_000_000) == frames.concat());
        assert!(read(&mut to_slow, 5_000_000) == frames.concat());
        assert_eq!(writer.hear(), (0, Word::Ready));
        writer.stop();
    }

    #[test]
    fn who_falls_behind_in_bytes_or_in_time_is_told_of_and_given_no_more() {
        let mut writer = Writer::start();
        let by_bytes = Limits { bytes: 1_000_000, age: None };
        let by_age = Limits { bytes: usize::MAX, age: Some(Duration::from_millis(1)) };
        for limits in [by_bytes, by_age] {
            let (ours, mut theirs) = writer.enter(0, limits);
            for _ in 0..100 {
                writer.write(&vec![b'a'; 50_000], &[0]);
            }
            assert_eq!(writer.hear(), (0, Word::Lagged));
            writer.write(b"b", &[0]);
            writer.ask(0);
            assert_eq!(writer.hear(), (0, Word::Ready));
            assert_eq!(writer.numbers.leave(0), None);
            assert_eq!(writer.hear(), (0, Word::Left));
            drop(ours);
            let mut rest = vec![];
            theirs.read_to_end(&mut rest).unwrap();
            assert!(rest.len() < 5_000_000 && !rest.contains(&b'b'));
        }
        writer.stop();
    }

    #[test]
    fn what_is_for_one_who_has_left_reaches_no_successor() {
        let mut writer = Writer::start();
        let (_ours, _theirs) = writer.enter(0, UNLIMITED);
        writer.write(b"old", &[0]);
        writer.numbers.leave(0);
        writer.write(b"old", &[0]);
        assert_eq!(writer.hear(), (0, Word::Left));
        let (_new, mut to_new) = writer.enter(0, UNLIMITED);
        writer.write(b"new", &[0]);
        assert_eq!(read(&mut to_new, 3), b"new");
        writer.stop();
    }

    #[test]
    fn what_was_posted_before_it_settles_is_written_or_given_back() {
        let mut writer = Writer::start();
        for round in 0..100 {
            let (ours, mut theirs) = writer.enter(0, UNLIMITED);
            let frame = vec![b'a'; round * 10_000 + 1];
            writer.write(&frame, &[0]);
            writer.inbox.settle();
            let rest = writer.numbers.leave(0).unwrap();
            assert_eq!(writer.hear(), (0, Word::Left));
            drop(ours);
            let mut received = vec![];
            theirs.read_to_end(&mut received).unwrap();
            received.extend(rest);
            assert!(received == frame);
        }
        writer.stop();
    }

    #[test]
    fn a_peer_that_is_gone_is_left_to_node() {
        let mut writer = Writer::start();
        let (_ours, theirs) = writer.enter(0, UNLIMITED);
        drop(theirs);
        writer.write(b"a", &[0]);
        writer.ask(0);
        assert_eq!(writer.hear(), (0, Word::Ready));
        writer.stop();
    }
}
