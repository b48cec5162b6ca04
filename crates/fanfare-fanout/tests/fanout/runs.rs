use std::sync::Arc;

use bytes::Bytes;
use fanfare_fanout::{Bounds, Channel, LagPolicy, Options, Position, Start};
use fanfare_wire::Event;

use crate::support::{append_numbers, channel, numbered, read, read_texts, texts, texts_of};

const SEGMENT_BYTES: usize = 64 * 1024;

#[test]
fn a_backlog_comes_in_one_run() {
    let channel = Channel::<()>::new(Options::default());
    let mut cursor = channel.cursor(Start::Latest);
    append_numbers(&channel, 0..1000);

    let run = read(&mut cursor).unwrap();
    assert_eq!(run.frames, 1000);
    assert_eq!(texts_of(run.bytes), texts(0..1000));
    assert!(read(&mut cursor).is_none());
}

#[test]
fn a_long_backlog_comes_in_runs_of_a_segment() {
    let channel = Channel::<()>::new(Options::default());
    let mut cursor = channel.cursor(Start::Latest);
    let event = Event::new("x".repeat(93));
    let frames = 10 * SEGMENT_BYTES / event.encoded_len();
    channel.append_all(vec![event.clone(); frames]).unwrap();

    let mut runs = vec![];
    while let Some(run) = read(&mut cursor) {
        runs.push(run.bytes.len());
    }
    assert_eq!(runs.iter().sum::<usize>(), frames * event.encoded_len());
    assert!(runs.len() <= 11, "{runs:?}");
}

#[test]
fn a_run_holds_as_many_frames_as_max_bytes_allows() {
    let channel = Channel::<()>::new(Options::default());
    let mut cursor = channel.cursor(Start::Latest);
    append_numbers(&channel, 0..10);
    let frame = numbered(0).encoded_len();

    let mut frames = |max_bytes| cursor.read(max_bytes, Position::END).unwrap().unwrap().frames;
    assert_eq!(frames(3 * frame), 3);
    assert_eq!(frames(3 * frame - 1), 2);
    assert_eq!(frames(3 * frame + 1), 3);
    assert_eq!(frames(usize::MAX), 2);
}

#[test]
fn a_frame_above_max_bytes_is_a_run_by_itself() {
    let channel = Channel::<()>::new(Options::default());
    let mut cursor = channel.cursor(Start::Latest);
    append_numbers(&channel, 0..3);

    for _ in 0..3 {
        assert_eq!(cursor.read(0, Position::END).unwrap().unwrap().frames, 1);
    }
    assert!(cursor.read(0, Position::END).unwrap().is_none());
}

#[test]
fn a_run_ends_at_the_position_until() {
    let channel = Channel::<()>::new(Options::default());
    let mut cursor = channel.cursor(Start::Latest);
    append_numbers(&channel, 1..=10);

    assert!(cursor.read(usize::MAX, Position::START).unwrap().is_none());
    let run = cursor.read(usize::MAX, Position(4)).unwrap().unwrap();
    assert_eq!(texts_of(run.bytes), ["1", "2", "3", "4"]);
    assert!(cursor.read(usize::MAX, Position(4)).unwrap().is_none());
    assert_eq!(read(&mut cursor).unwrap().frames, 6);
}

#[test]
fn readers_share_the_memory_of_a_sealed_segment() {
    let channel = Channel::<()>::new(Options::default());
    let mut cursors = [(); 2].map(|()| channel.cursor(Start::Latest));
    channel.append("x".repeat(SEGMENT_BYTES).into()).unwrap();
    channel.append("behind it".into()).unwrap();

    let [first, second] = cursors.each_mut().map(|cursor| read(cursor).unwrap().bytes);
    assert!(is_same_memory(&first, &second));
}

#[test]
fn readers_share_the_memory_of_the_newest_frames() {
    let channel = Channel::<()>::new(Options::default());
    let mut cursors = [(); 2].map(|()| channel.cursor(Start::Latest));
    for number in 0..100 {
        append_numbers(&channel, [number]);
        let [first, second] = cursors.each_mut().map(|cursor| read(cursor).unwrap().bytes);
        assert!(is_same_memory(&first, &second));
    }
}

#[test]
fn readers_share_the_memory_of_a_joined_rest() {
    let channel = Channel::<()>::new(Options::default());
    let mut late = [(); 2].map(|()| channel.cursor(Start::Latest));
    let mut prompt = channel.cursor(Start::Latest);
    for number in 0..100 {
        append_numbers(&channel, [number]);
        read(&mut prompt).unwrap();
    }

    let [first, second] = late.each_mut().map(|cursor| read(cursor).unwrap().bytes);
    assert!(is_same_memory(&first, &second));
}

#[test]
fn a_late_reader_gets_in_one_run_what_a_prompt_one_got_in_many() {
    let channel = Channel::<()>::new(Options::default());
    let mut late = channel.cursor(Start::Latest);
    let mut later = channel.cursor(Start::Latest);
    let mut prompt = channel.cursor(Start::Latest);
    let mut parts = vec![];
    for number in 0..100 {
        append_numbers(&channel, [number]);
        parts.push(read(&mut prompt).unwrap().bytes);
    }
    let run = read(&mut late).unwrap();
    assert_eq!(run.frames, 100);
    assert_eq!(run.bytes, parts.concat());

    append_numbers(&channel, 100..110);
    assert_eq!(read(&mut late).unwrap().frames, 10);
    assert_eq!(read(&mut later).unwrap().frames, 110);
}

#[test]
fn a_reader_in_the_middle_of_the_newest_frames_gets_their_rest_in_one_run() {
    let channel = Channel::<()>::new(Options::default());
    let mut cursor = channel.cursor(Start::Latest);
    append_numbers(&channel, 0..10);
    let half = 5 * numbered(0).encoded_len();
    assert_eq!(cursor.read(half, Position::END).unwrap().unwrap().frames, 5);
    append_numbers(&channel, 10..20);

    assert_eq!(read(&mut cursor).unwrap().frames, 15);
}

#[test]
fn a_run_stays_whole_when_its_frames_are_trimmed() {
    let channel = channel(Bounds { frames: 20, bytes: 1000 }, LagPolicy::Gap);
    let mut cursor = channel.cursor(Start::Latest);
    append_numbers(&channel, 0..5);
    let run = read(&mut cursor).unwrap();
    append_numbers(&channel, 5..1000);

    assert_eq!(texts_of(run.bytes).concat(), "01234");
}

#[test]
fn the_newest_frame_is_kept_whatever_its_size() {
    let channel = channel(Bounds { frames: 10, bytes: 100 }, LagPolicy::Gap);
    let large = "x".repeat(5 * SEGMENT_BYTES);
    append_numbers(&channel, 0..5);
    channel.append(large.as_str().into()).unwrap();
    assert_eq!(read_texts(&mut channel.cursor(Start::Last(1))), [large]);

    append_numbers(&channel, [6]);
    assert_eq!(read_texts(&mut channel.cursor(Start::Earliest)), ["6"]);
}

#[test]
fn the_bound_of_frames_is_exact() {
    for frames in [1, 2, 3, 4, 7, 8, 100] {
        let channel = channel(Bounds { frames, bytes: usize::MAX }, LagPolicy::Gap);
        for number in 0..3 * frames {
            channel.append(numbered(number as u64)).unwrap();
            let kept = read_texts(&mut channel.cursor(Start::Earliest)).len();
            assert_eq!(kept, frames.min(number + 1));
        }
    }
}

#[test]
fn a_bound_of_no_frames_counts_as_one() {
    let channel = channel(Bounds { frames: 0, bytes: 0 }, LagPolicy::Gap);
    append_numbers(&channel, 0..3);

    assert_eq!(read_texts(&mut channel.cursor(Start::Earliest)), ["2"]);
}

#[test]
fn a_frame_that_is_not_for_everybody_is_a_run_with_its_audience() {
    let channel = Channel::<str>::new(Options::default());
    let mut cursor = channel.cursor(Start::Latest);
    append_numbers(&channel, 0..3);
    channel.append_for(numbered(3), Arc::from("ann")).unwrap();
    channel.append_for(numbered(4), Arc::from("bob")).unwrap();
    append_numbers(&channel, 5..8);

    let mut runs = vec![];
    while let Some(run) = read(&mut cursor) {
        runs.push((texts_of(run.bytes).concat(), run.audience));
    }
    let expected = [("012", None), ("3", Some("ann")), ("4", Some("bob")), ("567", None)];
    let expected = expected.map(|(texts, audience)| (texts.to_owned(), audience.map(Arc::from)));
    assert_eq!(runs, expected);
}

#[test]
fn an_event_is_encoded_with_all_its_fields() {
    let channel = Channel::<()>::new(Options::default());
    let mut cursor = channel.cursor(Start::Latest);
    let event = Event::new("one\ntwo")
        .with_name("tick".try_into().unwrap())
        .with_id("7".try_into().unwrap())
        .with_retry(std::time::Duration::from_secs(1));
    channel.append(event.clone()).unwrap();

    assert_eq!(read(&mut cursor).unwrap().bytes, event.to_bytes());
}

fn is_same_memory(a: &Bytes, b: &Bytes) -> bool {
    a.as_ptr() == b.as_ptr() && a.len() == b.len()
}
