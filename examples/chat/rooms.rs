//! The rooms, and the file that remembers what was said in them.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, ErrorKind, Write},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use fanfare::{Channel, Event, EventId, Sse, Start};
use serde::{Deserialize, Serialize};

const NAMES: [&str; 4] = ["lobby", "music", "rust", "travel"];
/// What a newcomer sees of what was said before.
const SHOWN: usize = 50;
/// What a room keeps in memory, for those who come back.
const KEPT: usize = 1_000;
const MAX_NAME_CHARS: usize = 24;
const MAX_TEXT_CHARS: usize = 1_000;
/// The last millisecond that JavaScript knows a date for: no message is from later.
const END_OF_TIME: u64 = 8_640_000_000_000_000;

/// What somebody says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Record {
    room: String,
    id: u64,
    #[serde(flatten)]
    said: Said,
}

/// All rooms, by name. There are no others, so nobody fills the memory with rooms.
pub(crate) struct Rooms {
    rooms: BTreeMap<&'static str, Channel>,
    journal: Mutex<Journal>,
}

struct Journal {
    newest: u64,
    file: Option<File>,
    /// The last line of the file may have been cut off.
    is_torn: bool,
}

impl Rooms {
    /// Rooms that forget everything when the program ends, if there is no `path`.
    pub(crate) fn open(sse: &Sse, path: Option<&Path>) -> io::Result<Self> {
        let mut rooms = Self {
            rooms: NAMES.map(|name| (name, room(sse))).into(),
            journal: Mutex::new(Journal { newest: 0, file: None, is_torn: false }),
        };
        if let Some(path) = path {
            rooms.remember(open(path)?)?;
        }
        Ok(rooms)
    }

    pub(crate) fn are_in_memory_only(&self) -> bool {
        self.journal().file.is_none()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.rooms.keys().copied()
    }

    pub(crate) fn get(&self, name: &str) -> Option<(&'static str, &Channel)> {
        self.rooms.get_key_value(name).map(|(name, room)| (*name, room))
    }

    /// Writes down what was said, then tells the room.
    ///
    /// The id of a message is the time at which it was said, in milliseconds, or the next that is
    /// free: ids rise from message to message and from one run of the program to the next, so that
    /// a browser which has seen a message knows it when it comes again.
    pub(crate) fn say(&self, room: &str, said: Said, now: u64) -> io::Result<()> {
        // One lock for both, so that the file, the ids and the room have one order. The write goes
        // to the system's memory, which does not keep other clients waiting.
        let mut journal = self.journal();
        let id = now.max(journal.newest + 1);
        let record = Record { room: room.to_owned(), id, said };
        journal.write(&record)?;
        self.tell(record)
    }

    /// Tells the rooms what the file holds, then goes on writing behind it.
    fn remember(&mut self, file: File) -> io::Result<()> {
        let mut newest = 0;
        for line in BufReader::new(&file).split(b'\n') {
            let Some(record) = Record::read(&line?) else { continue };
            newest = record.id.max(newest);
            self.tell(record)?;
        }
        self.journal = Mutex::new(Journal { newest, file: Some(file), is_torn: true });
        Ok(())
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, Record { room, id, said }: Record) -> io::Result<()> {
        let Some((_, room)) = self.get(&room) else { return Ok(()) };
        let id = EventId::new(id.to_string()).map_err(io::Error::other)?;
        let event = Event::json(&said)?.with_id(id);
        room.broadcast(event).map(drop).map_err(io::Error::other)
    }
}

fn room(sse: &Sse) -> Channel {
    // Messages have ids of their own, which outlive the program.
    Channel::builder(sse).without_ids().history(KEPT).replay(Start::Last(SHOWN)).build()
}

fn open(path: &Path) -> io::Result<File> {
    if path.as_os_str().is_empty() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it names no file"));
    }
    File::options().create(true).read(true).append(true).open(path)
}

impl Record {
    /// What a line of the file says, if it is whole: the last one is cut off, in the middle of a
    /// character even, if the machine went down while it was written.
    fn read(line: &[u8]) -> Option<Self> {
        let Self { room, id, said } = serde_json::from_slice(line).ok()?;
        let said = said.check().ok()?;
        (id <= END_OF_TIME).then_some(Self { room, id, said })
    }
}

impl Journal {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        // Given away once, even if the disk is full before the line is whole.
        self.newest = record.id;
        let Some(file) = &mut self.file else { return Ok(()) };
        let line = serde_json::to_string(record)? + "\n";
        if self.is_torn {
            file.write_all(b"\n")?;
        }
        self.is_torn = true;
        file.write_all(line.as_bytes())?;
        self.is_torn = false;
        Ok(())
    }
}

impl Said {
    /// The same without white space around it, if it can be said.
    pub(crate) fn check(self) -> Result<Self, &'static str> {
        let name = check_name(&self.name)?;
        let text = self.text.trim().to_owned();
        match text.chars().count() {
            1..=MAX_TEXT_CHARS => Ok(Self { name, text }),
            _ => Err("a message has 1 to 1000 characters\n"),
        }
    }
}

/// The name without white space around it, if somebody can be called that.
pub(crate) fn check_name(name: &str) -> Result<String, &'static str> {
    let name = name.trim();
    match name.chars().count() {
        1..=MAX_NAME_CHARS if !name.contains(char::is_control) => Ok(name.to_owned()),
        _ => Err("a name has 1 to 24 characters, all on one line\n"),
    }
}
