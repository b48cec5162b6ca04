//! The readers of one channel on one thread, and what they are given.

use std::{sync::Arc, task::Waker};

use crate::{
    Channel, Position, Run,
    cursor::{Given, Place},
    digest::Suffix,
    waiters::Ticket,
};

use super::{Framing, inbox::News, written::Written};

/// The longest run that a client is given in one write, in bytes.
pub(super) const MAX_RUN_BYTES: usize = 64 * 1024;

/// Runs that are kept for the next reader at the same place: most are at the newest frame, some a few
/// before.
const KEPT_RUNS: usize = 4;

/// The readers of one channel.
pub(super) struct Readers {
    channel: Channel,
    news: Arc<News>,
    waker: Waker,
    ticket: Option<Ticket>,
    /// What lies behind this sequence number came after news were listened to, and is told; `None` if
    /// the channel was closed.
    known: Option<u64>,
    /// The clients' keys.
    pub(super) keys: Vec<u32>,
    /// How many of them the sweep has still to visit: those with the lowest indices.
    pub(super) left: usize,
    /// It waits for its turn, or is being swept.
    pub(super) is_queued: bool,
    /// There is more to give than when the sweep began.
    pub(super) has_more: bool,
}

/// What was given lately.
#[derive(Default)]
pub(super) struct Runs(Vec<(u64, Piece)>);

/// A run, ready to be written to any client.
#[derive(Clone)]
pub(super) struct Piece {
    pub(super) written: Written,
    /// Where the frames have one.
    pub(super) digest: Option<Suffix>,
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) last: Position,
}

/// What is next for a client.
pub(super) enum Next {
    Piece(Piece),
    Nothing,
    Lag,
    End,
}

impl Readers {
    pub(super) fn new(channel: Channel, news: News) -> Self {
        let news = Arc::new(news);
        let waker = Waker::from(news.clone());
        let mut readers = Self {
            channel,
            news,
            waker,
            ticket: None,
            known: None,
            keys: vec![],
            left: 0,
            is_queued: false,
            has_more: false,
        };
        readers.listen();
        readers
    }

    /// From now on news are told.
    fn listen(&mut self) {
        self.news.look();
        self.known = self.channel.listen(&mut self.ticket, &self.waker);
    }

    /// Begins to visit all readers.
    pub(super) fn begin_sweep(&mut self) {
        self.listen();
        self.has_more = false;
        self.left = self.keys.len();
    }

    /// The next reader that the sweep has to visit. The last comes first, so that the place of one that
    /// leaves is taken by one that was visited.
    pub(super) fn next_key(&mut self) -> Option<u32> {
        self.left = self.left.min(self.keys.len()).checked_sub(1)?;
        self.keys.get(self.left).copied()
    }

    /// Whether everything has been given up to where news will be told.
    pub(super) fn is_at_end(&self, place: &Place) -> bool {
        place.known().zip(self.known).is_some_and(|(next, known)| next >= known)
    }

    /// What is next at a place, which is moved on.
    pub(super) fn next(&self, place: &mut Place, runs: &mut Runs, framing: Framing) -> Next {
        if self.is_at_end(place) {
            return Next::Nothing;
        }
        if let Some(piece) = place.known().and_then(|next| runs.find(next)) {
            place.skip(piece.frames);
            return Next::Piece(piece);
        }
        match self.channel.give(place, MAX_RUN_BYTES) {
            Given::Run(run) => {
                let piece = Piece::new(run, framing);
                if let Some(next) = place.known() {
                    runs.keep(next - piece.frames, piece.clone());
                }
                Next::Piece(piece)
            }
            Given::Nothing => Next::Nothing,
            Given::Lag => Next::Lag,
            Given::End => Next::End,
        }
    }

    pub(super) fn address(&self) -> usize {
        self.channel.address()
    }

    /// Stops listening.
    pub(super) fn close(mut self) {
        self.channel.leave(&mut self.ticket);
    }
}

impl Piece {
    pub(super) fn new(run: Run, framing: Framing) -> Self {
        let Run { bytes, digest, frames, last, .. } = run;
        let len = bytes.len() as u64;
        let digest = (!digest.is_empty()).then(|| Suffix::new(digest));
        Self { written: Written::new(bytes, framing), digest, frames, bytes: len, last }
    }
}

impl Runs {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn find(&self, from: u64) -> Option<Piece> {
        self.0.iter().find(|(start, _)| *start == from).map(|(_, piece)| piece.clone())
    }

    fn keep(&mut self, from: u64, piece: Piece) {
        if self.0.len() == KEPT_RUNS {
            self.0.remove(0);
        }
        self.0.push((from, piece));
    }
}
