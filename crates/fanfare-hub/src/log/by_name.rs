//! What logs keep of topics, by their names.

use std::{collections::BTreeMap, ops::Bound};

use crate::{Selection, Selector, TopicName};

/// What is selected: for one selector after the other, by name.
pub(super) fn selected<'a, T>(
    topics: &'a BTreeMap<TopicName, T>,
    selection: &'a Selection,
) -> impl Iterator<Item = (&'a TopicName, &'a T)> {
    selection.selectors().iter().flat_map(|selector| behind(topics, selector, None))
}

/// Whether topics are selected by their names, and all of them are there.
pub(super) fn has_all<T>(topics: &BTreeMap<TopicName, T>, selection: &Selection) -> bool {
    selection.selectors().iter().all(|selector| match selector {
        Selector::Topic(name) => topics.contains_key(name),
        Selector::Prefix(_) => false,
    })
}

/// The first of what is selected behind a name, by name.
pub(super) fn page<'a, T>(
    topics: &'a BTreeMap<TopicName, T>,
    selection: &Selection,
    after: Option<&TopicName>,
    most: usize,
) -> Vec<(&'a TopicName, &'a T)> {
    let mut page: Vec<_> = selection
        .selectors()
        .iter()
        .flat_map(|selector| behind(topics, selector, after).take(most))
        .collect();
    page.sort_unstable_by_key(|(name, _)| *name);
    page.truncate(most);
    page
}

fn behind<'a, 's, T>(
    topics: &'a BTreeMap<TopicName, T>,
    selector: &'s Selector,
    after: Option<&TopicName>,
) -> impl Iterator<Item = (&'a TopicName, &'a T)> + use<'a, 's, T> {
    let first: &str = match selector {
        Selector::Topic(name) => name.as_str(),
        Selector::Prefix(prefix) => prefix,
    };
    let start = match after {
        Some(after) if after.as_str() >= first => Bound::Excluded(after.as_str()),
        _ => Bound::Included(first),
    };
    topics
        .range::<str, _>((start, Bound::Unbounded))
        .take_while(move |(name, _)| match selector {
            Selector::Topic(one) => *name == one,
            Selector::Prefix(prefix) => name.as_str().starts_with(&**prefix),
        })
        // A prefix may be that of the hub's own topics too, and not select them.
        .filter(move |(name, _)| selector.matches(name))
}
