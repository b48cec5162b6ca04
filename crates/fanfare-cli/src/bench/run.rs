//! A run from its first connection to its report.

use std::{sync::atomic::Ordering, time::Duration};

use super::{
    BenchError, Options,
    check::Lanes,
    clock::{Clock, nanoseconds},
    options::Rate,
    payload::Marks,
    process::{self, Usage, as_f64},
    publisher::{self, Done, Publishers, Publishing},
    report::{self, Connect, Delivered, Latencies, Published, Report},
    sources::Sources,
    subscribers::{Server, Subscribers, Subscription},
    tally::Tally,
    target::{Publish, Template},
};
use crate::{failure::Failure, progress::Progress};

/// How long it must be quiet behind the last event: one that comes twice comes soon.
const QUIET: Duration = Duration::from_millis(100);
/// How long a turn waits for something to come.
const TURN: Duration = Duration::from_millis(50);

/// All that takes part.
struct Run<'a> {
    options: &'a Options,
    clock: Clock,
    subscribers: Subscribers,
    tally: Tally,
    progress: Progress,
}

/// The server's figures at one time.
type Sample = Option<Usage>;

/// What a phase has measured.
struct Phase {
    /// On the clock.
    from: u64,
    to: u64,
    /// The share of the time for which the reader did not wait.
    busy: f64,
    before: Sample,
    after: Sample,
    done: Option<Done>,
}

pub(super) fn run(options: &Options) -> Result<Report, Failure> {
    let lanes = Lanes {
        subscribers: options.subscribers.get(),
        topics: options.topics,
        publishers: options.publishers,
        is_by_topic: options.is_by_topic(),
    };
    let (clock, marks) = (Clock::start(), Marks::of_run(fastrand::u32(..), options.payload));
    let publish = options.publish.as_ref();
    let publishing = publish.map(|publish| publishing(options, publish, lanes, &marks));
    let publishing = publishing.transpose()?;
    let subscription = subscription(options, lanes)?;
    let first = subscription.servers.first().ok_or(BenchError::Address(String::new()))?;
    let sources = Sources::new(&options.source, first.address.ip(), lanes.subscribers as usize);
    let mut run = Run {
        options,
        clock,
        subscribers: Subscribers::new(subscription, sources, lanes, clock)?,
        tally: Tally::new(marks, lanes),
        progress: Progress::new(),
    };
    let alone = process::usage(&options.pid)?;
    let connecting = run.connect()?;
    let (connected, phase) = match (&publishing, options.idle) {
        (Some(publishing), _) => {
            let connected = process::usage(&options.pid)?;
            (connected, run.publish(publishing)?)
        }
        (None, Some(idle)) => {
            let phase = run.listen(idle)?;
            (phase.after, phase)
        }
        (None, None) => {
            let connected = process::usage(&options.pid)?;
            (connected, run.listen(options.time().unwrap_or_default())?)
        }
    };
    Ok(run.report(connecting, [alone, connected], phase))
}

fn subscription(options: &Options, lanes: Lanes) -> Result<Subscription, BenchError> {
    let topics = if lanes.is_by_topic { lanes.topics.min(lanes.subscribers) } else { 1 };
    let server = |url: &Template| Server::new(url, topics, &options.headers);
    Ok(Subscription {
        servers: options.url.iter().map(server).collect::<Result<_, _>>()?,
        connect_rate: options.connect_rate.map(Into::into),
        patience: options.patience,
    })
}

fn publishing(
    options: &Options,
    publish: &Publish,
    lanes: Lanes,
    marks: &Marks,
) -> Result<Publishing, BenchError> {
    let payload = marks.payload();
    let requests = (0..lanes.topics).map(|topic| {
        publish.requests(topic, &options.publish_header, &options.publish_body, &payload)
    });
    Ok(Publishing {
        server: publish.url.resolve()?,
        request: format!("{} {}", publish.method, publish.url.text()),
        requests: requests.collect::<Result<_, _>>()?,
        lanes,
        rate: options.rate,
        events: options.events,
        time: options.time(),
        warm_up: options.warm_up,
        patience: options.patience,
    })
}

impl Run<'_> {
    fn connect(&mut self) -> Result<Duration, BenchError> {
        let all = self.options.subscribers;
        let Self { subscribers, tally, progress, .. } = self;
        subscribers.connect(tally, |opened| {
            progress.tell(|| format!("{opened} of {all} subscribers are connected"));
        })
    }

    /// Publishes, until all has come or nothing comes any more.
    fn publish(&mut self, publishing: &Publishing) -> Result<Phase, Failure> {
        let start = self.clock.now();
        let from = publishing.measured_from(start);
        self.tally.measure_from(from);
        let waker = self.subscribers.waker();
        let publishers = publisher::begin(publishing, self.clock, start, &waker);
        let publishers = publishers.map_err(Failure::Begin)?;
        while self.clock.now() < from {
            self.turn(&publishers)?;
        }
        let (before, watch) = (process::usage(&self.options.pid)?, self.watch());
        self.tally.measure_bytes();
        let mut done = self.take_all(publishing.lanes, &publishers)?;
        let (after, busy) = (process::usage(&self.options.pid)?, self.busy(watch));
        // At a steady rate the time behind the last event belongs to it, as behind any other.
        done.end = done.end.max(publishing.due(from, done.measured).unwrap_or_default());
        let to = self.tally.measured().newest.max(done.end);
        self.hear_out()?;
        Ok(Phase { from, to, busy, before, after, done: Some(done) })
    }

    fn take_all(&mut self, lanes: Lanes, publishers: &Publishers) -> Result<Done, BenchError> {
        let mut done = Done::nothing(lanes);
        let mut running = lanes.publishers;
        let patience = nanoseconds(self.options.patience);
        let (mut arrived, mut newest) = (0, self.clock.now());
        loop {
            for one in publishers.ended()? {
                done.add(&one);
                running -= 1;
            }
            let expected = self.tally.expected(&done.sent);
            if running == 0
                && (self.tally.arrived() >= expected || self.subscribers.have_all_ended())
            {
                return Ok(done);
            }
            if running > 0 || self.tally.arrived() != arrived {
                (arrived, newest) = (self.tally.arrived(), self.clock.now());
            } else if self.clock.now() - newest > patience {
                return Ok(done);
            }
            self.turn(publishers)?;
        }
    }

    fn turn(&mut self, publishers: &Publishers) -> Result<(), BenchError> {
        self.subscribers.turn(TURN, &mut self.tally)?;
        let (sent, arrived) = (publishers.sent.load(Ordering::Relaxed), self.tally.arrived());
        self.progress.tell(|| format!("{sent} events are published, {arrived} delivered"));
        Ok(())
    }

    /// Reads on until nothing comes.
    fn hear_out(&mut self) -> Result<(), BenchError> {
        let (quiet, patience) = (nanoseconds(QUIET), nanoseconds(self.options.patience));
        let begin = self.clock.now();
        let mut newest = begin;
        let mut bytes = self.tally.measured().bytes;
        while self.clock.now() - newest < quiet && newest - begin < patience {
            self.subscribers.turn(TURN, &mut self.tally)?;
            if self.tally.measured().bytes != bytes {
                (bytes, newest) = (self.tally.measured().bytes, self.clock.now());
            }
        }
        Ok(())
    }

    /// Counts what comes by itself.
    fn listen(&mut self, time: Duration) -> Result<Phase, BenchError> {
        let from = self.clock.now();
        let to = from.saturating_add(nanoseconds(time));
        self.tally.measure_from(from);
        let (before, watch) = (process::usage(&self.options.pid)?, self.watch());
        while self.clock.now() < to && !self.subscribers.have_all_ended() {
            let left = Duration::from_nanos(to.saturating_sub(self.clock.now()));
            self.subscribers.turn(left.min(TURN), &mut self.tally)?;
            let events = self.tally.measured().events;
            self.progress.tell(|| format!("{events} events have come"));
        }
        let (after, busy) = (process::usage(&self.options.pid)?, self.busy(watch));
        Ok(Phase { from, to: self.clock.now(), busy, before, after, done: None })
    }

    /// The time, and for how long the reader has waited.
    fn watch(&self) -> (u64, u64) {
        (self.clock.now(), self.subscribers.waited())
    }

    fn busy(&self, (from, waited): (u64, u64)) -> f64 {
        let waited = Duration::from_nanos(self.subscribers.waited() - waited);
        1.0 - waited.as_secs_f64() / seconds(from, self.clock.now())
    }

    fn report(self, connecting: Duration, idle: [Sample; 2], phase: Phase) -> Report {
        drop(self.progress);
        let (measured, options) = (self.tally.measured(), self.options);
        let seconds = seconds(phase.from, phase.to);
        let connecting = connecting.as_secs_f64();
        let latency = Latencies {
            subscriber: self.tally.each(),
            first_subscriber: self.tally.first(),
            last_subscriber: self.tally.last(),
            answer: phase.done.as_ref().and_then(|done| done.answers.quantiles()),
        };
        let delivered = Delivered {
            events: measured.events,
            seconds,
            per_second: as_f64(measured.events) / seconds,
            bytes_per_second: as_f64(measured.bytes) / seconds,
            foreign: measured.foreign,
        };
        let server = server(options, idle, &phase, measured.events);
        let published = phase.done.as_ref().map(|done| published(done, phase.from, options.rate));
        let ended = self.subscribers.ended();
        Report {
            subscribers: options.subscribers.get(),
            topics: options.topics,
            publishers: options.publishers,
            payload_bytes: options.payload,
            connect: Connect {
                seconds: connecting,
                per_second: f64::from(options.subscribers.get()) / connecting,
            },
            published,
            delivered: options.idle.is_none().then_some(delivered),
            wrong: self.tally.finish(phase.done.map(|done| done.sent), ended),
            latency,
            server,
            busy: options.idle.is_none().then_some(phase.busy),
        }
    }
}

fn published(done: &Done, from: u64, rate: Rate) -> Published {
    let seconds = seconds(from, done.end);
    let per_second = as_f64(done.measured) / seconds;
    Published { events: done.measured, seconds, per_second, rate }
}

fn server(
    options: &Options,
    idle: [Sample; 2],
    phase: &Phase,
    deliveries: u64,
) -> Option<report::Server> {
    let ([alone, connected], before, after) = (idle, phase.before?, phase.after?);
    let (alone, connected) = (alone?.resident_bytes, connected?.resident_bytes);
    let cpu_seconds = after.cpu_seconds - before.cpu_seconds;
    let grown = as_f64(connected) - as_f64(alone);
    Some(report::Server {
        cpu_seconds,
        cpu_seconds_per_delivery: (deliveries > 0).then(|| cpu_seconds / as_f64(deliveries)),
        memory_before: alone,
        memory_connected: connected,
        memory_at_end: after.resident_bytes,
        memory_per_connection: grown / f64::from(options.subscribers.get()),
    })
}

fn seconds(from: u64, to: u64) -> f64 {
    Duration::from_nanos(to.saturating_sub(from).max(1)).as_secs_f64()
}
