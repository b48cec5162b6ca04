use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare_client::{
    Builder, Error, Event, EventSource, Item, ReadyState,
    machine::{Machine, Step},
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};

pub(crate) const URL: &str = "http://example.com/events";

/// A machine and the time that it is told.
pub(crate) struct Virtual {
    pub(crate) machine: Machine,
    start: Instant,
    now: Instant,
}

pub(crate) fn builder() -> Builder {
    EventSource::builder(URL)
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Virtual {
    /// A machine that has done nothing.
    pub(crate) fn new(builder: Builder) -> Self {
        Self::seeded(builder, 0)
    }

    pub(crate) fn seeded(builder: Builder, seed: u64) -> Self {
        let now = Instant::now();
        Self { machine: Machine::new(builder.settings().unwrap(), seed), start: now, now }
    }

    /// A machine whose stream is open.
    pub(crate) fn open(builder: Builder) -> Self {
        let mut machine = Self::new(builder);
        machine.request();
        machine.accept();
        machine
    }

    pub(crate) fn step(&mut self) -> Step {
        self.machine.step(self.now)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// The request that is to be sent now.
    #[track_caller]
    pub(crate) fn request(&mut self) -> Request<Bytes> {
        match self.step() {
            Step::Send(request) => request,
            step => panic!("instead of a request: {step:?}"),
        }
    }

    /// The item that is to be given now.
    #[track_caller]
    pub(crate) fn item(&mut self) -> Item {
        match self.step() {
            Step::Give(Ok(item)) => item,
            step => panic!("instead of an item: {step:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn event(&mut self) -> Event {
        match self.item() {
            Item::Event(event) => event,
            item => panic!("instead of an event: {item:?}"),
        }
    }

    /// The data of all events that are to be given now.
    #[track_caller]
    pub(crate) fn data(&mut self) -> Vec<String> {
        let mut data = vec![];
        loop {
            match self.step() {
                Step::Give(Ok(Item::Event(event))) => data.push(event.data().to_owned()),
                Step::Give(other) => panic!("instead of events: {other:?}"),
                _ => return data,
            }
        }
    }

    /// The error that is to be given now.
    #[track_caller]
    pub(crate) fn error(&mut self) -> Error {
        match self.step() {
            Step::Give(Err(error)) => error,
            step => panic!("instead of an error: {step:?}"),
        }
    }

    /// The final error that is to be given now, with the end behind it.
    #[track_caller]
    pub(crate) fn last_error(&mut self) -> Error {
        let error = self.error();
        assert!(error.is_final(), "{error:?}");
        self.assert_closed();
        error
    }

    #[track_caller]
    pub(crate) fn assert_closed(&mut self) {
        assert!(matches!(self.step(), Step::Closed));
        assert_eq!(self.machine.ready_state(), ReadyState::Closed);
    }

    pub(crate) fn answer(&mut self, status: u16, headers: &[(&str, &str)]) {
        let pair = |(name, value): &(&str, &str)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        let headers: HeaderMap = headers.iter().map(pair).collect();
        self.machine.answered(StatusCode::from_u16(status).unwrap(), headers, self.now);
    }

    /// Answers as an event stream does.
    #[track_caller]
    pub(crate) fn accept(&mut self) {
        self.answer(200, &[("content-type", "text/event-stream")]);
        assert!(matches!(self.item(), Item::Opened(_)));
        assert_eq!(self.machine.ready_state(), ReadyState::Open);
    }

    pub(crate) fn receive(&mut self, bytes: impl Into<Bytes>) {
        self.machine.received(bytes.into(), self.now);
    }

    /// The connection ends, and the machine waits: for how long.
    #[track_caller]
    pub(crate) fn end(&mut self) -> Duration {
        self.machine.ended();
        self.lost()
    }

    #[track_caller]
    pub(crate) fn fail(&mut self) -> Duration {
        self.machine.failed("broken".into());
        self.lost()
    }

    /// The machine has lost its connection and waits: for how long.
    #[track_caller]
    pub(crate) fn lost(&mut self) -> Duration {
        let Item::Reconnecting { delay, .. } = self.item() else { panic!("it is not lost") };
        assert_eq!(self.machine.ready_state(), ReadyState::Connecting);
        match self.step() {
            Step::AwaitTime(Some(until)) => assert_eq!(until, self.now + delay),
            Step::Send(_) if delay.is_zero() => {}
            step => panic!("instead of waiting: {step:?}"),
        }
        delay
    }

    /// The connection ends, the machine waits and asks again.
    #[track_caller]
    pub(crate) fn ask_again(&mut self) -> Request<Bytes> {
        let delay = self.end();
        self.pass(delay);
        self.request()
    }
}

pub(crate) fn header<'a>(request: &'a Request<Bytes>, name: &str) -> Option<&'a [u8]> {
    request.headers().get(name).map(HeaderValue::as_bytes)
}
