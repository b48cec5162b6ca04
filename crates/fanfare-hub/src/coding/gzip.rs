//! `gzip`: one member (RFC 1952) of DEFLATE blocks (RFC 1951).

use std::cell::RefCell;

use fanfare_fanout::Digest;
use flate2::{Compress, Compression, Crc, FlushCompress};

/// No name, no time, an unknown system (RFC 1952, section 2.3).
pub(super) const HEAD: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// An empty block that says that it is the last (RFC 1951, section 3.2.6).
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

thread_local! {
    static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(Compression::new(6), false));
}

/// Blocks that end with a full flush.
pub(super) fn compress(text: &[u8]) -> Vec<u8> {
    let compressed = COMPRESS.with_borrow_mut(|compress| try_compress(compress, text));
    compressed.unwrap_or_else(|| store(text))
}

/// All in one call: one that has too little room may leave the end of the flush out.
fn try_compress(compress: &mut Compress, text: &[u8]) -> Option<Vec<u8>> {
    compress.reset();
    // More than what cannot be compressed becomes.
    let mut out = Vec::with_capacity(text.len() + text.len() / 8 + 128);
    compress.compress_vec(text, &mut out, FlushCompress::Full).ok()?;
    let is_whole = compress.total_in() == text.len() as u64 && out.len() < out.capacity();
    is_whole.then_some(out)
}

/// Stored blocks (RFC 1951, section 3.2.4).
pub(super) fn store(text: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    for block in text.chunks(usize::from(u16::MAX)) {
        let len = u16::try_from(block.len()).unwrap_or_default();
        for part in [&[0], &len.to_le_bytes()[..], &(!len).to_le_bytes(), block] {
            out.extend_from_slice(part);
        }
    }
    out
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
