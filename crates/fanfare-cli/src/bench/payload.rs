//! What an event carries, so that each reader knows which one it is and when it was sent.

use std::iter;

use memchr::memmem::Finder;

/// Fields of fixed widths, in hexadecimal: nothing has to be escaped, whatever a server wraps it in.
const RUN_DIGITS: usize = 8;
const TOPIC_DIGITS: usize = 6;
const PUBLISHER_DIGITS: usize = 3;
const NUMBER_DIGITS: usize = 10;
const SENT_DIGITS: usize = 14;

const BEGIN: &[u8] = b"fan-";
const NEEDLE_BYTES: usize = BEGIN.len() + RUN_DIGITS + 1;

/// The most that the fields can hold.
pub(super) const MOST_TOPICS: u32 = 1 << 20;
pub(super) const MOST_PUBLISHERS: u32 = 1 << 10;

/// What stands in the data of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) topic: u32,
    pub(super) publisher: u32,
    /// Counts what this publisher has sent to this topic.
    pub(super) number: u64,
    /// Nanoseconds of this run's clock.
    pub(super) sent: u64,
}

impl Mark {
    pub(super) const BYTES: usize =
        NEEDLE_BYTES + TOPIC_DIGITS + PUBLISHER_DIGITS + NUMBER_DIGITS + SENT_DIGITS;
}

/// Knows the marks of one run of this program from all others that a server may still have.
#[derive(Debug, Clone)]
pub(super) struct Marks {
    finder: Finder<'static>,
    payload_bytes: usize,
}

impl Marks {
    /// Payloads are of this size, or as large as a mark if that is more.
    pub(super) fn of_run(run: u32, payload_bytes: usize) -> Self {
        let mut needle = BEGIN.to_vec();
        needle.resize(BEGIN.len() + RUN_DIGITS, 0);
        write_hex(&mut needle[BEGIN.len()..], run.into());
        needle.push(b'-');
        let payload_bytes = payload_bytes.max(Mark::BYTES);
        Self { finder: Finder::new(&needle).into_owned(), payload_bytes }
    }

    /// A payload into which marks can be written.
    pub(super) fn payload(&self) -> Vec<u8> {
        let mut payload = self.finder.needle().to_vec();
        payload.resize(self.payload_bytes, b'.');
        payload
    }

    /// Writes a mark over that of a payload.
    pub(super) fn write(payload: &mut [u8], mark: &Mark) {
        let fields = [
            (TOPIC_DIGITS, u64::from(mark.topic)),
            (PUBLISHER_DIGITS, u64::from(mark.publisher)),
            (NUMBER_DIGITS, mark.number),
            (SENT_DIGITS, mark.sent),
        ];
        let mut at = NEEDLE_BYTES;
        for (digits, value) in fields {
            write_hex(&mut payload[at..at + digits], value);
            at += digits;
        }
    }

    /// The marks in the data, wherever they are: a server may put several payloads into one event.
    pub(super) fn find(&self, mut data: &[u8]) -> impl Iterator<Item = Mark> {
        iter::from_fn(move || {
            let is_here = data.starts_with(self.finder.needle());
            let at = if is_here { 0 } else { self.finder.find(data)? };
            let mark = read(data.get(at + NEEDLE_BYTES..at + Mark::BYTES)?);
            // Nothing is looked for in what fills a payload up.
            data = data.get(at + self.payload_bytes..).unwrap_or_default();
            mark
        })
    }
}

fn read(mut fields: &[u8]) -> Option<Mark> {
    let mut next = |digits| {
        let (field, rest) = fields.split_at(digits);
        fields = rest;
        read_hex(field)
    };
    Some(Mark {
        topic: u32::try_from(next(TOPIC_DIGITS)?).ok()?,
        publisher: u32::try_from(next(PUBLISHER_DIGITS)?).ok()?,
        number: next(NUMBER_DIGITS)?,
        sent: next(SENT_DIGITS)?,
    })
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";
const NO_DIGIT: u8 = 0xff;
const VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0_u8;
    while value < 16 {
        values[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    values
}

fn write_hex(field: &mut [u8], mut value: u64) {
    for digit in field.iter_mut().rev() {
        *digit = DIGITS[(value & 15) as usize];
        value >>= 4;
    }
}

fn read_hex(field: &[u8]) -> Option<u64> {
    let (mut number, mut seen) = (0, 0);
    for &digit in field {
        let value = VALUES[usize::from(digit)];
        seen |= value;
        number = number << 4 | u64::from(value & 15);
    }
    (seen < 16).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark { topic: 7, publisher: 3, number: 0x12_3456, sent: 987_654_321_012 };

    fn found(marks: &Marks, data: &[u8]) -> Vec<Mark> {
        marks.find(data).collect()
    }

    #[test]
    fn a_mark_is_found_wherever_it_is_in_the_data() {
        for bytes in [0, 100] {
            let marks = Marks::of_run(0xdead_beef, bytes);
            let mut payload = marks.payload();
            assert_eq!(payload.len(), bytes.max(Mark::BYTES));
            Marks::write(&mut payload, &MARK);
            assert_eq!(found(&marks, &payload), [MARK]);
            let wrapped = [b"[{\"data\":\"fan-", &*payload, b"\"}]"].concat();
            assert_eq!(found(&marks, &wrapped), [MARK]);
        }
    }

    #[test]
    fn each_of_several_payloads_in_one_event_is_found() {
        for bytes in [0, 100] {
            let marks = Marks::of_run(1, bytes);
            let (mut first, mut second) = (marks.payload(), marks.payload());
            let later = Mark { number: MARK.number + 1, ..MARK };
            Marks::write(&mut first, &MARK);
            Marks::write(&mut second, &later);
            assert_eq!(found(&marks, &[&*first, &*second].concat()), [MARK, later]);
            let array = [b"[\"", &*first, b"\",\"", &*second, b"\"]"].concat();
            assert_eq!(found(&marks, &array), [MARK, later]);
        }
    }

    #[test]
    fn the_marks_of_other_runs_and_cut_ones_are_none() {
        let marks = Marks::of_run(1, 0);
        let mut payload = marks.payload();
        Marks::write(&mut payload, &MARK);
        assert_eq!(found(&Marks::of_run(2, 0), &payload), []);
        assert_eq!(found(&marks, &payload[..payload.len() - 1]), []);
        payload[NEEDLE_BYTES] = b'g';
        assert_eq!(found(&marks, &payload), []);
    }

    #[test]
    fn the_fields_hold_all_that_may_be_asked_for() {
        assert!(u64::from(MOST_TOPICS) <= 1 << (4 * TOPIC_DIGITS));
        assert!(u64::from(MOST_PUBLISHERS) <= 1 << (4 * PUBLISHER_DIGITS));
    }
}
