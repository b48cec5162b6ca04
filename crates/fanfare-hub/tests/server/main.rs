//! The hub over real sockets.

#![cfg(test)]

/// Bodies of publishes that come slowly, or are too large.
mod bodies;
/// What compressed bodies mean.
#[path = "../decoding/mod.rs"]
mod decoding;
/// A process without file descriptors.
#[cfg(target_os = "linux")]
mod descriptors;
/// What the hub counts: `/metrics` and `$stats`.
mod figures;
/// Heads that are too large or too slow, and connections without any.
mod heads;
/// How many connections and streams there may be, how fast may be published, and by whose address.
mod limits;
/// HTTP/1.1 and HTTP/2 on one port.
mod protocols;
/// An orderly end, whatever peers do.
mod shutdown;
/// Peers that read nothing.
mod stalled;
/// A hub on a port of its own, and peers that speak byte by byte.
mod support;
/// Certificates, and their exchange.
mod tls;
/// Who may do what, and until when.
mod tokens;
/// The engine's streams next to hyper's.
mod ways;

/// Streams on plain sockets are the engine's.
const HAS_ENGINE: bool = true;
