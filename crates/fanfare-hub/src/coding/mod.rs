//! Content codings (RFC 9110, section 8.4.1): events that are compressed once for all who take them.
//!
//! Whatever the coding, a stream of it is a head, any number of blocks, and a tail. A block needs
//! nothing of the blocks before it, so the same bytes are given to everybody, from whichever event on
//! they read. It ends on a byte, so that whoever has it can read all of its events at once. That costs
//! some of the compression: events do not learn from those before them. In return it costs the hub
//! nothing per subscriber, neither time nor the memory of a compressor.

mod accept;
mod brotli;
mod gzip;
mod zstd;

use std::mem;

use bytes::Bytes;
use fanfare_fanout::{Digest, Frame};

pub(crate) use accept::choose;

/// A content coding of event streams.
///
/// The hub compresses by itself. These parts are for programs that write streams of their own: the
/// [head](Self::head), a [block](Self::block) for each event, and the [tail](Self::tail) with the digest
/// of all blocks that this stream had.
///
/// ```
/// use fanfare_hub::{Coding, Digest};
/// use flate2::read::GzDecoder;
///
/// let blocks = ["data: a\n\n", "data: b\n\n"].map(|event| Coding::Gzip.block(event.into()));
/// // One reader is given both, another one came later.
/// for (given, text) in [(&blocks[..], "data: a\n\ndata: b\n\n"), (&blocks[1..], "data: b\n\n")] {
///     let mut stream = Coding::Gzip.head().to_vec();
///     let mut digest = Digest::EMPTY;
///     for block in given {
///         stream.extend_from_slice(&block.bytes);
///         digest = digest.then(block.digest);
///     }
///     stream.extend_from_slice(&Coding::Gzip.tail(digest));
///     assert_eq!(std::io::read_to_string(GzDecoder::new(&stream[..]))?, text);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Coding {
    /// The events as they are.
    #[default]
    Identity,
    /// `gzip` (RFC 1952): one member; a block is DEFLATE that ends with a full flush.
    Gzip,
    /// `br` (RFC 7932): a block is one or several meta-blocks.
    Brotli,
    /// `zstd` (RFC 8878): a block is a frame.
    Zstd,
}

/// Less than this is not worth it: it stays as it is, in the coding's own wrapping. Compressed by
/// themselves, events of 100 bytes become longer, those of 200 bytes a third shorter.
const SMALLEST: usize = 200;

/// Text is compressed by so much at a time, so that a long replay does not hold others up.
const LARGEST: usize = 64 * 1024;

impl Coding {
    /// Those that compress, the best first.
    pub const COMPRESSED: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// Its name in HTTP.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// What a stream begins with.
    pub const fn head(self) -> &'static [u8] {
        match self {
            Self::Identity | Self::Zstd => b"",
            Self::Gzip => gzip::HEAD,
            Self::Brotli => brotli::HEAD,
        }
    }

    /// Some text, such as an event, so that it can be read at once. A block may follow any other.
    pub fn block(self, text: Bytes) -> Frame {
        let bytes = match (self, text.len() < SMALLEST) {
            (Self::Identity, _) => text,
            (Self::Gzip, is_small) => {
                let bytes = if is_small { gzip::store(&text) } else { gzip::compress(&text) };
                return Frame { bytes: bytes.into(), digest: gzip::digest(&text) };
            }
            (Self::Brotli, true) => brotli::store(&text).into(),
            (Self::Brotli, false) => brotli::compress(&text).into(),
            (Self::Zstd, true) => zstd::store(&text).into(),
            (Self::Zstd, false) => zstd::compress(&text).into(),
        };
        Frame { bytes, digest: Digest::EMPTY }
    }

    /// What a stream ends with whose blocks have this digest.
    pub fn tail(self, digest: Digest) -> Bytes {
        match self {
            Self::Identity | Self::Zstd => Bytes::new(),
            Self::Gzip => gzip::tail(digest).into(),
            Self::Brotli => Bytes::from_static(brotli::TAIL),
        }
    }
}

/// A part of a stream.
#[derive(Debug)]
pub(crate) enum Part {
    /// Yet to be coded.
    Text(Bytes),
    /// A block of the stream's coding, or several.
    Coded(Frame),
}

impl Part {
    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(bytes) => bytes,
            Self::Coded(frame) => frame.bytes,
        }
    }
}

/// Makes one stream of parts.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    coding: Coding,
    has_begun: bool,
    has_ended: bool,
    /// Of everything so far.
    digest: Digest,
}

impl Encoder {
    pub(crate) fn new(coding: Coding) -> Self {
        Self { coding, has_begun: false, has_ended: false, digest: Digest::EMPTY }
    }

    /// What the next bytes are. Of long text, `part` keeps the rest: it is to be given again.
    pub(crate) fn encode(&mut self, part: &mut Option<Part>) -> Option<Bytes> {
        let frame = match part.take()? {
            Part::Coded(frame) => frame,
            Part::Text(mut text) if self.coding != Coding::Identity && text.len() > LARGEST => {
                let frame = self.coding.block(text.split_to(LARGEST));
                *part = Some(Part::Text(text));
                frame
            }
            Part::Text(text) => self.coding.block(text),
        };
        self.digest = self.digest.then(frame.digest);
        Some(self.begin(frame.bytes))
    }

    /// The last bytes. There may be none; a second time there are none.
    pub(crate) fn end(&mut self) -> Bytes {
        if mem::replace(&mut self.has_ended, true) {
            return Bytes::new();
        }
        let tail = self.coding.tail(self.digest);
        self.begin(tail)
    }

    /// It has no end: what was to come is missing.
    pub(crate) fn fail(&mut self) {
        self.has_ended = true;
    }

    fn begin(&mut self, bytes: Bytes) -> Bytes {
        let head = self.coding.head();
        if mem::replace(&mut self.has_begun, true) || head.is_empty() {
            return bytes;
        }
        [head, &bytes].concat().into()
    }

    pub(crate) fn coding(&self) -> Coding {
        self.coding
    }

    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// Somebody else has gone on with the stream.
    pub(crate) fn go_on(&mut self, digest: Digest) {
        self.digest = digest;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use fanfare_wire::Event;
    use proptest::prelude::*;

    use super::*;

    fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut text = vec![];
        let outcome = match coding {
            Coding::Identity => (&mut &*bytes).read_to_end(&mut text),
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut text),
            Coding::Brotli => ::brotli::Decompressor::new(bytes, 4096).read_to_end(&mut text),
            Coding::Zstd => ::zstd::Decoder::new(bytes).unwrap().read_to_end(&mut text),
        };
        outcome.unwrap();
        text
    }

    /// What a reader has that has been given so much of a stream without an end.
    fn decoded_so_far(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut text = vec![0; 2 * 1024 * 1024];
        let len = match coding {
            Coding::Identity => return bytes.to_vec(),
            Coding::Gzip => {
                let mut inflate = flate2::Decompress::new(false);
                let flush = flate2::FlushDecompress::Sync;
                inflate.decompress(&bytes[gzip::HEAD.len()..], &mut text, flush).unwrap();
                usize::try_from(inflate.total_out()).unwrap()
            }
            Coding::Brotli => {
                let mut reader = ::brotli::Decompressor::new(bytes, 4096);
                let mut len = 0;
                while let Ok(more @ 1..) = reader.read(&mut text[len..]) {
                    len += more;
                }
                len
            }
            Coding::Zstd => {
                let mut reader = ::zstd::Decoder::new(bytes).unwrap();
                let mut len = 0;
                while let Ok(more @ 1..) = reader.read(&mut text[len..]) {
                    len += more;
                }
                len
            }
        };
        text.truncate(len);
        text
    }

    fn all_codings() -> impl Strategy<Value = Coding> {
        prop_oneof![
            Just(Coding::Identity),
            Just(Coding::Gzip),
            Just(Coding::Brotli),
            Just(Coding::Zstd)
        ]
    }

    /// Text that compresses, text that does not, and bytes that are no text.
    fn text() -> impl Strategy<Value = Bytes> {
        prop_oneof![
            "[ab]{3,400}".prop_map(Bytes::from),
            ("[a-z]{1,10}", 1..3000_usize).prop_map(|(word, times)| word.repeat(times).into()),
            prop::collection::vec(any::<u8>(), 1..3000).prop_map(Bytes::from),
            (190..210_usize).prop_map(|len| vec![b'x'; len].into()),
            (60_000..200_000_usize, any::<u64>()).prop_map(|(len, seed)| noise(len, seed)),
        ]
    }

    /// Bytes that cannot be compressed.
    fn noise(len: usize, seed: u64) -> Bytes {
        let mut random = fastrand::Rng::with_seed(seed);
        std::iter::repeat_with(|| random.u8(..)).take(len).collect()
    }

    proptest! {
        #[test]
        fn a_stream_of_any_parts_is_decoded_to_their_text(
            coding in all_codings(),
            parts in prop::collection::vec((text(), any::<bool>()), 1..8),
        ) {
            let mut encoder = Encoder::new(coding);
            let mut bytes = vec![];
            let mut whole = vec![];
            for (text, is_shared) in parts {
                whole.extend_from_slice(&text);
                let part =
                    if is_shared { Part::Coded(coding.block(text)) } else { Part::Text(text) };
                let mut part = Some(part);
                while let Some(next) = encoder.encode(&mut part) {
                    bytes.extend_from_slice(&next);
                }
                prop_assert_eq!(&decoded_so_far(coding, &bytes), &whole, "read at once");
            }
            bytes.extend_from_slice(&encoder.end());
            prop_assert_eq!(decoded(coding, &bytes), whole);
            prop_assert!(encoder.end().is_empty());
        }
    }

    #[test]
    fn what_cannot_be_compressed_can_be_read_at_once_whatever_its_length() {
        for coding in Coding::COMPRESSED {
            for len in 190..600 {
                let text = noise(len, len as u64);
                let bytes = [coding.head(), &coding.block(text.clone()).bytes].concat();
                assert!(decoded_so_far(coding, &bytes) == text, "{coding:?}: {len}");
            }
        }
    }

    #[test]
    fn long_text_is_compressed_in_pieces() {
        let text: Bytes = Event::new("x".repeat(3 * LARGEST)).to_bytes();
        for coding in Coding::COMPRESSED {
            let mut encoder = Encoder::new(coding);
            let mut part = Some(Part::Text(text.clone()));
            let mut pieces = vec![];
            while let Some(bytes) = encoder.encode(&mut part) {
                pieces.push(bytes);
            }
            assert_eq!(pieces.len(), 4);
            pieces.push(encoder.end());
            assert_eq!(decoded(coding, &pieces.concat()), text);
        }
    }

    #[test]
    fn events_become_smaller_and_small_ones_hardly_larger() {
        let json = r#"{"symbol":"ABC","price":101.25,"volume":3000,"side":"buy"}"#;
        let long = Event::new(format!("[{}]", [json; 10].join(","))).to_bytes();
        let short = Event::new(json).to_bytes();
        for coding in Coding::COMPRESSED {
            assert!(coding.block(long.clone()).bytes.len() < long.len() / 3, "{coding:?}");
            assert!(coding.block(short.clone()).bytes.len() <= short.len() + 9, "{coding:?}");
        }
    }
}
