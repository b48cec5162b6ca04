//! The rooms, and the file that remembers what was said in them.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    sync::{Mutex, PoisonError},
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
}

impl Rooms {
    /// Rooms that forget everything when the program ends, if there is no `path`.
    pub(crate) fn open(sse: &Sse, path: Option<&Path>) -> io::Result<Self> {
        let file = path.map(|path| File::options().create(true).read(true).append(true).open(path));
        let mut rooms = Self {
            rooms: NAMES.map(|name| (name, room(sse))).into(),
            journal: Mutex::new(Journal { newest: 0, file: None }),
        };
        if let Some(file) = file.transpose()? {
            rooms.remember(file)?;
        }
        Ok(rooms)
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
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let id = now.max(journal.newest + 1);
        let record = Record { room: room.to_owned(), id, said };
        journal.write(&record)?;
        self.tell(record)
    }

    /// Tells the rooms what the file holds, then goes on writing behind it.
    fn remember(&mut self, mut file: File) -> io::Result<()> {
        let mut newest = 0;
        for line in BufReader::new(&file).lines() {
            // The last line is cut off if the machine went down while it was written.
            let Ok(record) = serde_json::from_str::<Record>(&line?) else { continue };
            newest = record.id.max(newest);
            self.tell(record)?;
        }
        // What comes next starts on a line of its own.
        file.write_all(b"\n")?;
        self.journal = Mutex::new(Journal { newest, file: Some(file) });
        Ok(())
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

impl Journal {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            let line = serde_json::to_string(record)? + "\n";
            file.write_all(line.as_bytes())?;
        }
        self.newest = record.id;
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
