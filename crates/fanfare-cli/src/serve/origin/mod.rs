//! A log that is another hub's: this hub is an edge, keeps nothing, and has everything from its origin.
//!
//! What is to be known of the log is asked for (`asker.rs`), once for all who want to know the same. What is
//! followed here (`wanted.rs`) is followed there by one stream (`tail.rs`), however many follow it here. It is one,
//! and not one for each topic, because events are to be told in one order over all topics, and only the origin
//! knows it. That a topic has ended is no event, so it is looked for (`look.rs`).

mod error;
mod question;
mod told;

mod access;
mod asker;
mod wanted;

mod look;
mod tail;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use fanfare_hub::{
    Epoch, Position, Selection, TopicName, Via,
    log::{
        Answer, AppendError, Appended, Batch, Listening, Log, Page, Read, ReadError, Size, Tail,
        Timestamp, TopicState,
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::stderr::chain;
use asker::Asker;
use question::Question;
use told::Told;
use wanted::Wanted;

pub(super) use access::Access;
pub(super) use error::OriginError;

/// Batches that may wait for the reader of the tail.
const TAIL_BATCHES: usize = 64;

/// How an origin is used.
#[derive(Debug)]
pub(super) struct OriginOptions {
    pub(super) access: Access,
    /// How long an answer is waited for.
    pub(super) patience: Duration,
    /// How long a topic is followed on that nobody follows here any more.
    pub(super) linger: Duration,
    /// What this hub is named among others: with the log, it has the origin's epoch.
    pub(super) name: Via,
}

/// The log of another hub. Clones are the same.
#[derive(Clone)]
pub(super) struct OriginLog(Arc<Origin>);

struct Origin {
    access: Arc<Access>,
    asker: Asker,
    patience: Duration,
    name: Via,
    epoch: Epoch,
    /// The highest position that was heard of.
    newest: AtomicU64,
    drops: Mutex<Drops>,
    /// The hubs that the origin has named, itself first.
    via: Mutex<Via>,
    is_away: AtomicBool,
    wanted: Arc<Wanted>,
    is_tail_taken: AtomicBool,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closed,
    /// The origin's log is another one, or has lost what it had.
    Replaced,
}

/// Makes one number of what each run of the origin counts anew.
#[derive(Debug)]
struct Drops {
    run: u64,
    base: u64,
    highest: u64,
}

impl Drops {
    /// Where the origin was started anew, something may have been dropped without being counted.
    fn count(&mut self, run: u64, drops: u64) -> u64 {
        if run != self.run {
            (self.run, self.base) = (run, self.highest + 1);
        }
        let count = self.base + drops;
        self.highest = self.highest.max(count);
        count
    }
}

impl OriginLog {
    /// Asks the origin for its log.
    pub(super) async fn open(options: OriginOptions) -> Result<Self, Arc<OriginError>> {
        let OriginOptions { access, patience, linger, name } = options;
        let access = Arc::new(access);
        let asker = Asker::new(access.clone(), patience)?;
        let told = asker.ask(&Question::default(), None).await?;
        Ok(Self(Arc::new(Origin {
            access,
            asker,
            patience,
            name,
            epoch: told.epoch,
            newest: AtomicU64::new(told.newest.0),
            drops: Mutex::new(Drops { run: told.run, base: 0, highest: 0 }),
            via: Mutex::new(told.via.clone()),
            is_away: AtomicBool::new(false),
            wanted: Arc::new(Wanted::new(linger)),
            is_tail_taken: AtomicBool::new(false),
            state: watch::Sender::new(State::Open),
        })))
    }
}

impl Origin {
    fn newest(&self) -> Position {
        Position(self.newest.load(Ordering::Relaxed))
    }

    fn heard_of(&self, position: Position) {
        self.newest.fetch_max(position.0, Ordering::Relaxed);
    }

    /// Asks, and takes note of what the answer says of the whole log.
    async fn ask(&self, question: &Question) -> Result<Arc<Told>, Arc<OriginError>> {
        let known = self.newest();
        let told = self.asker.ask(question, Some(self.epoch)).await;
        self.note_whether_away(told.as_ref().err().map(|error| &**error));
        let told = told?;
        if told.epoch != self.epoch || told.newest < known {
            return Err(Arc::new(self.replaced()));
        }
        self.heard_of(told.newest);
        *lock(&self.via) = told.via.clone();
        Ok(told)
    }

    fn note_whether_away(&self, error: Option<&OriginError>) {
        let was_away = self.is_away.swap(error.is_some(), Ordering::Relaxed);
        let origin = self.access.shown();
        match error {
            Some(error) if !was_away => {
                tracing::warn!(origin, error = chain(error), "the origin is away");
            }
            None if was_away => tracing::info!(origin, "the origin answers again"),
            _ => {}
        }
    }

    fn replaced(&self) -> OriginError {
        self.state.send_if_modified(|state| {
            let was_open = *state == State::Open;
            if was_open {
                *state = State::Replaced;
            }
            was_open
        });
        OriginError::Replaced
    }

    /// Waits until it is closed, or was replaced.
    async fn over(&self) {
        let mut state = self.state.subscribe();
        // It is there as long as this is.
        let _ = state.wait_for(|state| *state != State::Open).await;
    }

    /// What the origin says to a question, or a part of it.
    fn know<'a, T: 'a>(
        &'a self,
        question: Question,
        part: impl FnOnce(&Told) -> T + Send + 'a,
    ) -> Answer<'a, Result<T, ReadError>> {
        Box::pin(async move {
            let told = self.ask(&question).await.map_err(unreadable)?;
            Ok(part(&told))
        })
    }

    async fn listen(&self, selection: &Selection) -> Result<Listening, ReadError> {
        // One stream brings everything, so nothing is to be in it that the origin refuses.
        self.ask(&Question::of(selection)).await.map_err(unreadable)?;
        let listening = timeout(self.patience, self.wanted.listen(selection));
        listening.await.map_err(|_| unreadable(OriginError::Late(self.patience).into()))
    }

    fn elsewhere<T: Send>(&self) -> Answer<'_, Result<T, AppendError>> {
        let error = AppendError::Elsewhere(self.access.shown());
        Box::pin(async { Err(error) })
    }
}

impl Log for OriginLog {
    fn epoch(&self) -> Epoch {
        self.0.epoch
    }

    fn newest(&self) -> Position {
        self.0.newest()
    }

    fn is_available(&self) -> Option<bool> {
        Some(!self.0.is_away.load(Ordering::Relaxed))
    }

    fn replaced(&self) -> Answer<'_, ()> {
        let mut state = self.0.state.subscribe();
        Box::pin(async move {
            // It is there as long as this is.
            let _ = state.wait_for(|state| *state == State::Replaced).await;
        })
    }

    fn via(&self) -> Via {
        self.0.name.then(&lock(&self.0.via))
    }

    fn tail(&self) -> Option<Tail> {
        if self.0.is_tail_taken.swap(true, Ordering::Relaxed) {
            return None;
        }
        let (sender, tail) = mpsc::channel(TAIL_BATCHES);
        tokio::spawn(tail::run(self.0.clone(), sender));
        Some(tail)
    }

    fn listen(&self, selection: &Selection) -> Answer<'_, Result<Listening, ReadError>> {
        let selection = selection.clone();
        Box::pin(async move { self.0.listen(&selection).await })
    }

    fn append(&self, _: Batch) -> Answer<'_, Result<Appended, AppendError>> {
        self.0.elsewhere()
    }

    fn read(&self, read: Read) -> Answer<'_, Result<Page, ReadError>> {
        self.0.know(Question::page(&read), |told| told.page.clone())
    }

    fn kept_after(&self, selection: &Selection) -> Answer<'_, Result<Position, ReadError>> {
        self.0.know(Question::of(selection), |told| told.kept_after)
    }

    fn drops(&self, selection: &Selection, after: Position) -> Answer<'_, Result<u64, ReadError>> {
        let drops = |told: &Told| lock(&self.0.drops).count(told.run, told.drops);
        self.0.know(Question::of(selection).after(after), drops)
    }

    fn before_last(
        &self,
        selection: &Selection,
        count: u64,
    ) -> Answer<'_, Result<Position, ReadError>> {
        self.0.know(Question::of(selection).last(count), |told| told.before_last)
    }

    fn topic(&self, name: &TopicName) -> Answer<'_, Result<Option<TopicState>, ReadError>> {
        let question = Question::of(&name.clone().into());
        self.0.know(question, |told| told.topics.first().cloned())
    }

    fn topics(
        &self,
        selection: &Selection,
        after: Option<&TopicName>,
        most: usize,
    ) -> Answer<'_, Result<Vec<TopicState>, ReadError>> {
        let others = selection.selectors().iter().filter(|one| !one.is_own()).cloned();
        let question = Question::of(&Selection::new(others)).listed(after, most);
        self.0.know(question, |told| told.listed.clone())
    }

    fn erase(&self, _: &TopicName) -> Answer<'_, Result<bool, AppendError>> {
        self.0.elsewhere()
    }

    /// An edge holds nothing.
    fn size(&self) -> Answer<'_, Result<Size, ReadError>> {
        Box::pin(async { Ok(Size::default()) })
    }

    /// The origin does.
    fn trim(&self, _: Timestamp) -> Answer<'_, Result<(), AppendError>> {
        Box::pin(async { Ok(()) })
    }

    fn close(&self) -> Answer<'_, Result<(), AppendError>> {
        self.0.state.send_replace(State::Closed);
        Box::pin(async { Ok(()) })
    }
}

fn unreadable(error: Arc<OriginError>) -> ReadError {
    ReadError(error.into())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for OriginLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginLog").field("epoch", &self.0.epoch).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_run_of_the_origin_counts_as_a_drop() {
        let mut drops = Drops { run: 1, base: 0, highest: 0 };
        let counts = [(1, 0), (1, 7), (1, 3), (2, 0), (2, 1)];
        assert_eq!(counts.map(|(run, count)| drops.count(run, count)), [0, 7, 3, 8, 9]);
    }
}
