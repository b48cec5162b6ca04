//! Reading, beside everything else.
//!
//! A dense selection is read from the bundles one behind the other; of a sparse one the index says
//! where its events lie.

use std::{
    cell::OnceCell,
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    mem,
    ops::RangeInclusive,
};

use bytes::Bytes;
use fanfare_fanout::Position;
use fjall::{Readable, Snapshot};

use super::{
    Shared,
    format::{Damaged, Head, Heads, Row, Taking, index_key, read_index_value},
    store::Store,
    topics::Topic,
};
use crate::{
    Selection, TopicName,
    log::{BoxError, Page, Read, Record},
};

/// Events that one read looks at.
const MAX_LOOKED_AT: usize = 10_000;
/// More topics are read from the bundles: each costs a search in the index.
const MAX_INDEXED_TOPICS: usize = 64;
/// So few events are read from the bundles, whatever is wanted.
const NEAR: u64 = 256;
/// The index is used when fewer than one in so many events are wanted.
const SPARSE: u64 = 8;

/// The log as it was at one moment.
pub(super) struct Reader<'a> {
    store: &'a Store,
    shared: &'a Shared,
    newest: u64,
    snapshot: OnceCell<Snapshot>,
}

/// A topic that is wanted.
#[derive(Debug, Clone)]
struct Wanted {
    name: TopicName,
    topic: Topic,
    /// Of its rows those that were not on the disk; looked up before the disk is.
    rows: Vec<Row>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(store: &'a Store, shared: &'a Shared) -> Self {
        // First: everything up to it is in the snapshot.
        let newest = shared.newest().0;
        Self { store, shared, newest, snapshot: OnceCell::new() }
    }

    fn snapshot(&self) -> &Snapshot {
        self.snapshot.get_or_init(|| self.store.database.snapshot())
    }

    pub(super) fn read(&self, read: &Read) -> Result<Page, BoxError> {
        let until = read.until.0.min(self.newest);
        let after = read.after.0.min(until);
        let mut page = Filling::new(read, after);
        if after < until && self.fill(&mut page, read, after, until)? {
            page.through = until;
        }
        Ok(Page { records: page.records, through: Position(page.through) })
    }

    /// Tells whether everything has been read.
    fn fill(
        &self,
        page: &mut Filling,
        read: &Read,
        after: u64,
        until: u64,
    ) -> Result<bool, BoxError> {
        match self.sparse(&read.selection, after, until) {
            Some(wanted) => self.fill_by_index(page, wanted, after, until),
            None => self.fill_by_bundles(page, &read.selection, after, until),
        }
    }

    /// The topics with events between two positions, if those events are few.
    fn sparse(&self, selection: &Selection, after: u64, until: u64) -> Option<Vec<Wanted>> {
        let span = until.saturating_sub(after);
        if span <= NEAR {
            return None;
        }
        let topics = self.shared.topics();
        let has_some = |topic: &Topic| topic.events > 0 && topic.newest > after;
        let wanted = topics.selected(selection).filter(|(_, topic)| has_some(topic));
        let mut density = 0;
        let mut sparse = vec![];
        for (name, topic) in wanted {
            // As if they lay evenly.
            let among = topic.newest - topic.oldest + 1;
            let events = u128::from(topic.events) * u128::from(span) / u128::from(among);
            density += u64::try_from(events).unwrap_or(u64::MAX).min(span);
            if sparse.len() >= MAX_INDEXED_TOPICS || density.saturating_mul(SPARSE) > span {
                return None;
            }
            let rows = behind(topics.rows(topic.id), after.max(topic.dropped)).to_vec();
            sparse.push(Wanted { name: name.clone(), topic: *topic, rows });
        }
        Some(sparse)
    }

    fn fill_by_bundles(
        &self,
        page: &mut Filling,
        selection: &Selection,
        after: u64,
        until: u64,
    ) -> Result<bool, BoxError> {
        let mut resolver = Resolver { shared: self.shared, selection, known: HashMap::new() };
        let bundles = self.snapshot().range(&self.store.events, (after + 1).to_be_bytes()..);
        let mut looked_at = 0;
        for bundle in bundles {
            let bundle: Bytes = bundle.value()?.into();
            for head in Heads::read(&bundle)? {
                let head = head?;
                let position = head.position();
                if position <= after {
                    continue;
                }
                if position > until {
                    return Ok(true);
                }
                let name = resolver.wanted(head.place.topic, position);
                let is_wanted = name.is_some();
                if looked_at >= MAX_LOOKED_AT || (is_wanted && page.is_full(head.size())) {
                    return Ok(false);
                }
                looked_at += 1;
                page.through = position;
                if let Some(name) = name {
                    page.push(head.record(&bundle, name.clone(), Taking::Shared)?);
                }
            }
        }
        Ok(true)
    }

    fn fill_by_index(
        &self,
        page: &mut Filling,
        wanted: Vec<Wanted>,
        after: u64,
        until: u64,
    ) -> Result<bool, BoxError> {
        let mut walks = Walks::new(self, wanted, after, Direction::Forward)?;
        let mut open = OpenBundle::default();
        while let Some((row, name)) = walks.next()? {
            if row.position > until {
                return Ok(true);
            }
            if page.is_full(usize::try_from(row.size)?) {
                return Ok(false);
            }
            page.push(open.record(self, row, name)?);
            page.through = row.position;
        }
        Ok(true)
    }

    /// Where the events of a topic behind a position lie, the oldest first.
    pub(super) fn rows(
        &self,
        topic: u64,
        after: u64,
    ) -> impl Iterator<Item = Result<Row, BoxError>> {
        // First: what is not in memory any more is on the disk.
        let in_memory = behind(self.shared.topics().rows(topic), after).to_vec();
        let snapshot = self.store.database.snapshot();
        let until = in_memory.first().map_or(u64::MAX, |row| row.position);
        let entries = snapshot.range(&self.store.index, index_range(topic, after));
        let on_disk = entries.flat_map(|entry| match read_rows(entry) {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        let is_one = move |row: &Row| row.position > after && row.position < until;
        let on_disk = on_disk.filter(move |row| row.as_ref().map_or(true, is_one));
        let newest = self.newest;
        on_disk
            .chain(in_memory.into_iter().map(Ok))
            .filter(move |row| row.as_ref().map_or(true, |row| row.position <= newest))
    }

    /// The heads of all events behind a position.
    pub(super) fn heads(&self, after: u64) -> impl Iterator<Item = Result<Head, BoxError>> {
        let from = after.saturating_add(1).to_be_bytes();
        let bundles = self.snapshot().range(&self.store.events, from..);
        let heads = bundles.flat_map(|bundle| match read_heads(bundle) {
            Ok(heads) => heads.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        let newest = self.newest;
        heads.filter(move |head| {
            head.as_ref().map_or(true, |head| head.position() > after && head.position() <= newest)
        })
    }

    /// The position behind which the newest `count` events of the selection lie.
    pub(super) fn before_last(&self, selection: &Selection, count: u64) -> Result<u64, BoxError> {
        let topics = self.shared.topics();
        let all = topics.selected(selection).filter(|(_, topic)| topic.events > 0);
        let (events, oldest) = all.fold((0, u64::MAX), |(events, oldest), (_, topic)| {
            (events + topic.events, topic.oldest.min(oldest))
        });
        drop(topics);
        if count == 0 || events == 0 {
            return Ok(self.newest);
        }
        if count >= events {
            return Ok(oldest - 1);
        }
        let last = match self.sparse(selection, oldest - 1, self.newest) {
            Some(wanted) => self.last_by_index(wanted, count)?,
            None => self.last_by_bundles(selection, count)?,
        };
        Ok(last.map_or(self.newest, |last| last - 1))
    }

    fn last_by_index(&self, wanted: Vec<Wanted>, count: u64) -> Result<Option<u64>, BoxError> {
        let mut walks = Walks::new(self, wanted, 0, Direction::Backward)?;
        let (mut seen, mut last) = (0, None);
        while seen < count
            && let Some((row, _)) = walks.next()?
        {
            if row.position <= self.newest {
                seen += 1;
                last = Some(row.position);
            }
        }
        Ok(last)
    }

    fn last_by_bundles(&self, selection: &Selection, count: u64) -> Result<Option<u64>, BoxError> {
        let mut resolver = Resolver { shared: self.shared, selection, known: HashMap::new() };
        let (mut seen, mut last) = (0, None);
        for bundle in self.snapshot().iter(&self.store.events).rev() {
            let heads = read_heads(bundle)?;
            for head in heads.iter().rev().filter(|head| head.position() <= self.newest) {
                if resolver.wanted(head.place.topic, head.position()).is_none() {
                    continue;
                }
                seen += 1;
                last = Some(head.position());
                if seen == count {
                    return Ok(last);
                }
            }
        }
        Ok(last)
    }
}

/// A page that is being filled.
struct Filling {
    records: Vec<Record>,
    through: u64,
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
}

impl Filling {
    fn new(read: &Read, after: u64) -> Self {
        let Read { max_events, max_bytes, .. } = *read;
        Self {
            records: vec![],
            through: after,
            bytes: 0,
            max_events: max_events.clamp(1, MAX_LOOKED_AT),
            max_bytes,
        }
    }

    /// Whether there is no room for one more of this size.
    fn is_full(&self, size: usize) -> bool {
        self.records.len() >= self.max_events
            || (!self.records.is_empty() && self.bytes.saturating_add(size) > self.max_bytes)
    }

    fn push(&mut self, record: Record) {
        self.bytes += record.event.data.len();
        self.records.push(record);
    }
}

/// Knows which events of the bundles are wanted, and alive.
struct Resolver<'a> {
    shared: &'a Shared,
    selection: &'a Selection,
    /// Of the wanted: the name, and up to where events were dropped.
    known: HashMap<u64, Option<(TopicName, u64)>>,
}

impl Resolver<'_> {
    fn wanted(&mut self, topic: u64, position: u64) -> Option<&TopicName> {
        let (shared, selection) = (self.shared, self.selection);
        let known = self.known.entry(topic).or_insert_with(|| {
            let topics = shared.topics();
            let (name, topic) = topics.by_id(topic)?;
            selection.matches(name).then(|| (name.clone(), topic.dropped))
        });
        known.as_ref().filter(|(_, dropped)| position > *dropped).map(|(name, _)| name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// The rows of one topic, in one direction.
struct Walk {
    name: TopicName,
    entries: Box<dyn Iterator<Item = fjall::Guard>>,
    /// Those on the disk lie between these positions.
    after: u64,
    until: u64,
    rows: VecDeque<Row>,
    /// Those in memory, if their turn comes last.
    last: VecDeque<Row>,
    direction: Direction,
}

impl Walk {
    fn new(reader: &Reader<'_>, wanted: Wanted, after: u64, direction: Direction) -> Self {
        let Wanted { name, topic, rows } = wanted;
        let after = after.max(topic.dropped);
        let until = rows.first().map_or(u64::MAX, |row| row.position);
        let range = reader.snapshot().range(&reader.store.index, index_range(topic.id, after));
        let in_memory = VecDeque::from(rows);
        let none = VecDeque::new();
        let (entries, rows, last): (Box<dyn Iterator<Item = _>>, _, _) = match direction {
            Direction::Forward => (Box::new(range), none, in_memory),
            Direction::Backward => (Box::new(range.rev()), in_memory, none),
        };
        Self { name, entries, after, until, rows, last, direction }
    }

    fn next(&mut self) -> Result<Option<Row>, BoxError> {
        while self.rows.is_empty() {
            let Some(entry) = self.entries.next() else {
                self.rows = mem::take(&mut self.last);
                break;
            };
            let rows = read_rows(entry)?.into_iter();
            let is_one = |row: &Row| row.position > self.after && row.position < self.until;
            self.rows.extend(rows.filter(is_one));
        }
        Ok(match self.direction {
            Direction::Forward => self.rows.pop_front(),
            Direction::Backward => self.rows.pop_back(),
        })
    }
}

/// The rows of several topics, in one order.
struct Walks {
    #[expect(clippy::struct_field_names, reason = "there is no other word for them")]
    walks: Vec<Walk>,
    /// What each walk comes to next, the foremost on top.
    heads: BinaryHeap<(Reverse<u64>, usize)>,
    next: Vec<Option<Row>>,
}

impl Walks {
    fn new(
        reader: &Reader<'_>,
        wanted: Vec<Wanted>,
        after: u64,
        direction: Direction,
    ) -> Result<Self, BoxError> {
        let walks: Vec<_> =
            wanted.into_iter().map(|one| Walk::new(reader, one, after, direction)).collect();
        let next = vec![None; walks.len()];
        let mut walks = Self { walks, heads: BinaryHeap::new(), next };
        for index in 0..walks.walks.len() {
            walks.advance(index)?;
        }
        Ok(walks)
    }

    fn advance(&mut self, index: usize) -> Result<(), BoxError> {
        let walk = &mut self.walks[index];
        self.next[index] = walk.next()?;
        if let Some(row) = &self.next[index] {
            let rank = match walk.direction {
                Direction::Forward => row.position,
                Direction::Backward => u64::MAX - row.position,
            };
            self.heads.push((Reverse(rank), index));
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<(Row, TopicName)>, BoxError> {
        let Some((_, index)) = self.heads.pop() else { return Ok(None) };
        let Some(row) = self.next[index] else { return Ok(None) };
        self.advance(index)?;
        Ok(Some((row, self.walks[index].name.clone())))
    }
}

/// The bundle that was looked into last: neighbours often lie together.
#[derive(Default)]
struct OpenBundle {
    key: Option<u64>,
    bundle: Bytes,
    heads: Vec<Head>,
}

impl OpenBundle {
    fn record(
        &mut self,
        reader: &Reader<'_>,
        row: Row,
        name: TopicName,
    ) -> Result<Record, BoxError> {
        if self.key != Some(row.bundle) {
            let bundle = reader.snapshot().get(&reader.store.events, row.bundle.to_be_bytes())?;
            self.bundle = bundle.ok_or(MISSING)?.into();
            self.heads = Heads::read(&self.bundle)?.collect::<Result<_, _>>()?;
            self.key = Some(row.bundle);
        }
        let index = self.heads.binary_search_by_key(&row.position, Head::position);
        let head = &self.heads[index.map_err(|_| MISSING)?];
        // Shared, it would keep all of the bundle for few of its events.
        Ok(head.record(&self.bundle, name, Taking::Copied)?)
    }
}

const MISSING: Damaged = Damaged("an event that the index knows");

/// Where the index has the rows of a topic behind a position.
fn index_range(topic: u64, after: u64) -> RangeInclusive<[u8; 16]> {
    index_key(topic, after.saturating_add(1))..=index_key(topic, u64::MAX)
}

/// The rows behind a position.
fn behind(rows: &[Row], position: u64) -> &[Row] {
    &rows[rows.partition_point(|row| row.position <= position)..]
}

fn read_rows(entry: fjall::Guard) -> Result<Vec<Row>, BoxError> {
    Ok(read_index_value(&entry.value()?)?)
}

fn read_heads(bundle: fjall::Guard) -> Result<Vec<Head>, BoxError> {
    Ok(Heads::read(&bundle.value()?)?.collect::<Result<_, _>>()?)
}
