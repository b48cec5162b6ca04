use std::{sync::Barrier, thread};

use fanfare_fanout::{Bounds, Channel, Cursor, LagPolicy, Options, Start};
use fanfare_wire::Event;

use crate::support::{block_on, channel, texts_of};

const PUBLISHERS: u64 = 4;
const READERS: usize = 4;
const EVENTS: u64 = 5000;

#[test]
fn every_reader_sees_each_publishers_events_in_order_and_once() {
    let bounds = Bounds { frames: usize::MAX, bytes: usize::MAX };
    let seen = run(&channel(bounds, LagPolicy::Gap));

    for Seen { texts, missed } in seen {
        assert_eq!(missed, 0);
        assert_eq!(texts.len() as u64, PUBLISHERS * EVENTS);
        for publisher in 0..PUBLISHERS {
            assert!(numbers_of(&texts, publisher).eq(0..EVENTS));
        }
    }
}

#[test]
fn what_a_reader_gets_and_what_it_misses_is_all_that_was_appended() {
    for lag_policy in [LagPolicy::Gap, LagPolicy::Latest] {
        let seen = run(&channel(Bounds { frames: 8, bytes: 100 }, lag_policy));

        for Seen { texts, missed } in seen {
            assert_eq!(texts.len() as u64 + missed, PUBLISHERS * EVENTS);
            for publisher in 0..PUBLISHERS {
                assert!(numbers_of(&texts, publisher).is_sorted_by(|a, b| a < b));
            }
        }
    }
}

#[test]
fn a_stream_that_is_closed_for_its_lag_has_missed_nothing_before() {
    let seen = run(&channel(Bounds { frames: 8, bytes: 100 }, LagPolicy::Close));

    for Seen { texts, missed } in seen {
        assert!(missed > 0 || texts.len() as u64 == PUBLISHERS * EVENTS);
        for publisher in 0..PUBLISHERS {
            let numbers = numbers_of(&texts, publisher);
            assert!(numbers.zip(0..).all(|(number, expected)| number == expected));
        }
    }
}

#[test]
fn readers_that_come_and_go_leave_the_others_alone() {
    let channel = Channel::<()>::new(Options::default());
    thread::scope(|scope| {
        let steady = [(); 2].map(|()| {
            let mut cursor = channel.cursor(Start::Latest);
            scope.spawn(move || read_to_end(&mut cursor))
        });
        let fickle = scope.spawn(|| while block_on(take_one(&channel)) {});
        for number in 0..EVENTS {
            channel.append(text(0, number)).unwrap();
        }
        channel.close();

        fickle.join().unwrap();
        for reader in steady {
            assert!(numbers_of(&reader.join().unwrap().texts, 0).eq(0..EVENTS));
        }
    });
}

struct Seen {
    texts: Vec<String>,
    missed: u64,
}

/// Has all publishers append at the same time, and all readers read to the end.
fn run(channel: &Channel) -> Vec<Seen> {
    let start = Barrier::new(usize::try_from(PUBLISHERS).unwrap() + READERS);
    thread::scope(|scope| {
        let readers = [(); READERS].map(|()| {
            let mut cursor = channel.cursor(Start::Latest);
            let start = &start;
            scope.spawn(move || {
                start.wait();
                read_to_end(&mut cursor)
            })
        });
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    publish(channel, publisher);
                })
            })
            .collect();
        for publisher in publishers {
            publisher.join().unwrap();
        }
        channel.close();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    })
}

/// One by one and in batches, by turns.
fn publish(channel: &Channel, publisher: u64) {
    for first in (0..EVENTS).step_by(10) {
        for number in first..first + 5 {
            channel.append(text(publisher, number)).unwrap();
        }
        channel.append_all((first + 5..first + 10).map(|number| text(publisher, number))).unwrap();
    }
}

fn read_to_end(cursor: &mut Cursor) -> Seen {
    let mut seen = Seen { texts: vec![], missed: 0 };
    loop {
        match block_on(cursor.next(1000)) {
            Ok(Some(run)) => seen.texts.extend(texts_of(run.bytes)),
            Ok(None) => return seen,
            Err(lagged) => seen.missed += lagged.missed,
        }
    }
}

/// Whether the channel goes on.
async fn take_one(channel: &Channel) -> bool {
    channel.cursor(Start::Latest).next(0).await.unwrap().is_some()
}

fn text(publisher: u64, number: u64) -> Event {
    Event::new(format!("{publisher} {number}"))
}

fn numbers_of(texts: &[String], publisher: u64) -> impl Iterator<Item = u64> {
    let prefix = format!("{publisher} ");
    texts.iter().filter_map(move |text| text.strip_prefix(&prefix)?.parse().ok())
}
