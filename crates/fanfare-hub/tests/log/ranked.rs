//! A log whose positions have holes, seen as one whose positions have none.

use std::sync::{Arc, Mutex, MutexGuard};

use fanfare_fanout::{Epoch, Position};
use fanfare_hub::{
    Selection, TopicName,
    log::{
        Answer, AppendError, Appended, Batch, Committed, Listening, Log, Page, Read, ReadError,
        Size, Tail, Timestamp, TopicState,
    },
};
use tokio::sync::{mpsc, watch};

use crate::subject::all;

/// The positions that events have had, also before the log was opened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known(Arc<Mutex<Vec<u64>>>);

impl Known {
    fn positions(&self) -> MutexGuard<'_, Vec<u64>> {
        self.0.lock().unwrap()
    }

    fn add(&self, position: Position) {
        let mut positions = self.positions();
        if let Err(index) = positions.binary_search(&position.0) {
            positions.insert(index, position.0);
        }
    }

    /// How many events there were up to a position.
    fn rank(&self, position: Position) -> Position {
        Position(self.positions().partition_point(|one| *one <= position.0) as u64)
    }

    fn position(&self, rank: Position) -> Position {
        let Some(index) = rank.0.checked_sub(1) else { return Position::START };
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        self.positions().get(index).map_or(Position::END, |position| Position(*position))
    }
}

/// Positions are told as ranks.
pub(crate) struct Ranked<L> {
    log: Arc<L>,
    known: Known,
    learned: watch::Receiver<Position>,
    tail: Arc<Mutex<Told>>,
    _listening: Listening,
}

/// Who is told what the tail gives.
#[derive(Debug, Default)]
enum Told {
    #[default]
    Nobody,
    Somebody(mpsc::Sender<Vec<Committed>>),
    NobodyAnyMore,
}

impl<L: Log> Ranked<L> {
    pub(crate) async fn new(log: L, known: Known) -> Self {
        let (sender, learned) = watch::channel(log.newest());
        let (log, tail) = (Arc::new(log), Arc::new(Mutex::new(Told::Nobody)));
        let given = log.tail().unwrap();
        let listening = log.listen(&all()).await.unwrap();
        tokio::spawn(learn(given, known.clone(), sender, tail.clone()));
        Self { log, known, learned, tail, _listening: listening }
    }

    /// Every event up to this one is known.
    async fn learned(&self, position: Position) -> Position {
        let mut learned = self.learned.clone();
        // It ends with the log, and knows all by then.
        let _ = learned.wait_for(|learned| *learned >= position).await;
        self.known.rank(position)
    }

    async fn state(&self, state: TopicState) -> TopicState {
        self.learned(state.newest).await;
        let rank = |position| self.known.rank(position);
        TopicState {
            oldest: state.oldest.map(rank),
            newest: rank(state.newest),
            ended: state.ended.map(rank),
            ..state
        }
    }
}

async fn learn(
    mut given: Tail,
    known: Known,
    learned: watch::Sender<Position>,
    tail: Arc<Mutex<Told>>,
) {
    while let Some(committed) = given.recv().await {
        let mut told = vec![];
        let mut newest = Position::START;
        for one in committed {
            told.push(match one {
                Committed::Event(mut record) => {
                    known.add(record.position);
                    newest = record.position;
                    record.position = known.rank(record.position);
                    Committed::Event(record)
                }
                Committed::Erased(name, position) => Committed::Erased(name, known.rank(position)),
                Committed::Skipped(position) => Committed::Skipped(known.rank(position)),
                Committed::Missed(position) => Committed::Missed(known.rank(position)),
                end @ Committed::End(_) => end,
            });
        }
        let somebody = match &*tail.lock().unwrap() {
            Told::Somebody(somebody) => Some(somebody.clone()),
            _ => None,
        };
        if let Some(somebody) = somebody {
            let _ = somebody.send(told).await;
        }
        learned.send_if_modified(|learned| {
            let is_news = *learned < newest;
            *learned = newest.max(*learned);
            is_news
        });
    }
    *tail.lock().unwrap() = Told::NobodyAnyMore;
}

impl<L: Log> Log for Ranked<L> {
    fn epoch(&self) -> Epoch {
        self.log.epoch()
    }

    fn newest(&self) -> Position {
        self.known.rank(self.log.newest())
    }

    fn tail(&self) -> Option<Tail> {
        let mut tail = self.tail.lock().unwrap();
        let Told::Nobody = &*tail else { return None };
        let (sender, receiver) = mpsc::channel(64);
        *tail = Told::Somebody(sender);
        Some(receiver)
    }

    fn append(&self, batch: Batch) -> Answer<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            let appended = self.log.append(batch).await?;
            Ok(Appended { last: self.learned(appended.last).await, ..appended })
        })
    }

    fn read(&self, read: Read) -> Answer<'_, Result<Page, ReadError>> {
        Box::pin(async move {
            let (after, until) = (self.known.position(read.after), self.known.position(read.until));
            let mut page = self.log.read(Read { after, until, ..read }).await?;
            self.learned(page.records.last().map_or(page.through, |last| last.position)).await;
            for record in &mut page.records {
                record.position = self.known.rank(record.position);
            }
            Ok(Page { through: self.known.rank(page.through), ..page })
        })
    }

    fn kept_after(&self, selection: &Selection) -> Answer<'_, Result<Position, ReadError>> {
        let selection = selection.clone();
        Box::pin(async move { Ok(self.known.rank(self.log.kept_after(&selection).await?)) })
    }

    fn drops(&self, selection: &Selection, after: Position) -> Answer<'_, Result<u64, ReadError>> {
        self.log.drops(selection, self.known.position(after))
    }

    fn before_last(
        &self,
        selection: &Selection,
        count: u64,
    ) -> Answer<'_, Result<Position, ReadError>> {
        let selection = selection.clone();
        Box::pin(async move {
            let before = self.log.before_last(&selection, count).await?;
            Ok(self.known.rank(before))
        })
    }

    fn topic(&self, name: &TopicName) -> Answer<'_, Result<Option<TopicState>, ReadError>> {
        let name = name.clone();
        Box::pin(async move {
            match self.log.topic(&name).await? {
                Some(state) => Ok(Some(self.state(state).await)),
                None => Ok(None),
            }
        })
    }

    fn topics(
        &self,
        selection: &Selection,
        after: Option<&TopicName>,
        most: usize,
    ) -> Answer<'_, Result<Vec<TopicState>, ReadError>> {
        let (selection, after) = (selection.clone(), after.cloned());
        Box::pin(async move {
            let mut topics = vec![];
            for state in self.log.topics(&selection, after.as_ref(), most).await? {
                topics.push(self.state(state).await);
            }
            Ok(topics)
        })
    }

    fn erase(&self, name: &TopicName) -> Answer<'_, Result<bool, AppendError>> {
        self.log.erase(name)
    }

    fn size(&self) -> Answer<'_, Result<Size, ReadError>> {
        self.log.size()
    }

    fn trim(&self, now: Timestamp) -> Answer<'_, Result<(), AppendError>> {
        self.log.trim(now)
    }

    fn close(&self) -> Answer<'_, Result<(), AppendError>> {
        self.log.close()
    }
}
