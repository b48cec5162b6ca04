//! Where and of what the results are.

use std::{fs, time::SystemTime};

use serde::Serialize;

use super::tools::{self, Tools};
use crate::host;

#[derive(Debug, Serialize)]
pub(super) struct Machine {
    /// In UTC.
    pub(super) date: String,
    pub(super) cpu: String,
    pub(super) cpus: usize,
    pub(super) memory_gib: u64,
    pub(super) kernel: String,
    pub(super) commit: String,
    pub(super) versions: Vec<String>,
}

impl Machine {
    pub(super) fn here(tools: &Tools, now: SystemTime) -> Self {
        let own = [host::rustc_version(), host::package("axum"), host::package("tokio")];
        Self {
            date: humantime::format_rfc3339_seconds(now).to_string(),
            cpu: host::cpu_model(),
            cpus: host::cpu_count(),
            memory_gib: memory_gib().unwrap_or_default(),
            kernel: first_line("/proc/sys/kernel/osrelease"),
            commit: commit(),
            versions: own.into_iter().chain(tools.versions()).collect(),
        }
    }
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}

fn memory_gib() -> Option<u64> {
    let kibibytes: u64 = first_line("/proc/meminfo").split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes.div_ceil(1 << 20))
}

/// With `-dirty` behind it where files were changed since.
fn commit() -> String {
    let root = tools::root();
    let describe = ["describe", "--always", "--dirty", "--exclude=*"];
    tools::said("git", &[&["-C", &*root.to_string_lossy()], &describe[..]].concat())
}
