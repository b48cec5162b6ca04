//! A client that reads several channels, in one order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
};

use crate::{Channel, Cursor, Lagged, Position, Positions, Turn};

use super::{
    Framing,
    inbox::Inbox,
    readers::{MAX_RUN_BYTES, Next, Piece},
};

/// Its places. What others read at the same place is not looked for: several channels seldom are.
pub(super) struct Several {
    cursors: Vec<Cursor>,
    positions: Positions,
    news: Arc<News>,
    waker: Waker,
}

/// What its channels wake.
struct News {
    inbox: Arc<Inbox>,
    key: u32,
    /// The thread has been told, and has not looked since.
    is_told: AtomicBool,
}

impl Several {
    /// The places of the client `key` behind a position; `None` if some of what follows is not kept.
    pub(super) fn new(
        channels: &[Channel],
        after: Position,
        key: u32,
        inbox: Arc<Inbox>,
    ) -> Option<Self> {
        let positions = channels.first()?.positions().clone();
        let cursors = channels.iter().map(|channel| channel.cursor_after(after));
        let cursors = cursors.collect::<Option<_>>()?;
        let news = Arc::new(News { inbox, key, is_told: AtomicBool::new(false) });
        let waker = Waker::from(news.clone());
        Some(Self { cursors, positions, news, waker })
    }

    /// What is next; if there is nothing, news are told.
    pub(super) fn next(&mut self, framing: Framing) -> Next {
        self.news.is_told.store(false, Ordering::SeqCst);
        // Loaded first: see `Turn::poll`.
        let newest = self.positions.newest();
        let context = &mut Context::from_waker(&self.waker);
        let Poll::Ready(turn) = Turn::poll(self.cursors.iter_mut(), newest, context) else {
            return Next::Nothing;
        };
        let Some(Turn { index, until }) = turn else {
            // It is being appended at this moment, perhaps by a thread that waits for this CPU.
            thread::yield_now();
            self.waker.wake_by_ref();
            return Next::Nothing;
        };
        match self.cursors.get_mut(index).map(|cursor| cursor.read(MAX_RUN_BYTES, until)) {
            Some(Ok(Some(run))) => Next::Piece(Piece::new(run, framing)),
            Some(Err(Lagged { .. })) => Next::Lag,
            Some(Ok(None)) | None => Next::End,
        }
    }
}

impl Wake for News {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_told.swap(true, Ordering::SeqCst) {
            self.inbox.news_of_client(self.key);
        }
    }
}
