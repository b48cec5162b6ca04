//! The loop from a source's items to stdout.

use std::{
    future::{pending, poll_fn},
    num::NonZeroU64,
    ops::ControlFlow,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use fanfare_client::{Error, Event, EventSource, Item};
use futures_core::Stream;
use tokio::{select, sync::oneshot, time::sleep};

use super::{news::News, printer::Printer, resume::Resume};
use crate::{failure::Failure, line::Line, output::Unread, signals::Signal, stderr};

/// Follows one source to the end.
pub(super) struct Follower {
    pub(super) source: EventSource,
    pub(super) printer: Printer,
    pub(super) news: News,
    pub(super) resume: Option<Resume>,
    /// Which events are wanted; all, if there is none.
    pub(super) names: Vec<String>,
    /// How many events are still to be printed, if that ends it.
    pub(super) left: Option<NonZeroU64>,
}

/// What ends it from outside.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stop {
    Time,
    Signal(Signal),
    /// Nobody reads stdout any more.
    Unread,
}

pub(super) async fn stop(
    time: Option<Duration>,
    signal: oneshot::Receiver<Signal>,
    unread: oneshot::Receiver<Unread>,
) -> Stop {
    let time = async {
        match time {
            Some(time) => sleep(time).await,
            None => pending().await,
        }
    };
    select! {
        Ok(signal) = signal => Stop::Signal(signal),
        Ok(Unread) = unread => Stop::Unread,
        () = time => Stop::Time,
    }
}

impl Follower {
    pub(super) async fn run(mut self, stop: impl Future<Output = Stop>) -> Result<(), Failure> {
        let mut stop = pin!(stop);
        loop {
            let item = select! {
                biased;
                stop = &mut stop => return self.stop(stop),
                item = self.next() => item?,
            };
            let flow = match item {
                Some(Ok(item)) => self.take(&item)?,
                Some(Err(error)) => self.fail(&error)?,
                None => ControlFlow::Break(()),
            };
            if flow.is_break() {
                return self.settle();
            }
        }
    }

    /// The next item. Whatever has been printed is flushed before it is waited for, and only then,
    /// so that what comes at once is written at once.
    async fn next(&mut self) -> Result<Option<Result<Item, Error>>, Failure> {
        poll_fn(|context| match Pin::new(&mut self.source).poll_next(context) {
            Poll::Ready(item) => Poll::Ready(Ok(item)),
            Poll::Pending => match self.settle() {
                Ok(()) => Poll::Pending,
                Err(failure) => Poll::Ready(Err(failure)),
            },
        })
        .await
    }

    fn take(&mut self, item: &Item) -> Result<ControlFlow<()>, Failure> {
        match item {
            Item::Event(event) if self.is_wanted(event) => return self.take_event(event),
            Item::Comment(comment) => self.print(&Line::Comment { comment })?,
            Item::Retry(time) => self.print(&Line::of_retry(*time))?,
            Item::Opened(opened) => {
                self.settle()?;
                self.news.opened(opened);
            }
            Item::Reconnecting { reason, delay } => {
                self.settle()?;
                self.news.reconnecting(reason, *delay);
            }
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    fn is_wanted(&self, event: &Event) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| name == event.name())
    }

    fn take_event(&mut self, event: &Event) -> Result<ControlFlow<()>, Failure> {
        self.print(&Line::of_event(event))?;
        if self.resume.is_some() {
            // One by one, so that at most one comes again after a kill.
            self.settle()?;
        }
        let Some(left) = self.left else { return Ok(ControlFlow::Continue(())) };
        self.left = NonZeroU64::new(left.get() - 1);
        Ok(if self.left.is_some() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }

    fn print(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        self.printer.print(line).map_err(Failure::Stdout)
    }

    /// Has what was printed written, and after it the id to go on behind.
    fn settle(&mut self) -> Result<(), Failure> {
        self.printer.flush().map_err(Failure::Stdout)?;
        match &mut self.resume {
            Some(resume) => resume.save(self.source.last_event_id()),
            None => Ok(()),
        }
    }

    fn fail(&mut self, error: &Error) -> Result<ControlFlow<()>, Failure> {
        self.settle()?;
        if !error.is_final() {
            stderr::say(stderr::chain(error));
            return Ok(ControlFlow::Continue(()));
        }
        if is_all(error) {
            self.news.ended(error);
            return Ok(ControlFlow::Break(()));
        }
        let explained = self.news.explain(error);
        Err(if is_refusal(error) { Failure::Refused(explained) } else { Failure::Lost(explained) })
    }

    fn stop(mut self, stop: Stop) -> Result<(), Failure> {
        match stop {
            Stop::Unread => Ok(()),
            Stop::Time => self.settle(),
            Stop::Signal(signal) => {
                self.settle()?;
                Err(Failure::Signal(signal))
            }
        }
    }
}

/// Whether the stream has come to the end that the server wanted.
fn is_all(error: &Error) -> bool {
    let is_no_content = error.status().is_some_and(|status| status == 204);
    is_no_content || matches!(error, Error::NotRepeatable(why) if matches!(**why, Error::Ended))
}

fn is_refusal(error: &Error) -> bool {
    match error {
        Error::NotRepeatable(why) | Error::GaveUp { last: why, .. } => is_refusal(why),
        Error::UnsendableId { .. } => false,
        error => !error.is_network(),
    }
}
