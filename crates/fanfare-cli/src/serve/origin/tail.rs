//! The tail: what comes of the stream of what is followed.

use std::{
    collections::HashMap,
    future::{pending, poll_fn},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use fanfare_client::{Error, Event, EventId, EventSource, Item, Opened, Policy};
use fanfare_hub::{
    Position, Selection, TopicName, Via,
    log::{Committed, Read, TopicState},
};
use futures_core::Stream;
use http::StatusCode;
use serde::Deserialize;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    Origin, OriginError, Question, lock,
    look::{self, Seen},
    question,
    told::Envelope,
};
use crate::stderr::chain;

/// Items of the stream that are told together, at most.
const TOGETHER: usize = 256;
/// A page of what is read before the stream is asked for anew, in events and bytes.
const PAGE: (usize, usize) = (512, 1 << 20);
/// The largest event, in bytes.
const MAX_EVENT_BYTES: usize = 64 << 20;
/// What a hub sends a comment in is a third of it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);
/// How long to wait before the stream is asked for again, at first and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];

struct Tailing {
    origin: Arc<Origin>,
    sender: mpsc::Sender<Vec<Committed>>,
    /// Everything of what is followed has been told up to here.
    place: Position,
    followed: Selection,
    stream: Option<EventSource>,
    /// Where the stream began.
    begun: Position,
    /// It has come.
    is_open: bool,
    /// When it is to be asked for again.
    due: Option<Instant>,
    failures: u32,
    /// The ends that were told; `None` of a topic that has not ended.
    ends: HashMap<TopicName, Option<Position>>,
}

/// Something of the stream, and the id to resume behind.
type Come = (Result<Item, Error>, Option<Position>);

/// What a hub says in a stream besides events.
#[derive(Deserialize)]
struct Gap {
    reason: String,
}

enum Word {
    Event(Committed),
    /// Events are missing.
    Gap,
    Opened,
    Nothing,
}

/// Tells what comes, until nobody listens or the log is closed.
pub(super) async fn run(origin: Arc<Origin>, sender: mpsc::Sender<Vec<Committed>>) {
    let (seen, mut looked) = mpsc::channel(1);
    tokio::spawn(look::run(origin.clone(), seen));
    let mut tailing = Tailing::new(origin.clone(), sender.clone());
    loop {
        let step = tokio::select! {
            () = sender.closed() => return,
            () = origin.over() => return,
            () = origin.wanted.grown() => tailing.follow().await,
            () = due(tailing.due) => tailing.follow().await,
            come = come(&mut tailing.stream, &origin) => tailing.take(come).await,
            Some(seen) = looked.recv() => tailing.see(seen).await,
        };
        if let Err(error) = step {
            tailing.fail(&error);
        }
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// What has come of the stream: at least one, and no more than is there.
async fn come(stream: &mut Option<EventSource>, origin: &Origin) -> Vec<Come> {
    let Some(stream) = stream else { return pending().await };
    poll_fn(|context| poll_come(stream, origin, context)).await
}

fn poll_come(
    stream: &mut EventSource,
    origin: &Origin,
    context: &mut Context<'_>,
) -> Poll<Vec<Come>> {
    let mut come = vec![];
    while come.len() < TOGETHER {
        match Pin::new(&mut *stream).poll_next(context) {
            Poll::Ready(Some(item)) => {
                come.push((item, origin.epoch.position(stream.last_event_id())));
            }
            // Behind the last error.
            Poll::Ready(None) | Poll::Pending => break,
        }
    }
    if come.is_empty() { Poll::Pending } else { Poll::Ready(come) }
}

impl Tailing {
    fn new(origin: Arc<Origin>, sender: mpsc::Sender<Vec<Committed>>) -> Self {
        let place = origin.newest();
        Self {
            origin,
            sender,
            place,
            followed: Selection::new([]),
            stream: None,
            begun: place,
            is_open: false,
            due: None,
            failures: 0,
            ends: HashMap::new(),
        }
    }

    /// Asks for the stream of what is wanted now, behind all that was followed until now.
    async fn follow(&mut self) -> Result<(), Arc<OriginError>> {
        let wanted = self.origin.wanted.selection();
        if self.is_open && self.due.is_none() && wanted == self.followed {
            self.origin.wanted.cover(&wanted, self.place);
            return Ok(());
        }
        (self.stream, self.is_open, self.due) = (None, false, None);
        self.catch_up().await?;
        (self.followed, self.begun) = (wanted, self.place);
        let topics = self.origin.wanted.topics();
        self.ends.retain(|name, _| topics.contains(name));
        if !self.followed.selectors().is_empty() {
            self.stream = Some(self.stream()?);
        }
        Ok(())
    }

    /// Reads what is followed up to the present, so that the stream need not be asked for what is long past.
    async fn catch_up(&mut self) -> Result<(), Arc<OriginError>> {
        if self.followed.selectors().is_empty() {
            self.place = self.place.max(self.origin.ask(&Question::default()).await?.newest);
            return Ok(());
        }
        loop {
            let told = self.origin.ask(&self.page()).await?;
            if told.kept_after > self.place {
                self.skip(told.kept_after).await;
                continue;
            }
            let records = told.page.records.iter().cloned();
            let committed: Vec<_> = records.map(Committed::Event).collect();
            let is_all = committed.is_empty();
            self.place = self.place.max(told.page.through);
            self.tell(committed).await;
            if is_all {
                return Ok(());
            }
        }
    }

    fn page(&self) -> Question {
        let (max_events, max_bytes) = PAGE;
        let (selection, after) = (self.followed.clone(), self.place);
        Question::page(&Read { selection, after, until: Position::END, max_events, max_bytes })
    }

    fn stream(&self) -> Result<EventSource, OriginError> {
        let access = &self.origin.access;
        let query = format!("{}&envelope=json", question::topics(&self.followed));
        let id = self.origin.epoch.id(self.place);
        let mut stream = EventSource::builder(access.url("/sse", &query).as_str())
            .policy(Policy::resilient().with_cap(PAUSES[1]))
            .reconnection_time(PAUSES[0])
            .idle_timeout(IDLE_TIMEOUT)
            .max_event_bytes(MAX_EVENT_BYTES)
            .last_event_id(EventId::new(id.to_string()).unwrap_or_default());
        for (name, value) in &access.headers()? {
            stream = stream.header(name, value);
        }
        Ok(stream.build()?)
    }

    async fn take(&mut self, come: Vec<Come>) -> Result<(), Arc<OriginError>> {
        let mut committed = vec![];
        for (item, at) in come {
            match self.read(item, at) {
                Ok(Word::Event(event)) => committed.push(event),
                Ok(Word::Opened) => self.opened(),
                Ok(Word::Gap) => {
                    self.tell(mem::take(&mut committed)).await;
                    self.miss().await?;
                }
                Ok(Word::Nothing) => {}
                // What came before it is told all the same.
                Err(error) => {
                    self.tell(committed).await;
                    return Err(error);
                }
            }
        }
        self.tell(committed).await;
        Ok(())
    }
}

impl Tailing {
    fn read(
        &mut self,
        item: Result<Item, Error>,
        at: Option<Position>,
    ) -> Result<Word, Arc<OriginError>> {
        match item {
            Ok(Item::Opened(opened)) => {
                self.name(&opened);
                Ok(Word::Opened)
            }
            Ok(Item::Event(event)) => self.event(&event, at),
            Ok(Item::Reconnecting { reason, .. }) => {
                tracing::debug!(why = chain(&reason), "the stream of what is followed is lost");
                Ok(Word::Nothing)
            }
            Ok(_) => Ok(Word::Nothing),
            Err(error) if error.is_final() => self.end(error),
            // It was too large. It can be read.
            Err(_) => Ok(self.behind(at).map_or(Word::Nothing, |at| {
                self.place = at;
                Word::Event(Committed::Skipped(at))
            })),
        }
    }

    /// The position, if it has not been told yet.
    fn behind(&self, at: Option<Position>) -> Option<Position> {
        at.filter(|at| *at > self.place)
    }

    fn event(&mut self, event: &Event, at: Option<Position>) -> Result<Word, Arc<OriginError>> {
        match event.name() {
            Event::DEFAULT_NAME => self.record(event, at),
            "gap" => match serde_json::from_str(event.data()) {
                Ok(Gap { reason }) if reason == "unknown" => Err(self.origin.replaced().into()),
                _ => Ok(Word::Gap),
            },
            // The hub's word to the holder of a token that it has expired.
            "expired" => {
                self.origin.access.forget_token();
                self.due = Some(Instant::now() + PAUSES[0]);
                Ok(Word::Nothing)
            }
            _ => Ok(Word::Nothing),
        }
    }

    fn record(&mut self, event: &Event, at: Option<Position>) -> Result<Word, Arc<OriginError>> {
        let at = at.ok_or(OriginError::Foreign)?;
        if at <= self.place {
            return Ok(Word::Nothing);
        }
        let envelope: Option<Envelope> = serde_json::from_str(event.data()).ok();
        let record = envelope.and_then(|envelope| envelope.record(at));
        let record = record.ok_or(OriginError::Foreign)?;
        self.place = at;
        self.origin.heard_of(at);
        Ok(Word::Event(Committed::Event(record)))
    }

    fn name(&self, opened: &Opened) {
        if let Some(via) = Via::read(&opened.headers) {
            *lock(&self.origin.via) = via;
        }
    }

    /// What is followed is told from where the stream began.
    fn opened(&mut self) {
        (self.failures, self.is_open) = (0, true);
        self.origin.wanted.cover(&self.followed, self.begun);
    }

    /// There is no stream. If all topics have ended, there is nothing to be told until one begins anew.
    fn end(&mut self, error: Error) -> Result<Word, Arc<OriginError>> {
        match error.status() {
            Some(StatusCode::NO_CONTENT) => {
                self.stream = None;
                self.due = Some(Instant::now() + look::LOOK);
                Ok(Word::Opened)
            }
            status => {
                if matches!(status, Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) {
                    self.origin.access.forget_token();
                }
                Err(OriginError::Stream(error).into())
            }
        }
    }

    /// Events that are followed have been dropped before they were told. Who wants them finds out what is left.
    async fn miss(&mut self) -> Result<(), Arc<OriginError>> {
        let told = self.origin.ask(&Question::of(&self.followed)).await?;
        self.skip(told.kept_after).await;
        Ok(())
    }

    async fn skip(&mut self, until: Position) {
        self.place = self.place.max(until);
        self.tell(vec![Committed::Skipped(self.place)]).await;
    }

    /// Tells of topics that have ended since, or are no more, and gives up what nobody wants any more.
    async fn see(&mut self, seen: Seen) -> Result<(), Arc<OriginError>> {
        let Seen { topics, states } = seen;
        let mut states: HashMap<TopicName, TopicState> =
            states.into_iter().map(|state| (state.name.clone(), state)).collect();
        let ends = topics.into_iter().filter_map(|name| {
            let state = states.remove(&name);
            self.end_of(name, state)
        });
        let ends = ends.collect();
        self.tell(ends).await;
        if self.due.is_none() && self.origin.wanted.selection() != self.followed {
            return self.follow().await;
        }
        Ok(())
    }

    fn end_of(&mut self, name: TopicName, state: Option<TopicState>) -> Option<Committed> {
        let Some(state) = state else {
            let was_there = self.ends.remove(&name).is_some();
            return was_there.then_some(Committed::Erased(name, self.place));
        };
        // Its last event goes before that.
        let end = state.ended.filter(|_| state.newest <= self.place);
        let before = self.ends.insert(name.clone(), end).flatten();
        end.is_some_and(|end| before != Some(end)).then_some(Committed::End(name))
    }

    async fn tell(&mut self, committed: Vec<Committed>) {
        if !committed.is_empty() {
            // Whether anybody listens is looked for elsewhere.
            let _ = self.sender.send(committed).await;
        }
    }

    fn fail(&mut self, error: &OriginError) {
        (self.stream, self.is_open) = (None, false);
        let [first, longest] = PAUSES;
        let pause = first.saturating_mul(1 << self.failures.min(8)).min(longest);
        self.due = Some(Instant::now() + pause.mul_f64(0.5 + fastrand::f64()));
        self.failures += 1;
        let (error, origin) = (chain(error), self.origin.access.shown());
        if self.failures == 1 {
            tracing::warn!(origin, error, "what is followed does not come: it is asked for again");
        } else {
            tracing::debug!(origin, error, "still nothing comes of what is followed");
        }
    }
}
