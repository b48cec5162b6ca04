//! The reconnection machine under a virtual clock: every rule of the standard's processing model,
//! and what goes beyond it.

#![cfg(test)]

/// What makes a connection an open stream, and what closes it for good.
mod answers;
/// Back-off, jitter, bounds.
mod delays;
/// Inputs one after the other, and what holds whatever they are.
mod play;
/// Any inputs in any order.
mod properties;
/// Where redirects lead, and with what.
mod redirects;
/// What is sent.
mod requests;
/// Items, ids and the end of a stream.
mod streams;
/// A machine with a clock of its own.
mod support;
/// What times out.
mod timeouts;
