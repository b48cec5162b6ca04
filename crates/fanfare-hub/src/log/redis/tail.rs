//! The tail: what has happened in Redis, asked for as soon as there is something.

use std::{
    mem,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fanfare_fanout::Position;
use redis::{Cmd, RedisResult, Value, aio::MultiplexedConnection, cmd};
use tokio::{sync::mpsc::Sender, time::timeout};

use super::{Place, RedisError, Reply, Shared, State, link::Backoff};
use crate::log::Committed;

/// Events and bytes that are asked for at a time.
const EVENTS: usize = 512;
const BYTES: usize = 1024 * 1024;
/// How long Redis is to wait for something to happen, before it is asked again.
const WAIT: Duration = Duration::from_secs(WAIT_SECONDS);
const WAIT_SECONDS: u64 = 5;
/// Where the tail is, and by what the newest event there is known.
struct Tailing {
    shared: Arc<Shared>,
    sender: Sender<Vec<Committed>>,
    place: Place,
    nonce: String,
}

/// Tells what happens behind a place, until nobody listens or the log is closed.
pub(super) async fn run(shared: Arc<Shared>, sender: Sender<Vec<Committed>>, place: Place) {
    let mut tailing = Tailing { shared, sender, place, nonce: String::new() };
    let mut backoff = Backoff::NEW;
    loop {
        let before = tailing.place;
        match tailing.follow().await {
            Ok(()) => return,
            Err(RedisError::Replaced) => {
                tracing::error!("{}", RedisError::Replaced);
                tailing.shared.life.end(State::Replaced);
                return;
            }
            Err(error) => {
                tailing.shared.is_away.store(true, Ordering::Relaxed);
                tracing::warn!(error = &error as &dyn std::error::Error, "the log is away");
            }
        }
        if tailing.place > before {
            backoff = Backoff::NEW;
        }
        if tailing.rest(backoff.next()).await {
            return;
        }
    }
}

impl Tailing {
    /// Tells what happens as long as the connection lasts, or until no more is wanted.
    async fn follow(&mut self) -> Result<(), RedisError> {
        let shared = self.shared.clone();
        let mut changes = shared.link.changes();
        let mut connection = shared.link.connect(WAIT).await?;
        self.recognise(&mut connection).await?;
        let mut state = shared.life.subscribe();
        loop {
            // What was appended before it was closed is told. Others may go on appending for ever.
            let is_over = *state.borrow_and_update() != State::Open;
            let until = is_over.then(|| *shared.newest());
            self.tell(until).await?;
            if is_over || self.sender.is_closed() {
                return Ok(());
            }
            tokio::select! {
                () = self.sender.closed() => return Ok(()),
                _ = state.changed() => {}
                // Where news were waited for, there may be none any more.
                _ = changes.changed() => connection = shared.link.connect(WAIT).await?,
                woken = wait(&mut connection, self.news()) => woken?,
            }
        }
    }

    /// Whether it is the log that it was.
    async fn recognise(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        let is_same = self.shared.recognise(connection, self.place, &self.nonce).await?;
        if is_same { Ok(()) } else { Err(RedisError::Replaced) }
    }

    /// Asks to be told when something happens behind the place.
    fn news(&self) -> Cmd {
        let mut news = cmd("XREAD");
        let Place { position, sub } = self.place;
        news.arg("BLOCK").arg(WAIT_SECONDS * 1000).arg("COUNT").arg(1);
        news.arg("STREAMS").arg(self.shared.scripts.order()).arg(format!("{position}-{sub}"));
        news
    }

    /// Tells all that has happened, up to a place if there is one, if anybody listens.
    async fn tell(&mut self, until: Option<Place>) -> Result<(), RedisError> {
        while until.is_none_or(|until| self.place < until) {
            let call = self.shared.scripts.tail(self.place, EVENTS, BYTES);
            let mut told = Told::read(self.shared.call(call).await?, self.place)?;
            if told.committed.is_empty() || self.sender.send(told.committed).await.is_err() {
                return Ok(());
            }
            self.place = told.place;
            self.nonce = told.nonce.take().unwrap_or_else(|| mem::take(&mut self.nonce));
        }
        Ok(())
    }

    /// Waits before the next attempt; tells whether none is wanted.
    async fn rest(&self, pause: Duration) -> bool {
        let mut state = self.shared.life.subscribe();
        let over = async {
            tokio::select! {
                () = self.sender.closed() => {}
                _ = state.wait_for(|state| *state != State::Open) => {}
            }
        };
        timeout(pause, over).await.is_ok()
    }
}

async fn wait(connection: &mut MultiplexedConnection, news: Cmd) -> RedisResult<()> {
    news.query_async::<Value>(connection).await.map(drop)
}

/// What has happened, up to a place, and by what an event there is known.
struct Told {
    committed: Vec<Committed>,
    place: Place,
    nonce: Option<String>,
}

impl Told {
    /// What an answer says that has happened behind a place.
    fn read(mut reply: Reply, behind: Place) -> Result<Self, RedisError> {
        let (has_missed, has_missed_end) = (reply.number()? == 1, reply.number()? == 1);
        let end = Place { position: reply.number()?, sub: reply.number()? };
        let mut happened = reply.values()?;
        let mut told = Self { committed: vec![], place: behind, nonce: None };
        while !happened.is_empty() {
            told.add(happened.values()?)?;
        }
        if has_missed || has_missed_end {
            told.miss(end, has_missed_end);
        }
        Ok(told)
    }

    /// One thing that has happened, and where.
    fn add(&mut self, mut reply: Reply) -> Result<(), RedisError> {
        let id = reply.text()?;
        let place = id.split_once('-').and_then(|(one, other)| {
            Some(Place { position: one.parse().ok()?, sub: other.parse().ok()? })
        });
        self.place = place.ok_or(RedisError::Reply)?;
        let position = Position(self.place.position);
        let kind = reply.text()?;
        self.committed.push(match &*kind {
            "e" => {
                let record = reply.record(position)?;
                self.nonce = Some(reply.text()?.to_string());
                Committed::Event(record)
            }
            "end" => Committed::End(reply.topic()?),
            "erased" => Committed::Erased(reply.topic()?, position),
            _ => {
                self.nonce = Some(String::new());
                Committed::Skipped(position)
            }
        });
        Ok(())
    }

    /// Something is missing before or among what is told. It is said first, for all of that.
    fn miss(&mut self, end: Place, has_missed_end: bool) {
        if self.committed.is_empty() {
            (self.place, self.nonce) = (end, Some(String::new()));
        }
        let position = Position(self.place.position);
        let missed = if has_missed_end { Committed::Missed } else { Committed::Skipped };
        self.committed.insert(0, missed(position));
    }
}
