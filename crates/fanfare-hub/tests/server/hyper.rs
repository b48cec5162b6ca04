//! The hub over real sockets, of which hyper has all: what main.rs tests with the engine.

#![cfg(test)]

mod bodies;
#[path = "../decoding/mod.rs"]
mod decoding;
mod figures;
mod heads;
mod limits;
mod protocols;
mod shutdown;
mod stalled;
mod support;

/// Streams are hyper's.
const HAS_ENGINE: bool = false;
