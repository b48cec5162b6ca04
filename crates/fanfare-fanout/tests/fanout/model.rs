use std::{
    sync::Arc,
    task::{Poll, Waker},
};

use bytes::Bytes;
use fanfare_fanout::{
    Bounds, Channel, Closed, Cursor, Epoch, LagPolicy, Lagged, Missing, Next, Options, Position,
    Positions, Run, Start,
};
use fanfare_wire::{Event, EventId};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{Index, select},
    test_runner::RngSeed,
};

use crate::support::poll_next;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 600,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_reader_gets_what_a_plain_list_would_give(
        setup in setup(),
        steps in vec(step(), 1..100),
    ) {
        let mut model = Model::new(setup);
        for step in steps {
            model.take(step);
        }
        model.drain();
    }
}

#[derive(Debug, Clone)]
struct Setup {
    bounds: Bounds,
    lag_policy: LagPolicy,
    epoch: Option<Epoch>,
}

#[derive(Debug, Clone)]
enum Step {
    Append(Draft),
    AppendAll(Vec<Draft>),
    AppendFor(Draft, u8),
    /// To a channel that draws from the same positions.
    AppendElsewhere,
    Cursor(Start),
    Resume(Id),
    Poll {
        reader: Index,
        max_bytes: usize,
    },
    Read {
        reader: Index,
        max_bytes: usize,
        until: Index,
    },
    DropReader(Index),
    Close,
}

#[derive(Debug, Clone)]
struct Draft {
    size: usize,
    own_id: Option<char>,
}

#[derive(Debug, Clone)]
enum Id {
    /// Of a position from 0 to one that was never drawn.
    Stamped(Index),
    Own(char),
    OtherEpoch(Index),
    Nonsense,
}

fn setup() -> impl Strategy<Value = Setup> {
    let frames = select(vec![0, 1, 2, 3, 7, 16, 60, Bounds::default().frames]);
    let bytes = select(vec![0, 1, 10, 100, 1000, 20_000, 300_000, Bounds::default().bytes]);
    let lag_policy = select(vec![LagPolicy::Gap, LagPolicy::Latest, LagPolicy::Close]);
    let epoch = option::of(Just(Epoch::from_seed(7)));
    (frames, bytes, lag_policy, epoch).prop_map(|(frames, bytes, lag_policy, epoch)| Setup {
        bounds: Bounds { frames, bytes },
        lag_policy,
        epoch,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        40 => draft().prop_map(Step::Append),
        10 => vec(draft(), 0..12).prop_map(Step::AppendAll),
        8 => (draft(), any::<u8>()).prop_map(|(draft, who)| Step::AppendFor(draft, who)),
        8 => Just(Step::AppendElsewhere),
        12 => start().prop_map(Step::Cursor),
        12 => id().prop_map(Step::Resume),
        30 => (index(), max_bytes())
            .prop_map(|(reader, max_bytes)| Step::Poll { reader, max_bytes }),
        30 => (index(), max_bytes(), index())
            .prop_map(|(reader, max_bytes, until)| Step::Read { reader, max_bytes, until }),
        3 => index().prop_map(Step::DropReader),
        1 => Just(Step::Close),
    ]
}

fn draft() -> impl Strategy<Value = Draft> {
    let size = prop_oneof![12 => 0..30_usize, 4 => 30..3000_usize, 1 => 60_000..140_000_usize];
    let own_id = option::weighted(0.2, own_id());
    (size, own_id).prop_map(|(size, own_id)| Draft { size, own_id })
}

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![Just(Start::Latest), Just(Start::Earliest), (0..20_usize).prop_map(Start::Last)]
}

fn id() -> impl Strategy<Value = Id> {
    prop_oneof![
        6 => any::<Index>().prop_map(Id::Stamped),
        3 => own_id().prop_map(Id::Own),
        1 => any::<Index>().prop_map(Id::OtherEpoch),
        1 => Just(Id::Nonsense),
    ]
}

fn own_id() -> impl Strategy<Value = char> {
    proptest::char::range('a', 'p')
}

fn max_bytes() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), 1..64_usize, 64..5000_usize, Just(usize::MAX)]
}

struct Model {
    bounds: Bounds,
    lag_policy: LagPolicy,
    epoch: Option<Epoch>,
    channel: Channel<u8>,
    elsewhere: Channel<u8>,
    frames: Vec<Frame>,
    oldest_kept: usize,
    closed: bool,
    readers: Vec<Reader>,
}

struct Frame {
    position: Position,
    bytes: Bytes,
    own_id: Option<EventId>,
    audience: Option<u8>,
}

struct Reader {
    cursor: Cursor<u8>,
    next: usize,
    ended: bool,
}

type Outcome = Result<Option<Run<u8>>, Lagged>;

impl Model {
    fn new(Setup { bounds, lag_policy, epoch }: Setup) -> Self {
        let positions = Positions::new();
        let positions_too = positions.clone();
        let options =
            Options { bounds, lag_policy, positions: positions_too, epoch, ..Options::default() };
        Self {
            bounds,
            lag_policy,
            epoch,
            channel: Channel::new(options),
            elsewhere: Channel::new(Options { positions, ..Options::default() }),
            frames: vec![],
            oldest_kept: 0,
            closed: false,
            readers: vec![],
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Append(draft) => {
                let event = self.event(&draft, 0);
                let outcome = self.channel.append(event.clone());
                self.appended(vec![event], None, outcome.map(Some));
            }
            Step::AppendFor(draft, who) => {
                let event = self.event(&draft, 0);
                let outcome = self.channel.append_for(event.clone(), Arc::new(who));
                self.appended(vec![event], Some(who), outcome.map(Some));
            }
            Step::AppendAll(drafts) => {
                let drafts = drafts.iter().enumerate();
                let events: Vec<_> = drafts.map(|(nth, draft)| self.event(draft, nth)).collect();
                let outcome = self.channel.append_all(events.clone());
                self.appended(events, None, outcome);
            }
            Step::AppendElsewhere => {
                self.elsewhere.append("elsewhere".into()).unwrap();
            }
            Step::Cursor(start) => self.start(start),
            Step::Resume(id) => self.resume(&id),
            Step::Poll { reader, max_bytes } => self.poll(reader, max_bytes),
            Step::Read { reader, max_bytes, until } => {
                let until = self.some_position(until);
                self.read(reader, max_bytes, until);
            }
            Step::DropReader(reader) => {
                if let Some(at) = self.pick(reader) {
                    self.readers.swap_remove(at);
                }
            }
            Step::Close => {
                self.channel.close();
                self.closed = true;
            }
        }
    }

    /// No two events have the same data.
    fn event(&self, draft: &Draft, nth: usize) -> Event {
        let number = self.frames.len() + nth;
        let event = Event::new(format!("{number}:{}", "x".repeat(draft.size)));
        match draft.own_id {
            Some(id) => event.with_id(EventId::new(id.to_string()).unwrap()),
            None => event,
        }
    }

    fn appended(
        &mut self,
        events: Vec<Event>,
        audience: Option<u8>,
        outcome: Result<Option<Position>, Closed>,
    ) {
        if self.closed {
            assert_eq!(outcome, Err(Closed));
            return;
        }
        let newest = self.channel.positions().newest();
        assert_eq!(outcome, Ok((!events.is_empty()).then_some(newest)));
        let first = newest.0 + 1 - events.len() as u64;
        for (position, event) in (first..).map(Position).zip(events) {
            let own_id = event.id().cloned();
            let stamp = self.epoch.filter(|_| own_id.is_none()).map(|epoch| epoch.id(position));
            let event = stamp.into_iter().fold(event, Event::with_id);
            self.frames.push(Frame { position, bytes: event.to_bytes(), own_id, audience });
        }
        self.observe_trimming();
    }

    /// The list takes from the channel how far it has trimmed, and checks that the bounds ask for
    /// it and not for more.
    fn observe_trimming(&mut self) {
        let Poll::Ready(Next::Frame(oldest)) =
            poll_next(&mut self.channel.cursor(Start::Earliest), Waker::noop())
        else {
            assert!(self.frames.is_empty(), "the newest frame is kept");
            return;
        };
        let oldest = self.frames.iter().position(|frame| frame.position == oldest).unwrap();
        assert!(oldest >= self.oldest_kept, "what is gone does not come back");
        self.oldest_kept = oldest;

        let kept = &self.frames[oldest..];
        let frames_bound = self.bounds.frames.max(1);
        let segment = (self.bounds.bytes / 4).clamp(1, 64 * 1024);
        let bytes: usize = kept.iter().map(|frame| frame.bytes.len()).sum();
        let newest = kept.last().unwrap().bytes.len();
        assert!(kept.len() <= frames_bound);
        assert!(bytes <= self.bounds.bytes + segment + newest);
        if oldest > 0 && kept.len() < frames_bound {
            let largest = self.frames.iter().map(|frame| frame.bytes.len()).max().unwrap();
            assert!(bytes + segment + largest > self.bounds.bytes, "trimmed more than a segment");
        }
    }

    fn start(&mut self, start: Start) {
        let cursor = self.channel.cursor(start);
        let end = self.frames.len();
        let next = match start {
            Start::Latest => end,
            Start::Earliest => self.oldest_kept,
            Start::Last(count) => end.saturating_sub(count).max(self.oldest_kept),
        };
        self.readers.push(Reader { cursor, next, ended: false });
    }

    fn resume(&mut self, id: &Id) {
        let found = self.find_behind(id);
        let skips = found.is_err() && self.lag_policy == LagPolicy::Latest;
        let resumed = self.channel.resume(&self.text(id));
        assert_eq!(resumed.missing, found.err().filter(|_| !skips));
        let newest_gone = self.frames[..self.oldest_kept].last();
        let oldest = newest_gone.map_or(Position::START, |frame| frame.position);
        let newest = self.frames.len().saturating_sub(1);
        let missed = if skips { newest } else { self.oldest_kept };
        let (next, after) = found.unwrap_or((missed, oldest));
        assert_eq!(resumed.after, after);
        self.readers.push(Reader { cursor: resumed.cursor, next, ended: false });
    }

    fn text(&self, id: &Id) -> String {
        match id {
            Id::Stamped(index) => {
                let position = self.some_position(*index);
                Epoch::from_seed(7).id(position).to_string()
            }
            Id::Own(id) => id.to_string(),
            Id::OtherEpoch(index) => Epoch::from_seed(8).id(self.some_position(*index)).to_string(),
            Id::Nonsense => "-1".to_owned(),
        }
    }

    /// The next frame for a reader that has got the one with this id, and that one's position.
    fn find_behind(&self, id: &Id) -> Result<(usize, Position), Missing> {
        match id {
            Id::Stamped(index) if self.epoch.is_some() => {
                let after = self.some_position(*index);
                let next = self.frames.partition_point(|frame| frame.position <= after);
                if after > self.channel.positions().newest() {
                    Err(Missing::Unknown)
                } else if next < self.oldest_kept {
                    Err(Missing::Expired)
                } else {
                    Ok((next, after))
                }
            }
            Id::Own(id) => {
                let id = EventId::new(id.to_string()).unwrap();
                let mut kept = self.frames[self.oldest_kept..].iter();
                let found = kept.rposition(|frame| frame.own_id.as_ref() == Some(&id));
                let found = self.oldest_kept + found.ok_or(Missing::Unknown)?;
                Ok((found + 1, self.frames[found].position))
            }
            Id::Stamped(_) | Id::OtherEpoch(_) | Id::Nonsense => Err(Missing::Unknown),
        }
    }

    fn poll(&mut self, reader: Index, max_bytes: usize) {
        let Some(at) = self.pick(reader) else { return };
        self.check_next(at);
        let mut context = std::task::Context::from_waker(Waker::noop());
        match self.readers[at].cursor.poll_read(&mut context, max_bytes) {
            Poll::Pending => {
                let reader = &self.readers[at];
                assert!(!reader.ended && !self.closed && reader.next == self.frames.len());
            }
            Poll::Ready(outcome) => {
                if let Ok(None) = outcome {
                    let reader = &self.readers[at];
                    assert!(reader.ended || self.closed && reader.next == self.frames.len());
                }
                self.check_outcome(at, max_bytes, Position::END, outcome);
            }
        }
    }

    fn read(&mut self, reader: Index, max_bytes: usize, until: Position) {
        let Some(at) = self.pick(reader) else { return };
        self.check_next(at);
        let outcome = self.readers[at].cursor.read(max_bytes, until);
        self.check_outcome(at, max_bytes, until, outcome);
    }

    fn check_next(&mut self, at: usize) {
        let reader = &mut self.readers[at];
        let next = poll_next(&mut reader.cursor, Waker::noop());
        let expected = if reader.ended || self.closed && reader.next == self.frames.len() {
            Poll::Ready(Next::End)
        } else if reader.next < self.oldest_kept {
            Poll::Ready(Next::Lag)
        } else {
            let frame = self.frames.get(reader.next);
            frame.map_or(Poll::Pending, |frame| Poll::Ready(Next::Frame(frame.position)))
        };
        assert_eq!(next, expected);
    }

    fn check_outcome(&mut self, at: usize, max_bytes: usize, until: Position, outcome: Outcome) {
        let reader = &mut self.readers[at];
        let next = self.frames.get(reader.next);
        let is_nothing_there = next.is_none_or(|frame| frame.position > until);
        match outcome {
            Ok(None) => {
                let is_lagging = reader.next < self.oldest_kept;
                assert!(reader.ended || !is_lagging && is_nothing_there);
            }
            Ok(Some(run)) => {
                assert!(!reader.ended && !is_nothing_there && reader.next >= self.oldest_kept);
                let end = reader.next + usize::try_from(run.frames).unwrap();
                check_run(&self.frames[reader.next..end], &run, max_bytes, until);
                reader.next = end;
            }
            Err(lagged) => {
                assert!(!reader.ended && reader.next < self.oldest_kept);
                let policy = self.lag_policy;
                let next = match policy {
                    LagPolicy::Gap | LagPolicy::Close => self.oldest_kept,
                    LagPolicy::Latest => self.frames.len() - 1,
                };
                let missed = (next - reader.next) as u64;
                let until = self.frames[next - 1].position;
                assert_eq!(lagged, Lagged { missed, policy, until });
                reader.next = next;
                reader.ended = policy == LagPolicy::Close;
            }
        }
    }

    fn pick(&self, reader: Index) -> Option<usize> {
        (!self.readers.is_empty()).then(|| reader.index(self.readers.len()))
    }

    fn some_position(&self, index: Index) -> Position {
        let drawn = usize::try_from(self.channel.positions().newest().0).unwrap();
        Position(index.index(drawn + 2) as u64)
    }

    /// Closes the channel and reads every reader to the end.
    fn drain(&mut self) {
        self.take(Step::Close);
        for at in 0..self.readers.len() {
            while !self.is_at_end(at) {
                let outcome = self.readers[at].cursor.read(1000, Position::END);
                assert!(!matches!(outcome, Ok(None)), "a reader is stuck");
                self.check_outcome(at, 1000, Position::END, outcome);
            }
            self.check_next(at);
        }
    }

    fn is_at_end(&self, at: usize) -> bool {
        self.readers[at].ended || self.readers[at].next == self.frames.len()
    }
}

fn check_run(frames: &[Frame], run: &Run<u8>, max_bytes: usize, until: Position) {
    let expected: Vec<&[u8]> = frames.iter().map(|frame| frame.bytes.as_ref()).collect();
    assert!(run.bytes == expected.concat(), "the bytes of the frames, each once and in order");
    assert!(run.bytes.len() <= max_bytes || frames.len() == 1);
    assert!(frames.iter().all(|frame| frame.position <= until));
    let [first, rest @ ..] = frames else { panic!("a run has a frame at least") };
    assert_eq!(run.audience.as_deref(), first.audience.as_ref());
    let is_for_all = |frame: &Frame| frame.audience.is_none();
    assert!(rest.is_empty() || frames.iter().all(is_for_all), "a restricted frame comes alone");
}
