//! Ways to compress events for many subscribers, and the events.

use std::{
    fmt,
    io::{self, Write},
    time::{Duration, Instant},
};

use fanfare_hub::{Coding, Digest, Epoch, Position};
use fanfare_wire::Event;
use flate2::{Compress, Compression, FlushCompress};

use crate::workload;

/// Compressors that are made to see what one takes.
const MEASURED_COMPRESSORS: usize = 10;
const EVENTS: usize = 200;

/// A way to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The hub's: a block that is given to all.
    Once(Coding),
    /// DEFLATE of this level for each connection. nginx's default is 1.
    EachGzip(u32),
    /// Brotli of this quality for each connection.
    EachBrotli(u32),
    /// Zstandard of this level for each connection.
    EachZstd(i32),
}

/// What a way needs, for one connection.
pub enum Compressor {
    /// Compressed once.
    Once(Coding),
    /// A compressor of its own, with room for what it writes.
    Gzip(Compress, Vec<u8>),
    /// A compressor of its own.
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    /// A compressor of its own.
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Way {
    /// All that are compared.
    pub const ALL: [Self; 7] = [
        Self::Once(Coding::Gzip),
        Self::Once(Coding::Brotli),
        Self::Once(Coding::Zstd),
        Self::EachGzip(1),
        Self::EachGzip(6),
        Self::EachBrotli(4),
        Self::EachZstd(3),
    ];

    /// What an event costs for so many subscribers, if it costs `one` for one.
    pub fn for_subscribers(self, one: f64, count: u32) -> f64 {
        if matches!(self, Self::Once(_)) { one } else { one * f64::from(count) }
    }

    /// What a connection's compressor takes once it has been used, in bytes. `in_use` tells how much
    /// memory is.
    ///
    /// # Errors
    ///
    /// Where there is no memory.
    pub fn memory(self, events: &[Vec<u8>], in_use: fn() -> usize) -> io::Result<usize> {
        let before = in_use();
        let mut compressors = vec![];
        for _ in 0..MEASURED_COMPRESSORS {
            let mut compressor = Compressor::new(self)?;
            compressor.time(events)?;
            compressors.push(compressor);
        }
        Ok(in_use().saturating_sub(before) / compressors.len())
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once(coding) => write!(f, "{}, once", coding.token()),
            Self::EachGzip(level) => write!(f, "gzip {level}, each"),
            Self::EachBrotli(quality) => write!(f, "br {quality}, each"),
            Self::EachZstd(level) => write!(f, "zstd {level}, each"),
        }
    }
}

impl Compressor {
    /// Of a connection that has had nothing yet.
    ///
    /// # Errors
    ///
    /// Where there is no memory.
    pub fn new(way: Way) -> io::Result<Self> {
        Ok(match way {
            Way::Once(coding) => Self::Once(coding),
            Way::EachGzip(level) => {
                Self::Gzip(Compress::new(Compression::new(level), false), vec![])
            }
            Way::EachBrotli(quality) => {
                Self::Brotli(Box::new(brotli::CompressorWriter::new(vec![], 4096, quality, 16)))
            }
            Way::EachZstd(level) => Self::Zstd(zstd::stream::write::Encoder::new(vec![], level)?),
        })
    }

    /// Compresses an event so that it can be read at once; tells its length.
    ///
    /// # Errors
    ///
    /// Where there is no memory.
    pub fn compress(&mut self, event: &[u8]) -> io::Result<usize> {
        let out = match self {
            Self::Once(coding) => {
                let block = coding.block(bytes::Bytes::copy_from_slice(event));
                // For the checksum of one stream.
                std::hint::black_box(Digest::EMPTY.then(block.digest));
                return Ok(block.bytes.len());
            }
            Self::Gzip(compress, out) => {
                out.reserve(event.len() + 1024);
                compress.compress_vec(event, out, FlushCompress::Sync)?;
                out
            }
            Self::Brotli(writer) => {
                flushed(&mut **writer, event)?;
                writer.get_mut()
            }
            Self::Zstd(encoder) => {
                flushed(encoder, event)?;
                encoder.get_mut()
            }
        };
        let len = out.len();
        out.clear();
        Ok(len)
    }

    /// Compresses all events, and tells how long that took.
    ///
    /// # Errors
    ///
    /// Where there is no memory.
    pub fn time(&mut self, events: &[Vec<u8>]) -> io::Result<Duration> {
        let begun = Instant::now();
        for event in events {
            std::hint::black_box(self.compress(event)?);
        }
        Ok(begun.elapsed())
    }
}

fn flushed(writer: &mut impl Write, event: &[u8]) -> io::Result<()> {
    writer.write_all(event)?;
    writer.flush()
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compressor")
    }
}

/// Events on the wire, with ids as the hub's.
pub fn events() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let ticks = |count: usize| (0..).map(move |number| orders(number, count));
    vec![
        ("an order", wire(ticks(1))),
        ("5 orders", wire(ticks(5))),
        ("20 orders", wire(ticks(20))),
        ("100 orders", wire(ticks(100))),
        ("an LLM's token", wire(workload::token_texts(workload::ENGLISH))),
    ]
}

fn wire(data: impl Iterator<Item = String>) -> Vec<Vec<u8>> {
    let epoch = Epoch::from_seed(1);
    let event = |(position, data): (u64, String)| {
        Event::new(data).with_id(epoch.id(Position(position))).to_bytes().to_vec()
    };
    (0..).zip(data.take(EVENTS)).map(event).collect()
}

/// Orders of a market, as JSON; not two are the same.
fn orders(first: usize, count: usize) -> String {
    let orders: Vec<String> = (first * count..(first + 1) * count).map(order).collect();
    format!("[{}]", orders.join(","))
}

fn order(number: usize) -> String {
    // A generator of Marsaglia's (xorshift), so that it is the same in every run.
    let mut random = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    random ^= random >> 12;
    random ^= random << 25;
    random ^= random >> 27;
    let symbol =
        ["AAPL", "MSFT", "NVDA", "SAP", "ASML", "TSM"][usize::try_from(random % 6).unwrap_or(0)];
    let side = if random & 64 == 0 { "buy" } else { "sell" };
    let (price, volume) = (10_000 + (random >> 8) % 9000, 1 + (random >> 24) % 500);
    format!(r#"{{"symbol":"{symbol}","side":"{side}","price":{price},"volume":{volume}}}"#)
}
