//! Fan-out: one log of wire-ready frames, any number of readers.
//!
//! A [`Channel`] is an in-memory log of the newest events, encoded once. A [`Cursor`] is a
//! reader's place in it. Live delivery, replay of history and catching up after a stall are the
//! same operation: read from the cursor to the head. A slow reader therefore costs a number, not
//! memory; one that falls behind what is kept gets a [`Lagged`], never silence.
//!
//! The crate knows no sockets, no HTTP and no storage, and works with any async runtime. No call
//! waits for a reader.
//!
//! In the order in which an event passes through: [`Channel`], the window of frames in memory,
//! the waiting readers, [`Cursor`], [`Gap`].
//!
//! # What dropping does
//!
//! | dropped | what happens |
//! |---|---|
//! | a handle of a [`Channel`] | nothing; behind the last one, its cursors read what is left and then wait for ever |
//! | a [`Cursor`] | it stops; others do not notice |
//! | the future of [`Cursor::next`] | nothing is lost: the next call goes on in the same place |

mod channel;
mod cursor;
mod digest;
#[cfg(feature = "engine")]
pub mod engine;
mod gap;
mod position;
mod sync;
mod turn;
mod waiters;
mod window;

pub use channel::{
    Bounds, Channel, Closed, Frame, LagPolicy, Missing, Options, Resumed, Run, Start,
};
pub use cursor::{Cursor, Lagged, Next};
pub use digest::Digest;
pub use gap::{GAP, Gap, GapReason};
pub use position::{Epoch, Position, Positions};
pub use turn::Turn;
