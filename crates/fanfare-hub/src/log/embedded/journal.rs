//! fjall's journals, before fjall opens them.
//!
//! fjall takes a journal for ended where it cannot read on, and cuts it off there. After a crash that
//! is right for the last write, which nobody was told of; but a damaged byte further in front would
//! cost everything behind it, silently. So it is looked at first.
//!
//! A journal (of format 3) holds batches, and zeros behind them. A batch is: `1`, the number of items
//! (`u32`), a sequence number (`u64`); the items; `3`, their checksum (`u64`), and a magic. An item is:
//! `2`, its kind, its compression, its keyspace (`u64`), the length of its key (`u16`), of its value
//! and of its value on the disk (`u32` each), and key and value. All numbers are little-endian.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_64;

use super::format::Damaged;
use crate::log::BoxError;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const MAGIC: [u8; 4] = *b"FJL\x03";

const JOURNAL: Damaged = Damaged("a journal");

/// How a log was left, as to its journals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It was closed: everything is whole.
    Closed,
    /// The last write may not be.
    SyncedEach,
    /// Writes that were handed to the operating system may be missing between others that are not.
    Handed,
}

/// Looks whether the journals are as they may have been left, and has them end behind what is whole.
/// Gives the bytes that were cut off.
///
/// What a failed sync has left may be in the memory of the operating system alone, which takes it for
/// written: it would be read, and built upon, and be lost with the power. So the journals of a log
/// that was not closed are written once more.
pub(super) fn mend(database: &Path, left: Left) -> Result<u64, BoxError> {
    if fs::read(database.join("version"))? != MAGIC {
        // fjall says what it thinks of another format.
        return Ok(0);
    }
    let mut journals = list(database)?;
    let Some(active) = journals.pop() else { return Ok(0) };
    for sealed in &journals {
        let journal = fs::read(sealed)?;
        // It was synced before the next one was begun.
        renew(sealed, &journal, Scan::of(&journal).all()?, left)?;
    }
    let journal = fs::read(&active)?;
    let scan = Scan::of(&journal);
    let whole = match left {
        Left::Closed => scan.all()?,
        Left::SyncedEach => scan.all_but_the_last(&journal)?,
        Left::Handed => scan.whole,
    };
    renew(&active, &journal, whole, left)?;
    Ok((scan.written - scan.whole) as u64)
}

/// The journals, in order.
fn list(database: &Path) -> Result<Vec<PathBuf>, BoxError> {
    let mut journals = vec![];
    for entry in fs::read_dir(database)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let number = path.file_stem().and_then(|number| number.to_str()?.parse().ok());
            let number: u64 = number.ok_or(JOURNAL)?;
            journals.push((number, path));
        }
    }
    journals.sort_unstable();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

/// Writes the same once more, and nothing behind it.
fn renew(path: &Path, journal: &[u8], whole: usize, left: Left) -> io::Result<()> {
    if left == Left::Closed {
        return Ok(());
    }
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(&journal[..whole])?;
    file.set_len(whole as u64)?;
    file.sync_all()
}

/// What is in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scan {
    /// Up to where all batches are whole.
    whole: usize,
    /// Behind that there are zeros only.
    written: usize,
}

impl Scan {
    fn of(journal: &[u8]) -> Self {
        let written = journal.len() - zeros_behind(journal);
        let (mut whole, mut number) = (0, None);
        while let Some(batch) = Batch::read(&journal[whole..written])
            && number < Some(batch.number)
        {
            whole += batch.bytes;
            number = Some(batch.number);
        }
        Self { whole, written }
    }

    fn all(self) -> Result<usize, Damaged> {
        if self.whole == self.written { Ok(self.whole) } else { Err(JOURNAL) }
    }

    /// Nothing that is whole may lie behind something that is not.
    fn all_but_the_last(self, journal: &[u8]) -> Result<usize, Damaged> {
        let mut behind = self.whole..self.written;
        if behind.any(|at| Batch::read(&journal[at..self.written]).is_some()) {
            return Err(JOURNAL);
        }
        Ok(self.whole)
    }
}

/// How many zeros the bytes end with.
fn zeros_behind(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    let steps = bytes.rchunks(ZEROS.len());
    let zeros: usize =
        steps.take_while(|step| **step == ZEROS[..step.len()]).map(<[u8]>::len).sum();
    let rest = bytes[..bytes.len() - zeros].iter().rev();
    zeros + rest.take_while(|&&byte| byte == 0).count()
}

/// A batch that is whole.
struct Batch {
    /// They rise.
    number: u64,
    bytes: usize,
}

impl Batch {
    /// The batch that the bytes begin with, if it is whole.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (start, mut rest) = bytes.split_at_checked(1 + 4 + 8)?;
        if start[0] != START {
            return None;
        }
        let items = rest;
        for _ in 0..u32::from_le_bytes(start[1..5].try_into().ok()?) {
            rest = rest.get(item_bytes(rest)?..)?;
        }
        let items = &items[..items.len() - rest.len()];
        let end = rest.get(..1 + 8 + MAGIC.len())?;
        let checksum = u64::from_le_bytes(end[1..9].try_into().ok()?);
        let is_whole = end[0] == END && end[9..] == MAGIC && checksum == xxh3_64(items);
        is_whole.then_some(Self {
            number: u64::from_le_bytes(start[5..].try_into().ok()?),
            bytes: start.len() + items.len() + end.len(),
        })
    }
}

/// The length of the item that the bytes begin with. It may be longer than they are.
fn item_bytes(bytes: &[u8]) -> Option<usize> {
    let head = bytes.get(..1 + 1 + 1 + 8 + 2 + 4 + 4)?;
    let key = u16::from_le_bytes(head[11..13].try_into().ok()?);
    let value = u32::from_le_bytes(head[17..21].try_into().ok()?);
    (head[0] == ITEM).then_some(head.len() + usize::from(key) + usize::try_from(value).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch of one item, as fjall writes it.
    fn batch(number: u64, value: &[u8]) -> Vec<u8> {
        let mut item = vec![ITEM, 0, 0];
        item.extend(7_u64.to_le_bytes());
        item.extend(3_u16.to_le_bytes());
        for _ in 0..2 {
            item.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        }
        item.extend(b"key");
        item.extend(value);
        let start = [&[START][..], &1_u32.to_le_bytes(), &number.to_le_bytes()].concat();
        let end = [&[END][..], &xxh3_64(&item).to_le_bytes(), &MAGIC].concat();
        [start, item, end].concat()
    }

    fn scan(journal: &[u8]) -> (usize, bool, bool) {
        let scan = Scan::of(journal);
        (scan.whole, scan.all().is_ok(), scan.all_but_the_last(journal).is_ok())
    }

    #[test]
    fn zeros_are_counted_from_behind() {
        for zeros in [0, 1, 4095, 4096, 4097, 10_000] {
            for front in [0, 1, 5000] {
                let bytes = [vec![1; front], vec![0; zeros]].concat();
                assert_eq!(zeros_behind(&bytes), zeros);
            }
        }
    }

    #[test]
    fn batches_that_are_whole_are_kept() {
        let journal = [batch(1, b"one"), batch(2, b""), batch(5, b"three")].concat();
        assert_eq!(scan(&journal), (journal.len(), true, true));
        let with_zeros = [&journal[..], &[0; 99]].concat();
        assert_eq!(scan(&with_zeros), (journal.len(), true, true));
        assert_eq!(scan(&[0; 99]), (0, true, true));
        assert_eq!(scan(&[]), (0, true, true));
    }

    #[test]
    fn a_last_batch_that_is_not_whole_is_cut_off() {
        let first = batch(1, b"one");
        let second = batch(2, b"two");
        for length in 1..second.len() {
            let journal = [&first[..], &second[..length], &[0; 9]].concat();
            assert_eq!(scan(&journal), (first.len(), false, true), "{length}");
        }
        for at in 0..second.len() {
            let mut second = second.clone();
            second[at] ^= 0x80;
            let journal = [&first[..], &second].concat();
            // The number of a batch is in no checksum.
            let is_number = (5..13).contains(&at);
            assert_eq!(scan(&journal).0 == first.len(), !is_number, "{at}");
        }
    }

    #[test]
    fn a_batch_behind_one_that_is_not_whole_is_damage() {
        let mut damaged = batch(2, b"two");
        damaged[20] ^= 1;
        let journal = [batch(1, b"one"), damaged, batch(3, b"three")].concat();
        assert_eq!(scan(&journal), (batch(1, b"one").len(), false, false));
        let backwards = [batch(2, b"two"), batch(1, b"one")].concat();
        assert_eq!(scan(&backwards), (batch(2, b"two").len(), false, false));
    }
}
