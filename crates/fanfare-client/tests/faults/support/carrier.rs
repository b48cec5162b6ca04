//! Every case is run with both transports.

use std::{panic::AssertUnwindSafe, sync::LazyLock, time::Duration};

use bytes::Bytes;
use fanfare_client::{
    Builder, EventSource, Policy, Transport,
    transport::{Hyper, Reqwest, Sending},
};
use futures_util::FutureExt;
use http::Request;

use super::Server;

/// Which transport carries the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    Reqwest,
    Hyper,
}

impl Carrier {
    pub(crate) const ALL: [Self; 2] = [Self::Reqwest, Self::Hyper];

    /// Settings for an event source on this transport, whose waits are short.
    pub(crate) fn follow(self, url: &str) -> Builder {
        EventSource::builder(url)
            .transport(self)
            .policy(Policy::standard().with_cap(Duration::from_millis(5)))
            .reconnection_time(Duration::from_millis(1))
    }

    /// An event source on this transport that follows `/sse`.
    pub(crate) fn source(self, server: &Server) -> EventSource {
        self.follow(&server.url("/sse")).build().unwrap()
    }
}

/// All tests share one of each, as the parts of a program do, whatever runtimes they run on.
impl Transport for Carrier {
    fn send(&self, request: Request<Bytes>) -> Sending {
        static REQWEST: LazyLock<Reqwest> = LazyLock::new(|| Reqwest::new().unwrap());
        static HYPER: LazyLock<Hyper> = LazyLock::new(|| Hyper::new().unwrap());
        match self {
            Self::Reqwest => REQWEST.send(request),
            Self::Hyper => HYPER.send(request),
        }
    }
}

/// Runs the case with each transport, and says which of them it fails with.
pub(crate) async fn with_each(case: impl AsyncFn(Carrier)) {
    let mut failed = vec![];
    for carrier in Carrier::ALL {
        if AssertUnwindSafe(case(carrier)).catch_unwind().await.is_err() {
            failed.push(carrier);
        }
    }
    assert!(failed.is_empty(), "failed with {failed:?}");
}
