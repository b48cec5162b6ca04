//! The thread that writes.

use std::{
    collections::BTreeSet,
    io,
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token};

use crate::{
    backlog::Backlog,
    frame::Frame,
    inbox::{Command, INBOX, Inbox},
    slot::{Slot, Word},
};

/// How often it is looked for what has waited too long.
const LOOK: Duration = Duration::from_millis(100);

const EVENTS: usize = 1024;

struct Writer<T> {
    inbox: Arc<Inbox>,
    clients: Vec<Option<Client>>,
    /// Who has been given something that is not yet tried.
    given: Vec<u32>,
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
    backlog: Backlog,
    /// When its socket last took something, or was given the first that waits.
    took: Instant,
    /// What is to be told when nothing waits any more.
    words: Vec<Word>,
    /// It is among the given.
    is_given: bool,
    /// Nothing is written to it any more: Node will find the peer gone.
    is_dead: bool,
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
        given: vec![],
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
            let timeout = (!self.blocked.is_empty()).then_some(LOOK);
            // Only an interruption can fail it, after which it is looked all the same.
            let _ = poll.poll(&mut events, timeout);
            self.now = Instant::now();
            self.inbox.take(&mut commands);
            commands.drain(..).for_each(|command| self.obey(command));
            self.give();
            for event in events.iter().filter(|event| event.token() != INBOX) {
                self.go_on(event.token());
            }
            self.look();
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Enter { number, slot } => self.enter(number, slot),
            Command::Write { frame, numbers } => {
                numbers.iter().for_each(|&number| self.put(number, &frame));
            }
            Command::Tell { number, word } => self.promise(number, word),
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
        if !client.is_dead {
            client.put(frame, self.now);
            client.note(number, &mut self.given);
        }
    }

    fn promise(&mut self, number: u32, word: Word) {
        if let Some(Some(client)) = self.clients.get_mut(number as usize) {
            client.words.push(word);
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

    /// Writes to all who have been given something. What is given meanwhile waits, and goes out in one
    /// system call for each.
    fn give(&mut self) {
        let mut given = std::mem::take(&mut self.given);
        for number in given.drain(..) {
            if self.inbox.is_closed() {
                return;
            }
            self.visit(number);
        }
        self.given = given;
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
                if client.slot.watch(self.inbox.registry(), Token(number as usize)).is_err() {
                    // What cannot be watched would wait for ever.
                    self.lag(number);
                } else {
                    self.check(number);
                }
            }
            Took::Everything => self.settle(number),
            Took::Nothing => {
                client.die();
                self.settle(number);
            }
        }
    }

    /// Nothing waits for it: what is to be told then is told.
    fn settle(&mut self, number: u32) {
        let Some(Some(client)) = self.clients.get_mut(number as usize) else { return };
        if self.blocked.remove(&number) {
            client.slot.unwatch(self.inbox.registry());
        }
        client.words.drain(..).for_each(|word| (self.tell)(number, word));
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
        client.die();
        client.words.insert(0, Word::Lagged);
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
        let backlog = Backlog::new(slot.framing);
        Self { slot, backlog, took: Instant::now(), words: vec![], is_given: false, is_dead: false }
    }

    fn put(&mut self, frame: &Arc<Frame>, now: Instant) {
        if self.backlog.is_empty() {
            self.took = now;
        }
        self.backlog.push(frame);
    }

    fn note(&mut self, number: u32, given: &mut Vec<u32>) {
        if !self.is_given {
            self.is_given = true;
            given.push(number);
        }
    }

    /// Writes until nothing waits or the socket takes no more: only then the poller tells when it does.
    fn write(&mut self, now: Instant) -> Took {
        while !self.backlog.is_empty() {
            match self.slot.pinned(|socket| self.backlog.write(socket)) {
                Some(Ok(())) => self.took = now,
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Took::NotAll;
                }
                Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Some(Err(_)) | None => return Took::Nothing,
            }
        }
        Took::Everything
    }

    fn has_lagged(&self, now: Instant) -> bool {
        let limits = self.slot.limits;
        let stalled = now.saturating_duration_since(self.took);
        self.backlog.bytes() > limits.bytes || limits.age.is_some_and(|limit| stalled > limit)
    }

    fn die(&mut self) {
        self.is_dead = true;
        self.backlog.clear();
    }
}
