use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use thiserror::Error;
use tokio::sync::watch;
use tracing::{debug, warn};

use super::{
    jwt::Jwt,
    key::{Key, KeyError},
    keys::KeySource,
};
use crate::log::Timestamp;

/// Keys cannot be used. Its source is a [`KeyError`] that says why.
#[derive(Debug, Clone, Error)]
#[error("{place} cannot be used")]
pub struct AuthError {
    place: String,
    #[source]
    reason: Arc<KeyError>,
}

impl AuthError {
    /// Why they cannot be used.
    pub fn reason(&self) -> &KeyError {
        &self.reason
    }
}

/// The keys of all sources.
#[derive(Debug)]
pub(super) struct Keyring(Vec<Arc<Live>>);

impl Keyring {
    /// Reads what is given or in files. What has to be fetched is, when it is first needed.
    pub(super) fn new(sources: Vec<KeySource>) -> Result<Self, AuthError> {
        sources.into_iter().map(Live::new).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all keys have been read at least once.
    pub(super) fn is_complete(&self) -> bool {
        self.0.iter().all(|live| live.state.borrow().is_loaded)
    }

    /// Whether a key made the token's signature; one that is not known yet is looked for.
    pub(super) async fn verifies(&self, token: &Jwt<'_>, now: Timestamp) -> bool {
        let reads = self.reads();
        if self.has_key_of(token) {
            return true;
        }
        self.look_for(token.key_id.as_deref(), now).await;
        self.reads() != reads && self.has_key_of(token)
    }

    fn has_key_of(&self, token: &Jwt<'_>) -> bool {
        self.0.iter().any(|live| live.verifies(token))
    }

    /// How many reads have ended. If there were more, there may be other keys.
    fn reads(&self) -> u64 {
        self.0.iter().map(|live| live.state.borrow().ended).sum()
    }

    /// Reads the sources again that may have a key of this name and have not been asked lately.
    async fn look_for(&self, id: Option<&str>, now: Timestamp) {
        let asked = self.0.iter().filter(|live| live.may_get(id));
        let reads: Vec<_> = asked.filter_map(|live| live.start(live.source.pause(), now)).collect();
        for read in &reads {
            // A failure has been logged, and leaves the keys as they were.
            let _ = read.end().await;
        }
    }

    /// Reads the sources again that are due.
    pub(super) async fn refresh_due(&self, now: Timestamp) {
        let reads: Vec<_> =
            self.0.iter().filter_map(|live| live.start(live.source.every(), now)).collect();
        for read in &reads {
            let _ = read.end().await;
        }
    }

    /// Reads all sources again, and gives the first failure.
    pub(super) async fn refresh(&self, now: Timestamp) -> Result<(), AuthError> {
        for live in &self.0 {
            // One that is under way may have begun before the change that it should see.
            if let Some(read) = live.under_way() {
                let _ = read.end().await;
            }
        }
        let reads: Vec<_> =
            self.0.iter().filter_map(|live| live.start(Duration::ZERO, now)).collect();
        let mut outcome = Ok(());
        for read in &reads {
            outcome = outcome.and(read.end().await);
        }
        outcome
    }
}

/// A source and its keys as they were last read.
#[derive(Debug)]
struct Live {
    source: KeySource,
    state: watch::Sender<State>,
    reads: Mutex<Reads>,
}

#[derive(Debug, Default)]
struct State {
    keys: Arc<Vec<Key>>,
    /// Whether the keys have been read at all.
    is_loaded: bool,
    /// How many reads have ended, and how the last did.
    ended: u64,
    failure: Option<Arc<KeyError>>,
}

/// Reads are counted, so that one is under way exactly when more have begun than ended.
#[derive(Debug, Default)]
struct Reads {
    begun: u64,
    last: Option<Timestamp>,
}

impl Live {
    fn new(source: KeySource) -> Result<Arc<Self>, AuthError> {
        match source.read() {
            Ok(keys) => {
                let is_loaded = keys.is_some();
                let keys = Arc::new(keys.unwrap_or_default());
                let state = watch::Sender::new(State { keys, is_loaded, ..State::default() });
                Ok(Arc::new(Self { source, state, reads: Mutex::default() }))
            }
            Err(reason) => Err(AuthError { place: source.to_string(), reason: Arc::new(reason) }),
        }
    }

    fn verifies(&self, token: &Jwt<'_>) -> bool {
        let (id, message) = (token.key_id.as_deref(), token.message.as_bytes());
        let keys = Arc::clone(&self.state.borrow().keys);
        keys.iter().any(|key| key.verifies(id, token.algorithm, message, &token.signature))
    }

    /// Whether reading it again might yield a key that it has not: one of a name that it does not
    /// know, or any, if it could not be read yet.
    fn may_get(&self, id: Option<&str>) -> bool {
        let state = self.state.borrow();
        let is_unknown = |id| !state.keys.iter().any(|key| key.is_named(id));
        self.source.is_refreshed() && (!state.is_loaded || id.is_some_and(is_unknown))
    }

    /// The read that is under way; else begins one, unless the last was less than `pause` ago.
    ///
    /// It is done by a task, so that whoever asked can leave without breaking it off.
    fn start(self: &Arc<Self>, pause: Duration, now: Timestamp) -> Option<UnderWay> {
        if !self.source.is_refreshed() {
            return None;
        }
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        if reads.begun == self.state.borrow().ended {
            if !reads.is_due(pause, now) {
                return None;
            }
            reads.begun += 1;
            reads.last = Some(now);
            tokio::spawn(read(End::of(Arc::clone(self), reads.begun)));
        }
        Some(UnderWay { live: Arc::clone(self), number: reads.begun })
    }

    fn under_way(self: &Arc<Self>) -> Option<UnderWay> {
        let number = self.reads.lock().unwrap_or_else(PoisonError::into_inner).begun;
        let is_under_way = number != self.state.borrow().ended;
        is_under_way.then(|| UnderWay { live: Arc::clone(self), number })
    }
}

impl Reads {
    /// A clock that was set back makes it due.
    fn is_due(&self, pause: Duration, now: Timestamp) -> bool {
        let is_recent = |last: Timestamp| {
            let age = now.0.checked_sub(last.0);
            age.is_some_and(|age| u128::from(age) < pause.as_millis())
        };
        !self.last.is_some_and(is_recent)
    }
}

/// A read that somebody waits for.
struct UnderWay {
    live: Arc<Live>,
    number: u64,
}

impl UnderWay {
    async fn end(&self) -> Result<(), AuthError> {
        let mut state = self.live.state.subscribe();
        let Ok(state) = state.wait_for(|state| state.ended >= self.number).await else {
            return Ok(());
        };
        match &state.failure {
            None => Ok(()),
            Some(reason) => {
                Err(AuthError { place: self.live.source.to_string(), reason: Arc::clone(reason) })
            }
        }
    }
}

async fn read(mut end: End) {
    let source = &end.live.source;
    match source.load().await {
        Ok(keys) => {
            debug!(%source, keys = keys.len(), "keys have been read");
            end.outcome = Ok(keys);
        }
        Err(reason) => {
            warn!(
                %source,
                error = %chain(&reason),
                "keys could not be read, those that were known stay in use"
            );
            end.outcome = Err(reason);
        }
    }
}

/// An error and what is beneath it.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// Ends a read when it is dropped, also if the task that did it panics or is stopped.
struct End {
    live: Arc<Live>,
    number: u64,
    outcome: Result<Vec<Key>, KeyError>,
}

impl End {
    fn of(live: Arc<Live>, number: u64) -> Self {
        Self { live, number, outcome: Err(KeyError::NoAnswer) }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Err(KeyError::NoAnswer));
        self.live.state.send_modify(|state| {
            state.ended = self.number;
            match outcome {
                Ok(keys) => {
                    state.keys = Arc::new(keys);
                    state.is_loaded = true;
                    state.failure = None;
                }
                Err(reason) => state.failure = Some(Arc::new(reason)),
            }
        });
    }
}
