use fanfare_client::{Error, Item, machine::Step};

use crate::support::{Virtual, builder, millis, seconds};

#[test]
fn a_silent_stream_is_lost_after_the_idle_timeout() {
    let mut stream = Virtual::open(builder().idle_timeout(seconds(45)));
    for _ in 0..5 {
        stream.pass(seconds(44));
        stream.receive(":\n\n");
        assert!(matches!(stream.step(), Step::AwaitBytes(Some(_))), "any byte counts");
    }
    stream.pass(seconds(45));
    let Item::Reconnecting { reason, .. } = stream.item() else { panic!() };
    assert_eq!(reason.to_string(), "nothing came for 45s");
}

#[test]
fn without_an_idle_timeout_it_waits_for_ever() {
    let mut stream = Virtual::open(builder());
    stream.pass(seconds(1_000_000));
    assert!(matches!(stream.step(), Step::AwaitBytes(None)));
}

#[test]
fn an_answer_that_does_not_come_is_tried_again() {
    let mut machine = Virtual::new(builder().connect_timeout(seconds(10)));
    machine.request();
    machine.pass(millis(9999));
    assert!(matches!(machine.step(), Step::AwaitAnswer(Some(_))));
    machine.pass(millis(1));
    let Item::Reconnecting { reason, delay } = machine.item() else { panic!() };
    assert!(matches!(reason, Error::ConnectTimeout(timeout) if timeout == seconds(10)));
    machine.pass(delay);
    machine.request();
}

#[test]
fn each_redirect_has_the_connect_timeout_anew() {
    let mut machine = Virtual::new(builder().connect_timeout(seconds(10)));
    machine.request();
    machine.pass(seconds(9));
    machine.answer(307, &[("location", "/b")]);
    machine.request();
    machine.pass(seconds(9));
    machine.accept();
}

#[test]
fn timeouts_without_end_are_no_timeouts() {
    let builder = builder().connect_timeout(std::time::Duration::MAX);
    let mut machine = Virtual::new(builder.idle_timeout(std::time::Duration::MAX));
    machine.request();
    assert!(matches!(machine.step(), Step::AwaitAnswer(None)));
    machine.accept();
    assert!(matches!(machine.step(), Step::AwaitBytes(None)));
}
