use std::collections::HashSet;

use fanfare_fanout::{
    Bounds, Channel, Epoch, LagPolicy, Missing, Options, Position, Positions, Resumed, Start,
};
use fanfare_wire::{Event, EventId};

use crate::support::{append_numbers, events_of, numbered, read, read_texts, texts};

#[test]
fn events_without_an_id_are_stamped_with_their_position() {
    let channel = stamping(Bounds::default());
    let mut cursor = channel.cursor(Start::Latest);
    channel.append(numbered(0)).unwrap();
    channel.append(numbered(1).with_id(EventId::from_static("own"))).unwrap();
    channel.append(numbered(2).with_id(EventId::default())).unwrap();
    channel.append(numbered(3)).unwrap();

    assert_eq!(
        read(&mut cursor).unwrap().bytes,
        "id: 10000000-1\ndata: 0\n\nid: own\ndata: 1\n\nid: \ndata: 2\n\nid: 10000000-4\ndata: 3\n\n",
    );
}

#[test]
fn without_an_epoch_events_go_out_as_they_are() {
    let channel = Channel::<()>::new(Options::default());
    let position = channel.append(numbered(0)).unwrap();

    assert_eq!(read(&mut channel.cursor(Start::Earliest)).unwrap().bytes, "data: 0\n\n");
    assert_eq!(channel.id(position), None);
}

#[test]
fn a_channel_tells_the_id_that_it_stamps() {
    let channel = stamping(Bounds::default());
    let position = channel.append(numbered(0)).unwrap();

    let run = read(&mut channel.cursor(Start::Earliest)).unwrap();
    assert_eq!(events_of(run.bytes)[0].id(), channel.id(position).as_ref());
}

#[test]
fn every_stamped_id_is_a_place_to_go_on_from() {
    let channel = stamping(Bounds::default());
    append_numbers(&channel, 1..=200);

    for position in 0..=200 {
        let Resumed { mut cursor, missing, after } = resume_at(&channel, position);
        assert_eq!((missing, after), (None, Position(position)));
        assert_eq!(read_texts(&mut cursor), texts(position + 1..=200));
    }
}

#[test]
fn an_expired_id_goes_on_with_the_oldest_kept_frame() {
    let channel = stamping(Bounds { frames: 3, ..Bounds::default() });
    append_numbers(&channel, 1..=10);

    for position in 0..7 {
        let Resumed { mut cursor, missing, after } = resume_at(&channel, position);
        assert_eq!((missing, after), (Some(Missing::Expired), Position(7)));
        assert_eq!(read_texts(&mut cursor), ["8", "9", "10"]);
    }
    let Resumed { mut cursor, missing, .. } = resume_at(&channel, 7);
    assert_eq!(missing, None, "the event itself is gone, but none behind it");
    assert_eq!(read_texts(&mut cursor), ["8", "9", "10"]);
}

#[test]
fn what_is_missing_before_the_latest_is_told_to_nobody() {
    let bounds = Bounds { frames: 3, ..Bounds::default() };
    let epoch = Some(Epoch::from_seed(1));
    let lag_policy = LagPolicy::Latest;
    let options = Options { bounds, lag_policy, epoch, ..Options::default() };
    let channel = Channel::<()>::new(options);
    append_numbers(&channel, 1..=10);

    for id in ["10000000-2", "20000000-2", "nonsense"] {
        let Resumed { mut cursor, missing, .. } = channel.resume(id);
        assert_eq!(missing, None);
        assert_eq!(read_texts(&mut cursor), ["10"]);
    }
}

#[test]
fn an_id_that_was_never_given_out_is_unknown() {
    let channel = stamping(Bounds::default());
    append_numbers(&channel, 1..=3);
    let other_epoch = Epoch::from_seed(2).id(Position(2)).to_string();

    for id in ["10000000-4", "10000000-18446744073709551615", "", "2", "own", &other_epoch] {
        let Resumed { mut cursor, missing, .. } = channel.resume(id);
        assert_eq!(missing, Some(Missing::Unknown), "{id}");
        assert_eq!(read_texts(&mut cursor), ["1", "2", "3"]);
    }
}

#[test]
fn a_channel_without_an_epoch_knows_no_stamped_id() {
    let channel = Channel::<()>::new(Options::default());
    append_numbers(&channel, 1..=3);

    assert_eq!(resume_at(&channel, 2).missing, Some(Missing::Unknown));
}

#[test]
fn an_own_id_is_a_place_to_go_on_from_while_it_is_kept() {
    let channel = Channel::<()>::new(Options {
        bounds: Bounds { frames: 8, ..Bounds::default() },
        ..Options::default()
    });
    channel.append_all((1..=11).map(owned)).unwrap();

    for number in 4..=11 {
        let Resumed { mut cursor, missing, after } = channel.resume(&format!("own {number}"));
        assert_eq!((missing, after), (None, Position(number)));
        assert_eq!(read_texts(&mut cursor), texts(number + 1..=11));
    }
    for number in [3, 1, 12] {
        let Resumed { mut cursor, missing, after } = channel.resume(&format!("own {number}"));
        assert_eq!((missing, after), (Some(Missing::Unknown), Position(3)));
        assert_eq!(read_texts(&mut cursor), texts(4..=11));
    }
}

#[test]
fn of_two_events_with_the_same_own_id_the_newest_counts() {
    let channel = Channel::<()>::new(Options::default());
    channel.append_all([1, 2, 1, 3].map(owned)).unwrap();

    assert_eq!(read_texts(&mut channel.resume("own 1").cursor), ["3"]);
}

#[test]
fn the_position_of_an_event_with_an_own_id_is_a_place_too() {
    let channel = stamping(Bounds::default());
    channel.append_all([1, 2, 3].map(owned)).unwrap();

    assert_eq!(read_texts(&mut resume_at(&channel, 2).cursor), ["3"]);
}

#[test]
fn an_id_of_a_neighbouring_channel_is_a_place_in_the_common_order() {
    let positions = Positions::new();
    let [a, b] = [(); 2].map(|()| {
        let epoch = Some(Epoch::from_seed(1));
        Channel::<()>::new(Options { epoch, positions: positions.clone(), ..Options::default() })
    });
    for number in [1, 3, 5] {
        append_numbers(&a, [number]);
        append_numbers(&b, [number + 1]);
    }

    assert_eq!(read_texts(&mut resume_at(&a, 2).cursor), ["3", "5"]);
    assert_eq!(read_texts(&mut resume_at(&a, 6).cursor), Vec::<String>::new());
    assert_eq!(resume_at(&b, 0).missing, None);
}

#[test]
fn a_position_of_a_neighbouring_channel_misses_nothing_of_this_one() {
    let positions = Positions::new();
    let [small, other] = [2, 100].map(|frames| {
        let bounds = Bounds { frames, ..Bounds::default() };
        let epoch = Some(Epoch::from_seed(1));
        Channel::<()>::new(Options {
            bounds,
            epoch,
            positions: positions.clone(),
            ..Options::default()
        })
    });
    append_numbers(&small, 1..=2);
    append_numbers(&other, 3..=4);
    append_numbers(&small, 5..=6);

    assert_eq!(resume_at(&small, 1).missing, Some(Missing::Expired));
    for position in 2..=4 {
        let Resumed { mut cursor, missing, .. } = resume_at(&small, position);
        assert_eq!(missing, None, "nothing of this channel is gone behind {position}");
        assert_eq!(read_texts(&mut cursor), ["5", "6"]);
    }
}

#[test]
fn an_epoch_reads_only_what_it_wrote() {
    let epoch = Epoch::from_seed(1);
    for position in [0, 1, 10, 12_345, u64::MAX].map(Position) {
        assert_eq!(epoch.position(epoch.id(position).as_str()), Some(position));
    }
    let others = [
        "",
        "1",
        "-1",
        "10000000",
        "10000000-",
        "10000000--1",
        "10000000-+1",
        "10000000- 1",
        "10000000-1 ",
        "10000000-1x",
        "10000000-01",
        "10000000-00",
        "1000000-1",
        "010000000-1",
        "10000000-18446744073709551616",
        "20000000-1",
        "10000000-١",
    ];
    for text in others {
        assert_eq!(epoch.position(text), None, "{text:?}");
    }
}

#[test]
fn an_epoch_is_eight_letters_that_need_no_preflight() {
    let mut names = HashSet::new();
    for seed in (0..40).map(|bit| 1 << bit).chain([0, u64::MAX]) {
        let epoch = Epoch::from_seed(seed);
        assert_eq!(epoch.as_str().len(), 8);
        assert!(
            epoch.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        );
        names.insert(epoch.to_string());
    }
    assert_eq!(names.len(), 42, "each of the 40 bits counts");
    assert_eq!(Epoch::from_seed(1 << 40), Epoch::from_seed(0));
    assert_eq!(format!("{:?}", Epoch::from_seed(1)), "Epoch(10000000)");
}

fn stamping(bounds: Bounds) -> Channel {
    Channel::new(Options { bounds, epoch: Some(Epoch::from_seed(1)), ..Options::default() })
}

fn resume_at(channel: &Channel, position: u64) -> Resumed {
    channel.resume(Epoch::from_seed(1).id(Position(position)).as_str())
}

fn owned(number: u64) -> Event {
    numbered(number).with_id(EventId::new(format!("own {number}")).unwrap())
}
