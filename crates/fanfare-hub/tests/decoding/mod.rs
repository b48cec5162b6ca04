//! The other end of a content coding.

use std::{
    io::{self, Write},
    mem,
};

use brotli::DecompressorWriter;
use flate2::write::GzDecoder;
use zstd::stream::{raw, zio::Writer};

pub(crate) const CODINGS: [&str; 4] = ["identity", "gzip", "br", "zstd"];

/// Decodes a body as it comes.
pub(crate) enum Decoding {
    Identity(Vec<u8>),
    Gzip(GzDecoder<Vec<u8>>),
    Brotli(Box<DecompressorWriter<Vec<u8>>>),
    Zstd(Writer<Vec<u8>, raw::Decoder<'static>>),
}

impl Decoding {
    pub(crate) fn new(coding: &str) -> Self {
        match coding {
            "identity" => Self::Identity(vec![]),
            "gzip" => Self::Gzip(GzDecoder::new(vec![])),
            "br" => Self::Brotli(Box::new(DecompressorWriter::new(vec![], 4096))),
            "zstd" => Self::Zstd(Writer::new(vec![], raw::Decoder::new().unwrap())),
            other => panic!("{other} is no coding"),
        }
    }

    /// What can be read now that could not be before.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let writer: &mut dyn Write = match self {
            Self::Identity(text) => text,
            Self::Gzip(gzip) => gzip,
            Self::Brotli(brotli) => brotli,
            Self::Zstd(zstd) => zstd,
        };
        writer.write_all(bytes).and_then(|()| writer.flush()).expect("a body of this coding");
        if let Self::Brotli(brotli) = self {
            write_out(brotli);
        }
        mem::take(match self {
            Self::Identity(text) => text,
            Self::Gzip(gzip) => gzip.get_mut(),
            Self::Brotli(brotli) => brotli.get_mut(),
            Self::Zstd(zstd) => zstd.writer_mut(),
        })
    }

    /// It is an error if there is an end that is missing, or does not fit.
    pub(crate) fn end(self) -> io::Result<()> {
        match self {
            Self::Identity(_) => Ok(()),
            Self::Gzip(mut gzip) => gzip.try_finish(),
            Self::Brotli(mut brotli) => brotli.close(),
            Self::Zstd(mut zstd) => zstd.finish(),
        }
    }
}

/// Has the decoder write what did not fit into its buffer, of which its flush knows nothing.
fn write_out(brotli: &mut DecompressorWriter<Vec<u8>>) {
    let mut before = 0;
    while brotli.get_ref().len() > before {
        before = brotli.get_ref().len();
        let _ = brotli.write(b"").expect("a body of this coding");
    }
}
