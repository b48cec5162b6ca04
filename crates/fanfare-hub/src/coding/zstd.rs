//! `zstd`: a frame (RFC 8878) for each block.

use std::{cell::RefCell, io};

use zstd::{bulk::Compressor, zstd_safe::CParameter};

/// The window, at most: decoders need not take more than 8 MiB (RFC 9659).
const WINDOW_BITS: u32 = 21;
const LEVEL: i32 = 3;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// No checksum, no size; a window of 1 KiB (RFC 8878, section 3.1.1.1).
const SMALL_HEADER: [u8; 2] = [0, 0];

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = RefCell::new(compressor().ok());
}

fn compressor() -> io::Result<Compressor<'static>> {
    let mut compressor = Compressor::new(LEVEL)?;
    compressor.set_parameter(CParameter::WindowLog(WINDOW_BITS))?;
    // With the size in its header, the window of a frame would be as large as that.
    compressor.set_parameter(CParameter::ContentSizeFlag(false))?;
    Ok(compressor)
}

pub(super) fn compress(text: &[u8]) -> Vec<u8> {
    let compressed =
        COMPRESSOR.with_borrow_mut(|compressor| compressor.as_mut()?.compress(text).ok());
    // It fails only where there is no memory.
    compressed.unwrap_or_else(|| store(text))
}

/// Frames of a raw block each (RFC 8878, section 3.1.1.2).
pub(super) fn store(text: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    for block in text.chunks(1024) {
        // Up to 1024 of them; the last block of its frame, raw.
        let header = u32::try_from(block.len()).unwrap_or_default() << 3 | 1;
        for part in [&MAGIC[..], &SMALL_HEADER, &header.to_le_bytes()[..3], block] {
            out.extend_from_slice(part);
        }
    }
    out
}
