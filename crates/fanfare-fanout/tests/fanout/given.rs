use std::task::Waker;

use fanfare_fanout::{
    Bounds, Channel, Epoch, LagPolicy, Lagged, Missing, Next, Options, Position, Positions, Start,
};

use crate::support::{numbered, poll_next, read, read_texts};

/// A channel of a log whose newest event is at position 10.
fn channel(frames: usize) -> Channel {
    Channel::new(Options {
        bounds: Bounds { frames, ..Bounds::default() },
        epoch: Some(Epoch::from_seed(1)),
        after: Position(10),
        ..Options::default()
    })
}

fn append(channel: &Channel, positions: &[u64]) {
    let events = positions.iter().map(|&position| (Position(position), numbered(position)));
    channel.append_at(events).unwrap();
}

#[test]
fn events_come_with_the_positions_that_a_log_gave() {
    let channel = channel(100);
    append(&channel, &[11, 15]);
    let mut cursor = channel.cursor(Start::Earliest);
    let run = read(&mut cursor).unwrap();
    assert_eq!(run.bytes, "id: 10000000-11\ndata: 11\n\nid: 10000000-15\ndata: 15\n\n");
    assert_eq!((run.frames, run.last), (2, Position(15)));
}

#[test]
fn what_is_there_already_is_left_out() {
    let channel = channel(100);
    append(&channel, &[9, 10, 11, 12]);
    append(&channel, &[11, 12, 13]);
    assert_eq!(read_texts(&mut channel.cursor(Start::Earliest)), ["11", "12", "13"]);
}

#[test]
fn a_cursor_begins_behind_any_position_that_is_kept() {
    let channel = channel(100);
    append(&channel, &[12, 14, 16]);
    for (after, texts) in [
        (10, &["12", "14", "16"][..]),
        (11, &["12", "14", "16"]),
        (12, &["14", "16"]),
        (15, &["16"]),
        (16, &[]),
    ] {
        let mut cursor = channel.cursor_after(Position(after)).unwrap();
        assert_eq!(read_texts(&mut cursor), texts, "after {after}");
    }
    assert!(channel.cursor_after(Position(9)).is_none(), "that is in the log only");
}

#[test]
fn a_cursor_leaves_out_what_comes_late() {
    let channel = channel(100);
    let mut cursor = channel.cursor_after(Position(13)).unwrap();
    append(&channel, &[11, 12]);
    assert!(poll_next(&mut cursor, Waker::noop()).is_pending());
    append(&channel, &[13, 14]);
    assert_eq!(
        poll_next(&mut cursor, Waker::noop()),
        std::task::Poll::Ready(Next::Frame(Position(14)))
    );
    assert_eq!(read_texts(&mut cursor), ["14"]);
    append(&channel, &[15]);
    assert_eq!(read_texts(&mut cursor), ["15"]);
}

#[test]
fn who_falls_behind_what_is_kept_has_to_read_the_log() {
    let channel = channel(2);
    let mut cursor = channel.cursor_after(Position(10)).unwrap();
    append(&channel, &[11, 12, 13]);
    assert!(channel.cursor_after(Position(10)).is_none());
    let lagged = Lagged { missed: 1, policy: LagPolicy::Gap, until: Position(11) };
    assert_eq!(cursor.read(usize::MAX, Position::END).unwrap_err(), lagged);
}

#[test]
fn what_is_before_the_beginning_has_expired() {
    let epoch = Epoch::from_seed(1);
    let positions = Positions::new();
    positions.advance(Position(20));
    positions.advance(Position(19));
    assert_eq!(positions.newest(), Position(20));
    let options =
        Options { positions, epoch: Some(epoch), after: Position(10), ..Options::default() };
    let channel = Channel::<()>::new(options);
    let missing = |position| channel.resume(epoch.id(Position(position)).as_str()).missing;
    assert_eq!(missing(9), Some(Missing::Expired));
    assert_eq!(missing(10), None);
    assert_eq!(missing(21), Some(Missing::Unknown));
}
