use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Sender},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use bytes::Bytes;
use fanfare_fanout::{Bounds, Channel, Cursor, LagPolicy, Lagged, Next, Options, Position, Run};
use fanfare_wire::{Decoder, Event, Item};

/// After which a test that waits has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn channel(bounds: Bounds, lag_policy: LagPolicy) -> Channel {
    Channel::new(Options { bounds, lag_policy, ..Options::default() })
}

/// A channel that keeps this many frames, whatever their size.
pub(crate) fn channel_of(frames: usize, lag_policy: LagPolicy) -> Channel {
    channel(Bounds { frames, bytes: usize::MAX }, lag_policy)
}

pub(crate) fn append_numbers<A: ?Sized>(
    channel: &Channel<A>,
    numbers: impl IntoIterator<Item = u64>,
) {
    for number in numbers {
        channel.append(numbered(number)).unwrap();
    }
}

pub(crate) fn numbered(number: u64) -> Event {
    Event::new(number.to_string())
}

/// All there is for the reader, as far as it comes in one run.
pub(crate) fn read<A: ?Sized>(cursor: &mut Cursor<A>) -> Option<Run<A>> {
    cursor.read(usize::MAX, Position::END).unwrap()
}

/// The data of all events that are there for the reader.
pub(crate) fn read_texts<A: ?Sized>(cursor: &mut Cursor<A>) -> Vec<String> {
    let mut texts = vec![];
    while let Some(run) = read(cursor) {
        texts.extend(texts_of(run.bytes));
    }
    texts
}

/// What [`numbered`] events say.
pub(crate) fn texts(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}

pub(crate) fn texts_of(run: Bytes) -> Vec<String> {
    events_of(run).iter().map(|event| event.data().to_owned()).collect()
}

pub(crate) fn events_of(mut run: Bytes) -> Vec<Event> {
    let mut decoder = Decoder::new();
    let mut events = vec![];
    while let Some(item) = decoder.decode(&mut run).unwrap() {
        match item {
            Item::Event(event) => events.push(event),
            other => panic!("a channel sends nothing but events, not {other:?}"),
        }
    }
    events
}

pub(crate) fn poll_read<A: ?Sized>(
    cursor: &mut Cursor<A>,
    waker: &Waker,
) -> Poll<Result<Option<Run<A>>, Lagged>> {
    cursor.poll_read(&mut Context::from_waker(waker), usize::MAX)
}

pub(crate) fn poll_next<A: ?Sized>(cursor: &mut Cursor<A>, waker: &Waker) -> Poll<Next> {
    cursor.poll_next(&mut Context::from_waker(waker))
}

/// Counts how often it was woken.
#[derive(Debug, Default)]
pub(crate) struct Woken(AtomicUsize);

impl Woken {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let woken = Arc::<Self>::default();
        (woken.clone(), woken.into())
    }

    pub(crate) fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Signal(Sender<()>);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.0.send(()).ok();
    }
}

/// Polls the future whenever it is woken. Fails when that does not happen.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let (sender, woken) = mpsc::channel();
    let waker = Waker::from(Arc::new(Signal(sender)));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => woken.recv_timeout(PATIENCE).expect("somebody wakes the reader"),
        }
    }
}

/// Fails, instead of hanging, when `act` locks itself out.
pub(crate) fn assert_done(act: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        act();
        done.send(()).unwrap();
    });
    assert_eq!(is_done.recv_timeout(PATIENCE), Ok(()));
}
