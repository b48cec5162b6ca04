//! The three keyspaces of fjall, and how they are set up.

use std::{path::Path, sync::Arc};

use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions,
    config::{BlockSizePolicy, CompressionPolicy, FilterPolicy},
};

use super::{lock::Folder, reclaim::Reclaiming};

const MIB: u64 = 1024 * 1024;
const EVENTS: &str = "events";
const INDEX: &str = "index";
const STATE: &str = "state";

/// Journals are emptied into tables beyond this: opening reads about twice as much at most.
const MAX_JOURNAL_BYTES: u64 = 64 * MIB;
const EVENTS_MEMORY_BYTES: u64 = 32 * MIB;
const OTHER_MEMORY_BYTES: u64 = 16 * MIB;
/// A bundle is about as large.
const EVENTS_BLOCK_BYTES: u32 = 16 * 1024;
/// Flushing and compacting.
const WORKERS: usize = 2;

/// What is on the disk. Clones are the same; the folder is let go of with the last.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) database: Database,
    pub(super) events: Keyspace,
    pub(super) index: Keyspace,
    pub(super) state: Keyspace,
    /// Dropped last.
    pub(super) folder: Arc<Folder>,
}

impl Store {
    /// Opens what is in the folder, or creates it.
    pub(super) fn open(
        folder: Arc<Folder>,
        cache_bytes: u64,
        reclaiming: &Reclaiming,
    ) -> fjall::Result<Self> {
        let database = open_database(&folder.database(), cache_bytes, reclaiming)?;
        Ok(Self {
            events: database.keyspace(EVENTS, events_options)?,
            index: database.keyspace(INDEX, index_options)?,
            state: database.keyspace(STATE, state_options)?,
            database,
            folder,
        })
    }
}

fn open_database(
    path: &Path,
    cache_bytes: u64,
    reclaiming: &Reclaiming,
) -> fjall::Result<Database> {
    let reclaiming = reclaiming.clone();
    Database::builder(path)
        .worker_threads(WORKERS)
        .cache_size(cache_bytes)
        .max_journaling_size(MAX_JOURNAL_BYTES)
        // It is read once at most.
        .journal_compression(CompressionType::None)
        .with_compaction_filter_factories(Arc::new(move |keyspace: &str| match keyspace {
            EVENTS => Some(Arc::new(reclaiming.events())),
            INDEX => Some(Arc::new(reclaiming.index())),
            _ => None,
        }))
        .open()
}

/// Bundles are written once, in the order of their keys, and read one behind the other.
fn events_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(EVENTS_MEMORY_BYTES)
        .data_block_size_policy(BlockSizePolicy::all(EVENTS_BLOCK_BYTES))
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
        .filter_policy(FilterPolicy::disabled())
}

fn index_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(OTHER_MEMORY_BYTES)
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
        .filter_policy(FilterPolicy::disabled())
}

fn state_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(OTHER_MEMORY_BYTES)
}
