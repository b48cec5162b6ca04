//! `br`: meta-blocks (RFC 7932) that do not refer to what is before them.

use brotli::enc::{BrotliCompress, BrotliEncoderParams};

/// A window of 64 KiB (RFC 7932, section 9.1), and an empty meta-block that fills the byte.
pub(super) const HEAD: &[u8] = &[0x0c];
/// An empty meta-block that says that it is the last.
pub(super) const TAIL: &[u8] = &[0x03];

const WINDOW_BITS: i32 = 16;
/// Compresses as well as the best of the others, at about the same cost.
const QUALITY: i32 = 4;

/// An uncompressed meta-block has 16 bits for its length here.
const _: () = assert!(super::SMALLEST <= 1 << 16);

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
    let outcome = BrotliCompress(&mut &*text, &mut out, &parameters);
    debug_assert!(outcome.is_ok(), "writing into memory has failed: {outcome:?}");
    out
}

/// An uncompressed meta-block (RFC 7932, section 9.2): not the last, 4 nibbles of length.
pub(super) fn store(text: &[u8]) -> Vec<u8> {
    let Some(last) = text.len().checked_sub(1) else { return vec![] };
    let last = u16::try_from(last).unwrap_or_default();
    let header = u32::from(last) << 3 | 1 << 19;
    [&header.to_le_bytes()[..3], text].concat()
}
