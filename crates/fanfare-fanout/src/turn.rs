//! Reading several channels in one order.

use std::task::{Context, Poll};

use crate::{Cursor, Next, Position};

/// Which of several cursors is to be read, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The index of the cursor.
    pub index: usize,
    /// Where the next frame of another one is, or the end that was asked for.
    pub until: Position,
}

impl Turn {
    /// Whose frame is the oldest. `None` when that is newer than `newest`; `Pending`, and woken when
    /// there is more, when there is no frame.
    ///
    /// All channels must draw from the same [`Positions`](crate::Positions), and `newest` must have
    /// been loaded before: then every frame up to it is found, and what is read is in order.
    ///
    /// ```
    /// use fanfare_fanout::{Channel, Options, Position, Positions, Start, Turn};
    /// # use std::task::{Context, Poll, Waker};
    /// # let context = &mut Context::from_waker(Waker::noop());
    ///
    /// let positions = Positions::new();
    /// let options = || Options { positions: positions.clone(), ..Options::default() };
    /// let [news, prices] = [Channel::<()>::new(options()), Channel::<()>::new(options())];
    /// let mut cursors = [news.cursor(Start::Latest), prices.cursor(Start::Latest)];
    /// prices.append("9.99".into())?;
    /// news.append("to everybody".into())?;
    ///
    /// let turn = Turn::poll(cursors.iter_mut(), positions.newest(), context);
    /// assert_eq!(turn, Poll::Ready(Some(Turn { index: 1, until: Position(2) })));
    /// # Ok::<(), fanfare_fanout::Closed>(())
    /// ```
    pub fn poll<'a, A: ?Sized + 'a>(
        cursors: impl Iterator<Item = &'a mut Cursor<A>>,
        newest: Position,
        context: &mut Context<'_>,
    ) -> Poll<Option<Self>> {
        let mut oldest = None;
        let mut until = newest;
        for (index, cursor) in cursors.enumerate() {
            let position = match cursor.poll_next(context) {
                Poll::Pending => continue,
                Poll::Ready(Next::Frame(position)) => position,
                Poll::Ready(Next::Lag | Next::End) => Position::START,
            };
            match oldest {
                Some((_, older)) if older <= position => until = until.min(position),
                _ => {
                    until = until.min(oldest.map_or(Position::END, |(_, next)| next));
                    oldest = Some((index, position));
                }
            }
        }
        let Some((index, position)) = oldest else { return Poll::Pending };
        Poll::Ready((position <= newest).then_some(Self { index, until }))
    }
}
