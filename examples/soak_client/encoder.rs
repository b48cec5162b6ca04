//! Bodies as they are, or compressed.

use std::{io, mem};

use async_compression::{
    Level,
    tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder},
};
use fastrand::Rng;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    None,
    Gzip,
    Brotli,
    Zstd,
}

pub(crate) enum Encoder {
    None,
    Gzip(GzipEncoder<Vec<u8>>),
    Brotli(Box<BrotliEncoder<Vec<u8>>>),
    Zstd(ZstdEncoder<Vec<u8>>),
}

impl Coding {
    pub(crate) fn draw(random: &mut Rng) -> Self {
        match random.u32(..6) {
            0 => Self::Gzip,
            1 => Self::Brotli,
            2 => Self::Zstd,
            _ => Self::None,
        }
    }

    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => "content-encoding: gzip\r\n",
            Self::Brotli => "content-encoding: br\r\n",
            Self::Zstd => "content-encoding: zstd\r\n",
        }
    }
}

impl Encoder {
    pub(crate) fn new(coding: Coding) -> Self {
        let fastest = Level::Fastest;
        match coding {
            Coding::None => Self::None,
            Coding::Gzip => Self::Gzip(GzipEncoder::with_quality(vec![], fastest)),
            Coding::Brotli => Self::Brotli(BrotliEncoder::with_quality(vec![], fastest).into()),
            Coding::Zstd => Self::Zstd(ZstdEncoder::with_quality(vec![], fastest)),
        }
    }

    /// These bytes so that what is sent of them can be read before anything follows.
    pub(crate) async fn flushed(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(bytes.to_vec()),
            Self::Gzip(encoder) => flushed(encoder, GzipEncoder::get_mut, bytes).await,
            Self::Brotli(encoder) => flushed(&mut **encoder, BrotliEncoder::get_mut, bytes).await,
            Self::Zstd(encoder) => flushed(encoder, ZstdEncoder::get_mut, bytes).await,
        }
    }
}

async fn flushed<E: AsyncWrite + Unpin>(
    encoder: &mut E,
    written: fn(&mut E) -> &mut Vec<u8>,
    bytes: &[u8],
) -> io::Result<Vec<u8>> {
    encoder.write_all(bytes).await?;
    encoder.flush().await?;
    Ok(mem::take(written(encoder)))
}
