//! The comparison of whole systems, in the order in which it goes on.
//!
//! The program starts itself in other parts: pinned to a CPU, as what then becomes the system or the
//! load; and as those systems that are in this crate.

// What is measured, and with what.
mod options;
mod plan;
mod tools;

// A system, and the load on it.
mod batches;
mod cluster;
mod floor;
mod launch;
mod load;
mod pinned;
mod system;

// What is done to it.
mod scenario;
mod suite;

// What came of it.
mod aims;
mod figures;
mod machine;
mod report;
mod run;

use std::time::SystemTime;

pub use options::Options;
use options::Part;
pub use suite::Suite;

use crate::{fanout, program::Outcome};

/// Obeys the command line.
///
/// # Errors
///
/// When nothing can be measured at all. What one system fails at stands in the tables.
pub fn run(suite: Suite, options: Options, now: SystemTime) -> Outcome {
    match options.part {
        None => run::run(suite, &options, now),
        Some(Part::Pinned { cpus, nice, command }) => pinned::become_command(&cpus, nice, &command),
        Some(Part::Serve { server, port }) => match &*server {
            floor::NAME => floor::serve(port),
            contender => fanout::server::run(contender, port),
        },
    }
}
