//! The concurrency core under a model checker, which tries every interleaving of the threads.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p fanfare-fanout --test loom --target-dir target/loom`

#![cfg(test)]
#![cfg(loom)]

use std::{
    iter,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use fanfare_fanout::{Channel, Cursor, Options, Position, Positions, Start};
use loom::thread::{self, JoinHandle};

#[test]
fn no_append_is_slept_through() {
    loom::model(|| {
        let channel = channel();
        let mut reader = Reader::at(&channel);
        let publisher = spawn(&channel, |channel| append(channel, "a"));
        let frames = reader.poll();
        publisher.join().unwrap();

        assert_eq!(reader.woken.times(), usize::from(frames.is_none()));
        assert_eq!(frames.or_else(|| reader.poll()), Some(1));
    });
}

#[test]
fn no_append_is_slept_through_by_a_reader_that_reads_on() {
    loom::model(|| {
        let channel = channel();
        let mut reader = Reader::at(&channel);
        let publishers =
            ["a", "b"].map(|data| spawn(&channel, move |channel| append(channel, data)));
        let frames = reader.read_until_it_waits();
        for publisher in publishers {
            publisher.join().unwrap();
        }

        assert_eq!(reader.woken.times(), usize::from(frames < 2));
        assert_eq!(frames + reader.poll().unwrap_or(0), 2);
    });
}

#[test]
fn no_batch_is_slept_through_by_any_of_two_readers() {
    loom::model(|| {
        let channel = channel();
        let publisher = spawn(&channel, |channel| {
            channel.append_all(["a".into(), "b".into()]).unwrap();
        });
        let polled = [(); 2].map(|()| {
            let mut reader = Reader::new(channel.cursor(Start::Earliest));
            thread::spawn(move || (reader.poll(), reader))
        });
        publisher.join().unwrap();

        for polled in polled {
            let (frames, mut reader) = polled.join().unwrap();
            assert_eq!(reader.woken.times(), usize::from(frames.is_none()));
            assert_eq!(frames.or_else(|| reader.poll()), Some(2), "a batch is visible as a whole");
        }
    });
}

#[test]
fn no_close_is_slept_through() {
    loom::model(|| {
        let channel = channel();
        let mut reader = Reader::at(&channel);
        let closer = spawn(&channel, Channel::close);
        let end = reader.poll();
        closer.join().unwrap();

        assert_eq!(reader.woken.times(), usize::from(end.is_none()));
        assert_eq!(end.or_else(|| reader.poll()), Some(0));
    });
}

#[test]
fn what_is_appended_while_the_channel_closes_is_read_or_refused() {
    loom::model(|| {
        let channel = channel();
        let mut cursor = channel.cursor(Start::Earliest);
        let closer = spawn(&channel, Channel::close);
        let outcome = channel.append("a".into());
        closer.join().unwrap();

        let run = cursor.read(usize::MAX, Position::END).unwrap();
        assert_eq!(run.is_some(), outcome.is_ok());
    });
}

#[test]
fn the_newest_waker_is_woken() {
    loom::model(|| {
        let channel = channel();
        let mut reader = Reader::at(&channel);
        assert_eq!(reader.poll(), None);
        let former = reader.woken.clone();
        let publisher = spawn(&channel, |channel| append(channel, "a"));
        let mut reader = Reader::new(reader.cursor);
        let frames = reader.poll();
        publisher.join().unwrap();

        assert_eq!(reader.woken.times(), usize::from(frames.is_none()));
        assert_eq!(former.times(), usize::from(frames.is_some()));
    });
}

#[test]
fn a_reader_that_drops_while_it_is_woken_takes_nobodys_place() {
    loom::model(|| {
        let channel = channel();
        let mut leaving = Reader::at(&channel);
        assert_eq!(leaving.poll(), None);
        let mut staying = Reader::at(&channel);
        let publisher = spawn(&channel, |channel| append(channel, "a"));
        let leaver = thread::spawn(move || drop(leaving));
        let mut frames = staying.read_until_it_waits();
        publisher.join().unwrap();
        leaver.join().unwrap();

        if frames == 0 {
            frames = staying.read_until_it_waits();
        }
        assert_eq!(frames, 1);
        let before = staying.woken.times();
        append(&channel, "b");
        assert_eq!(staying.woken.times(), before + 1);
    });
}

#[test]
fn readers_of_the_newest_frames_get_each_once() {
    loom::model(|| {
        let channel = channel();
        append(&channel, "a");
        let publisher = spawn(&channel, |channel| append(channel, "b"));
        let readers = [(); 2].map(|()| {
            let mut cursor = channel.cursor(Start::Earliest);
            thread::spawn(move || (read(&mut cursor), cursor))
        });
        publisher.join().unwrap();

        for reader in readers {
            let (first, mut cursor) = reader.join().unwrap();
            assert_eq!(first + &read(&mut cursor), "data: a\n\ndata: b\n\n");
        }
    });
}

#[test]
fn a_channel_is_complete_up_to_the_newest_position_that_was_loaded_before() {
    loom::model(|| {
        let positions = Positions::new();
        let channels = [(); 2].map(|()| {
            let positions = positions.clone();
            Channel::<()>::new(Options { positions, ..Options::default() })
        });
        let mut cursors = channels.each_ref().map(|channel| channel.cursor(Start::Earliest));
        let publishers =
            channels.each_ref().map(|channel| spawn(channel, |channel| append(channel, "a")));
        let newest = positions.newest();
        let frames = cursors
            .each_mut()
            .map(|cursor| cursor.read(usize::MAX, newest).unwrap().map_or(0, |run| run.frames));
        for publisher in publishers {
            publisher.join().unwrap();
        }

        assert_eq!(frames.iter().sum::<u64>(), newest.0);
    });
}

fn channel() -> Channel {
    Channel::new(Options::default())
}

fn append(channel: &Channel, data: &'static str) {
    channel.append(data.into()).unwrap();
}

fn spawn(channel: &Channel, act: impl FnOnce(&Channel) + 'static) -> JoinHandle<()> {
    let channel = channel.clone();
    thread::spawn(move || act(&channel))
}

fn read(cursor: &mut Cursor) -> String {
    let run = cursor.read(usize::MAX, Position::END).unwrap();
    run.map_or_else(String::new, |run| String::from_utf8(run.bytes.into()).unwrap())
}

/// A cursor with a waker of its own.
struct Reader {
    cursor: Cursor,
    woken: Arc<Woken>,
}

impl Reader {
    fn at(channel: &Channel) -> Self {
        Self::new(channel.cursor(Start::Latest))
    }

    fn new(cursor: Cursor) -> Self {
        Self { cursor, woken: Arc::default() }
    }

    /// The number of frames read, 0 at the end; `None` when the reader waits.
    fn poll(&mut self) -> Option<u64> {
        let waker = Waker::from(self.woken.clone());
        match self.cursor.poll_read(&mut Context::from_waker(&waker), usize::MAX) {
            Poll::Ready(outcome) => Some(outcome.unwrap().map_or(0, |run| run.frames)),
            Poll::Pending => None,
        }
    }

    fn read_until_it_waits(&mut self) -> u64 {
        iter::from_fn(|| self.poll()).sum()
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Woken {
    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
