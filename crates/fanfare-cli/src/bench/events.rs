//! From the bytes of an event stream to the marks of its events.
//!
//! Reads by the rules of the standard as `fanfare_wire::Decoder` does, which the tests hold it
//! against. That one makes events of what it reads, and keeps the last id in memory that it shares
//! with all that was read along with it; here only the marks matter, and a connection must cost
//! little.

use std::mem;

use memchr::memchr2;

use super::payload::{Mark, Marks};

/// A gathered line beyond this size gives its memory back.
const KEPT_BYTES: usize = 4 * 1024;
/// So does room for more marks than these.
const KEPT_MARKS: usize = 16;
/// Of a line that is cut no more is gathered: what comes behind it is left out.
const LONGEST_LINE: usize = 64 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What one stream's bytes so far leave for the next ones.
#[derive(Debug, Default)]
pub(super) struct Events {
    has_begun: bool,
    after_cr: bool,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    has_data: bool,
    marks: Vec<Mark>,
}

impl Events {
    /// Tells of each mark in an event's data, and once of an event that has data without any.
    pub(super) fn read(
        &mut self,
        mut bytes: &[u8],
        marks: &Marks,
        mut each: impl FnMut(Option<Mark>),
    ) {
        loop {
            if self.after_cr && !bytes.is_empty() {
                self.after_cr = false;
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
            let Some(end) = memchr2(b'\n', b'\r', bytes) else { return self.hold(bytes) };
            self.after_cr = bytes[end] == b'\r';
            self.end_line(&bytes[..end], marks, &mut each);
            bytes = &bytes[end + 1..];
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        let room = LONGEST_LINE - self.partial.len();
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self, rest: &[u8], marks: &Marks, each: &mut impl FnMut(Option<Mark>)) {
        if self.partial.is_empty() {
            return self.read_line(rest, marks, each);
        }
        self.hold(rest);
        let mut line = mem::take(&mut self.partial);
        self.read_line(&line, marks, each);
        if line.capacity() <= KEPT_BYTES {
            line.clear();
            self.partial = line;
        }
    }

    fn read_line(&mut self, line: &[u8], marks: &Marks, each: &mut impl FnMut(Option<Mark>)) {
        let is_first = !mem::replace(&mut self.has_begun, true);
        let line = if is_first { without_byte_order_mark(line) } else { line };
        if line.is_empty() {
            self.dispatch(each);
        } else if let Some(data) = data(line) {
            self.has_data = true;
            self.marks.extend(marks.find(data));
        }
    }

    fn dispatch(&mut self, each: &mut impl FnMut(Option<Mark>)) {
        let has_data = mem::take(&mut self.has_data);
        if has_data && self.marks.is_empty() {
            each(None);
        }
        self.marks.drain(..).map(Some).for_each(each);
        if self.marks.capacity() > KEPT_MARKS {
            self.marks = Vec::new();
        }
    }
}

fn without_byte_order_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
}

/// The value of a line that is a field named `data`.
fn data(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use fanfare_wire::{Decoder, Item};
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    fn marked(number: u64) -> Vec<u8> {
        let mut payload = marks().payload();
        Marks::write(&mut payload, &Mark { topic: 1, publisher: 0, number, sent: 5 });
        payload
    }

    fn marks() -> Marks {
        Marks::of_run(1, 60)
    }

    fn read(pieces: &[&[u8]]) -> Vec<Option<Mark>> {
        let (mut events, mut found) = (Events::default(), vec![]);
        for piece in pieces {
            events.read(piece, &marks(), |mark| found.push(mark));
        }
        found
    }

    fn decoded(wire: &[u8]) -> Vec<Option<Mark>> {
        let (mut decoder, mut wire) = (Decoder::new(), Bytes::copy_from_slice(wire));
        let mut found = vec![];
        while let Some(item) = decoder.decode(&mut wire).unwrap() {
            if let Item::Event(event) = item {
                let before = found.len();
                found.extend(marks().find(event.data().as_bytes()).map(Some));
                if found.len() == before {
                    found.push(None);
                }
            }
        }
        found
    }

    const WORDS: [&[u8]; 16] = [
        b"\n",
        b"\n",
        b"\r",
        b"\r\n",
        b"data: ",
        b"data:",
        b"data",
        b"datax: ",
        b" data: ",
        b": ",
        b"id: 7\n",
        b"event: x\n",
        b"retry: 5\n",
        BYTE_ORDER_MARK,
        b"text",
        b"fan-",
    ];

    /// Pieces of which any order is a stream that may be read differently by whoever errs.
    fn wires() -> impl Strategy<Value = Vec<u8>> {
        let word = prop_oneof![
            3 => select(&WORDS[..]).prop_map(<[u8]>::to_vec),
            1 => (0_u64..4).prop_map(marked),
            1 => (0_u64..4).prop_map(|number| [b"data: ", &*marked(number), b"\n\n"].concat()),
        ];
        vec(word, 0..40).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn it_finds_what_a_decoder_finds(wire in wires()) {
            prop_assert_eq!(read(&[&wire]), decoded(&wire));
        }

        #[test]
        fn cuts_change_nothing(wire in wires(), cuts in vec(any::<prop::sample::Index>(), 0..8)) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
            cuts.extend([0, wire.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &wire[cut[0]..cut[1]]).collect();
            prop_assert_eq!(read(&pieces), read(&[&wire]));
        }
    }

    #[test]
    fn an_event_counts_once_it_is_dispatched() {
        let line = [b"data: ", &*marked(3), b"\n"].concat();
        assert_eq!(read(&[&line]), []);
        assert_eq!(read(&[&line, b"\n"])[0].unwrap().number, 3);
    }
}
