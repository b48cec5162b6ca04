//! `br`: meta-blocks (RFC 7932) that do not refer to what is before them.

use brotli::enc::{BrotliCompress, BrotliEncoderParams};

/// A window of 64 KiB (RFC 7932, section 9.1), and an empty meta-block that fills the byte.
pub(super) const HEAD: &[u8] = &[0x0c];
/// An empty meta-block that says that it is the last.
pub(super) const TAIL: &[u8] = &[0x03];

const WINDOW_BITS: i32 = 16;
/// Compresses as well as the best of the others, at about the same cost.
const QUALITY: i32 = 4;

pub(super) fn compress(text: &[u8]) -> Vec<u8> {
    let parameters = BrotliEncoderParams {
        quality: QUALITY,
        lgwin: WINDOW_BITS,
        size_hint: text.len(),
        // Blocks that may follow any other: no references to before, no assumptions about it.
        catable: true,
        appendable: true,
        use_dictionary: false,
        // Without head and tail, from byte to byte.
        bare_stream: true,
        byte_align: true,
        ..BrotliEncoderParams::default()
    };
    let mut out = Vec::with_capacity(text.len() / 2 + 64);
    match BrotliCompress(&mut &*text, &mut out, &parameters) {
        Ok(_) => out,
        Err(_) => store(text),
    }
}

/// Uncompressed meta-blocks (RFC 7932, section 9.2): not the last, 4 nibbles of length.
pub(super) fn store(text: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    for block in text.chunks(1 << 16) {
        let header = u32::try_from(block.len() - 1).unwrap_or_default() << 3 | 1 << 19;
        out.extend_from_slice(&header.to_le_bytes()[..3]);
        out.extend_from_slice(block);
    }
    out
}
