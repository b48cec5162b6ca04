//! Frames on their way into a socket.

use std::io::{self, IoSlice, Write};

use bytes::Bytes;

use super::Framing;

/// What one write is about: frames, with what is before and behind them.
#[derive(Debug, Clone)]
pub(super) struct Written {
    head: Head,
    bytes: Bytes,
    tail: &'static [u8],
}

/// The line before a chunk, such as `1f4\r\n`.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    text: [u8; LONGEST_HEAD],
    len: u8,
}

const LONGEST_HEAD: usize = 18;
const CHUNK_END: &[u8] = b"\r\n";

/// Up to so many bytes a chunk is put into one piece with its framing, once for all who are given it: a
/// plain send costs less than a vectored one.
const LONGEST_COPY: usize = 16 * 1024;

impl Framing {
    /// Appends a run as it is put into a socket's stream. An empty one is nothing: as a chunk it would be
    /// the last.
    ///
    /// ```
    /// use fanfare_fanout::engine::Framing;
    ///
    /// let mut stream = vec![];
    /// Framing::Plain.append(b"data: a\n\n", &mut stream);
    /// Framing::Chunked.append(b"data: b\n\n", &mut stream);
    /// assert_eq!(stream, b"data: a\n\n9\r\ndata: b\n\n\r\n");
    /// ```
    pub fn append(self, run: &[u8], to: &mut Vec<u8>) {
        to.reserve(run.len() + LONGEST_HEAD + CHUNK_END.len());
        match self {
            Self::Plain => to.extend_from_slice(run),
            Self::Chunked if run.is_empty() => {}
            Self::Chunked => {
                to.extend_from_slice(Head::of_chunk(run.len()).as_bytes());
                to.extend_from_slice(run);
                to.extend_from_slice(CHUNK_END);
            }
        }
    }
}

impl Written {
    pub(super) fn new(bytes: Bytes, framing: Framing) -> Self {
        match framing {
            Framing::Plain => Self::whole(bytes),
            Framing::Chunked => {
                if bytes.len() > LONGEST_COPY {
                    let head = Head::of_chunk(bytes.len());
                    return Self { head, bytes, tail: CHUNK_END };
                }
                let mut whole = vec![];
                framing.append(&bytes, &mut whole);
                Self::whole(whole.into())
            }
        }
    }

    fn whole(bytes: Bytes) -> Self {
        Self { head: Head::default(), bytes, tail: b"" }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.head.len) + self.bytes.len() + self.tail.len()
    }

    /// Writes what lies behind `done` bytes of it, or a part of that; tells how much.
    pub(super) fn write(&self, done: usize, to: &mut impl Write) -> io::Result<usize> {
        let [head, bytes, tail] = self.rest(done);
        if head.is_empty() && tail.is_empty() {
            return to.write(bytes);
        }
        to.write_vectored(&[IoSlice::new(head), IoSlice::new(bytes), IoSlice::new(tail)])
    }

    /// What lies behind `done` bytes of it.
    fn rest(&self, done: usize) -> [&[u8]; 3] {
        let mut done = done;
        [self.head.as_bytes(), &self.bytes, self.tail].map(|part| {
            let skipped = done.min(part.len());
            done -= skipped;
            &part[skipped..]
        })
    }

    /// A copy of that.
    pub(super) fn unsent(&self, done: usize) -> Bytes {
        self.rest(done).concat().into()
    }
}

impl Head {
    fn of_chunk(len: usize) -> Self {
        let mut text = [0; LONGEST_HEAD];
        let mut start = LONGEST_HEAD - 2;
        text[start..].copy_from_slice(b"\r\n");
        let mut rest = len;
        loop {
            start -= 1;
            text[start] = b"0123456789abcdef"[rest % 16];
            rest /= 16;
            if rest == 0 {
                break;
            }
        }
        text.copy_within(start.., 0);
        // At most 18.
        Self { text, len: u8::try_from(LONGEST_HEAD - start).unwrap_or_default() }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.len)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_framed_whatever_its_length() {
        for (len, line) in [(0, "0\r\n"), (1, "1\r\n"), (31, "1f\r\n"), (65536, "10000\r\n")] {
            assert_eq!(Head::of_chunk(len).as_bytes(), line.as_bytes());
        }
        assert_eq!(Head::of_chunk(usize::MAX).as_bytes(), b"ffffffffffffffff\r\n");
    }

    #[test]
    fn it_goes_on_wherever_it_was_cut() {
        for framing in [Framing::Chunked, Framing::Plain] {
            let written = Written::new(Bytes::from_static(b"data: x\n\n"), framing);
            let whole = written.unsent(0);
            assert_eq!(whole.len(), written.len());
            for cut in 0..whole.len() {
                let mut out = whole[..cut].to_vec();
                assert_eq!(written.write(cut, &mut out).unwrap(), whole.len() - cut);
                assert_eq!((&out, &written.unsent(cut)), (&whole.to_vec(), &whole.slice(cut..)));
            }
        }
        let chunked = Written::new(Bytes::from_static(b"data: x\n\n"), Framing::Chunked);
        assert_eq!(chunked.unsent(0), "9\r\ndata: x\n\n\r\n");
        let long = Written::new(vec![b'x'; LONGEST_COPY + 1].into(), Framing::Chunked);
        let whole = long.unsent(0);
        assert_eq!((&whole[..8], &whole[whole.len() - 3..]), (&b"4001\r\nxx"[..], &b"x\r\n"[..]));
        for cut in [0, 3, 6, 7, 5000, whole.len() - 2, whole.len() - 1] {
            let mut out = whole[..cut].to_vec();
            assert_eq!(long.write(cut, &mut out).unwrap(), whole.len() - cut);
            assert_eq!(out, whole);
        }
    }
}
