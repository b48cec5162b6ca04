//! Answers over HTTP/1.1, read as their bytes come.

use std::mem;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use thiserror::Error;

/// The longest head that is read, in bytes.
const MOST_HEAD_BYTES: usize = 64 * 1024;
const MOST_HEADERS: usize = 100;
/// Digits of the largest size that a chunk can have.
const MOST_SIZE_DIGITS: u8 = 15;

/// Why the bytes are no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Malformed {
    #[error("the answer's head is not that of HTTP/1.1")]
    Head,
    #[error("the answer's head is longer than {MOST_HEAD_BYTES} bytes")]
    LongHead,
    #[error("the answer's chunks are not those of HTTP/1.1")]
    Chunk,
    #[error("the answer is compressed in a way that is not known here: zstd, br and gzip are")]
    Coding,
    #[error("the answer's body cannot be decompressed")]
    Coded,
}

#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    is_of_1_0: bool,
}

/// The bytes of a head, gathered until it is whole.
#[derive(Debug, Default)]
pub(super) struct HeadReader(Vec<u8>);

impl HeadReader {
    /// Takes bytes from the front. `None`: the head goes on. Interim answers are left out.
    pub(super) fn read(&mut self, bytes: &mut &[u8]) -> Result<Option<Head>, Malformed> {
        let before = self.0.len();
        self.0.extend_from_slice(bytes);
        let Some((head, length)) = parse(&self.0)? else {
            if self.0.len() > MOST_HEAD_BYTES {
                return Err(Malformed::LongHead);
            }
            *bytes = &[];
            return Ok(None);
        };
        // What was gathered before was no whole head, so this one ends in the new bytes.
        *bytes = &bytes[length.saturating_sub(before)..];
        self.0 = vec![];
        if head.status.is_informational() { self.read(bytes) } else { Ok(Some(head)) }
    }
}

fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Malformed::Head),
    };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let mut headers = HeaderMap::new();
    for field in response.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        headers.append(name.map_err(|_| Malformed::Head)?, value.map_err(|_| Malformed::Head)?);
    }
    let is_of_1_0 = response.version == Some(0);
    let head = Head { status: status.ok_or(Malformed::Head)?, headers, is_of_1_0 };
    Ok(Some((head, length)))
}

impl Head {
    pub(super) fn body(&self) -> Body {
        let has_none = matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if has_none {
            Body::Length(0)
        } else if self.says(&header::TRANSFER_ENCODING, "chunked") {
            Body::Chunked(Chunk::default())
        } else {
            let length = self.text(&header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
            length.map_or(Body::UntilClosed, Body::Length)
        }
    }

    /// Whether the connection is of no use for another request.
    pub(super) fn closes(&self) -> bool {
        self.says(&header::CONNECTION, "close")
            || self.is_of_1_0 && !self.says(&header::CONNECTION, "keep-alive")
            || matches!(self.body(), Body::UntilClosed)
    }

    pub(super) fn text(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn says(&self, name: &HeaderName, word: &str) -> bool {
        let values = self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|said| said.trim().eq_ignore_ascii_case(word))
    }
}

/// How much of a body is still to come.
#[derive(Debug)]
pub(super) enum Body {
    UntilClosed,
    Length(u64),
    Chunked(Chunk),
}

/// The place inside a chunk.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    left: u64,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Size {
        digits: u8,
    },
    /// Behind the size, up to the end of the line.
    Extension,
    Data,
    /// The line end behind the data.
    DataEnd,
    /// Lines behind the last chunk, up to an empty one.
    Trailer {
        is_empty: bool,
    },
    End,
}

impl Default for Place {
    fn default() -> Self {
        Self::Size { digits: 0 }
    }
}

impl Body {
    /// Takes bytes from the front up to the next ones that belong to the body. `None`: all are taken,
    /// or the body has ended.
    pub(super) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
        let piece = match self {
            Self::UntilClosed => mem::take(bytes),
            Self::Length(left) => take(bytes, left),
            Self::Chunked(chunk) => return chunk.next(bytes),
        };
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }

    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::UntilClosed => false,
            Self::Length(left) => *left == 0,
            Self::Chunked(chunk) => chunk.place == Place::End,
        }
    }
}

impl Chunk {
    fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.place == Place::Data {
                let piece = take(bytes, &mut self.left);
                if self.left == 0 {
                    self.place = Place::DataEnd;
                }
                return Ok(Some(piece));
            }
            if self.place == Place::End {
                return Ok(None);
            }
            self.place = self.step(first)?;
            *bytes = rest;
        }
        Ok(None)
    }

    /// One byte of what is around the data.
    fn step(&mut self, byte: u8) -> Result<Place, Malformed> {
        Ok(match (self.place, byte) {
            (Place::Size { digits: 1.. } | Place::Extension, b'\n') if self.left == 0 => {
                Place::Trailer { is_empty: true }
            }
            (Place::Size { digits: 1.. } | Place::Extension, b'\n') => Place::Data,
            (Place::Size { digits: 1.. }, b'\r' | b';' | b' ' | b'\t') | (Place::Extension, _) => {
                Place::Extension
            }
            (Place::Size { digits: 0..MOST_SIZE_DIGITS }, digit) => self.add(digit)?,
            (Place::DataEnd, b'\r') => Place::DataEnd,
            (Place::DataEnd, b'\n') => Place::default(),
            (Place::Trailer { is_empty: true }, b'\n') => Place::End,
            (Place::Trailer { .. }, b'\n') => Place::Trailer { is_empty: true },
            (Place::Trailer { is_empty }, b'\r') => Place::Trailer { is_empty },
            (Place::Trailer { .. }, _) => Place::Trailer { is_empty: false },
            _ => return Err(Malformed::Chunk),
        })
    }

    fn add(&mut self, digit: u8) -> Result<Place, Malformed> {
        let digit = char::from(digit).to_digit(16).ok_or(Malformed::Chunk)?;
        self.left = self.left << 4 | u64::from(digit);
        let Place::Size { digits } = self.place else { return Err(Malformed::Chunk) };
        Ok(Place::Size { digits: digits + 1 })
    }
}

fn take<'a>(bytes: &mut &'a [u8], left: &mut u64) -> &'a [u8] {
    let count = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
    let (piece, rest) = bytes.split_at(count);
    *bytes = rest;
    *left -= count as u64;
    piece
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Answer = (Option<StatusCode>, Vec<u8>, bool);

    fn read(pieces: &[&[u8]]) -> Result<Answer, Malformed> {
        let (mut head, mut answer) = (HeadReader::default(), (None, vec![], false));
        let mut body = Body::UntilClosed;
        for mut bytes in pieces.iter().copied() {
            if answer.0.is_none()
                && let Some(head) = head.read(&mut bytes)?
            {
                body = head.body();
                answer.0 = Some(head.status);
            }
            while let Some(piece) = body.next(&mut bytes)? {
                answer.1.extend_from_slice(piece);
            }
        }
        answer.2 = body.has_ended();
        Ok(answer)
    }

    const CHUNKED: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\
        Transfer-Encoding: gzip, Chunked\r\n\r\n\
        3\r\nabc\r\n0010;x=\"y\"\r\n0123456789abcdef\r\n1\nz\n0\r\nX: y\r\n\r\nmore";

    proptest! {
        #[test]
        fn cuts_change_nothing(cuts in prop::collection::vec(0..=CHUNKED.len(), 0..9)) {
            let mut cuts = cuts;
            cuts.extend([0, CHUNKED.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &CHUNKED[cut[0]..cut[1]]).collect();
            let body = b"abc0123456789abcdefz".to_vec();
            prop_assert_eq!(read(&pieces), Ok((Some(StatusCode::OK), body, true)));
        }
    }

    #[test]
    fn a_length_or_the_connection_ends_a_body() {
        let answer = read(&[b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabcd"]);
        assert_eq!(answer, Ok((Some(StatusCode::NOT_FOUND), b"abc".to_vec(), true)));
        let answer = read(&[b"HTTP/1.0 200 OK\r\n\r\nab", b"cd"]);
        assert_eq!(answer, Ok((Some(StatusCode::OK), b"abcd".to_vec(), false)));
        let answer = read(&[b"HTTP/1.1 204 No Content\r\n\r\n"]);
        assert_eq!(answer, Ok((Some(StatusCode::NO_CONTENT), vec![], true)));
    }

    #[test]
    fn what_is_no_answer_is_told() {
        assert_eq!(read(&[b"SSH-2.0-OpenSSH\r\n"]), Err(Malformed::Head));
        let mut long = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
        long.resize(MOST_HEAD_BYTES + 1, b'x');
        assert_eq!(read(&[&long]), Err(Malformed::LongHead));
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        for body in [&b"x\r\n"[..], b"\r\n", b"1\r\nab", b"1111111111111111\r\n"] {
            assert_eq!(read(&[head, body]), Err(Malformed::Chunk), "{body:?}");
        }
    }
}
