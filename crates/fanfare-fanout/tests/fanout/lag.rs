use std::task::{Poll, Waker};

use fanfare_fanout::{Channel, Cursor, LagPolicy, Lagged, Next, Options, Position, Start};

use crate::support::{append_numbers, channel_of, poll_next, poll_read, read, read_texts};

#[test]
fn gap_goes_on_with_the_oldest_kept_frame() {
    let (channel, mut cursor) = fallen_behind(LagPolicy::Gap);

    let lagged = Lagged { missed: 7, policy: LagPolicy::Gap, until: Position(8) };
    assert_eq!(read_all(&mut cursor), Err(lagged));
    assert_eq!(read_texts(&mut cursor), ["8", "9"]);
    append_numbers(&channel, [10]);
    assert_eq!(read_texts(&mut cursor), ["10"]);
}

#[test]
fn latest_skips_to_the_newest_frame() {
    let (channel, mut cursor) = fallen_behind(LagPolicy::Latest);

    let lagged = Lagged { missed: 8, policy: LagPolicy::Latest, until: Position(9) };
    assert_eq!(read_all(&mut cursor), Err(lagged));
    assert_eq!(read_texts(&mut cursor), ["9"]);
    append_numbers(&channel, [10]);
    assert_eq!(read_texts(&mut cursor), ["10"]);
}

#[test]
fn latest_of_one_kept_frame_gives_that_frame() {
    let channel = channel_of(1, LagPolicy::Latest);
    let mut cursor = channel.cursor(Start::Latest);
    append_numbers(&channel, 0..3);

    let lagged = Lagged { missed: 2, policy: LagPolicy::Latest, until: Position(2) };
    assert_eq!(read_all(&mut cursor), Err(lagged));
    assert_eq!(read_texts(&mut cursor), ["2"]);
}

#[test]
fn close_ends_the_stream() {
    let (channel, mut cursor) = fallen_behind(LagPolicy::Close);

    let lagged = Lagged { missed: 7, policy: LagPolicy::Close, until: Position(8) };
    assert_eq!(read_all(&mut cursor), Err(lagged));
    assert!(read(&mut cursor).is_none());
    append_numbers(&channel, [10]);
    assert!(matches!(poll_read(&mut cursor, Waker::noop()), Poll::Ready(Ok(None))));
    assert_eq!(poll_next(&mut cursor, Waker::noop()), Poll::Ready(Next::End));
}

#[test]
fn close_ends_only_the_streams_that_fell_behind() {
    let channel = channel_of(2, LagPolicy::Close);
    let mut slow = channel.cursor(Start::Latest);
    let mut prompt = channel.cursor(Start::Latest);
    for number in 0..10 {
        append_numbers(&channel, [number]);
        assert_eq!(read_texts(&mut prompt), [number.to_string()]);
    }

    assert!(read_all(&mut slow).is_err());
}

#[test]
fn a_reader_at_the_oldest_kept_frame_has_missed_nothing() {
    let channel = channel_of(3, LagPolicy::Gap);
    let mut cursor = channel.cursor(Start::Latest);
    append_numbers(&channel, 0..3);

    assert_eq!(read_texts(&mut cursor), ["0", "1", "2"]);
}

#[test]
fn a_reader_that_falls_behind_twice_is_told_twice() {
    let (channel, mut cursor) = fallen_behind(LagPolicy::Gap);
    assert_eq!(read_all(&mut cursor).unwrap_err().missed, 7);
    append_numbers(&channel, 10..15);

    assert_eq!(read_all(&mut cursor).unwrap_err().missed, 5);
    assert_eq!(read_texts(&mut cursor), ["13", "14"]);
}

#[test]
fn a_reader_that_fell_behind_can_resume_after_the_last_event_it_missed() {
    let epoch = fanfare_fanout::Epoch::from_seed(1);
    let bounds = fanfare_fanout::Bounds { frames: 2, ..Default::default() };
    let channel = Channel::<()>::new(Options { bounds, epoch: Some(epoch), ..Options::default() });
    let mut cursor = channel.cursor(Start::Latest);
    append_numbers(&channel, 0..10);
    let until = read_all(&mut cursor).unwrap_err().until;

    let mut resumed = channel.resume(channel.id(until).unwrap().as_str());
    assert_eq!(resumed.missing, None);
    assert_eq!(read_texts(&mut resumed.cursor), ["8", "9"]);
}

#[test]
fn what_lagged_says_is_for_people_too() {
    let lagged = Lagged { missed: 7, policy: LagPolicy::Gap, until: Position(8) };

    assert_eq!(
        lagged.to_string(),
        "the reader fell behind the channel: 7 events are no longer kept",
    );
}

/// A reader that has read the first of ten events, of which two are kept.
fn fallen_behind(lag_policy: LagPolicy) -> (Channel, Cursor) {
    let channel = channel_of(2, lag_policy);
    let mut cursor = channel.cursor(Start::Latest);
    append_numbers(&channel, [0]);
    assert_eq!(read_texts(&mut cursor), ["0"]);
    append_numbers(&channel, 1..10);
    (channel, cursor)
}

fn read_all(cursor: &mut Cursor) -> Result<u64, Lagged> {
    Ok(cursor.read(usize::MAX, Position::END)?.map_or(0, |run| run.frames))
}
