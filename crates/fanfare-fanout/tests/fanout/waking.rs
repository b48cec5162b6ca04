use std::{
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
};

use fanfare_fanout::{Bounds, Channel, Cursor, LagPolicy, Next, Options, Position, Start};

use crate::support::{
    Woken, append_numbers, assert_done, channel_of, numbered, poll_next, poll_read, read_texts,
    texts_of,
};

#[test]
fn a_waiting_reader_is_woken_once_by_an_append() {
    let channel = Channel::<()>::new(Options::default());
    let mut reader = Waiting::at(&channel);
    append_numbers(&channel, 0..3);

    assert_eq!(reader.woken.times(), 1, "the second and third found nobody waiting");
    reader.wait_again();
    append_numbers(&channel, [3]);
    assert_eq!(reader.woken.times(), 2);
}

#[test]
fn a_waiting_reader_is_woken_once_by_a_batch() {
    let channel = Channel::<()>::new(Options::default());
    let readers = [(); 50].map(|()| Waiting::at(&channel));
    channel.append_all((0..100).map(numbered)).unwrap();

    assert!(readers.iter().all(|reader| reader.woken.times() == 1));
}

#[test]
fn an_empty_batch_wakes_nobody() {
    let channel = Channel::<()>::new(Options::default());
    let reader = Waiting::at(&channel);
    assert_eq!(channel.append_all([]), Ok(None));

    assert_eq!(reader.woken.times(), 0);
}

#[test]
fn only_readers_that_wait_are_woken() {
    let channel = Channel::<()>::new(Options::default());
    let mut busy = [(); 50].map(|()| Waiting::at(&channel));
    append_numbers(&channel, [0]);
    let waiting = [(); 3].map(|()| Waiting::at(&channel));
    append_numbers(&channel, [1]);

    assert!(busy.iter().all(|reader| reader.woken.times() == 1));
    assert!(waiting.iter().all(|reader| reader.woken.times() == 1));

    busy[0].wait_again();
    append_numbers(&channel, [2]);
    assert_eq!(busy[0].woken.times(), 2);
    assert!(busy[1..].iter().all(|reader| reader.woken.times() == 1));
    assert!(waiting.iter().all(|reader| reader.woken.times() == 1));
}

#[test]
fn a_reader_that_finds_something_does_not_wait() {
    let channel = Channel::<()>::new(Options::default());
    let mut cursor = channel.cursor(Start::Latest);
    let (woken, waker) = Woken::new();
    append_numbers(&channel, [0]);
    assert_eq!(poll_next(&mut cursor, &waker).map(|next| next != Next::End), Poll::Ready(true));
    assert!(poll_read(&mut cursor, &waker).is_ready());
    append_numbers(&channel, [1]);

    assert_eq!(woken.times(), 0);
}

#[test]
fn a_future_that_is_dropped_loses_nothing() {
    let channel = Channel::<()>::new(Options::default());
    let mut cursor = channel.cursor(Start::Latest);
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(cursor.next(0)).poll(&mut context).is_pending());
    append_numbers(&channel, 0..3);

    assert_eq!(read_texts(&mut cursor), ["0", "1", "2"]);
}

#[test]
fn a_reader_that_fell_behind_is_told_at_once() {
    let channel = channel_of(2, LagPolicy::Gap);
    let mut cursor = channel.cursor(Start::Latest);
    let (woken, waker) = Woken::new();
    append_numbers(&channel, 0..5);

    assert_eq!(poll_next(&mut cursor, &waker), Poll::Ready(Next::Lag));
    assert!(matches!(poll_read(&mut cursor, &waker), Poll::Ready(Err(_))));
    append_numbers(&channel, [5]);
    assert_eq!(woken.times(), 0);
}

#[test]
fn waiting_for_the_next_position_is_waiting_too() {
    let channel = Channel::<()>::new(Options::default());
    let mut cursor = channel.cursor(Start::Latest);
    let (woken, waker) = Woken::new();
    assert!(poll_next(&mut cursor, &waker).is_pending());
    let position = channel.append(numbered(0)).unwrap();

    assert_eq!(woken.times(), 1);
    assert_eq!(poll_next(&mut cursor, &waker), Poll::Ready(Next::Frame(position)));
}

#[test]
fn closing_wakes_each_waiting_reader_once() {
    let channel = Channel::<()>::new(Options::default());
    let readers = [(); 10].map(|()| Waiting::at(&channel));
    channel.close();
    channel.close();

    assert!(readers.iter().all(|reader| reader.woken.times() == 1));
}

#[test]
fn polling_again_with_the_same_waker_waits_once() {
    let channel = Channel::<()>::new(Options::default());
    let mut reader = Waiting::at(&channel);
    reader.wait_again();
    assert!(poll_next(&mut reader.cursor, &reader.waker).is_pending());
    append_numbers(&channel, [0]);

    assert_eq!(reader.woken.times(), 1);
}

#[test]
fn another_waker_replaces_the_former() {
    let channel = Channel::<()>::new(Options::default());
    let mut reader = Waiting::at(&channel);
    let (woken, waker) = Woken::new();
    assert!(poll_read(&mut reader.cursor, &waker).is_pending());
    append_numbers(&channel, [0]);

    assert_eq!(reader.woken.times(), 0);
    assert_eq!(woken.times(), 1);
}

#[test]
fn a_dropped_reader_leaves_nothing_behind() {
    let channel = Channel::<()>::new(Options::default());
    let Waiting { cursor, waker, woken } = Waiting::at(&channel);
    let other = Waiting::at(&channel);
    drop(cursor);
    drop(waker);
    assert_eq!(Arc::strong_count(&woken), 1, "the channel has let go of the waker");

    append_numbers(&channel, [0]);
    assert_eq!(woken.times(), 0);
    assert_eq!(other.woken.times(), 1);
}

#[test]
fn a_woken_reader_leaves_nothing_behind() {
    let channel = Channel::<()>::new(Options::default());
    let Waiting { cursor: _cursor, waker, woken } = Waiting::at(&channel);
    append_numbers(&channel, [0]);
    drop(waker);

    assert_eq!(Arc::strong_count(&woken), 1);
}

#[test]
fn a_reader_that_drops_after_it_was_woken_takes_nobodys_place() {
    let channel = Channel::<()>::new(Options::default());
    let leaving = [(); 5].map(|()| Waiting::at(&channel));
    append_numbers(&channel, [0]);
    let waiting = [(); 5].map(|()| Waiting::at(&channel));
    drop(leaving);
    append_numbers(&channel, [1]);

    assert!(waiting.iter().all(|reader| reader.woken.times() == 1));
}

#[test]
fn a_reader_that_waits_again_after_it_was_woken_takes_nobodys_place() {
    let channel = Channel::<()>::new(Options::default());
    let mut early = [(); 5].map(|()| Waiting::at(&channel));
    append_numbers(&channel, [0]);
    let late = [(); 5].map(|()| Waiting::at(&channel));
    early.iter_mut().for_each(Waiting::wait_again);
    append_numbers(&channel, [1]);

    assert!(early.iter().all(|reader| reader.woken.times() == 2));
    assert!(late.iter().all(|reader| reader.woken.times() == 1));
}

#[test]
fn a_waker_may_use_the_channel() {
    let (channel, reader) = reads_when_woken();
    assert_done(move || append_numbers(&channel, 0..3));

    assert_eq!(*reader.runs.lock().unwrap(), ["0", "1", "2"]);
}

#[test]
fn a_reader_that_reads_when_woken_gets_a_batch_as_a_whole() {
    let (channel, reader) = reads_when_woken();
    assert_done(move || {
        channel.append_all((0..3).map(numbered)).unwrap();
        channel.append_all((3..6).map(numbered)).unwrap();
    });

    assert_eq!(*reader.runs.lock().unwrap(), ["012", "345"]);
}

#[test]
fn the_last_owner_of_a_cursor_may_be_a_waker_that_is_replaced() {
    let channel = Channel::<()>::new(Options::default());
    let mut cursor = channel.cursor(Start::Latest);
    let waker = waker_that_owns(Waiting::at(&channel).cursor);
    assert!(poll_read(&mut cursor, &waker).is_pending());
    drop(waker);

    assert_done(move || assert!(poll_read(&mut cursor, Waker::noop()).is_pending()));
}

#[test]
fn the_last_owner_of_a_cursor_may_be_a_waker_that_leaves() {
    let channel = Channel::<()>::new(Options::default());
    let mut cursor = channel.cursor(Start::Latest);
    let waker = waker_that_owns(Waiting::at(&channel).cursor);
    assert!(poll_read(&mut cursor, &waker).is_pending());
    drop(waker);

    assert_done(move || drop(cursor));
}

#[test]
fn an_audience_may_use_the_channel_when_it_is_trimmed() {
    #[derive(Debug)]
    struct SaysGoodbye(Channel<Self>);

    impl Drop for SaysGoodbye {
        fn drop(&mut self) {
            self.0.append("goodbye".into()).unwrap();
        }
    }

    let bounds = Bounds { frames: 1, ..Bounds::default() };
    let channel = Channel::new(Options { bounds, ..Options::default() });
    channel.append_for(numbered(0), Arc::new(SaysGoodbye(channel.clone()))).unwrap();
    let mut cursor = channel.cursor(Start::Latest);
    assert_done(move || append_numbers(&channel, [1]));

    assert_eq!(cursor.read(0, Position::END).unwrap_err().missed, 1);
    assert_eq!(read_texts(&mut cursor), ["goodbye"]);
}

/// A reader that has found nothing and waits.
struct Waiting {
    cursor: Cursor,
    waker: Waker,
    woken: Arc<Woken>,
}

impl Waiting {
    fn at(channel: &Channel) -> Self {
        let (woken, waker) = Woken::new();
        let mut reader = Self { cursor: channel.cursor(Start::Latest), waker, woken };
        reader.wait_again();
        reader
    }

    fn wait_again(&mut self) {
        while poll_read(&mut self.cursor, &self.waker).is_ready() {}
    }
}

/// A task of an executor that polls as soon as it is woken.
struct ReadsWhenWoken {
    cursor: Mutex<Cursor>,
    runs: Mutex<Vec<String>>,
}

fn reads_when_woken() -> (Channel, Arc<ReadsWhenWoken>) {
    let channel = Channel::new(Options::default());
    let cursor = Mutex::new(channel.cursor(Start::Latest));
    let reader = Arc::new(ReadsWhenWoken { cursor, runs: Mutex::default() });
    reader.clone().wake();
    (channel, reader)
}

impl Wake for ReadsWhenWoken {
    fn wake(self: Arc<Self>) {
        let waker = Waker::from(self.clone());
        let mut cursor = self.cursor.lock().unwrap();
        while let Poll::Ready(run) = poll_read(&mut cursor, &waker) {
            let texts = texts_of(run.unwrap().unwrap().bytes);
            self.runs.lock().unwrap().push(texts.concat());
        }
    }
}

/// As an executor's task owns its future, and through it a cursor.
fn waker_that_owns(cursor: Cursor) -> Waker {
    struct Owner(#[expect(dead_code, reason = "it is there to be dropped")] Mutex<Cursor>);

    impl Wake for Owner {
        fn wake(self: Arc<Self>) {}
    }

    Arc::new(Owner(Mutex::new(cursor))).into()
}
