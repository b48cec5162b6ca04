//! The command line.

use std::{ffi::OsString, num::NonZeroUsize, path::PathBuf};

use clap::{Parser, Subcommand};

use super::{scenario::Name, system::System};

/// Sets systems side by side, prints Markdown tables, and keeps them with every single figure
///
/// They take turns, each started afresh.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    /// See that it runs: one round, and a short one
    #[arg(long)]
    pub(super) quick: bool,
    /// So many rounds [default: 3]
    #[arg(long, value_name = "N")]
    pub(super) rounds: Option<NonZeroUsize>,
    /// Measure these systems alone
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_enum)]
    pub(super) systems: Vec<System>,
    /// Measure in these scenarios alone
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_enum)]
    pub(super) scenarios: Vec<Name>,
    /// Write the tables and all figures into this folder [default: bench/results, or target/bench-results if it is not the whole
    #[arg(long, value_name = "FOLDER")]
    pub(super) results: Option<PathBuf>,

    #[command(subcommand)]
    pub(super) part: Option<Part>,
}

/// What the program starts itself as.
#[derive(Debug, Subcommand)]
pub(super) enum Part {
    /// Becomes a command on these CPUs, which ends with its parent
    #[command(hide = true)]
    Pinned {
        #[arg(value_delimiter = ',', required = true)]
        cpus: Vec<usize>,
        #[arg(long, default_value = "0")]
        nice: i32,
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Serves as one of the systems that are in this crate
    #[command(hide = true)]
    Serve { server: String, port: u16 },
}

impl Options {
    pub(super) fn has_system(&self, system: System) -> bool {
        self.systems.is_empty() || self.systems.contains(&system)
    }

    pub(super) fn has_scenario(&self, name: Name) -> bool {
        self.scenarios.is_empty() || self.scenarios.contains(&name)
    }
}
