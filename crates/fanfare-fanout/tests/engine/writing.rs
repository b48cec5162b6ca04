use std::{
    io::Read,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fanfare_fanout::{
    Channel, Digest, Frame, Options, Position, Positions,
    engine::{Framing, Why},
};

use fanfare_wire::Event;

use crate::support::*;

#[test]
fn everybody_is_given_what_lies_behind_their_place_and_what_comes() {
    let running = Running::plain();
    let channel = Channel::<()>::new(Options::default());
    channel.append_all(["a".into(), "b".into()]).unwrap();
    let mut all = running.adopt(&channel, Position::START);
    let mut some = running.adopt(&channel, Position(1));
    let mut new = running.adopt(&channel, Position(2));
    all.reads("data: a\n\ndata: b\n\n");
    some.reads("data: b\n\n");
    channel.append("c".into()).unwrap();
    for peer in [&mut all, &mut some, &mut new] {
        peer.reads("data: c\n\n");
    }
    running.until_frames(6);
    assert_eq!(running.counted.bytes.load(Ordering::SeqCst), 6 * 9);
}

#[test]
fn a_run_is_a_chunk() {
    let running = Running::start(settings(Framing::Chunked));
    let channel = Channel::<()>::new(Options::default());
    channel.append_all(["a".into(), "b".into()]).unwrap();
    let mut peer = running.adopt(&channel, Position::START);
    peer.reads("12\r\ndata: a\n\ndata: b\n\n\r\n");
}

#[test]
fn what_comes_late_to_a_channel_but_was_given_before_is_left_out() {
    let running = Running::plain();
    let channel = Channel::<()>::new(Options::default());
    let mut peer = running.adopt(&channel, Position(7));
    for position in [3, 7, 8] {
        let event = Event::new(format!("{position}"));
        channel.append_at([(Position(position), event)]).unwrap();
    }
    peer.reads("data: 8\n\n");
}

#[test]
fn many_channels_have_their_own_readers() {
    let running = Running::plain();
    let channels: Vec<_> = (0..50).map(|_| Channel::<()>::new(Options::default())).collect();
    let mut peers: Vec<_> =
        channels.iter().map(|channel| running.adopt(channel, Position::START)).collect();
    for (index, channel) in channels.iter().enumerate() {
        channel.append(Event::new(format!("{index}"))).unwrap();
    }
    for (index, peer) in peers.iter_mut().enumerate() {
        peer.reads(&format!("data: {index}\n\n"));
    }
}

/// Channels that share their positions.
fn sisters(count: usize) -> Vec<Channel> {
    let positions = Positions::new();
    let options = || Options { positions: positions.clone(), ..Options::default() };
    (0..count).map(|_| Channel::new(options())).collect()
}

#[test]
fn several_channels_are_read_in_one_order() {
    let running = Running::plain();
    let channels = sisters(3);
    channels[2].append("before".into()).unwrap();
    channels[0].append("first".into()).unwrap();
    let mut peer = running.adopt_several(&channels[..], Position(1));
    let mut numbers = vec![];
    for number in 0..300 {
        channels[number * 7 % 3].append(Event::new(format!("{number}"))).unwrap();
        numbers.push(format!("data: {number}\n\n"));
        if number == 150 {
            peer.reads(&format!("data: first\n\n{}", numbers.concat()));
            numbers.clear();
        }
    }
    peer.reads(&numbers.concat());
    // A word to each of many readers of several.
    let mut peers: Vec<_> =
        (0..50).map(|_| running.adopt_several(&channels[1..], Position(302))).collect();
    channels[1].append("x".into()).unwrap();
    channels[0].append("not theirs".into()).unwrap();
    channels[2].append("y".into()).unwrap();
    for peer in &mut peers {
        peer.reads("data: x\n\ndata: y\n\n");
    }
}

#[test]
fn several_channels_that_many_append_to_are_complete() {
    const EACH: usize = 5000;
    let running = Running::plain();
    let channels = sisters(4);
    let mut peer = running.adopt_several(&channels, Position::START);
    let publishers: Vec<_> = channels
        .into_iter()
        .enumerate()
        .map(|(index, channel)| {
            std::thread::spawn(move || {
                for number in 0..EACH {
                    channel.append(Event::new(format!("{index} {number:05}"))).unwrap();
                }
            })
        })
        .collect();
    let mut expected = [0; 4];
    for _ in 0..4 * EACH {
        let mut event = [0; 15];
        peer.socket.read_exact(&mut event).unwrap();
        let event = str::from_utf8(&event).unwrap().strip_prefix("data: ").unwrap();
        let (index, number) = event.trim_end().split_once(' ').unwrap();
        let expected = &mut expected[index.parse::<usize>().unwrap()];
        assert_eq!(number, format!("{expected:05}"));
        *expected += 1;
    }
    for publisher in publishers {
        publisher.join().unwrap();
    }
}

#[test]
fn a_flood_is_complete_and_in_order_for_all_who_read() {
    const EVENTS: u32 = 20_000;
    let running = Running::plain();
    let channel = bounded(EVENTS as usize);
    let peers: Vec<_> = (0..20).map(|_| running.adopt(&channel, Position::START)).collect();
    let readers: Vec<_> = peers
        .into_iter()
        .map(|mut peer| {
            std::thread::spawn(move || {
                for number in 0..EVENTS {
                    peer.reads(&format!("data: {number}\n\n"));
                }
            })
        })
        .collect();
    for number in 0..EVENTS {
        channel.append(Event::new(format!("{number}"))).unwrap();
    }
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn a_socket_that_takes_nothing_for_a_while_goes_on_where_it_was() {
    let running = Running::start(settings(Framing::Chunked));
    let channel = bounded(10_000);
    let mut slow = running.adopt(&channel, Position::START);
    let mut fast = running.adopt(&channel, Position::START);
    let fast = std::thread::spawn(move || unchunked(&mut fast, 1000));
    let data = "x".repeat(10_000);
    for number in 0..1000 {
        channel.append(Event::new(format!("{number}{data}"))).unwrap();
        if number % 100 == 0 {
            // The fast one is given all while the slow one's socket is full.
            running.until_frames(number);
        }
    }
    for wire in [fast.join().unwrap(), unchunked(&mut slow, 1000)] {
        let numbers = wire.split("data: ").skip(1).map(|event| event.split('x').next().unwrap());
        assert!(numbers.eq((0..1000).map(|number| number.to_string())));
    }
}

/// The bytes of chunks up to this many events.
fn unchunked(peer: &mut Peer, events: usize) -> String {
    let (mut wire, mut count) = (String::new(), 0);
    while count < events {
        let mut line = vec![];
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            peer.socket.read_exact(&mut byte).unwrap();
            line.extend(byte);
        }
        let digits = str::from_utf8(&line).unwrap().trim();
        let mut chunk = vec![0; usize::from_str_radix(digits, 16).unwrap() + 2];
        peer.socket.read_exact(&mut chunk).unwrap();
        let text = str::from_utf8(&chunk).unwrap().strip_suffix("\r\n").unwrap();
        count += text.matches("\n\n").count();
        wire.push_str(text);
    }
    wire
}

#[test]
fn a_silence_is_broken() {
    let silence = Duration::from_millis(200);
    let running = Running::start(fanfare_fanout::engine::Settings {
        keep_alive: Some(silence),
        ..settings(Framing::Chunked)
    });
    let channel = Channel::<()>::new(Options::default());
    let begun = Instant::now();
    let mut peer = running.adopt(&channel, Position::START);
    peer.reads("3\r\n:\n\n\r\n3\r\n:\n\n\r\n");
    // Each may be shorter by a 32nd.
    assert!(begun.elapsed() >= silence * 2 / 32 * 31, "{:?}", begun.elapsed());
    channel.append("a".into()).unwrap();
    peer.reads("9\r\ndata: a\n\n\r\n3\r\n:\n\n\r\n");
}

#[test]
fn who_leaves_has_the_digest_of_all_that_it_was_given() {
    let running = Running::start(fanfare_fanout::engine::Settings {
        keep_alive: Some(Duration::from_millis(200)),
        ..settings(Framing::Plain)
    });
    let channel = Channel::<()>::new(Options::default());
    let frames: Vec<_> = (1_u8..=20)
        .map(|number| (Position(number.into()), frame(format!("{number} ").into())))
        .collect();
    // One begins with a run of several, one in the middle of it.
    channel.append_frames(frames[..3].to_vec()).unwrap();
    let mut peers = [0, 2].map(|after| running.adopt(&channel, Position(after)));
    peers[0].reads("1 2 3 :\n\n");
    peers[1].reads("3 :\n\n");
    channel.append_frames(frames[3..].to_vec()).unwrap();
    channel.close();
    for (mut peer, begun) in peers.into_iter().zip([0, 2]) {
        let left = peer.left();
        let mut rest = String::new();
        drop(left.socket);
        peer.socket.read_to_string(&mut rest).unwrap();
        let mut given: Vec<_> = frames.iter().map(|(_, frame)| frame.digest).collect();
        // Silences that were broken since come before what was appended.
        let comments = 1 + rest.matches(":\n\n").count();
        given.splice(3..3, vec![comment().digest; comments]);
        let given = given[begun..].iter().fold(Digest::EMPTY, |one, other| one.then(*other));
        assert_eq!((left.why, left.digest), (Why::Ended, given));
    }
}

fn frame(bytes: Bytes) -> Frame {
    // Any will do: they are put together whatever they are.
    let crc = bytes.iter().fold(7, |crc: u32, byte| crc.wrapping_mul(31) ^ u32::from(*byte));
    let len = bytes.len().try_into().unwrap();
    Frame { bytes, digest: Digest::new(crc, len) }
}
