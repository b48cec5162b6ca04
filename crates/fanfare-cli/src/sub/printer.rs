//! How what comes is printed.

use std::{
    io::{self, Write},
    sync::mpsc::Receiver,
};

use bytes::Bytes;

use crate::{
    line::Line,
    output::{self, Stdout},
    readable::Readable,
};

pub(super) enum Format {
    Readable(Readable),
    Json,
    /// The bytes from which the items are read.
    Raw(Receiver<Bytes>),
}

pub(super) struct Printer {
    format: Format,
    out: Stdout,
}

impl Printer {
    pub(super) fn new(format: Format) -> Self {
        Self { format, out: output::stdout() }
    }

    pub(super) fn print(&mut self, line: &Line<'_>) -> io::Result<()> {
        match &self.format {
            Format::Readable(readable) => readable.write(line, &mut self.out),
            Format::Json => line.write_json(&mut self.out),
            Format::Raw(chunks) => {
                chunks.try_iter().try_for_each(|chunk| self.out.write_all(&chunk))
            }
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let Format::Raw(chunks) = &self.format {
            chunks.try_iter().try_for_each(|chunk| self.out.write_all(&chunk))?;
        }
        self.out.flush()
    }
}
