//! The newest frames of a channel, in memory and within bounds.
//!
//! Frames lie one behind the other in segments, so that a reader gets many of them as one slice.
//! The open segment grows at its tail; what readers have asked for is frozen into parts, which
//! share the tail's memory. A full segment is sealed: one contiguous, shared piece of memory.
//!
//! Inside a channel frames are counted without gaps by a sequence number (`u64`), because
//! positions, which several channels share, have gaps.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    mem,
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use fanfare_wire::{Event, EventId};

use crate::{Bounds, Digest, Frame, Position, Run};

const SEGMENT_BYTES: usize = 64 * 1024;
const SMALLEST_BLOCK_BYTES: usize = 256;
/// A segment is at most this part of the bounds, so that trimming whole segments stays near them.
const SEGMENTS_IN_BOUNDS: usize = 4;

#[derive(Debug)]
pub(crate) struct Window<A: ?Sized> {
    bounds: Bounds,
    sealed: VecDeque<Segment<A>>,
    open: OpenSegment<A>,
    /// The sequence number of the oldest frame that is kept.
    first: u64,
    /// The position of the newest frame that is no longer kept.
    trimmed: Position,
    /// Of all segments, also of frames before `first` in the oldest one.
    bytes: usize,
    /// The newest frame of each id that an event brought along.
    named: BTreeMap<EventId, u64>,
    /// By index, of frames that are no longer kept. An audience may do anything when it is dropped,
    /// so that is done once the lock is released.
    trimmed_audiences: Vec<(usize, Arc<A>)>,
}

#[derive(Debug)]
pub(crate) struct Segment<A: ?Sized> {
    frames: Frames<A>,
    bytes: Bytes,
}

#[derive(Debug)]
struct OpenSegment<A: ?Sized> {
    frames: Frames<A>,
    parts: Vec<Part>,
    tail: BytesMut,
    tail_start: usize,
    /// How large the memory of a new segment should be, from the one before.
    size_hint: usize,
}

/// A frozen piece of the open segment, from a frame's start to a frame's end.
#[derive(Debug)]
struct Part {
    start: usize,
    bytes: Bytes,
}

/// Where the frames of a segment are.
#[derive(Debug)]
struct Frames<A: ?Sized> {
    first: u64,
    marks: Vec<Mark>,
    /// The digests from the start up to each frame; none, if no frame has one.
    digests: Vec<Digest>,
    /// The frames that are not for everybody, by index.
    restricted: Vec<(usize, Arc<A>)>,
    /// The ids that events brought along.
    named: Vec<EventId>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    position: Position,
    end: usize,
}

/// What a read may return.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadLimit {
    pub(crate) max_bytes: usize,
    pub(crate) until: Position,
}

impl<A: ?Sized> Window<A> {
    /// A window that follows the frame at `after`.
    pub(crate) fn new(bounds: Bounds, after: Position) -> Self {
        Self {
            bounds,
            sealed: VecDeque::new(),
            open: OpenSegment::starting_at(0, 0),
            first: 0,
            trimmed: after,
            bytes: 0,
            named: BTreeMap::new(),
            trimmed_audiences: vec![],
        }
    }

    /// The sequence number of the oldest frame that is kept.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The sequence number that the next frame will have.
    pub(crate) fn next(&self) -> u64 {
        self.open.frames.next()
    }

    /// The position of the newest frame, also when it is no longer kept.
    pub(crate) fn newest(&self) -> Position {
        let sealed = || self.sealed.back().map_or(self.trimmed, |segment| segment.frames.newest());
        self.open.frames.marks.last().map_or_else(sealed, |mark| mark.position)
    }

    /// The position of the newest frame that is no longer kept.
    pub(crate) fn trimmed(&self) -> Position {
        self.trimmed
    }

    /// Encodes `event` behind the newest frame. `own_id` is kept to find the frame by.
    pub(crate) fn append(
        &mut self,
        position: Position,
        event: &Event,
        own_id: Option<EventId>,
        audience: Option<Arc<A>>,
    ) {
        let length = event.encoded_len();
        event.encode(self.room(length));
        if let Some(id) = own_id {
            let id = id.to_compact();
            self.named.insert(id.clone(), self.next());
            self.open.frames.named.push(id);
        }
        self.open.frames.push(position, length, audience);
        self.bytes += length;
        self.trim();
    }

    /// Copies a ready frame behind the newest one.
    pub(crate) fn append_frame(&mut self, position: Position, frame: &Frame) {
        let length = frame.bytes.len();
        self.room(length).extend_from_slice(&frame.bytes);
        self.open.frames.push(position, length, None);
        self.open.frames.digest(frame.digest);
        self.bytes += length;
        self.trim();
    }

    /// Drops all frames, and leaves out what would have come up to `position`: no reader that is here
    /// has it all.
    pub(crate) fn skip_to(&mut self, position: Position) {
        self.drop_before(self.next());
        // A number that no frame has: who has read everything is behind it, too.
        let next = self.next() + 1;
        let open = mem::replace(&mut self.open, OpenSegment::starting_at(next, 0));
        self.trimmed_audiences.extend(open.frames.restricted);
        (self.first, self.trimmed, self.bytes) = (next, position, 0);
        self.named.clear();
    }

    /// Where the next frame goes, with room for its `length` bytes in one piece.
    fn room(&mut self, length: usize) -> &mut BytesMut {
        if self.is_segment_full(length) {
            self.sealed.push_back(self.open.seal());
        }
        self.open.reserve(length);
        &mut self.open.tail
    }

    /// Whether the next frame, of `length` bytes, belongs into another segment than the open one.
    fn is_segment_full(&self, length: usize) -> bool {
        let share = |bound: usize| (bound / SEGMENTS_IN_BOUNDS).max(1);
        let frames = self.open.frames.marks.len();
        let is_too_long = self.open.length() + length > share(self.bounds.bytes).min(SEGMENT_BYTES);
        frames > 0 && (is_too_long || frames >= share(self.bounds.frames))
    }

    fn trim(&mut self) {
        let kept = self.next().saturating_sub(self.bounds.frames as u64);
        self.drop_before(kept);
        // The open segment, which holds the newest frame, stays whatever its size.
        while self.bytes > self.bounds.bytes
            && let Some(oldest) = self.sealed.front()
        {
            self.drop_before(oldest.frames.next());
        }
    }

    fn drop_before(&mut self, sequence: u64) {
        if sequence <= self.first {
            return;
        }
        self.trimmed = self.frames_of(sequence - 1).position(sequence - 1);
        self.first = sequence;
        while let Some(oldest) = self.sealed.pop_front_if(|oldest| oldest.frames.next() <= sequence)
        {
            self.bytes -= oldest.bytes.len();
            let next = oldest.frames.next();
            for id in oldest.frames.named {
                self.forget_unless_newer(id, next);
            }
            self.trimmed_audiences.extend(oldest.frames.restricted);
        }
    }

    /// Forgets a trimmed id, unless a frame from `next` on has it again.
    fn forget_unless_newer(&mut self, id: EventId, next: u64) {
        if let Entry::Occupied(newest) = self.named.entry(id)
            && *newest.get() < next
        {
            newest.remove();
        }
    }

    /// Hands out the audiences that were trimmed, to be dropped once the lock is released.
    pub(crate) fn take_trimmed_audiences(&mut self) -> Vec<(usize, Arc<A>)> {
        mem::take(&mut self.trimmed_audiences)
    }

    /// The longest run of frames from `from` on that the limit allows, at least one frame long;
    /// `None` when that frame is not there yet, or lies behind `limit.until`.
    ///
    /// `from` must not be before [`first`](Self::first).
    pub(crate) fn read(&mut self, from: u64, limit: ReadLimit) -> Option<Run<A>> {
        if from >= self.next() || self.frames_of(from).position(from) > limit.until {
            return None;
        }
        match self.sealed_index(from) {
            Some(index) => Some(self.sealed[index].read(from, limit)),
            None => Some(self.open.read(from, limit)),
        }
    }

    /// The position of a kept frame.
    pub(crate) fn position(&self, sequence: u64) -> Option<Position> {
        (self.first..self.next())
            .contains(&sequence)
            .then(|| self.frames_of(sequence).position(sequence))
    }

    /// The sequence number of the oldest kept frame that lies behind `position`.
    pub(crate) fn first_after(&self, position: Position) -> u64 {
        let index = self.sealed.partition_point(|segment| segment.frames.newest() <= position);
        let frames = self.sealed.get(index).map_or(&self.open.frames, |segment| &segment.frames);
        let before = frames.marks.partition_point(|mark| mark.position <= position);
        (frames.first + before as u64).max(self.first)
    }

    /// The newest kept frame whose event came with this id: its sequence number and position.
    pub(crate) fn find_named(&self, id: &str) -> Option<(u64, Position)> {
        let sequence = *self.named.get(id)?;
        Some((sequence, self.position(sequence)?))
    }

    fn frames_of(&self, sequence: u64) -> &Frames<A> {
        match self.sealed_index(sequence) {
            Some(index) => &self.sealed[index].frames,
            None => &self.open.frames,
        }
    }

    fn sealed_index(&self, sequence: u64) -> Option<usize> {
        let index = self.sealed.partition_point(|segment| segment.frames.next() <= sequence);
        (index < self.sealed.len()).then_some(index)
    }
}

impl<A: ?Sized> Segment<A> {
    fn read(&self, from: u64, limit: ReadLimit) -> Run<A> {
        let run = self.frames.run(from, limit, self.bytes.len());
        Run {
            bytes: self.bytes.slice(run.start..run.end),
            digest: run.digest,
            frames: run.frames,
            last: run.last,
            audience: run.audience,
        }
    }
}

impl<A: ?Sized> OpenSegment<A> {
    fn starting_at(first: u64, size_hint: usize) -> Self {
        Self {
            frames: Frames::starting_at(first),
            parts: vec![],
            tail: BytesMut::new(),
            tail_start: 0,
            size_hint,
        }
    }

    fn length(&self) -> usize {
        self.tail_start + self.tail.len()
    }

    /// Makes room for `length` bytes in one piece. Memory doubles as the segment grows.
    fn reserve(&mut self, length: usize) {
        if self.tail.capacity() - self.tail.len() >= length {
            return;
        }
        self.freeze_tail();
        let block = self.size_hint.max(self.tail_start).clamp(SMALLEST_BLOCK_BYTES, SEGMENT_BYTES);
        self.tail = BytesMut::with_capacity(block.max(length));
    }

    fn freeze_tail(&mut self) {
        if !self.tail.is_empty() {
            let bytes = self.tail.split().freeze();
            let part = Part { start: self.tail_start, bytes };
            self.tail_start = part.end();
            self.parts.push(part);
        }
    }

    fn read(&mut self, from: u64, limit: ReadLimit) -> Run<A> {
        self.freeze_tail();
        let start = self.frames.start(from);
        let index = self.parts.partition_point(|part| part.end() <= start);
        // A reader whose limit ends within the part has no need of what follows.
        if index + 1 < self.parts.len()
            && self.parts[index].end() < start.saturating_add(limit.max_bytes)
        {
            self.join_parts(index);
        }
        let part = &self.parts[index];
        let run = self.frames.run(from, limit, part.end());
        let bytes = part.bytes.slice(run.start - part.start..run.end - part.start);
        let Span { frames, last, digest, audience, .. } = run;
        Run { bytes, digest, frames, last, audience }
    }

    /// Makes one part of all parts from `index` on, so that who has fallen behind the newest
    /// frames gets them in one piece.
    fn join_parts(&mut self, index: usize) {
        let start = self.parts[index].start;
        let mut joined = BytesMut::with_capacity(self.tail_start - start);
        for part in self.parts.drain(index..) {
            joined.extend_from_slice(&part.bytes);
        }
        self.parts.push(Part { start, bytes: joined.freeze() });
    }

    /// Makes this segment a sealed one and starts the next.
    fn seal(&mut self) -> Segment<A> {
        self.freeze_tail();
        if self.parts.len() > 1 {
            self.join_parts(0);
        }
        let next = Self::starting_at(self.frames.next(), self.tail_start);
        let full = mem::replace(self, next);
        let bytes = full.parts.into_iter().next().map_or_else(Bytes::new, |part| part.bytes);
        Segment { frames: full.frames, bytes }
    }
}

impl Part {
    fn end(&self) -> usize {
        self.start + self.bytes.len()
    }
}

/// The place of a run in its segment.
struct Span<A: ?Sized> {
    start: usize,
    end: usize,
    digest: Digest,
    frames: u64,
    last: Position,
    audience: Option<Arc<A>>,
}

impl<A: ?Sized> Frames<A> {
    fn starting_at(first: u64) -> Self {
        Self { first, marks: vec![], digests: vec![], restricted: vec![], named: vec![] }
    }

    fn next(&self) -> u64 {
        self.first + self.marks.len() as u64
    }

    fn newest(&self) -> Position {
        self.marks.last().map_or(Position::START, |mark| mark.position)
    }

    fn push(&mut self, position: Position, length: usize, audience: Option<Arc<A>>) {
        let index = self.marks.len();
        let end = self.marks.last().map_or(0, |mark| mark.end) + length;
        self.marks.push(Mark { position, end });
        self.restricted.extend(audience.map(|audience| (index, audience)));
    }

    /// Notes the digest of the newest frame.
    fn digest(&mut self, digest: Digest) {
        if digest.is_empty() && self.digests.is_empty() {
            return;
        }
        let before = self.digests.last().copied().unwrap_or_default();
        self.digests.resize(self.marks.len() - 1, before);
        self.digests.push(before.then(digest));
    }

    /// The digest of the first `count` frames.
    fn digest_of(&self, count: usize) -> Digest {
        let known = count.min(self.digests.len());
        known.checked_sub(1).map_or(Digest::EMPTY, |newest| self.digests[newest])
    }

    #[expect(clippy::cast_possible_truncation, reason = "the frames of a segment are in memory")]
    fn index(&self, sequence: u64) -> usize {
        (sequence - self.first) as usize
    }

    fn position(&self, sequence: u64) -> Position {
        self.marks[self.index(sequence)].position
    }

    fn start(&self, sequence: u64) -> usize {
        self.index(sequence).checked_sub(1).map_or(0, |before| self.marks[before].end)
    }

    /// The longest run from `from` on that ends at `memory_end` or before and keeps the limit, but
    /// has one frame at least. A frame that is not for everybody is a run by itself.
    fn run(&self, from: u64, limit: ReadLimit, memory_end: usize) -> Span<A> {
        let index = self.index(from);
        let start = self.start(from);
        let next_restricted =
            self.restricted.partition_point(|(restricted, _)| *restricted < index);
        let (count, audience) = match self.restricted.get(next_restricted) {
            Some((restricted, audience)) if *restricted == index => (1, Some(audience.clone())),
            restricted => {
                let stop = restricted.map_or(self.marks.len(), |(restricted, _)| *restricted);
                let byte_end = start.saturating_add(limit.max_bytes).min(memory_end);
                let fits = |mark: &Mark| mark.end <= byte_end && mark.position <= limit.until;
                (self.marks[index..stop].partition_point(fits).max(1), None)
            }
        };
        let Mark { position: last, end } = self.marks[index + count - 1];
        let digest = self.digest_of_run(index, count);
        Span { start, end, digest, frames: count as u64, last, audience }
    }

    fn digest_of_run(&self, index: usize, count: usize) -> Digest {
        if self.digests.is_empty() {
            return Digest::EMPTY;
        }
        self.digest_of(index + count).without(self.digest_of(index))
    }
}
