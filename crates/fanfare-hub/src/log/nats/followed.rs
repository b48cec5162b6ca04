//! What somebody follows here: of all else, heads are enough.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::message::Incoming;
use crate::{Selection, Selector, TopicName};

/// Over how long it is measured what comes.
const PERIOD: Duration = Duration::from_secs(1);

/// What is followed, and what comes of the rest.
#[derive(Debug)]
pub(super) struct Followed {
    state: Mutex<State>,
    /// Bytes a second of events that nobody follows, from which on bodies are left out.
    most_others: u64,
}

#[derive(Debug)]
struct State {
    followers: HashMap<Selector, usize>,
    /// Those of them that are prefixes.
    prefixes: Vec<Selector>,
    /// The newest message of which it has been decided whether somebody follows it; it will be applied, or judged
    /// again.
    judged: u64,
    leaves_out: bool,
    traffic: Traffic,
}

/// Bytes of events since then.
#[derive(Debug)]
struct Traffic {
    since: Instant,
    followed: u64,
    others: u64,
}

/// Follows a selection as long as this is there.
pub(super) struct Following {
    followed: Arc<Followed>,
    selection: Selection,
}

impl Followed {
    pub(super) fn new(most_others: u64) -> Self {
        let state = State {
            followers: HashMap::new(),
            prefixes: vec![],
            judged: 0,
            leaves_out: most_others == 0,
            traffic: Traffic::new(),
        };
        Self { state: Mutex::new(state), most_others }
    }

    /// What lies behind the message that is given is told, if it is selected.
    pub(super) fn follow(self: &Arc<Self>, selection: &Selection) -> (Following, u64) {
        let mut state = self.state();
        for selector in selection.selectors() {
            state.follow(selector);
        }
        let judged = state.judged;
        drop(state);
        (Following { followed: self.clone(), selection: selection.clone() }, judged)
    }

    /// What is behind this message will be judged again.
    pub(super) fn begin_behind(&self, applied: u64) {
        self.state().judged = applied;
    }

    pub(super) fn judged(&self) -> u64 {
        self.state().judged
    }

    /// Whether anybody follows a topic of the message.
    pub(super) fn judge(&self, message: &Incoming) -> bool {
        let mut state = self.state();
        state.judged = state.judged.max(message.sequence);
        let bytes = message.bytes();
        let is_followed = message.topics.iter().any(|topic| state.follows(topic));
        let traffic = &mut state.traffic;
        *(if is_followed { &mut traffic.followed } else { &mut traffic.others }) += bytes;
        is_followed
    }

    /// Whether bodies are left out.
    pub(super) fn leaves_out(&self) -> bool {
        self.state().leaves_out
    }

    /// Decides it anew by what has come lately; tells whether it is otherwise now. To get the body of each message
    /// that is followed is dearer than to be given all, unless most are of others.
    pub(super) fn weigh(&self) -> bool {
        let mut state = self.state();
        let lasted = state.traffic.since.elapsed();
        if lasted < PERIOD || self.most_others == 0 {
            return false;
        }
        let Traffic { followed, others, .. } = mem::replace(&mut state.traffic, Traffic::new());
        let a_second = |bytes: u64| u128::from(bytes) * 1000 / lasted.as_millis().max(1);
        let most = u128::from(self.most_others);
        let leaves_out = if state.leaves_out {
            // It does not go to and fro when what comes hardly changes.
            a_second(others) > most / 2 && others > followed / 2
        } else {
            a_second(others) > most && others > followed
        };
        leaves_out != mem::replace(&mut state.leaves_out, leaves_out)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn follow(&mut self, selector: &Selector) {
        let followers = self.followers.entry(selector.clone()).or_default();
        *followers += 1;
        if *followers == 1 && matches!(selector, Selector::Prefix(_)) {
            self.prefixes.push(selector.clone());
        }
    }

    fn unfollow(&mut self, selector: &Selector) {
        let Some(followers) = self.followers.get_mut(selector) else { return };
        *followers -= 1;
        if *followers == 0 {
            self.followers.remove(selector);
            self.prefixes.retain(|prefix| prefix != selector);
        }
    }

    fn follows(&self, topic: &TopicName) -> bool {
        self.followers.contains_key(&Selector::Topic(topic.clone()))
            || self.prefixes.iter().any(|prefix| prefix.matches(topic))
    }
}

impl Traffic {
    fn new() -> Self {
        Self { since: Instant::now(), followed: 0, others: 0 }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut state = self.followed.state();
        for selector in self.selection.selectors() {
            state.unfollow(selector);
        }
    }
}
