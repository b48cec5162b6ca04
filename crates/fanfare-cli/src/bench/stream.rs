//! One subscriber: from its connection to the events that come over it.

use std::{
    io::{self, Read, Write},
    rc::Rc,
};

use http::{StatusCode, header};
use mio::net::TcpStream;

use super::{
    coded::Coded,
    events::Events,
    http::{Body, Head, HeadReader, Malformed},
    tally::Tally,
};

/// What is shown of a refusal.
const MOST_SHOWN: usize = 300;

#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    subscriber: u32,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Asking { request: Rc<[u8]>, written: usize },
    Head(HeadReader),
    Open { body: Body, coded: Coded, events: Events },
    Refused { status: StatusCode, body: Body, text: Vec<u8> },
    Ended,
}

/// What has happened to a stream beside its events.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Turn {
    /// It has been answered, by an event stream.
    pub(super) has_opened: bool,
    /// It was open, and is at its end.
    pub(super) has_ended: bool,
    /// There may be more to read, but others come first.
    pub(super) goes_on: bool,
}

/// Why there is no event stream.
#[derive(Debug)]
pub(super) enum StreamError {
    /// Not connected.
    Connect(io::Error),
    /// Connected, and not answered.
    Closed(io::Error),
    Refused {
        status: StatusCode,
        body: String,
    },
    NoStream {
        content_type: Option<String>,
    },
    Malformed(Malformed),
}

/// Reads of one stream before others come.
const MOST_READS: usize = 16;

impl Stream {
    pub(super) fn new(socket: TcpStream, subscriber: u32, request: Rc<[u8]>) -> Self {
        Self { socket, subscriber, stage: Stage::Asking { request, written: 0 } }
    }

    pub(super) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Does what can be done without waiting.
    pub(super) fn go_on(
        &mut self,
        buffer: &mut [u8],
        is_closing: bool,
        now: impl Fn() -> u64,
        tally: &mut Tally,
    ) -> Result<Turn, StreamError> {
        let mut turn = Turn::default();
        if !self.ask()? {
            return Ok(turn);
        }
        for _ in 0..MOST_READS {
            let count = match self.socket.read(buffer) {
                Ok(0) => return self.end(turn, io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(turn),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return self.end(turn, error),
            };
            let was_open = !matches!(self.stage, Stage::Ended);
            turn.has_opened |= self.take(&buffer[..count], now(), tally)?;
            turn.has_ended |= was_open && matches!(self.stage, Stage::Ended);
            // Less than there was room for: the socket is empty. Readiness is told again when more
            // comes, but an end that has been told already is not.
            if count < buffer.len() && !is_closing {
                return Ok(turn);
            }
        }
        turn.goes_on = true;
        Ok(turn)
    }

    /// Whether all of the request is written.
    fn ask(&mut self) -> Result<bool, StreamError> {
        let Stage::Asking { request, written } = &mut self.stage else { return Ok(true) };
        if let Some(error) = self.socket.take_error().ok().flatten() {
            return Err(StreamError::Connect(error));
        }
        while *written < request.len() {
            match self.socket.write(&request[*written..]) {
                Ok(count) => *written += count,
                Err(error) if is_not_yet(&error) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(StreamError::Closed(error)),
            }
        }
        self.stage = Stage::Head(HeadReader::default());
        Ok(true)
    }

    /// Whether the stream has opened by these bytes.
    fn take(&mut self, mut bytes: &[u8], now: u64, tally: &mut Tally) -> Result<bool, StreamError> {
        let mut has_opened = false;
        if let Stage::Head(reader) = &mut self.stage
            && let Some(head) = reader.read(&mut bytes).map_err(StreamError::Malformed)?
        {
            self.stage = stage_of(&head)?;
            has_opened = matches!(self.stage, Stage::Open { .. });
        }
        match &mut self.stage {
            Stage::Open { body, coded, events } => {
                tally.take_bytes(bytes.len());
                let subscriber = self.subscriber;
                while let Some(piece) = body.next(&mut bytes).map_err(StreamError::Malformed)? {
                    let read = |text: &[u8]| read_events(events, text, subscriber, now, tally);
                    let decoded = coded.decode(piece, read);
                    decoded.map_err(|_| StreamError::Malformed(Malformed::Coded))?;
                }
                if body.has_ended() {
                    self.stage = Stage::Ended;
                }
            }
            Stage::Refused { status, body, text } => {
                while let Some(piece) = body.next(&mut bytes).map_err(StreamError::Malformed)? {
                    text.extend_from_slice(piece);
                }
                if body.has_ended() || text.len() >= MOST_SHOWN {
                    return Err(refusal(*status, text));
                }
            }
            Stage::Asking { .. } | Stage::Head(_) | Stage::Ended => {}
        }
        Ok(has_opened)
    }

    fn end(&mut self, turn: Turn, error: io::Error) -> Result<Turn, StreamError> {
        match &self.stage {
            Stage::Asking { .. } | Stage::Head(_) => Err(StreamError::Closed(error)),
            Stage::Refused { status, text, .. } => Err(refusal(*status, text)),
            Stage::Open { .. } => {
                self.stage = Stage::Ended;
                Ok(Turn { has_ended: true, ..turn })
            }
            // Told already.
            Stage::Ended => Ok(turn),
        }
    }
}

fn read_events(events: &mut Events, bytes: &[u8], subscriber: u32, now: u64, tally: &mut Tally) {
    let marks = tally.marks.clone();
    events.read(bytes, &marks, |mark| tally.take(subscriber, mark, now));
}

fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}

fn stage_of(head: &Head) -> Result<Stage, StreamError> {
    if head.status != StatusCode::OK {
        return Ok(Stage::Refused { status: head.status, body: head.body(), text: vec![] });
    }
    let content_type = head.text(&header::CONTENT_TYPE);
    let is_stream = content_type.is_some_and(|found| {
        let name = found.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("text/event-stream")
    });
    if !is_stream {
        return Err(StreamError::NoStream { content_type: content_type.map(str::to_owned) });
    }
    let coded = Coded::of(head).ok_or(StreamError::Malformed(Malformed::Coding))?;
    Ok(Stage::Open { body: head.body(), coded, events: Events::default() })
}

fn refusal(status: StatusCode, text: &[u8]) -> StreamError {
    StreamError::Refused { status, body: beginning(text) }
}

/// The beginning of a body, in one line.
pub(super) fn beginning(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").chars().take(MOST_SHOWN).collect()
}
