//! What is set side by side: other systems, hubs that share a log, or packages for node.

use super::scenario::{self, Scenario};

/// Scenarios that belong together, with results of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// Whole servers of ours and of others.
    Systems,
    /// Hubs that share a log, next to one that has it alone.
    Cluster,
    /// The npm package, next to others.
    Node,
}

const SYSTEMS: &str = "One server on CPU 0 at a time, started afresh for each run, one thread that does the \
    work; `fanfare bench` on CPU 1; loopback; events of 100 bytes, published over HTTP.";

const CLUSTER: &str = "Hubs, the log's server and the load share two CPUs, so what is told is what all of \
    them take together, and no hub is faster because there are more. All are started afresh for each \
    run; loopback; events of 100 bytes, published over HTTP.";

const NODE: &str = "One node process on CPU 0 at a time, with all its threads, started afresh for each run; \
    `fanfare bench` on CPU 1; loopback; HTTP/1.1; events of 100 bytes, published over HTTP.";

impl Suite {
    /// What its files are called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Systems => "systems",
            Self::Cluster => "cluster",
            Self::Node => "node",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Systems => "Systems side by side",
            Self::Cluster => "Hubs that share a log",
            Self::Node => "Packages for Node.js",
        }
    }

    /// How it is measured.
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Systems => SYSTEMS,
            Self::Cluster => CLUSTER,
            Self::Node => NODE,
        }
    }

    pub(super) fn scenarios(self) -> Vec<Scenario> {
        match self {
            Self::Systems => scenario::of_systems(),
            Self::Cluster => scenario::of_clusters(),
            Self::Node => scenario::of_node(),
        }
    }
}
