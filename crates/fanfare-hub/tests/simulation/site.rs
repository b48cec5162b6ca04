use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use fanfare_fanout::Epoch;
use fanfare_hub::log::{Durability, EmbeddedLog, Log, MemoryLog, OpenError, Options, Retention};
use tempfile::TempDir;
use tokio::{runtime, time::interval};

use crate::decoding::CODINGS;

/// How a hub ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Its log is closed.
    Closed,
    /// It is dropped as it is.
    Crashed,
}

/// Where a log lies, or that it does not.
pub(crate) trait Site {
    /// The runtime of a schedule.
    fn runtime(&self) -> runtime::Runtime;

    /// Opens the log, again too.
    fn open(&mut self, retention: Retention) -> Pin<Box<dyn Future<Output = Arc<dyn Log>> + '_>>;

    /// Whether events outlive the hub.
    fn is_durable(&self) -> bool;

    /// In which codings streams are followed.
    fn codings(&self) -> &'static [&'static str];

    /// Whether an append drops what is beyond the limits, or only a trim.
    fn trims_at_once(&self) -> bool;
}

/// A log in memory, which is another one after a restart.
pub(crate) struct Memory {
    epoch: u64,
    compresses: bool,
}

impl Memory {
    pub(crate) fn new(seed: u64) -> Self {
        Self { epoch: seed * 1000, compresses: false }
    }

    /// Of a hub that compresses, for most of its subscribers.
    pub(crate) fn compressed(seed: u64) -> Self {
        Self { compresses: true, ..Self::new(seed) }
    }
}

impl Site for Memory {
    /// Time passes when there is nothing else to do, so a schedule is the same each time; but the thread
    /// that compresses knows nothing of a clock that is paused.
    fn runtime(&self) -> runtime::Runtime {
        let mut runtime = runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(!self.compresses).build().unwrap()
    }

    fn open(&mut self, retention: Retention) -> Pin<Box<dyn Future<Output = Arc<dyn Log>> + '_>> {
        self.epoch += 1;
        let log: Arc<dyn Log> = Arc::new(MemoryLog::new(Epoch::from_seed(self.epoch), retention));
        Box::pin(async { log })
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn codings(&self) -> &'static [&'static str] {
        if self.compresses { &CODINGS } else { &["identity"] }
    }

    fn trims_at_once(&self) -> bool {
        true
    }
}

/// A log in a folder that is deleted in the end.
pub(crate) struct Embedded {
    folder: TempDir,
}

impl Embedded {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() }
    }
}

impl Site for Embedded {
    /// Its threads know nothing of a clock that is paused.
    fn runtime(&self) -> runtime::Runtime {
        runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    fn open(&mut self, retention: Retention) -> Pin<Box<dyn Future<Output = Arc<dyn Log>> + '_>> {
        // The end of the process loses nothing with any of them.
        let durability = Durability::None;
        let options = Options { retention, durability, reserve_bytes: 0, ..Options::default() };
        Box::pin(async move {
            let mut looks = interval(Duration::from_millis(1));
            loop {
                match EmbeddedLog::open(self.folder.path(), 7, options.clone()) {
                    Ok((log, _)) => return Arc::new(log) as Arc<dyn Log>,
                    // The threads of one that was dropped are still ending.
                    Err(OpenError::InUse { .. }) => drop(looks.tick().await),
                    Err(error) => panic!("{error}"),
                }
            }
        })
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn codings(&self) -> &'static [&'static str] {
        &CODINGS
    }

    fn trims_at_once(&self) -> bool {
        false
    }
}
