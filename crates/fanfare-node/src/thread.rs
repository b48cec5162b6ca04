//! The thread that writes.

use std::{
    collections::{BTreeSet, VecDeque},
    io, mem,
    sync::Arc,
    thread::{self, Builder, JoinHandle},
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

/// How many sockets are written to before it is looked what is new, and at most about how many bytes: so
/// JavaScript never waits for long, and what comes meanwhile goes out together with what is there.
const SLICE: usize = 256;
const SLICE_BYTES: usize = 1024 * 1024;

struct Writer<T: Fn(u32, Word)> {
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
    /// Its socket took no more, and the poller has not told that it does again.
    is_full: bool,
}

/// How a socket took what waited for it.
enum Took {
    Everything,
    /// It may take more: others are to have their turn.
    Enough,
    /// It takes no more.
    NotAll,
    /// Its peer is gone.
    Nothing,
}

/// Starts a thread, which tells of sockets by their numbers.
pub(crate) fn start(
    tell: impl Fn(u32, Word) + Send + 'static,
) -> io::Result<(Arc<Inbox>, JoinHandle<()>)> {
    let poll = Poll::new()?;
    let inbox = Arc::new(Inbox::new(poll.registry())?);
    let writer = Writer::new(inbox.clone(), tell);
    let thread = Builder::new().name("sse-writer".into()).spawn(move || writer.run(poll))?;
    Ok((inbox, thread))
}

impl<T: Fn(u32, Word)> Writer<T> {
    fn new(inbox: Arc<Inbox>, tell: T) -> Self {
        Self {
            inbox,
            clients: vec![],
            given: VecDeque::new(),
            blocked: BTreeSet::new(),
            looked: Instant::now(),
            now: Instant::now(),
            tell,
        }
    }

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
            for event in events.iter().filter(|event| event.token() != INBOX) {
                self.go_on(event.token());
            }
            self.give();
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

    /// A socket takes more.
    fn go_on(&mut self, Token(index): Token) {
        let Ok(number) = u32::try_from(index) else { return };
        if let Some(Some(client)) = self.clients.get_mut(index) {
            client.is_full = false;
            client.note(number, &mut self.given);
        }
    }

    /// Writes to some of those who have been given something, or take more.
    fn give(&mut self) {
        let mut budget = SLICE_BYTES;
        for _ in 0..SLICE {
            let Some(number) = self.given.pop_front() else { return };
            self.visit(number, &mut budget);
            if budget == 0 {
                return;
            }
        }
    }

    fn visit(&mut self, number: u32, budget: &mut usize) {
        let Some(Some(client)) = self.clients.get_mut(number as usize) else { return };
        client.is_given = false;
        if client.is_full {
            self.check(number);
        } else {
            self.write(number, budget);
        }
    }

    fn write(&mut self, number: u32, budget: &mut usize) {
        let Some(Some(client)) = self.clients.get_mut(number as usize) else { return };
        match client.write(self.now, budget) {
            Took::Enough => {
                client.note(number, &mut self.given);
                self.check(number);
            }
            Took::NotAll => {
                client.is_full = true;
                self.blocked.insert(number);
                let (registry, token) = (self.inbox.registry(), Token(number as usize));
                match client.slot.with(|seat| seat.watch(registry, token)) {
                    // What cannot be watched would wait for ever.
                    Some(Err(_)) => self.cut(number, Word::Lagged),
                    Some(Ok(())) | None => self.check(number),
                }
            }
            Took::Everything => self.settle(number),
            // Node finds that by itself only while it reads.
            Took::Nothing => self.cut(number, Word::Gone),
        }
    }

    /// Nothing waits for it.
    fn settle(&mut self, number: u32) {
        let Some(Some(client)) = self.clients.get_mut(number as usize) else { return };
        client.is_full = false;
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
            self.cut(number, Word::Lagged);
        }
    }

    /// Writes nothing any more, and tells why.
    fn cut(&mut self, number: u32, why: Word) {
        let Some(Some(client)) = self.clients.get_mut(number as usize) else { return };
        if client.slot.with(Seat::give_up).is_some() {
            (self.tell)(number, why);
        }
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

/// Nobody is to wait for a thread that has panicked.
impl<T: Fn(u32, Word)> Drop for Writer<T> {
    fn drop(&mut self) {
        self.inbox.close();
        if thread::panicking() {
            (0..).zip(&self.clients).for_each(|(number, _)| (self.tell)(number, Word::Gone));
        }
    }
}

impl Client {
    fn new(slot: Arc<Slot>) -> Self {
        Self { slot, took: Instant::now(), is_asked: false, is_given: false, is_full: false }
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

    /// Writes until nothing waits or the socket takes no more: only then the poller tells when it does. What
    /// it takes is taken off the budget, and when that is used up it is the turn of others.
    fn write(&mut self, now: Instant, budget: &mut usize) -> Took {
        loop {
            match self.slot.with(|seat| seat.write().map(|written| (written, seat.is_empty()))) {
                Some(Ok((written, is_all))) => {
                    *budget = budget.saturating_sub(written);
                    if is_all {
                        return Took::Everything;
                    }
                    self.took = now;
                    if *budget == 0 {
                        return Took::Enough;
                    }
                }
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
        self.slot.with(|seat| (seat.bytes(), seat.overdue())).is_some_and(|(bytes, overdue)| {
            overdue > limits.bytes || (bytes > 0 && limits.age.is_some_and(|limit| stalled > limit))
        })
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

    use mio::Poll;

    use super::{SLICE_BYTES, start};
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
    fn a_peer_that_is_gone_is_told_of_once() {
        let mut writer = Writer::start();
        let (_ours, theirs) = writer.enter(0, UNLIMITED);
        drop(theirs);
        writer.write(b"a", &[0]);
        assert_eq!(writer.hear(), (0, Word::Gone));
        writer.write(b"b", &[0]);
        writer.ask(0);
        assert_eq!(writer.hear(), (0, Word::Ready));
        writer.stop();
    }

    #[test]
    fn one_frame_above_the_limit_is_no_reason_to_cut_who_reads() {
        let mut writer = Writer::start();
        let (_ours, mut theirs) = writer.enter(0, Limits { bytes: 1000, age: None });
        for letter in [b"a", b"b"] {
            let frame = letter.repeat(5_000_000);
            writer.write(&frame, &[0]);
            writer.ask(0);
            assert!(read(&mut theirs, frame.len()) == frame);
            assert_eq!(writer.hear(), (0, Word::Ready));
        }
        writer.stop();
    }

    #[test]
    fn a_slice_ends_when_much_is_written() {
        let poll = Poll::new().unwrap();
        let inbox = Arc::new(Inbox::new(poll.registry()).unwrap());
        let mut writer = super::Writer::new(inbox, |number, word| panic!("{number}: {word:?}"));
        let pairs: Vec<_> = (0..100).map(|_| UnixStream::pair().unwrap()).collect();
        for ((ours, _), number) in pairs.iter().zip(0..) {
            let slot = Slot::borrow(ours.as_raw_fd(), Framing::Plain, UNLIMITED);
            writer.enter(number, Arc::new(slot));
            writer.put(number, &Arc::new(Frame::new(&vec![b'a'; 100_000])));
        }
        writer.give();
        assert_eq!(writer.given.len(), 100 - SLICE_BYTES.div_ceil(100_000));
    }

    #[test]
    fn nobody_waits_for_a_thread_that_has_panicked() {
        let (tell, heard) = channel();
        let told = move |number, word| {
            assert_eq!(word, Word::Gone);
            tell.send(number).unwrap();
        };
        let (inbox, thread) = start(told).unwrap();
        let mut numbers = Numbers::new(&inbox);
        let (ours, _theirs) = UnixStream::pair().unwrap();
        numbers.enter(0, Slot::borrow(ours.as_raw_fd(), Framing::Plain, UNLIMITED));
        inbox.post(Command::Ask { number: 0 });
        assert_eq!(heard.recv_timeout(PATIENCE), Ok(0));
        let frame = Arc::new(Frame::new(b"a"));
        inbox.post(Command::Write { frame, numbers: [0].into() });
        assert!(numbers.leave(0).is_some());
        assert!(thread.join().is_err());
    }
}
