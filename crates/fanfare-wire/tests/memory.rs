//! How much memory a decoder holds: no more than it was given to hold.

#![cfg(test)]

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use fanfare_wire::Decoder;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The allocator counts for all threads.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

const KIB: usize = 1024;
const LIMIT: usize = 256 * KIB;
/// More than a chunk that is looked at and what the test runner allocates meanwhile, far less than
/// what is read.
const NEXT_TO_NOTHING: usize = 64 * KIB;

/// The most bytes that are allocated during `task`, beyond those of before.
fn peak_bytes(task: impl FnOnce()) -> usize {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    task();
    ALLOCATOR.peak_usage().saturating_sub(before)
}

/// Reads the chunk so many times; it is static, so that its own memory does not count.
fn repeat(decoder: &mut Decoder, chunk: &'static [u8], times: usize) {
    for _ in 0..times {
        let mut chunk = Bytes::from_static(chunk);
        while !matches!(decoder.decode(&mut chunk), Ok(None)) {}
    }
}

/// 1 KiB without a line end.
const CHUNK: &[u8] = &[b'x'; KIB];

#[test]
fn an_unknown_line_without_end_holds_nothing() {
    let peak = peak_bytes(|| repeat(&mut Decoder::new(), CHUNK, 8 * KIB));

    assert!(peak < NEXT_TO_NOTHING, "{peak} bytes");
}

#[test]
fn a_comment_without_end_that_nobody_asked_for_holds_nothing() {
    let peak = peak_bytes(|| {
        let mut decoder = Decoder::new();
        repeat(&mut decoder, b":", 1);
        repeat(&mut decoder, CHUNK, 8 * KIB);
    });

    assert!(peak < NEXT_TO_NOTHING, "{peak} bytes");
}

#[test]
fn lines_that_mean_nothing_hold_nothing() {
    let peak = peak_bytes(|| {
        repeat(&mut Decoder::new(), b"unknown: field\n:comment\nretry: 1\nid: 1\n", 100_000);
    });

    assert!(peak < NEXT_TO_NOTHING, "{peak} bytes");
}

#[test]
fn a_line_without_end_holds_no_more_than_the_limit_allows() {
    let peak = peak_bytes(|| {
        let mut decoder = Decoder::new().with_max_event_bytes(LIMIT);
        repeat(&mut decoder, b"data: ", 1);
        repeat(&mut decoder, CHUNK, 8 * KIB);
    });

    // A buffer that grows is twice as large as its content at most, and old and new exist at once.
    assert!(peak < 4 * LIMIT, "{peak} bytes");
}

#[test]
fn lines_without_end_hold_no_more_than_the_limit_allows() {
    let peak = peak_bytes(|| {
        let mut decoder = Decoder::new().with_max_event_bytes(LIMIT);
        repeat(&mut decoder, b"data: 0123456789\nevent: abc\nid: 1\n", 100 * KIB);
    });

    assert!(peak < 4 * LIMIT, "{peak} bytes");
}

#[test]
fn the_lines_of_an_event_over_the_limit_are_forgotten_at_once() {
    peak_bytes(|| {
        let before = ALLOCATOR.current_usage();
        let mut decoder = Decoder::new().with_max_event_bytes(LIMIT);
        repeat(&mut decoder, b"data: 0123456789\n", 100 * KIB);
        let held = ALLOCATOR.current_usage().saturating_sub(before);
        assert!(held < NEXT_TO_NOTHING, "{held} bytes");
    });
}
