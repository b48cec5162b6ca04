use std::time::Duration;

use fanfare_client::{Error, Policy};

use crate::support::{Virtual, builder, millis, seconds};

const BASE: Duration = Duration::from_millis(100);

fn connecting(policy: Policy, seed: u64) -> Virtual {
    let mut machine = Virtual::seeded(builder().policy(policy).reconnection_time(BASE), seed);
    machine.request();
    machine
}

/// The delays after this many attempts in a row that fail.
fn delays(policy: &Policy, seed: u64, count: usize) -> Vec<Duration> {
    let mut machine = connecting(policy.clone(), seed);
    let delays = (0..count).map(|_| {
        let delay = machine.fail();
        machine.pass(delay);
        machine.request();
        delay
    });
    delays.collect()
}

#[test]
fn the_standard_never_waits_less_than_the_reconnection_time_and_backs_off() {
    let (mut shortest, mut longest) = (Duration::MAX, Duration::ZERO);
    for seed in 0..200 {
        for (index, delay) in delays(&Policy::standard(), seed, 14).into_iter().enumerate() {
            let doubled = BASE * 2_u32.pow(u32::try_from(index).unwrap() + 1);
            assert!((BASE..=doubled.min(seconds(60))).contains(&delay), "{index}: {delay:?}");
            if index == 13 {
                (shortest, longest) = (shortest.min(delay), longest.max(delay));
            }
        }
    }
    assert!(shortest < seconds(3) && longest > seconds(57), "{shortest:?} to {longest:?}");
}

#[test]
fn a_resilient_one_spreads_over_the_whole_range() {
    let firsts: Vec<_> = (0..200).map(|seed| delays(&Policy::resilient(), seed, 1)[0]).collect();
    let (shortest, longest) = (firsts.iter().min().unwrap(), firsts.iter().max().unwrap());
    assert!(*shortest < BASE / 10, "{shortest:?}");
    assert!(*longest > BASE * 19 / 10 && *longest <= BASE * 2, "{longest:?}");
}

#[test]
fn the_same_seed_gives_the_same_delays() {
    let policy = Policy::resilient();
    assert_eq!(delays(&policy, 5, 8), delays(&policy, 5, 8));
    assert_ne!(delays(&policy, 5, 8), delays(&policy, 6, 8));
}

#[test]
fn the_cap_is_a_setting() {
    let policy = Policy::resilient().with_cap(millis(150));
    assert!(delays(&policy, 1, 50).into_iter().all(|delay| delay <= millis(150)));
}

#[test]
fn a_connection_that_gave_an_event_starts_the_doubling_anew() {
    let mut machine = connecting(Policy::standard(), 1);
    for _ in 0..10 {
        let delay = machine.fail();
        machine.pass(delay);
        machine.request();
    }
    machine.accept();
    machine.receive("data: a\n\n");
    machine.event();
    assert_eq!(machine.end(), BASE);
}

#[test]
fn a_connection_that_was_open_for_a_while_starts_the_doubling_anew() {
    let mut machine = connecting(Policy::standard(), 1);
    for _ in 0..10 {
        let delay = machine.fail();
        machine.pass(delay);
        machine.request();
    }
    machine.accept();
    machine.pass(seconds(10));
    assert_eq!(machine.end(), BASE);
}

#[test]
fn a_connection_that_ends_at_once_each_time_backs_off() {
    let mut machine = connecting(Policy::standard(), 3);
    let mut total = Duration::ZERO;
    for _ in 0..12 {
        machine.accept();
        let delay = machine.end();
        total += delay;
        machine.pass(delay);
        machine.request();
    }
    assert!(total > BASE * 12 * 10, "{total:?}");
}

#[test]
fn a_retry_of_zero_does_not_make_it_hammer_a_server_that_fails() {
    let mut machine = connecting(Policy::standard(), 3);
    machine.accept();
    machine.receive("retry: 0\ndata: a\n\n");
    machine.event();
    assert_eq!(machine.end(), Duration::ZERO, "as the server asks");
    for _ in 0..20 {
        let delay = machine.fail();
        machine.pass(delay);
        machine.request();
    }
    assert!(machine.elapsed() > seconds(60), "{:?}", machine.elapsed());
}

#[test]
fn a_retry_that_the_server_has_set_is_the_least_for_a_resilient_one_too() {
    let mut machine = connecting(Policy::resilient(), 3);
    machine.accept();
    machine.receive("retry: 5000\ndata: a\n\n");
    machine.event();
    assert_eq!(machine.end(), seconds(5));
    machine.pass(seconds(5));
    machine.request();
    assert!(machine.fail() >= seconds(5));
}

#[test]
fn the_longest_retry_there_is_harms_nothing() {
    let mut machine = connecting(Policy::standard(), 3);
    machine.accept();
    machine.receive(format!("retry: {}\ndata: a\n\n", u64::MAX));
    machine.event();
    machine.machine.ended();
    machine.item();
    machine.pass(seconds(1_000_000));
    assert!(matches!(machine.step(), fanfare_client::machine::Step::AwaitTime(_)));
    machine.machine.reconnect();
    machine.request();
}

#[test]
fn retry_after_is_honoured_in_seconds_and_as_a_date() {
    let date = [
        ("date", "Fri, 31 Dec 1999 23:59:49 GMT"),
        ("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT"),
    ];
    for headers in [&[("retry-after", "10")][..], &date] {
        for seed in 0..20 {
            let mut machine = connecting(Policy::resilient(), seed);
            machine.answer(503, headers);
            assert_eq!(machine.lost(), seconds(10));
        }
    }
    for value in ["soon", "-1", "1.5", ""] {
        let mut machine = connecting(Policy::resilient(), 1);
        machine.answer(503, &[("retry-after", value)]);
        assert!(machine.lost() <= BASE * 2, "{value:?} says nothing");
    }
}

#[test]
fn a_date_in_the_past_asks_for_no_delay() {
    let mut machine = connecting(Policy::resilient(), 1);
    machine.answer(
        429,
        &[
            ("date", "Fri, 31 Dec 1999 23:59:59 GMT"),
            ("retry-after", "Fri, 31 Dec 1999 23:59:49 GMT"),
        ],
    );
    assert!(machine.lost() <= BASE * 2);
}

#[test]
fn it_gives_up_after_the_most_attempts_in_a_row() {
    let mut machine = connecting(Policy::standard().with_max_attempts(3), 1);
    for _ in 0..2 {
        let delay = machine.fail();
        machine.pass(delay);
        machine.request();
    }
    machine.machine.failed("broken".into());
    let Error::GaveUp { failures, last } = machine.last_error() else { panic!() };
    assert_eq!(failures, 3);
    assert_eq!(last.to_string(), "the connection failed");
}

#[test]
fn a_connection_that_has_held_does_not_count_as_an_attempt() {
    let mut machine = connecting(Policy::standard().with_max_attempts(1), 1);
    for _ in 0..5 {
        machine.accept();
        machine.receive("data: a\n\n");
        machine.event();
        machine.ask_again();
    }
    machine.machine.failed("broken".into());
    assert!(matches!(machine.last_error(), Error::GaveUp { failures: 1, .. }));
}

#[test]
fn it_gives_up_when_the_next_attempt_would_come_too_late() {
    let policy = Policy::standard().with_max_elapsed(seconds(20));
    let mut machine = connecting(policy, 1);
    loop {
        machine.machine.failed("broken".into());
        match machine.step() {
            fanfare_client::machine::Step::Give(Ok(_)) => {}
            fanfare_client::machine::Step::Give(Err(error)) => {
                assert!(matches!(error, Error::GaveUp { .. }));
                break;
            }
            step => panic!("{step:?}"),
        }
        while let fanfare_client::machine::Step::AwaitTime(_) = machine.step() {
            machine.pass(millis(10));
        }
    }
    assert!(machine.elapsed() <= seconds(21), "{:?}", machine.elapsed());
    assert!(machine.elapsed() > seconds(1));
}
