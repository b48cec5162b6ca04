//! The contract service, driven as the public harness drives it: what a client for event streams
//! has to do, and what fanfare's claims to do beyond that.

#![cfg(test)]

/// The service itself, as the example has it.
#[path = "../../../../examples/contract_service/service/mod.rs"]
mod service;

/// The harness's part: a server of event streams, a receiver of callbacks, and what asks the
/// service.
mod support;

/// What the service says of itself, its commands, and what it refuses.
mod commands;
/// Fields, line ends, byte order marks, comments, large events.
mod parsing;
/// The example as a program.
mod program;
/// Breaks, restarts, delays, timeouts, and the last event id.
mod reconnection;
/// What is asked for, and which answers are followed, taken or given up on.
mod requests;
