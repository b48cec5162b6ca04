//! The engine over real sockets.

#![cfg(test)]

/// Clients that fall behind, hang up or take nothing.
mod leaving;
/// An engine, and peers that read what it writes.
mod support;
/// What clients are given, in which order.
mod writing;
