//! The hub through its HTTP interface, in process.

#![cfg(test)]

/// What is published is followed.
mod follow;
/// What comes from elsewhere, and how far it has come.
mod relay;
/// Where a subscription begins, and what it is told of what is missing.
mod resume;
/// A hub, and readers of its streams.
mod support;
