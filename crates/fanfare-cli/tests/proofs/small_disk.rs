use std::{
    fs,
    io::{self, Read},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use fanfare::Sse;
use fanfare_fanout::Bounds;
use fanfare_hub::{
    Hub as Core,
    http::{self, Api},
    log::{AppendError, Disk, EmbeddedLog, Group, Options, Promise, Timestamp},
    server::{Server, Settings},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::Child,
    sync::oneshot,
    task::JoinHandle,
};

use crate::support::{Folder, Hub, within};

pub(crate) const MIB: u64 = 1024 * 1024;
/// Appends are refused while less than this is free.
pub(crate) const RESERVE: u64 = 32 * MIB;

/// The faults of a disk. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    free_bytes: Arc<AtomicU64>,
    sync_error: Arc<Mutex<Option<io::ErrorKind>>>,
}

struct FaultyDisk {
    disk: Box<dyn Disk>,
    faults: Faults,
}

/// A hub in this process, on a disk with faults.
pub(crate) struct Running {
    pub(crate) url: String,
    signal: oneshot::Sender<()>,
    server: JoinHandle<Result<(), AppendError>>,
}

/// A file system in memory that is soon full.
pub(crate) struct SmallDisk {
    _holder: Child,
    path: PathBuf,
}

impl Faults {
    pub(crate) fn none() -> Self {
        Self { free_bytes: Arc::new(AtomicU64::new(u64::MAX)), sync_error: Arc::default() }
    }

    /// Says that so much is free.
    pub(crate) fn set_free_bytes(&self, bytes: u64) {
        self.free_bytes.store(bytes, Ordering::SeqCst);
    }

    /// What is written gets there, but nobody can say so.
    pub(crate) fn set_sync_error(&self, error: Option<io::ErrorKind>) {
        *self.sync_error.lock().unwrap() = error;
    }
}

impl FaultyDisk {
    fn try_sync(&self) -> io::Result<()> {
        self.faults.sync_error.lock().unwrap().map_or(Ok(()), |kind| Err(kind.into()))
    }
}

impl Disk for FaultyDisk {
    fn write(&mut self, group: Group, promise: Promise) -> io::Result<()> {
        match self.try_sync() {
            Ok(()) => self.disk.write(group, promise),
            Err(error) => self.disk.write(group, Promise::Handed).and(Err(error)),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.try_sync()?;
        self.disk.sync()
    }

    fn free_bytes(&mut self) -> io::Result<u64> {
        Ok(self.faults.free_bytes.load(Ordering::SeqCst))
    }
}

impl Running {
    pub(crate) async fn start(path: &Path, faults: &Faults) -> Self {
        let options = Options { reserve_bytes: RESERVE, ..Options::default() };
        let faults = faults.clone();
        let between = |disk| Box::new(FaultyDisk { disk, faults }) as Box<dyn Disk>;
        let (log, _) = EmbeddedLog::open_with_disk(path, 7, options, between).unwrap();
        let hub = Core::new(Arc::new(log), Bounds::default(), Arc::new(now));
        let api = Api::new(hub, Sse::new(), http::Settings::default());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (signal, signalled) = oneshot::channel();
        let server = Server::new(api, Settings::default()).listen(listener);
        let server = tokio::spawn(server.run(async { drop(signalled.await) }));
        Self { url, signal, server }
    }

    /// Ends it; what the log has said to that.
    pub(crate) async fn stop(self) -> Result<(), AppendError> {
        drop(self.signal);
        within("the end", self.server).await.unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test is an edge")]
pub(crate) fn now() -> Timestamp {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp(time.as_millis().try_into().unwrap())
}

impl SmallDisk {
    /// A disk of this size; `None` where it cannot be made. It is there only for the process that
    /// holds it, through which it is reached, and gone with it.
    pub(crate) async fn mount(folder: &Folder, size: u64) -> Option<Self> {
        let mount = format!(
            "exec unshare --map-root-user --mount sh -c \
             'mount -t tmpfs -o size={size} none . && echo mounted && exec cat'"
        );
        let mut command = folder.shell(&mount);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut holder = command.spawn().unwrap();
        let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
        if within("a mount", lines.next_line()).await.unwrap().is_none() {
            println!("left out: no small file system can be made here");
            return None;
        }
        let root = PathBuf::from(format!("/proc/{}/root", holder.id().unwrap()));
        let path = root.join(folder.path().strip_prefix("/").unwrap());
        Some(Self { _holder: holder, path })
    }

    /// A hub with its log there.
    pub(crate) async fn serve(&self, folder: &Folder, reserve: u64) -> Hub {
        let data = self.path.join("data");
        let reserve = format!("log.reserve={}MiB", reserve / MIB);
        folder.serve(&["--data", data.to_str().unwrap(), "--set", &reserve]).await
    }

    /// Takes so much of it, or all that there is.
    pub(crate) fn take(&self, bytes: u64) {
        let mut file = fs::File::create(self.path.join("ballast")).unwrap();
        if let Err(error) = io::copy(&mut io::repeat(0).take(bytes), &mut file) {
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
    }

    pub(crate) fn give_back(&self) {
        fs::remove_file(self.path.join("ballast")).unwrap();
    }
}
