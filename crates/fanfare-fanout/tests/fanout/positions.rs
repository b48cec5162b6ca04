use std::{
    future, iter,
    task::{Context, Poll, ready},
    thread,
};

use fanfare_fanout::{Channel, Cursor, Epoch, Next, Options, Position, Positions, Run, Start};

use crate::support::{block_on, events_of, numbered};

const CHANNELS: usize = 3;
const EVENTS_OF_A_PUBLISHER: u64 = 2000;

#[test]
fn positions_rise_by_one_over_all_channels_that_share_them() {
    let channels = channels();
    for number in 1..=30 {
        let channel = &channels[number % CHANNELS];
        assert_eq!(channel.append(numbered(0)), Ok(Position(number as u64)));
        assert_eq!(channel.positions().newest(), Position(number as u64));
    }
}

#[test]
fn channels_of_their_own_count_alone() {
    let [a, b] = [(); 2].map(|()| Channel::<()>::new(Options::default()));

    assert_eq!(a.append(numbered(0)), Ok(Position(1)));
    assert_eq!(b.append(numbered(0)), Ok(Position(1)));
}

#[test]
fn an_order_over_positions_is_that_of_their_numbers() {
    assert!(Position::START < Position(1) && Position(1) < Position(2));
    assert!(Position(u64::MAX - 1) < Position::END);
    assert_eq!(Position(7).to_string(), "7");
}

#[test]
fn several_channels_are_read_in_one_order() {
    let channels = channels();
    let mut merged = Merged::of(&channels);
    for number in 0..30 {
        channels[number * number % CHANNELS].append(numbered(0)).unwrap();
    }
    channels.iter().for_each(Channel::close);

    assert!(block_on(merged.read_to_end(usize::MAX)).into_iter().eq(1..=30));
}

#[test]
fn events_that_follow_each_other_in_a_channel_come_in_one_run_of_the_merged_stream() {
    let channels = channels();
    let mut merged = Merged::of(&channels);
    for channel in &channels {
        channel.append_all(iter::repeat_n(numbered(0), 100)).unwrap();
    }

    for _ in 0..CHANNELS {
        assert_eq!(block_on(merged.next(usize::MAX)).unwrap().frames, 100);
    }
}

#[test]
fn several_channels_are_read_in_one_order_while_threads_publish() {
    let channels = channels();
    let publishers = 4_usize;
    let total = publishers as u64 * EVENTS_OF_A_PUBLISHER;
    thread::scope(|scope| {
        let readers = [100, usize::MAX].map(|max_bytes| {
            let mut merged = Merged::of(&channels);
            scope.spawn(move || block_on(merged.read_to_end(max_bytes)))
        });
        let publishers: Vec<_> = (0..publishers)
            .map(|publisher| {
                let channels = &channels;
                scope.spawn(move || publish(channels, publisher))
            })
            .collect();
        for publisher in publishers {
            publisher.join().unwrap();
        }
        channels.iter().for_each(Channel::close);

        for reader in readers {
            let positions = reader.join().unwrap();
            assert!(positions.into_iter().eq(1..=total), "each position, in order, once");
        }
    });
}

fn channels() -> [Channel; CHANNELS] {
    let positions = Positions::new();
    [(); CHANNELS].map(|()| {
        let epoch = Some(Epoch::from_seed(1));
        Channel::new(Options { epoch, positions: positions.clone(), ..Options::default() })
    })
}

/// Goes around the channels, now with one event, now with several.
fn publish(channels: &[Channel], publisher: usize) {
    let mut sent = 0;
    for turn in publisher.. {
        let count = (turn as u64 % 4 + 1).min(EVENTS_OF_A_PUBLISHER - sent);
        if count == 0 {
            break;
        }
        channels[turn % CHANNELS].append_all((0..count).map(numbered)).unwrap();
        sent += count;
    }
}

/// Reads several channels in the order of their positions.
struct Merged {
    positions: Positions,
    cursors: Vec<Cursor>,
}

impl Merged {
    fn of(channels: &[Channel]) -> Self {
        let cursors = channels.iter().map(|channel| channel.cursor(Start::Earliest)).collect();
        Self { positions: channels[0].positions().clone(), cursors }
    }

    async fn next(&mut self, max_bytes: usize) -> Option<Run> {
        future::poll_fn(|context| self.poll_read(context, max_bytes)).await
    }

    fn poll_read(&mut self, context: &mut Context<'_>, max_bytes: usize) -> Poll<Option<Run>> {
        loop {
            // Before the channels are looked at: up to here each of them is complete.
            let newest = self.positions.newest();
            let Some(mut heads) = ready!(self.poll_heads(context)) else {
                return Poll::Ready(None);
            };
            heads.sort_unstable();
            let (first, cursor) = heads[0];
            let before_next = heads.get(1).map_or(Position::END, |next| Position(next.0.0 - 1));
            if first <= newest {
                let run = self.cursors[cursor].read(max_bytes, newest.min(before_next));
                return Poll::Ready(run.unwrap());
            }
        }
    }

    /// The next position of each channel that has one; `None` at the end of all.
    fn poll_heads(&mut self, context: &mut Context<'_>) -> Poll<Option<Vec<(Position, usize)>>> {
        let mut heads = vec![];
        let mut ended = 0;
        for (index, cursor) in self.cursors.iter_mut().enumerate() {
            match cursor.poll_next(context) {
                Poll::Ready(Next::Frame(position)) => heads.push((position, index)),
                Poll::Ready(Next::End) => ended += 1,
                Poll::Ready(Next::Lag) => panic!("the bounds hold all events"),
                Poll::Pending => {}
            }
        }
        match heads.is_empty() {
            false => Poll::Ready(Some(heads)),
            true if ended == self.cursors.len() => Poll::Ready(None),
            true => Poll::Pending,
        }
    }

    async fn read_to_end(&mut self, max_bytes: usize) -> Vec<u64> {
        let mut positions = vec![];
        while let Some(run) = self.next(max_bytes).await {
            let stamped = events_of(run.bytes).into_iter().map(|event| {
                let id = event.id().unwrap().as_str();
                Epoch::from_seed(1).position(id).unwrap().0
            });
            positions.extend(stamped);
        }
        positions
    }
}
