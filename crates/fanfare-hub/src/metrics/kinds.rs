//! What is counted by its reason.

use std::{
    fmt,
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use fanfare_fanout::GapReason;
use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use crate::auth::Reason;

/// A reason, out of few that are known beforehand.
pub(crate) trait Kind: Copy + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// The value of the label `reason`.
    fn as_str(self) -> &'static str;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident { $($(#[$why:meta])* $kind:ident = $text:literal,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub(crate) enum $name { $($(#[$why])* $kind,)* }

            impl Kind for $name {
                const ALL: &'static [Self] = &[$(Self::$kind,)*];

                fn as_str(self) -> &'static str {
                    match self { $(Self::$kind => $text,)* }
                }
            }
        )*
    };
}

kinds! {
    /// Which bound a request was beyond.
    Refusal {
        /// Streams in all.
        Clients = "clients",
        /// Streams of one address.
        ClientsPerAddress = "clients_per_address",
        /// Publishes of one address.
        PublishRate = "publish_rate",
        /// Topics and patterns in one subscription.
        Topics = "topics",
        /// The size of a body, or of an event in it.
        BodySize = "body_size",
        /// Events in a batch.
        BatchEvents = "batch_events",
        /// The time for a body.
        BodyTime = "body_time",
        /// The hub is shutting down.
        Shutdown = "shutdown",
    }

    /// Why a stream ended.
    Disconnect {
        /// Its topics have ended.
        Ended = "ended",
        /// The subscriber left, or the network did.
        Left = "left",
        /// The subscriber read nothing for too long.
        Stalled = "stalled",
        /// The subscriber's token has expired.
        Expired = "expired",
        /// The log could not be read, or the engine failed.
        Failed = "failed",
        /// The hub has shut down.
        Shutdown = "shutdown",
    }

    /// Why the hub cut a connection off.
    Closing {
        /// The head of a request, or the TLS handshake, took too long.
        HeaderTime = "header_time",
        /// The head of a request was too large.
        HeaderSize = "header_size",
        /// There was no request for too long.
        Idle = "idle",
        /// The peer read nothing for too long.
        Stalled = "stalled",
        /// The TLS handshake failed.
        Tls = "tls",
        /// The grace period of the shutdown was over.
        Grace = "grace",
    }

    /// Why no connections were accepted for a while.
    Pause {
        /// As many are open as may be.
        Connections = "connections",
        /// The process or the machine has no file descriptors left.
        Descriptors = "descriptors",
        /// The operating system refuses for another reason.
        Failure = "failure",
    }
}

impl Kind for Reason {
    const ALL: &'static [Self] = Self::ALL;

    fn as_str(self) -> &'static str {
        self.as_str()
    }
}

impl Kind for GapReason {
    const ALL: &'static [Self] = &[Self::Lagged, Self::Expired, Self::Unknown, Self::Lost];

    fn as_str(self) -> &'static str {
        match self {
            Self::Lagged => "lagged",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
            Self::Lost => "lost",
        }
    }
}

/// A counter for each kind of something, under the label `reason`. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct ByKind<K> {
    counters: Arc<[AtomicU64]>,
    kind: PhantomData<K>,
}

impl<K: Kind> ByKind<K> {
    pub(super) fn new() -> Self {
        Self { counters: K::ALL.iter().map(|_| AtomicU64::new(0)).collect(), kind: PhantomData }
    }

    /// One more of this kind.
    pub(crate) fn count(&self, kind: K) {
        let counter = K::ALL.iter().position(|&one| one == kind);
        if let Some(counter) = counter.and_then(|index| self.counters.get(index)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.counters.iter().map(|counter| counter.load(Ordering::Relaxed)).sum()
    }
}

impl<K: Kind> EncodeMetric for ByKind<K> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        for (kind, counter) in K::ALL.iter().zip(&*self.counters) {
            let labels = [("reason", kind.as_str())];
            let mut encoder = encoder.encode_family(&labels)?;
            let count = counter.load(Ordering::Relaxed);
            encoder.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}
