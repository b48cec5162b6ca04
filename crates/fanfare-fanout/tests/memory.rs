//! The memory of a channel stays within its bounds, whatever is appended and whoever does not read.

#![cfg(test)]

use std::{
    iter,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Waker},
};

use bytes::Bytes;
use fanfare_fanout::{Bounds, Channel, Cursor, Epoch, Options, Position, Start};
use fanfare_wire::{Decoder, Event, EventId, Item};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The allocator counts for all threads.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

const APPENDS: u64 = 1_000_000;
const BOUNDS: Bounds = Bounds { frames: 1000, bytes: 64 * 1024 };
/// A quarter of the bytes and what is known about each frame come on top.
const ALLOWED_BYTES: usize = 2 * BOUNDS.bytes;

#[test]
fn a_million_appends_without_a_reader_stay_within_the_bounds() {
    let allocated = peak_bytes(|| append(&channel(), APPENDS));

    assert!(allocated < ALLOWED_BYTES, "{allocated} bytes");
}

#[test]
fn a_large_batch_stays_within_the_bounds() {
    let event = Event::new("x".repeat(10_000));
    let events = 1000;
    let allocated = peak_bytes(|| {
        channel().append_all(iter::repeat_n(event, events)).unwrap();
    });

    assert!(allocated < ALLOWED_BYTES + events * size_of::<Event>(), "{allocated} bytes");
}

#[test]
fn a_reader_that_never_reads_holds_nothing() {
    let allocated = peak_bytes(|| {
        let channel = channel();
        let mut never_polled = channel.cursor(Start::Earliest);
        let mut never_back = channel.cursor(Start::Earliest);
        wait(&mut never_back);
        append(&channel, APPENDS);

        for cursor in [&mut never_polled, &mut never_back] {
            let lagged = cursor.read(usize::MAX, Position::END).unwrap_err();
            assert!(lagged.missed > APPENDS - BOUNDS.frames as u64);
        }
    });

    assert!(allocated < ALLOWED_BYTES, "{allocated} bytes");
}

#[test]
fn a_reader_that_keeps_a_run_holds_its_segment_at_most() {
    let allocated = peak_bytes(|| {
        let channel = channel();
        let mut cursor = channel.cursor(Start::Earliest);
        append(&channel, 1);
        let run = cursor.read(usize::MAX, Position::END).unwrap();
        append(&channel, APPENDS / 10);
        assert!(run.is_some());
    });

    assert!(allocated < ALLOWED_BYTES + BOUNDS.bytes / 4, "{allocated} bytes");
}

#[test]
fn ids_that_a_decoder_gave_hold_no_chunks() {
    const CHUNK_BYTES: usize = 64 * 1024;

    let allocated = peak_bytes(|| {
        let channel = channel();
        for number in 0..1000 {
            let padding = "x".repeat(CHUNK_BYTES);
            let mut chunk = Bytes::from(format!("id: {number}\ndata: a\n\n:{padding}\n"));
            let item = Decoder::new().decode(&mut chunk).unwrap();
            let Some(Item::Event(event)) = item else { panic!("no event: {item:?}") };
            channel.append(event).unwrap();
        }
    });

    assert!(allocated < 2 * ALLOWED_BYTES + 3 * CHUNK_BYTES, "{allocated} bytes");
}

#[test]
fn a_prompt_reader_leaves_no_pieces_behind() {
    let allocated = peak_bytes(|| {
        let channel = channel();
        let mut cursor = channel.cursor(Start::Latest);
        for _ in 0..APPENDS / 10 {
            wait(&mut cursor);
            append(&channel, 1);
            assert!(cursor.read(usize::MAX, Position::END).unwrap().is_some());
        }
    });

    assert!(allocated < ALLOWED_BYTES, "{allocated} bytes");
}

#[test]
fn own_ids_and_audiences_go_with_their_frames() {
    let audience: Arc<str> = Arc::from("x".repeat(100));
    let allocated = peak_bytes(|| {
        let channel = channel();
        for number in 0..APPENDS / 10 {
            let event = Event::new("x").with_id(EventId::new(number.to_string()).unwrap());
            channel.append_for(event, audience.clone()).unwrap();
        }
    });

    assert!(allocated < 2 * ALLOWED_BYTES, "{allocated} bytes");
    assert_eq!(Arc::strong_count(&audience), 1);
}

#[test]
fn readers_that_come_and_go_leave_nothing_behind() {
    let allocated = peak_bytes(|| {
        let channel = channel();
        for _ in 0..APPENDS / 10 {
            wait(&mut channel.cursor(Start::Latest));
        }
    });

    assert!(allocated < ALLOWED_BYTES, "{allocated} bytes");
}

fn channel() -> Channel<str> {
    let epoch = Some(Epoch::from_seed(1));
    Channel::new(Options { bounds: BOUNDS, epoch, ..Options::default() })
}

fn append(channel: &Channel<str>, count: u64) {
    let event = Event::new("x".repeat(100));
    for _ in 0..count {
        channel.append(event.clone()).unwrap();
    }
}

fn wait(cursor: &mut Cursor<str>) {
    let mut context = Context::from_waker(Waker::noop());
    assert!(cursor.poll_read(&mut context, 0).is_pending());
}

/// How much more is allocated at the highest point of `act` than before.
fn peak_bytes(act: impl FnOnce()) -> usize {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    act();
    ALLOCATOR.peak_usage() - before
}
