//! What is followed here, and so to be followed at the origin.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use fanfare_hub::{Position, Selection, Selector, TopicName, log::Listening};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{lock, question};

/// Topics and patterns that are followed at the origin by their names; beyond it, all are by a pattern.
const MOST: usize = 100;
/// Their bytes in a query.
const MOST_BYTES: usize = 8 << 10;

/// Topics and patterns, and who wants them.
#[derive(Debug)]
pub(super) struct Wanted {
    wants: Mutex<HashMap<Selector, Want>>,
    linger: Duration,
    /// Something is wanted that is not followed yet.
    grown: Notify,
    /// Changes when more is followed.
    covered: watch::Sender<()>,
}

#[derive(Debug)]
struct Want {
    followers: usize,
    /// Since when nobody follows it.
    idle_since: Option<Instant>,
    /// The tail tells what lies behind this position; `None` while it does not.
    after: Option<Position>,
}

/// Wants a selection as long as this is there.
struct Wanting {
    wanted: Arc<Wanted>,
    selection: Selection,
}

impl Wanted {
    pub(super) fn new(linger: Duration) -> Self {
        let (grown, covered) = (Notify::new(), watch::Sender::new(()));
        Self { wants: Mutex::default(), linger, grown, covered }
    }

    /// Waits until the selection is followed.
    pub(super) async fn listen(self: &Arc<Self>, selection: &Selection) -> Listening {
        let mut covered = self.covered.subscribe();
        let wanting = self.want(selection);
        loop {
            if let Some(after) = self.covered_after(selection) {
                return Listening { after, until_dropped: Some(Box::new(wanting)) };
            }
            // It is there as long as this is.
            let _ = covered.changed().await;
        }
    }

    fn want(self: &Arc<Self>, selection: &Selection) -> Wanting {
        let mut wants = lock(&self.wants);
        for selector in selection.selectors() {
            let new = Want { followers: 0, idle_since: None, after: None };
            let want = wants.entry(selector.clone()).or_insert(new);
            want.followers += 1;
            want.idle_since = None;
            if want.after.is_none() {
                self.grown.notify_one();
            }
        }
        Wanting { wanted: self.clone(), selection: selection.clone() }
    }

    fn covered_after(&self, selection: &Selection) -> Option<Position> {
        let wants = lock(&self.wants);
        let after = |selector| wants.get(selector).and_then(|want| want.after);
        selection
            .selectors()
            .iter()
            .try_fold(Position::START, |most, one| Some(most.max(after(one)?)))
    }

    /// Is ready when something is wanted that is not followed.
    pub(super) async fn grown(&self) {
        self.grown.notified().await;
    }

    /// What is to be followed, without what nobody has wanted for a while.
    pub(super) fn selection(&self) -> Selection {
        let mut wants = lock(&self.wants);
        let has_lingered = |since: Instant| since.elapsed() >= self.linger;
        wants.retain(|_, want| !want.idle_since.is_some_and(has_lingered));
        let selection = Selection::new(wants.keys().cloned().collect::<BTreeSet<_>>());
        drop(wants);
        let is_short = question::topics(&selection).len() <= MOST_BYTES;
        if selection.selectors().len() <= MOST && is_short {
            return selection;
        }
        Selection::new([Selector::Prefix("".into())])
    }

    /// The selection is followed, behind this position.
    pub(super) fn cover(&self, selection: &Selection, after: Position) {
        let mut wants = lock(&self.wants);
        let is_selected =
            |one: &Selector| selection.selectors().iter().any(|selector| selector.covers(one));
        for (_, want) in wants.iter_mut().filter(|(selector, _)| is_selected(selector)) {
            want.after.get_or_insert(after);
        }
        drop(wants);
        self.covered.send_replace(());
    }

    /// The topics that are followed by their names.
    pub(super) fn topics(&self) -> Vec<TopicName> {
        let wants = lock(&self.wants);
        let names = wants.keys().filter_map(|selector| match selector {
            Selector::Topic(name) => Some(name.clone()),
            Selector::Prefix(_) => None,
        });
        names.collect()
    }
}

impl Drop for Wanting {
    fn drop(&mut self) {
        let mut wants = lock(&self.wanted.wants);
        for selector in self.selection.selectors() {
            if let Some(want) = wants.get_mut(selector) {
                want.followers -= 1;
                want.idle_since = (want.followers == 0).then(Instant::now);
            }
        }
    }
}
