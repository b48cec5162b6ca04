use fanfare_client::{Item, Policy, machine::Step};
use proptest::prelude::*;

use crate::support::{Virtual, builder, header, millis};

/// What a server and a clock can do.
#[derive(Debug, Clone)]
enum Input {
    Answer { status: u16, is_stream: bool, location: Option<&'static str> },
    Bytes(Vec<u8>),
    End,
    Fail,
    Pass(u64),
    Reconnect,
}

fn any_input() -> impl Strategy<Value = Input> {
    let status = prop_oneof![4 => Just(200_u16), 1 => Just(503), 1 => Just(204), 2 => Just(302)];
    let location = prop::option::of(prop::sample::select(vec!["/a", "http://b/", "", "x:y"]));
    let piece = prop::sample::select(vec![
        "data: a\n\n",
        "data: b",
        "\n",
        "\r",
        "id: 1\n",
        "id: ü\n\n",
        "retry: 3\n",
        ":c\n",
        "\u{feff}",
        "x",
    ]);
    let bytes = prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![
        3 => (status, prop::bool::weighted(0.8), location).prop_map(
            |(status, is_stream, location)| Input::Answer { status, is_stream, location }
        ),
        6 => bytes.prop_map(Input::Bytes),
        2 => Just(Input::End),
        1 => Just(Input::Fail),
        3 => (0..5000_u64).prop_map(Input::Pass),
        1 => Just(Input::Reconnect),
    ]
}

fn put_in(machine: &mut Virtual, input: Input) {
    match input {
        Input::Answer { status, is_stream, location } => {
            let kind = if is_stream { "text/event-stream" } else { "text/html" };
            let mut headers = vec![("content-type", kind)];
            headers.extend(location.map(|location| ("location", location)));
            machine.answer(status, &headers);
        }
        Input::Bytes(bytes) => machine.receive(bytes),
        Input::End => machine.machine.ended(),
        Input::Fail => machine.machine.failed("broken".into()),
        Input::Pass(time) => machine.pass(millis(time)),
        Input::Reconnect => machine.machine.reconnect(),
    }
}

/// Steps until it waits, and checks what a program may rely on.
fn settle(machine: &mut Virtual, is_closed: &mut bool) {
    for _ in 0..10_000 {
        match machine.step() {
            Step::Give(item) => {
                assert!(!*is_closed, "{item:?} behind the end");
                match item {
                    Err(error) => *is_closed = error.is_final(),
                    Ok(Item::Event(event)) => {
                        let id = event.id().map_or("", |id| id.as_str());
                        assert_eq!(machine.machine.last_event_id(), id);
                    }
                    Ok(_) => {}
                }
            }
            Step::Send(request) => {
                assert!(!*is_closed);
                let id = header(&request, "last-event-id").unwrap_or_default();
                assert_eq!(id, machine.machine.last_event_id().as_bytes());
            }
            Step::AwaitAnswer(_) | Step::AwaitBytes(_) | Step::AwaitTime(_) => {
                assert!(!*is_closed);
                return;
            }
            Step::Closed => {
                assert!(*is_closed, "an end without a reason");
                return;
            }
        }
    }
    panic!("it never waits");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_inputs_in_any_order_do_no_harm(
        inputs in prop::collection::vec(any_input(), 0..60),
        is_resilient in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let policy = if is_resilient { Policy::resilient() } else { Policy::standard() };
        let builder = builder().policy(policy).idle_timeout(millis(9000)).comments(true).retries(true);
        let mut machine = Virtual::seeded(builder, seed);
        let mut is_closed = false;
        for input in inputs {
            settle(&mut machine, &mut is_closed);
            put_in(&mut machine, input);
        }
        settle(&mut machine, &mut is_closed);
    }
}
