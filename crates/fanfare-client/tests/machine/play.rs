use fanfare_client::{Item, Policy, machine::Step};

use crate::support::{Virtual, builder, header, millis};

/// What a server and a clock can do.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    Answer { status: u16, is_stream: bool, location: Option<String> },
    Bytes(Vec<u8>),
    End,
    Fail,
    Pass(u64),
    Reconnect,
}

/// Plays the inputs one after the other, and checks what a program may rely on.
pub(crate) fn play(inputs: impl IntoIterator<Item = Input>, policy: Policy, seed: u64) {
    let builder = builder().policy(policy).idle_timeout(millis(9000)).comments(true).retries(true);
    let mut machine = Virtual::seeded(builder, seed);
    let mut is_closed = false;
    for input in inputs {
        settle(&mut machine, &mut is_closed);
        put_in(&mut machine, input);
    }
    settle(&mut machine, &mut is_closed);
}

fn put_in(machine: &mut Virtual, input: Input) {
    match input {
        Input::Answer { status, is_stream, location } => {
            let kind = if is_stream { "text/event-stream" } else { "text/html" };
            let mut headers = vec![("content-type", kind)];
            headers.extend(location.as_deref().map(|location| ("location", location)));
            machine.answer(status, &headers);
        }
        Input::Bytes(bytes) => machine.receive(bytes),
        Input::End => machine.machine.ended(),
        Input::Fail => machine.machine.failed("broken".into()),
        Input::Pass(time) => machine.pass(millis(time)),
        Input::Reconnect => machine.machine.reconnect(),
    }
}

/// Steps until it waits.
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
