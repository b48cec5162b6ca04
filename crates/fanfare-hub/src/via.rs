//! Which hubs a stream has come through, so that none follows itself.
//!
//! A hub that asks another one for a stream says its name, the epoch of its log, in `Fanfare-Via`; the
//! answer names the hub that gives the stream, and those it has the stream from. If these change, the stream ends,
//! and the hub asks again: of hubs that have asked each other in a circle, one finds itself named sooner or later.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use http::{HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;

use crate::{Epoch, Selection, TopicName};

/// The header with the names of hubs, the nearest first.
pub const VIA: HeaderName = HeaderName::from_static("fanfare-via");

/// A stream comes through so many hubs at most.
const MOST: usize = 32;
/// The longest name of a hub, in bytes.
const LONGEST: usize = 64;

/// Names of hubs, the nearest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Via(Vec<Arc<str>>);

/// A stream would come back to a hub that it has come through.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the hub {0} would follow itself")]
pub struct Circle(Arc<str>);

impl Via {
    /// What a hub says of itself when it asks for a stream.
    pub fn of(epoch: Epoch) -> Self {
        Self(vec![epoch.as_str().into()])
    }

    /// What the headers say; `None` if they say nothing. What is too much to be true is left out.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let texts = headers.get_all(VIA).iter().filter_map(|value| value.to_str().ok());
        let names = texts.flat_map(|text| text.split(',')).map(str::trim);
        let names = names.filter(|name| (1..=LONGEST).contains(&name.len()));
        headers.contains_key(VIA).then(|| Self(names.take(MOST).map(Into::into).collect()))
    }

    /// The header's value.
    pub fn to_header(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.to_string()).ok()
    }

    /// What a hub says of itself that has the log of another one, and so its epoch.
    pub fn named(name: &str) -> Self {
        Self(vec![name.into()])
    }

    /// These, and behind them further ones.
    #[must_use]
    pub fn then(&self, further: &Self) -> Self {
        Self(self.0.iter().chain(&further.0).take(MOST).cloned().collect())
    }

    /// A name that both have is that of a hub which would follow itself.
    fn check(&self, other: &Self) -> Result<(), Circle> {
        let common = self.0.iter().find(|name| other.0.contains(name));
        common.map_or(Ok(()), |name| Err(Circle(name.clone())))
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// Where the topics come from that a hub has from elsewhere, and which hubs have them from it.
#[derive(Debug, Default)]
pub(crate) struct Courses(Mutex<Topics>);

type Topics = BTreeMap<TopicName, Course>;

#[derive(Debug, Default)]
struct Course {
    upstream: Via,
    /// The hubs whose streams are open now: those that began before the upstream was asked,
    earlier: Vec<Arc<Downstream>>,
    /// and those that began since.
    since: Vec<Arc<Downstream>>,
}

/// A hub that follows this one, and what it was told.
#[derive(Debug)]
struct Downstream {
    selection: Selection,
    via: Via,
    told: Via,
    waker: AtomicWaker,
}

/// A hub follows this one, until this is dropped.
#[derive(Debug)]
pub(crate) struct Follower {
    courses: Arc<Courses>,
    hub: Arc<Downstream>,
}

impl Courses {
    fn lock(&self) -> MutexGuard<'_, Topics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The topic comes from elsewhere, where it is asked for from now on.
    pub(crate) fn ask(&self, topic: &TopicName) {
        self.lock().entry(topic.clone()).or_default().ask();
    }

    /// The upstream gives nothing until it answers again, whatever it has come through.
    pub(crate) fn refused(&self, topic: &TopicName) {
        self.lock().entry(topic.clone()).or_default().comes_through(Via::default());
    }

    /// Notes which hubs the topic has come through. Hubs that ask each other in the same moment find out all
    /// the same: at least one of them was asked after it had asked, and before it is answered. One that
    /// followed before that finds out itself: it was told another way, and asks again.
    pub(crate) fn came(&self, topic: &TopicName, own: Epoch, via: Via) -> Result<(), Circle> {
        let mut courses = self.lock();
        let course = courses.entry(topic.clone()).or_default();
        let downstream = course.since.iter();
        let checked =
            downstream.map(|hub| via.check(&hub.via)).chain([via.check(&Via::of(own))]).collect();
        course.comes_through(if Result::is_ok(&checked) { via } else { Via::default() });
        checked
    }

    /// A hub follows the selection from now on. What it is to be told begins with what this hub is and where it
    /// has its log from.
    pub(crate) fn follow(
        self: &Arc<Self>,
        selection: &Selection,
        own: Via,
        via: Via,
    ) -> Result<Follower, Circle> {
        let mut courses = self.lock();
        let told = way(&courses, selection, own);
        via.check(&told)?;
        let (selection, waker) = (selection.clone(), AtomicWaker::new());
        let hub = Arc::new(Downstream { selection, via, told, waker });
        for (_, course) in courses.iter_mut().filter(|(topic, _)| hub.selection.matches(topic)) {
            course.since.push(hub.clone());
        }
        Ok(Follower { courses: self.clone(), hub })
    }
}

/// Which hubs what is selected has come through.
fn way(courses: &Topics, selection: &Selection, own: Via) -> Via {
    let selected = courses.iter().filter(|(topic, _)| selection.matches(topic));
    selected.fold(own, |way, (_, course)| way.then(&course.upstream))
}

impl Course {
    fn ask(&mut self) {
        self.earlier.append(&mut self.since);
    }

    fn comes_through(&mut self, upstream: Via) {
        self.upstream = upstream;
        self.earlier.iter().chain(&self.since).for_each(|hub| hub.waker.wake());
    }
}

impl Follower {
    /// What the hub is told.
    pub(crate) fn told(&self) -> &Via {
        &self.hub.told
    }

    /// Ready when the hub has to ask again: what it follows comes another way now than it was told. What comes
    /// that way is nothing for it, so that no event goes round before the circle is found.
    pub(crate) fn poll_misled(&self, own: Via, context: &mut Context<'_>) -> Poll<()> {
        self.hub.waker.register(context.waker());
        let way = way(&self.courses.lock(), &self.hub.selection, own);
        if way == self.hub.told { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        for course in self.courses.lock().values_mut() {
            course.earlier.retain(|hub| !Arc::ptr_eq(hub, &self.hub));
            course.since.retain(|hub| !Arc::ptr_eq(hub, &self.hub));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use tokio::{join, time::timeout};

    use super::*;

    fn via(names: &str) -> Via {
        Via::read(&HeaderMap::from_iter([(VIA, names.parse().unwrap())])).unwrap()
    }

    fn news() -> TopicName {
        TopicName::new("news").unwrap()
    }

    fn relayed() -> Arc<Courses> {
        let courses = Arc::new(Courses::default());
        courses.ask(&news());
        courses
    }

    /// It is named `10000000`.
    fn own() -> Epoch {
        Epoch::from_seed(1)
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        assert_eq!(via("a, b,c").to_header().unwrap(), "a, b, c");
        assert_eq!(Via::read(&HeaderMap::new()), None);
        assert_eq!(via(&"a,".repeat(100)).0.len(), MOST);
    }

    #[test]
    fn whoever_asks_is_told_the_whole_way() {
        let courses = relayed();
        courses.came(&news(), own(), via("b, c")).unwrap();
        let follower = courses.follow(&news().into(), Via::of(own()), via("d")).unwrap();
        assert_eq!(follower.told(), &via("10000000, b, c"));
        let other = TopicName::new("other").unwrap();
        let follower = courses.follow(&other.into(), Via::of(own()), via("b")).unwrap();
        assert_eq!(follower.told(), &via("10000000"));
    }

    #[test]
    fn a_hub_that_the_stream_has_come_through_is_refused() {
        let courses = relayed();
        courses.came(&news(), own(), via("b, c")).unwrap();
        assert_eq!(
            courses.follow(&news().into(), Via::of(own()), via("c")).unwrap_err(),
            Circle("c".into())
        );
        assert!(courses.follow(&news().into(), Via::of(own()), via("10000000")).is_err());
        assert!(courses.came(&news(), own(), via("b, 10000000")).is_err());
    }

    #[test]
    fn hubs_that_ask_each_other_at_once_find_out() {
        let courses = relayed();
        let follower = courses.follow(&news().into(), Via::of(own()), via("b")).unwrap();
        assert!(courses.came(&news(), own(), via("b")).is_err());
        drop(follower);
        assert!(courses.came(&news(), own(), via("b")).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_was_told_another_way_has_to_ask_again() {
        let courses = relayed();
        let follower = courses.follow(&news().into(), Via::of(own()), via("d")).unwrap();
        let is_misled = async |own: Via| {
            let misled = poll_fn(|context| follower.poll_misled(own.clone(), context));
            timeout(Duration::from_secs(1), misled).await.is_ok()
        };
        assert!(!is_misled(Via::of(own())).await);
        assert!(is_misled(via("10000000, edge")).await, "the log comes another way");
        courses.ask(&news());
        let coming = async { courses.came(&news(), own(), via("b, c")) };
        let (is_woken, came) = join!(is_misled(Via::of(own())), coming);
        assert!(is_woken && came.is_ok());
        courses.refused(&news());
        assert!(!is_misled(Via::of(own())).await);
    }

    #[test]
    fn nobody_keeps_a_topic_from_coming_by_saying_the_name_of_its_upstream() {
        let courses = relayed();
        let liar = courses.follow(&news().into(), Via::of(own()), via("b")).unwrap();
        assert!(courses.came(&news(), own(), via("b")).is_err());
        courses.ask(&news());
        assert!(courses.came(&news(), own(), via("b")).is_ok());
        drop(liar);
    }
}
