//! Reproducible comparisons of fanfare with its peers.
//!
//! `cargo run --release -p fanfare-bench --bin codec` compares the wire codecs,
//! `--bin fanout` what it costs to deliver events on hyper, `--bin client` how fast clients read,
//! `--bin log` sets the hub's log against its disk, `--bin compression` events that are compressed once
//! against a compressor for each connection, `--bin systems` whole servers side by side, and `--bin cluster`
//! hubs that share a log; bench/README.md tells of these two.

pub mod client;
pub mod compare;
pub mod compression;
pub mod decoders;
pub mod encoders;
pub mod fanout;
pub mod host;
pub mod program;
pub mod systems;
pub mod table;
pub mod workload;
