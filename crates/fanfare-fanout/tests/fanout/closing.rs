use std::{
    sync::Arc,
    task::{Poll, Waker},
};

use fanfare_fanout::{Channel, Closed, LagPolicy, Next, Options, Start};

use crate::support::{
    append_numbers, block_on, channel_of, numbered, poll_next, poll_read, read_texts,
};

#[test]
fn nothing_can_be_appended_to_a_closed_channel() {
    let channel = Channel::<()>::new(Options::default());
    channel.close();

    assert_eq!(channel.append(numbered(0)), Err(Closed));
    assert_eq!(channel.append_for(numbered(0), Arc::new(())), Err(Closed));
    assert_eq!(channel.append_all([numbered(0)]), Err(Closed));
    assert_eq!(channel.append_all([]), Err(Closed));
    assert_eq!(channel.positions().newest().0, 0, "no position is drawn for what is refused");
    assert_eq!(Closed.to_string(), "the channel has been closed");
}

#[test]
fn readers_of_a_closed_channel_get_the_rest_and_then_the_end() {
    let channel = Channel::<()>::new(Options::default());
    let mut cursor = channel.cursor(Start::Latest);
    append_numbers(&channel, 0..3);
    channel.close();

    assert_eq!(read_texts(&mut cursor), ["0", "1", "2"]);
    for _ in 0..2 {
        assert!(matches!(poll_read(&mut cursor, Waker::noop()), Poll::Ready(Ok(None))));
        assert_eq!(poll_next(&mut cursor, Waker::noop()), Poll::Ready(Next::End));
    }
}

#[test]
fn a_closed_channel_can_still_be_read_from_the_start() {
    let channel = Channel::<()>::new(Options::default());
    append_numbers(&channel, 0..3);
    channel.close();

    assert_eq!(read_texts(&mut channel.cursor(Start::Earliest)), ["0", "1", "2"]);
    assert!(block_on(channel.cursor(Start::Latest).next(usize::MAX)).unwrap().is_none());
}

#[test]
fn a_reader_that_fell_behind_a_closed_channel_is_told_before_the_end() {
    let channel = channel_of(1, LagPolicy::Gap);
    let mut cursor = channel.cursor(Start::Latest);
    append_numbers(&channel, 0..3);
    channel.close();

    assert_eq!(poll_next(&mut cursor, Waker::noop()), Poll::Ready(Next::Lag));
    assert_eq!(block_on(cursor.next(usize::MAX)).unwrap_err().missed, 2);
    assert_eq!(read_texts(&mut cursor), ["2"]);
    assert_eq!(poll_next(&mut cursor, Waker::noop()), Poll::Ready(Next::End));
}

#[test]
fn cursors_keep_the_channel_when_its_handles_are_gone() {
    let channel = Channel::<()>::new(Options::default());
    let mut cursor = channel.cursor(Start::Latest);
    append_numbers(&channel, 0..3);
    drop(channel);

    assert_eq!(read_texts(&mut cursor), ["0", "1", "2"]);
    assert!(poll_read(&mut cursor, Waker::noop()).is_pending());
}

#[test]
fn a_clone_is_the_same_channel() {
    let channel = Channel::<()>::new(Options::default());
    let clone = channel.clone();
    clone.close();

    assert_eq!(channel.append(numbered(0)), Err(Closed));
    assert!(channel.is_same(&clone));
    assert!(!channel.is_same(&Channel::new(Options::default())));
}
