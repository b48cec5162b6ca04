mod command;
mod server;
mod terminal;
mod wait;

pub(crate) use command::{End, Fanfare};
pub(crate) use server::{Peer, Server};
pub(crate) use terminal::Terminal;
pub(crate) use wait::{until, within};

use std::path::{Path, PathBuf};

/// A path for a file of one test, where there is none yet.
pub(crate) fn fresh_path(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&path);
    path
}
