//! Bodies that are compressed.

use std::io::{self, Write};

use flate2::write::GzDecoder;
use http::header;

use super::http::Head;

/// What brotli's decoder takes at a time, in bytes.
const BUFFER_BYTES: usize = 4096;

/// The decoder of a body.
pub(super) enum Coded {
    /// There is nothing to decode.
    Plain,
    Gzip(Box<GzDecoder<Vec<u8>>>),
    Brotli(Box<brotli::DecompressorWriter<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Vec<u8>>>),
}

impl Coded {
    /// `None` for a coding that is not known.
    pub(super) fn of(head: &Head) -> Option<Self> {
        Some(match head.text(&header::CONTENT_ENCODING) {
            None | Some("identity") => Self::Plain,
            Some("gzip") => Self::Gzip(Box::new(GzDecoder::new(vec![]))),
            Some("br") => {
                Self::Brotli(Box::new(brotli::DecompressorWriter::new(vec![], BUFFER_BYTES)))
            }
            Some("zstd") => Self::Zstd(Box::new(zstd::stream::write::Decoder::new(vec![]).ok()?)),
            Some(_) => return None,
        })
    }

    /// Takes a piece of the body, and has `read` take all that can be known by then.
    pub(super) fn decode(&mut self, piece: &[u8], read: impl FnOnce(&[u8])) -> io::Result<()> {
        match self {
            Self::Plain => read(piece),
            Self::Gzip(decoder) => {
                push(&mut **decoder, piece)?;
                take(decoder.get_mut(), read);
            }
            Self::Brotli(decoder) => {
                push(&mut **decoder, piece)?;
                // It stops when all is taken, although its buffer was full.
                let mut before = 0;
                while decoder.get_ref().len() - before >= BUFFER_BYTES {
                    before = decoder.get_ref().len();
                    let _nothing = decoder.write(&[])?;
                }
                take(decoder.get_mut(), read);
            }
            Self::Zstd(decoder) => {
                push(&mut **decoder, piece)?;
                take(decoder.get_mut(), read);
            }
        }
        Ok(())
    }
}

fn push(decoder: &mut impl Write, piece: &[u8]) -> io::Result<()> {
    decoder.write_all(piece)?;
    decoder.flush()
}

fn take(decoded: &mut Vec<u8>, read: impl FnOnce(&[u8])) {
    read(decoded);
    decoded.clear();
}

impl std::fmt::Debug for Coded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Gzip(_) => "Gzip",
            Self::Brotli(_) => "Brotli",
            Self::Zstd(_) => "Zstd",
        })
    }
}

#[cfg(test)]
mod tests {
    use fanfare_hub::Coding;

    use super::{super::http::HeadReader, *};

    fn coded(coding: &str) -> Option<Coded> {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\n\r\n");
        Coded::of(&HeadReader::default().read(&mut head.as_bytes()).unwrap().unwrap())
    }

    #[test]
    fn what_can_be_known_is_read_at_once() {
        for coding in Coding::COMPRESSED {
            let mut coded = coded(coding.token()).unwrap();
            let mut blocks = vec![coding.head().to_vec()];
            let texts = ["data: a\n\n".to_owned(), format!("data: {}\n\n", "b".repeat(5000))];
            for text in &texts {
                let mut decoded = vec![];
                blocks.push(coding.block(text.clone().into()).bytes.to_vec());
                for piece in std::mem::take(&mut blocks) {
                    coded.decode(&piece, |text| decoded.extend_from_slice(text)).unwrap();
                }
                assert!(
                    decoded == text.as_bytes(),
                    "{coded:?}: {} of {}",
                    decoded.len(),
                    text.len()
                );
            }
            assert!(coded.decode(&[0xff; 100], |_| {}).is_err(), "{coded:?}");
        }
    }

    #[test]
    fn an_unknown_coding_is_said_to_be_so() {
        assert!(coded("compress").is_none());
        assert!(matches!(coded("identity"), Some(Coded::Plain)));
    }
}
