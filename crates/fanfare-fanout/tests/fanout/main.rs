//! What a channel promises, seen from outside.

#![cfg(test)]

// What the tests share: counting wakers, and short ways to poll, read and decode.
mod support;

// Any sequence of operations, against a channel that is a plain list.
mod model;

// Which frames come together in a run, and whose memory it is.
mod runs;

// Who is woken, and how often.
mod waking;

// Readers that fall behind, under each policy.
mod lag;

// Event ids: stamping, reading them back, and going on behind them.
mod ids;

// The end of a channel.
mod closing;

// The event that tells a subscriber what is missing.
mod gap;

// Positions that a log gives, and what is in the log only.
mod given;

// Frames that somebody else has made, and channels that skip.
mod ready;

// Several channels read in one order.
mod positions;

// Many publishers and readers at once.
mod threads;
