//! `gzip`: one member (RFC 1952) of DEFLATE blocks (RFC 1951).

use std::cell::RefCell;

use fanfare_fanout::Digest;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// No name, no time, an unknown system (RFC 1952, section 2.3).
pub(super) const HEAD: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// An empty block that says that it is the last (RFC 1951, section 3.2.6).
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

/// A stored block has 16 bits for its length.
const _: () = assert!(super::SMALLEST <= u16::MAX as usize);

thread_local! {
    static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(Compression::new(6), false));
}

/// Blocks that end with a full flush.
pub(super) fn compress(text: &[u8]) -> Vec<u8> {
    COMPRESS.with_borrow_mut(|compress| {
        compress.reset();
        let mut out = Vec::with_capacity(text.len() / 2 + 64);
        let mut taken = 0;
        // It is done when there is room left.
        while taken < text.len() || out.len() == out.capacity() {
            out.reserve(text.len() / 4 + 64);
            let outcome = compress.compress_vec(&text[taken..], &mut out, FlushCompress::Full);
            debug_assert!(matches!(outcome, Ok(Status::Ok | Status::BufError)), "{outcome:?}");
            taken = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
        }
        out
    })
}

/// A stored block (RFC 1951, section 3.2.4).
pub(super) fn store(text: &[u8]) -> Vec<u8> {
    let len = u16::try_from(text.len()).unwrap_or_default();
    [&[0], &len.to_le_bytes()[..], &(!len).to_le_bytes(), text].concat()
}

pub(super) fn digest(text: &[u8]) -> Digest {
    let mut crc = Crc::new();
    crc.update(text);
    Digest::new(crc.sum(), crc.amount())
}

/// The end of the member: its checksum and its length.
pub(super) fn tail(digest: Digest) -> Vec<u8> {
    [&LAST_BLOCK[..], &digest.crc().to_le_bytes(), &digest.len().to_le_bytes()].concat()
}
