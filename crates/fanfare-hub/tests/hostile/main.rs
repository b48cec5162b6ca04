//! Peers that mean harm, over real sockets: the hub neither panics nor publishes what it was not asked
//! to, answers in well-formed HTTP, and works afterwards.
//!
//! `FANFARE_SEED=N` is the first seed of the random requests, `FANFARE_SOAK=1` sends far more of them.

#![cfg(test)]

/// HTTP/1.1 as it comes off the wire.
mod answer;
/// Ten thousand random requests.
mod fuzz;
/// Random requests, out of valid and invalid pieces.
mod grammar;
/// HTTP/2, frame by frame.
mod http2;
/// Names of topics, paths and heads that are tricks.
mod names;
/// Nothing of a topic is told to those who may not read it.
mod secrets;
/// Requests that two servers would read in two ways.
mod smuggling;
/// A hub on a port of its own.
mod support;
