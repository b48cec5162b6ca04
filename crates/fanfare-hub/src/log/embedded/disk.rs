//! The way to the disk: one small trait, so that a test can let it fail.

use std::{fmt, io, path::PathBuf};

use fjall::{Database, Keyspace, PersistMode, UserKey, UserValue};

use super::store::Store;

/// What is written together: all of it, or nothing.
pub struct Group(fjall::OwnedWriteBatch);

/// How much of a promise it is that something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// The operating system has it: it survives the end of the process.
    Handed,
    /// The disk has it: it survives the loss of power.
    Synced,
}

/// Where groups are written, by one thread.
///
/// After an error the log asks it for nothing but [`free_bytes`](Self::free_bytes). An error leaves
/// open whether the group is there when the log is opened again; but it must not be read before.
pub trait Disk: Send + 'static {
    /// Writes a group behind all others.
    ///
    /// # Errors
    ///
    /// When the promise cannot be given.
    fn write(&mut self, group: Group, promise: Promise) -> io::Result<()>;

    /// Has the disk keep what was written.
    ///
    /// # Errors
    ///
    /// When that cannot be promised.
    fn sync(&mut self) -> io::Result<()>;

    /// How much room is left.
    ///
    /// # Errors
    ///
    /// When nobody can tell.
    fn free_bytes(&mut self) -> io::Result<u64>;
}

impl Group {
    pub(super) fn new(database: &Database) -> Self {
        Self(database.batch())
    }

    pub(super) fn insert(
        &mut self,
        keyspace: &Keyspace,
        key: impl Into<UserKey>,
        value: impl Into<UserValue>,
    ) {
        self.0.insert(keyspace, key, value);
    }

    pub(super) fn remove(&mut self, keyspace: &Keyspace, key: impl Into<UserKey>) {
        self.0.remove(keyspace, key);
    }

    pub(super) fn commit(self, promise: Promise) -> io::Result<()> {
        // fjall makes a group visible after it has kept this promise.
        let mode = match promise {
            Promise::Handed => PersistMode::Buffer,
            Promise::Synced => PersistMode::SyncData,
        };
        self.0.durability(Some(mode)).commit().map_err(to_io)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("entries", &self.0.len()).finish()
    }
}

/// The real disk.
pub(super) struct RealDisk {
    database: Database,
    path: PathBuf,
}

impl RealDisk {
    pub(super) fn of(store: &Store) -> Self {
        Self { database: store.database.clone(), path: store.folder.path().to_owned() }
    }
}

impl Disk for RealDisk {
    fn write(&mut self, group: Group, promise: Promise) -> io::Result<()> {
        group.commit(promise)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.database.persist(PersistMode::SyncData).map_err(to_io)
    }

    #[cfg(unix)]
    fn free_bytes(&mut self) -> io::Result<u64> {
        let system = rustix::fs::statvfs(&self.path)?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }

    #[cfg(not(unix))]
    fn free_bytes(&mut self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

/// The operating system's error, if there is one beneath.
pub(super) fn to_io(error: fjall::Error) -> io::Error {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => error,
        error => io::Error::other(error),
    }
}

/// Whether an error means that there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
