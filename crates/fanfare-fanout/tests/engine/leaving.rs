use std::{
    io::Read,
    net::Shutdown,
    time::{Duration, Instant},
};

use fanfare_fanout::{
    Bounds, Channel, Options, Position, Positions,
    engine::{Framing, Settings, Why},
};

use fanfare_wire::Event;

use crate::support::*;

#[test]
fn who_hangs_up_or_resets_or_closes_a_half_is_gone() {
    let running = Running::plain();
    let channel = Channel::<()>::new(Options::default());
    let [closed, half, talker] = [0; 3].map(|_| running.adopt(&channel, Position::START));
    let Peer { socket, left } = closed;
    drop(socket);
    assert_eq!(left.recv_timeout(PATIENCE).unwrap().why, Why::Gone);
    half.socket.shutdown(Shutdown::Write).unwrap();
    let left = half.left();
    assert!(left.why == Why::Gone && left.socket.is_none());
    // Words of a peer are read, and mean nothing.
    let mut talker = talker;
    talker.write("hello?");
    channel.append("a".into()).unwrap();
    talker.reads("data: a\n\n");
}

#[test]
fn the_end_of_a_channel_is_behind_its_last_frame() {
    let running = Running::plain();
    let channel = Channel::<()>::new(Options::default());
    let mut peer = running.adopt(&channel, Position::START);
    channel.append("last".into()).unwrap();
    channel.close();
    peer.reads("data: last\n\n");
    let left = peer.left();
    assert_eq!((left.why, left.after, left.unsent.len()), (Why::Ended, Position(1), 0));
    assert!(left.socket.is_some());
    let late = running.adopt(&channel, Position(1));
    assert_eq!(late.left().why, Why::Ended);
}

#[test]
fn of_several_channels_the_first_end_or_gap_gives_it_back() {
    let running = Running::plain();
    let positions = Positions::new();
    let bounds = Bounds { frames: 1, bytes: usize::MAX };
    let options = || Options { bounds, positions: positions.clone(), ..Options::default() };
    let channels = [Channel::<()>::new(options()), Channel::new(options())];
    let mut peer = running.adopt_several(&channels, Position::START);
    channels[1].append("a".into()).unwrap();
    peer.reads("data: a\n\n");
    channels[0].close();
    let left = peer.left();
    assert_eq!((left.why, left.after), (Why::Ended, Position(1)));

    channels[1].append("b".into()).unwrap();
    let late = running.adopt_several(&channels, Position::START);
    assert_eq!(late.left().why, Why::Lagged);
}

#[test]
fn who_is_behind_what_is_kept_goes_back_with_what_is_half_written() {
    let running = Running::start(settings(Framing::Chunked));
    let channel = bounded(10);
    let late = {
        channel.append_all((0..20).map(|number| Event::new(format!("{number}")))).unwrap();
        running.adopt(&channel, Position(3))
    };
    assert_eq!((late.left().why, late.left.try_recv().is_err()), (Why::Lagged, true));

    let mut stalled = running.adopt(&channel, Position(20));
    let data = "x".repeat(100_000);
    let left = loop {
        channel.append(Event::new(data.clone())).unwrap();
        if let Ok(left) = stalled.left.try_recv() {
            break left;
        }
        // Only what its socket has room for is read, so that it falls behind.
        if stalled.left.try_recv().is_err() && channel.positions().newest() > Position(2000) {
            let mut some = vec![0; 1_000_000];
            stalled.socket.read_exact(&mut some).unwrap();
        }
    };
    assert_eq!(left.why, Why::Lagged);
    assert!(left.after > Position(20) && left.after < channel.positions().newest());
    assert!(left.socket.is_some() && left.unsent.is_empty(), "what was half written went first");
}

#[test]
fn who_takes_nothing_for_too_long_is_stalled() {
    let write_timeout = Duration::from_millis(300);
    let settings = Settings { write_timeout, keep_alive: None, ..settings(Framing::Plain) };
    let running = Running::start(settings);
    let channel = bounded(1000);
    let stalled = running.adopt(&channel, Position::START);
    let data = "x".repeat(1_000_000);
    let begun = Instant::now();
    channel.append_all((0..100).map(|_| Event::new(data.clone()))).unwrap();
    let left = stalled.left();
    assert_eq!(left.why, Why::Stalled);
    assert!(begun.elapsed() >= write_timeout);
    assert!(left.socket.is_none());
}

#[test]
fn who_is_due_and_who_is_recalled_goes_back_and_can_come_again() {
    let running = Running::start(Settings {
        keep_alive: None,
        write_timeout: Duration::from_millis(500),
        ..settings(Framing::Plain)
    });
    let channel = Channel::<()>::new(Options::default());
    let until = Instant::now() + Duration::from_millis(100);
    let due = running.adopt_until(&channel, Position::START, Some(until));
    assert_eq!(due.left().why, Why::Due);
    assert!(Instant::now() >= until);

    let mut peer = running.adopt(&channel, Position::START);
    channel.append("a".into()).unwrap();
    peer.reads("data: a\n\n");
    running.engine.recall();
    let left = peer.left();
    assert_eq!((left.why, left.after), (Why::Recalled, Position(1)));
    drop(left);
    assert_eq!(peer.socket.read(&mut [0]).unwrap(), 0, "the socket was its owner's to drop");
    let other = running.adopt(&channel, Position::START);
    drop(running);
    assert_eq!(other.left().why, Why::Recalled);
}
