//! What has come to the subscribers.

use std::rc::Rc;

use super::{
    check::{Arrival, Check, Lanes, Wrong},
    latency::{Latency, Quantiles},
    payload::{Mark, Marks},
};

/// Counts all events, checks those of this run, and times those that are measured.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) marks: Rc<Marks>,
    check: Check,
    latency: Latency,
    /// Events that were sent before are not measured.
    measured_from: u64,
    measured: Measured,
}

/// What is measured.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Measured {
    /// Events with data, of whatever kind.
    pub(super) events: u64,
    /// Of those, the ones that are not of this run.
    pub(super) foreign: u64,
    pub(super) bytes: u64,
    /// When the newest event came.
    pub(super) newest: u64,
}

impl Tally {
    /// Nothing is measured yet.
    pub(super) fn new(marks: Marks, lanes: Lanes) -> Self {
        Self {
            marks: Rc::new(marks),
            check: Check::new(lanes),
            latency: Latency::new(lanes),
            measured_from: u64::MAX,
            measured: Measured::default(),
        }
    }

    pub(super) fn measure_from(&mut self, time: u64) {
        self.measured_from = time;
        self.measured = Measured::default();
    }

    /// Bytes count from now on: they do not say which event they belong to.
    pub(super) fn measure_bytes(&mut self) {
        self.measured.bytes = 0;
    }

    pub(super) fn take(&mut self, subscriber: u32, mark: Option<Mark>, now: u64) {
        let Some(mark) = mark else {
            let is_measured = now >= self.measured_from;
            self.measured.events += u64::from(is_measured);
            self.measured.foreign += u64::from(is_measured);
            self.measured.newest = now;
            return;
        };
        let is_measured = mark.sent >= self.measured_from;
        if is_measured {
            self.measured.events += 1;
            self.measured.newest = now;
        }
        if self.check.take(subscriber, &mark) == Arrival::First {
            self.latency.take(&mark, now, is_measured);
        }
    }

    pub(super) fn take_bytes(&mut self, count: usize) {
        self.measured.bytes += count as u64;
    }

    pub(super) fn measured(&self) -> Measured {
        self.measured
    }

    /// How many events of this run have come, each counted once for each subscriber.
    pub(super) fn arrived(&self) -> u64 {
        self.check.arrived()
    }

    pub(super) fn expected(&self, sent: &[u64]) -> u64 {
        self.check.expected(sent)
    }

    pub(super) fn each(&self) -> Option<Quantiles> {
        self.latency.each.quantiles()
    }

    pub(super) fn first(&self) -> Option<Quantiles> {
        self.latency.first.quantiles()
    }

    pub(super) fn last(&self) -> Option<Quantiles> {
        self.latency.last.quantiles()
    }

    /// What is wrong, by what was sent in each lane. Where nothing was, all that can be wrong is that
    /// streams have ended.
    pub(super) fn finish(self, sent: Option<Vec<u64>>, ended_streams: u64) -> Option<Wrong> {
        match sent {
            Some(sent) => Some(self.check.finish(&sent, ended_streams)),
            None if ended_streams > 0 => Some(Wrong { ended_streams, ..Wrong::default() }),
            None => None,
        }
    }
}
