//! The folder of a log: one hub at a time, and whether the last one closed it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process,
};

use super::{Durability, OpenError};

/// Held by the hub that uses the folder, which writes its process id into it.
const LOCK: &str = "lock";
/// There while the log is open, with a word about what is being done.
const OPEN: &str = "open";
/// What fjall owns.
const DATABASE: &str = "log";

const CREATING: &str = "being created\n";
const SYNCED: &str = "in use, or not closed; each write was synced\n";
const HANDED: &str = "in use, or not closed\n";

/// A folder that belongs to this process until it is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The operating system lets go of it when the process ends in whatever way.
    _lock: File,
}

/// How the log was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// There has never been one.
    Absent,
    /// While it was being created.
    Unfinished,
    /// It was not closed. Other durabilities than `Sync` are not told apart.
    Open(Durability),
    Closed,
}

impl Folder {
    pub(super) fn claim(path: &Path) -> Result<Self, OpenError> {
        let failed = |error| OpenError::Folder { path: path.to_owned(), error };
        fs::create_dir_all(path).map_err(failed)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(LOCK))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse { path: path.to_owned(), by: owner(&mut lock) });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", process::id())).map_err(failed)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where fjall has its files.
    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    pub(super) fn left(&self) -> io::Result<Left> {
        let has_database = self.database().try_exists()?;
        match fs::read_to_string(self.path.join(OPEN)) {
            Ok(word) if word == CREATING => Ok(Left::Unfinished),
            Ok(word) if word == SYNCED && has_database => Ok(Left::Open(Durability::Sync)),
            Ok(_) if has_database => Ok(Left::Open(Durability::None)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ if has_database => Ok(Left::Closed),
            _ => Ok(Left::Absent),
        }
    }

    /// From here on, a log that is found is one whose creation was not finished.
    pub(super) fn mark_creating(&self) -> io::Result<()> {
        self.mark(CREATING)
    }

    /// From here on, a log that is found is one that was not closed.
    pub(super) fn mark_open(&self, durability: Durability) -> io::Result<()> {
        self.mark(if durability == Durability::Sync { SYNCED } else { HANDED })
    }

    pub(super) fn mark_closed(&self) -> io::Result<()> {
        fs::remove_file(self.path.join(OPEN))?;
        sync_folder(&self.path)
    }

    fn mark(&self, word: &str) -> io::Result<()> {
        let mut file = File::create(self.path.join(OPEN))?;
        file.write_all(word.as_bytes())?;
        file.sync_all()?;
        sync_folder(&self.path)
    }
}

/// The process that has written its id into the lock.
fn owner(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Makes the names of the files in a folder durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
