//! `fanfare decode`: an event stream on stdin, JSON lines on stdout.

use std::{
    io::{self, Read, Write},
    num::NonZeroUsize,
};

use bytes::Bytes;
use clap::Args;
use fanfare_wire::{Decoder, Item};

use crate::{failure::Failure, line::Line, output, stderr};

/// What is read at a time.
const READ_BYTES: usize = 64 * 1024;

const MORE: &str = "\
Each event is one line, as soon as its empty line has been read:
  {\"event\":\"message\",\"data\":\"a\",\"id\":\"7\"}
`id` is the last event id in force, empty if there is none. With --all there
are also
  {\"comment\":\" what follows the colon\"}
  {\"retry\":3000}
What the end of the stream cuts off is no event, as the standard has it. Bytes
that are not UTF-8 become U+FFFD.

Exit status:
    0  all was read, or nobody reads stdout any more
    1  stdin or stdout failed
    2  wrong usage
    5  an event was larger than 16 MiB and is left out; stderr tells of each

Examples:
  printf 'data: a\\r\\rid: 7\\ndata: b\\n\\n' | fanfare decode --chunk 1
  curl -sN http://localhost:8080/sse | fanfare decode --all
  fanfare decode < recorded.txt | jq -r .data";

/// Turn an event stream on stdin into JSON, one object a line
#[derive(Debug, Args)]
#[command(after_long_help = MORE)]
pub(crate) struct Options {
    /// Give the decoder N bytes at a time, to see that how a stream is cut changes nothing
    #[arg(long, value_name = "N")]
    chunk: Option<NonZeroUsize>,
    /// Show comments and reconnection times too
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let decoder = if options.all { Decoder::new().with_comments() } else { Decoder::new() };
    let mut decoding = Decoding { options, decoder, out: output::stdout(), left_out: 0 };
    let mut input = io::stdin().lock();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return decoding.end(),
            Ok(count) => decoding.take(&buffer[..count]).map_err(Failure::Stdout)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::Stdin(error)),
        }
    }
}

struct Decoding<'a> {
    options: &'a Options,
    decoder: Decoder,
    out: output::Stdout,
    left_out: u64,
}

impl Decoding<'_> {
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut bytes = Bytes::copy_from_slice(bytes);
        let most = self.options.chunk.map_or(bytes.len(), NonZeroUsize::get);
        while !bytes.is_empty() {
            self.decode(bytes.split_to(most.min(bytes.len())))?;
        }
        self.out.flush()
    }

    fn decode(&mut self, mut chunk: Bytes) -> io::Result<()> {
        while !chunk.is_empty() {
            match self.decoder.decode(&mut chunk) {
                Ok(Some(item)) => self.print(&item)?,
                Ok(None) => {}
                Err(too_large) => {
                    self.left_out += 1;
                    self.out.flush()?;
                    stderr::say(too_large);
                }
            }
        }
        Ok(())
    }

    fn print(&mut self, item: &Item) -> io::Result<()> {
        let line = match item {
            Item::Event(event) => Line::of_event(event),
            Item::Comment(comment) if self.options.all => Line::Comment { comment },
            Item::Retry(time) if self.options.all => Line::of_retry(*time),
            Item::Comment(_) | Item::Retry(_) => return Ok(()),
        };
        line.write_json(&mut self.out)
    }

    fn end(self) -> Result<(), Failure> {
        if self.left_out == 0 { Ok(()) } else { Err(Failure::LeftOut(self.left_out)) }
    }
}
