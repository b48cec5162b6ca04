use std::{
    io::Read,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use fanfare_fanout::{
    Channel, Options, Position,
    engine::{Framing, Settings},
};
use fanfare_wire::Event;

use crate::support::*;

#[test]
fn a_channel_that_is_flooded_does_not_hold_up_another() {
    let running =
        Running::start(Settings { threads: NonZeroUsize::MIN, ..settings(Framing::Plain) });
    let flooded = bounded(100_000);
    let readers: Vec<_> = (0..50)
        .map(|_| {
            let mut peer = running.adopt(&flooded, Position::START);
            std::thread::spawn(move || {
                let mut buffer = vec![0; 64 * 1024];
                while peer.socket.read(&mut buffer).is_ok_and(|count| count > 0) {}
            })
        })
        .collect();
    let is_over = Arc::new(AtomicBool::new(false));
    let flood = std::thread::spawn({
        let (flooded, is_over) = (flooded.clone(), is_over.clone());
        move || {
            while !is_over.load(Ordering::SeqCst) {
                flooded.append(Event::new("x".repeat(100))).unwrap();
            }
        }
    });
    let small = Channel::<()>::new(Options::default());
    let mut peer = running.adopt(&small, Position::START);
    // The flood lasts until all of these have come.
    for number in 0..200 {
        small.append(Event::new(format!("{number}"))).unwrap();
        peer.reads(&format!("data: {number}\n\n"));
    }
    is_over.store(true, Ordering::SeqCst);
    flood.join().unwrap();
    drop(running);
    for reader in readers {
        reader.join().unwrap();
    }
}
