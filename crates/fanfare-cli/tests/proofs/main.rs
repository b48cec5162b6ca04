//! What the hub promises, put to the proof: docs/guarantees.md says what and how.
//!
//! Short by default. With `FANFARE_SOAK=1` they take minutes; `make soak` does that.

#![cfg(test)]

// The command as a child process.
#[expect(dead_code, reason = "the tests of the commands need more of it")]
#[path = "../hub/support.rs"]
mod command;

// What the proofs share: requests, streams, a seed.
mod support;

// A hub that is killed again and again: who publishes, who follows, what is found in the log.
mod audit;
mod crash;
mod followers;
mod publishers;
mod requests;

// Hubs that share a log: killed, cut off and restarted one after the other.
mod cluster;

// Clients that do what they like.
mod chaos;

// A disk that is full, and one that cannot promise anything.
mod disk;
// A disk that is small, or says so, or fails.
mod small_disk;

// A thousand subscribers, some of whom read nothing.
mod stalled;
