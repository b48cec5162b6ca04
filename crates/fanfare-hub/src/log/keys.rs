//! Idempotency keys that were used, and what was answered.

use std::collections::{HashMap, VecDeque};

use super::{IdempotencyKey, Retention, Timestamp};

#[derive(Debug)]
pub(super) struct Keys<A> {
    answers: HashMap<IdempotencyKey, A>,
    order: VecDeque<(Timestamp, IdempotencyKey)>,
}

impl<A> Default for Keys<A> {
    fn default() -> Self {
        Self { answers: HashMap::new(), order: VecDeque::new() }
    }
}

impl<A: Copy> Keys<A> {
    pub(super) fn answer(&self, key: &IdempotencyKey) -> Option<A> {
        self.answers.get(key).copied()
    }

    /// The answer of the oldest that is left when those that are too old are forgotten.
    pub(super) fn oldest_left(&self, now: Timestamp, retention: &Retention) -> Option<A> {
        let window = retention.idempotency_window;
        let (_, key) = self.order.iter().find(|(time, _)| !time.is_older(window, now))?;
        self.answer(key)
    }

    /// The answer of the oldest.
    pub(super) fn oldest(&self) -> Option<A> {
        self.order.front().and_then(|(_, key)| self.answer(key))
    }

    pub(super) fn insert(&mut self, key: IdempotencyKey, time: Timestamp, answer: A) {
        self.answers.insert(key.clone(), answer);
        self.order.push_back((time, key));
    }

    /// Forgets what is too old or too many.
    pub(super) fn trim(&mut self, now: Timestamp, retention: &Retention) {
        while let Some((time, _)) = self.order.front()
            && (self.order.len() > retention.max_idempotency_keys
                || time.is_older(retention.idempotency_window, now))
        {
            self.forget_oldest();
        }
    }

    /// Forgets the oldest ones whose answers are like this.
    pub(super) fn forget_while(&mut self, is_old: impl Fn(A) -> bool) {
        while self.oldest().is_some_and(&is_old) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.answers.remove(&key);
        }
    }
}
