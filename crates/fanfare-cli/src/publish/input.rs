//! Stdin, read by a thread, because reading it cannot be waited for otherwise.

use std::{
    io::{self, BufRead, Read},
    thread::Builder,
};

use bytes::Bytes;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::{Chunks, PublishError, batches::Gathered};

/// What is read at a time.
const READ_BYTES: usize = 64 * 1024;
/// Chunks that wait to be sent. Beyond that nothing is read, and who writes waits.
const WAITING_CHUNKS: usize = 4;
/// Lines that wait to be sent.
const WAITING_LINES: usize = 1000;
/// The longest line, in bytes.
const LONGEST_LINE: usize = 16 * 1024 * 1024;

/// All of it.
pub(super) fn whole() -> io::Result<Bytes> {
    let mut bytes = vec![];
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// As it comes.
pub(super) fn chunks() -> io::Result<Chunks> {
    let (sender, chunks) = mpsc::channel(WAITING_CHUNKS);
    Builder::new().name("stdin".into()).spawn(move || read_chunks(&sender))?;
    Ok(chunks)
}

fn read_chunks(sender: &Sender<io::Result<Bytes>>) {
    let mut stdin = io::stdin().lock();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let chunk = match stdin.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => Ok(Bytes::copy_from_slice(&buffer[..count])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_end = chunk.is_err();
        // Nobody takes it any more when the request has ended.
        if sender.blocking_send(chunk).is_err() || is_end {
            return;
        }
    }
}

/// Line by line.
pub(super) fn lines() -> io::Result<Receiver<Gathered>> {
    let (sender, lines) = mpsc::channel(WAITING_LINES);
    Builder::new().name("stdin".into()).spawn(move || read_lines(&sender))?;
    Ok(lines)
}

fn read_lines(sender: &Sender<Gathered>) {
    let mut stdin = io::stdin().lock();
    for number in 1.. {
        let Some(line) = read_line(&mut stdin, number).transpose() else { return };
        let is_end = line.is_err();
        if sender.blocking_send(line).is_err() || is_end {
            return;
        }
    }
}

/// The next line without its end; `None` behind the last.
fn read_line(stdin: &mut impl BufRead, number: u64) -> Result<Option<String>, PublishError> {
    let mut line = vec![];
    let most = LONGEST_LINE as u64 + 1;
    let count = stdin.take(most).read_until(b'\n', &mut line).map_err(PublishError::Stdin)?;
    if count == 0 {
        return Ok(None);
    }
    if line.len() > LONGEST_LINE {
        return Err(PublishError::LongLine { number, most: LONGEST_LINE });
    }
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // As the standard reads bytes that are no UTF-8.
    Ok(Some(String::from_utf8_lossy(line).into_owned()))
}
