mod local;
mod peer;
mod server;
mod wait;

pub(crate) use local::{Local, Step, request, request_after};
pub(crate) use peer::{CutOff, Peer};
pub(crate) use server::{Server, echo, listener, okay};
pub(crate) use wait::{now_or_never, pending, stall, until, within};

use bytes::Bytes;
use fanfare_wire::{Decoder, Event, Item};

/// All events in `bytes`.
pub(crate) fn events_in(bytes: impl Into<Bytes>) -> Vec<Event> {
    let (mut decoder, mut bytes) = (Decoder::new(), bytes.into());
    let mut events = vec![];
    while let Some(item) = decoder.decode(&mut bytes).unwrap() {
        if let Item::Event(event) = item {
            events.push(event);
        }
    }
    events
}

/// The data of all events in `bytes`.
pub(crate) fn data_in(bytes: impl Into<Bytes>) -> Vec<String> {
    events_in(bytes).iter().map(|event| event.data().to_owned()).collect()
}
