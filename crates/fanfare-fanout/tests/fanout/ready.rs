use bytes::Bytes;
use fanfare_fanout::{Bounds, Channel, Digest, Frame, LagPolicy, Position, Start};
use proptest::prelude::*;

use crate::support::{channel, channel_of, read};

fn frame(len: usize, crc: u32) -> Frame {
    let digest = Digest::new(crc, u32::try_from(len).unwrap() + 3);
    Frame { bytes: vec![b'x'; len].into(), digest }
}

proptest! {
    #[test]
    fn the_digest_of_a_run_is_that_of_its_frames(
        frames in prop::collection::vec((1..200_usize, any::<u32>()), 1..200),
        read_every in 1..50_usize,
        max_bytes in 1..5000_usize,
    ) {
        let bounds = Bounds { bytes: 16 * 1024, ..Bounds::default() };
        let channel = channel(bounds, LagPolicy::Gap);
        let mut late = channel.cursor(Start::Earliest);
        for (index, (len, crc)) in frames.iter().enumerate() {
            let position = Position(index as u64 + 1);
            channel.append_frames([(position, frame(*len, *crc))]).unwrap();
            if index % read_every == 0 {
                check(&mut late, &frames, max_bytes)?;
            }
        }
        check(&mut late, &frames, max_bytes)?;
        check(&mut channel.cursor(Start::Earliest), &frames, max_bytes)?;
    }
}

fn check(
    cursor: &mut fanfare_fanout::Cursor,
    frames: &[(usize, u32)],
    max_bytes: usize,
) -> Result<(), TestCaseError> {
    loop {
        match cursor.read(max_bytes, Position::END) {
            Ok(Some(run)) => {
                let last = usize::try_from(run.last.0).unwrap();
                let given = &frames[last - usize::try_from(run.frames).unwrap()..last];
                let digests = given.iter().map(|(len, crc)| frame(*len, *crc).digest);
                prop_assert_eq!(run.digest, digests.fold(Digest::EMPTY, Digest::then));
            }
            Ok(None) => return Ok(()),
            Err(_) => {}
        }
    }
}

#[test]
fn a_frame_without_bytes_is_left_out() {
    let channel = channel_of(10, LagPolicy::Gap);
    let mut cursor = channel.cursor(Start::Latest);
    channel.append_frames([(Position(1), Frame::default())]).unwrap();
    assert!(read(&mut cursor).is_none());
    channel.append_frames([(Position(2), frame(1, 7)), (Position(3), Frame::default())]).unwrap();
    assert_eq!(read(&mut cursor).unwrap().last, Position(2));
}

#[test]
fn who_has_not_read_up_to_where_a_channel_skips_lags() {
    for policy in [LagPolicy::Gap, LagPolicy::Latest] {
        let channel: Channel = channel_of(10, policy);
        channel.append_frames((1..4).map(|at| (Position(at), frame(1, 0)))).unwrap();
        let mut cursors = [Start::Earliest, Start::Latest].map(|start| channel.cursor(start));
        channel.skip_to(Position(7));
        for cursor in &mut cursors {
            let lagged = cursor.read(usize::MAX, Position::END).unwrap_err();
            assert_eq!(lagged.until, Position(7), "{policy:?}");
            assert!(read(cursor).is_none(), "it is told once");
        }
        assert!(channel.cursor_after(Position(6)).is_none(), "that is somewhere else");
        let mut behind = channel.cursor_after(Position(7)).unwrap();

        // What comes late from before is none of its frames any more.
        channel.append_frames([(Position(5), frame(1, 0)), (Position(8), frame(2, 0))]).unwrap();
        for cursor in cursors.iter_mut().chain([&mut behind]) {
            let run = read(cursor).unwrap();
            assert_eq!((run.bytes, run.last), (Bytes::from_static(b"xx"), Position(8)));
        }
        channel.skip_to(Position(8));
        assert!(cursors.iter_mut().all(|cursor| read(cursor).is_none()), "nothing was skipped");
    }
}
