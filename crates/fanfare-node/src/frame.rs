//! What is written to many sockets, made once.

use std::{fmt, ops::Range};

/// How a frame is put into a socket's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// As it is: to clients of HTTP/1.0.
    Plain,
    /// As a chunk of HTTP/1.1 (RFC 9112, section 7.1).
    Chunked,
}

/// Bytes that are ready to be written in either framing: a chunk, of which the plain form is a part.
pub(crate) struct Frame {
    chunk: Box<[u8]>,
    plain: Range<usize>,
}

impl Frame {
    /// An empty frame is no bytes at all in either framing: as a chunk it would end the response.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self { chunk: Box::default(), plain: 0..0 };
        }
        let head = format!("{:x}\r\n", bytes.len());
        let chunk = [head.as_bytes(), bytes, b"\r\n"].concat().into();
        Self { chunk, plain: head.len()..head.len() + bytes.len() }
    }

    pub(crate) fn bytes(&self, framing: Framing) -> &[u8] {
        match framing {
            Framing::Plain => &self.chunk[self.plain.clone()],
            Framing::Chunked => &self.chunk,
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("len", &self.plain.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, Framing};

    #[test]
    fn a_chunk_tells_its_length_in_hexadecimal() {
        let frame = Frame::new(b"data: a line\n\n.");
        assert_eq!(frame.bytes(Framing::Chunked), b"f\r\ndata: a line\n\n.\r\n");
        assert_eq!(frame.bytes(Framing::Plain), b"data: a line\n\n.");
    }

    #[test]
    fn nothing_is_no_chunk_which_would_be_the_last() {
        let frame = Frame::new(b"");
        assert_eq!(frame.bytes(Framing::Chunked), b"");
        assert_eq!(frame.bytes(Framing::Plain), b"");
    }
}
