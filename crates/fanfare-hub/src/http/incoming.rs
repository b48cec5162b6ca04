//! The body of a publish: it may be neither too large nor too slow.

use std::{pin::Pin, pin::pin, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::future::{Either, select};
use http::{HeaderValue, Version, header, request::Parts};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Api, Problem, RequestBody};

/// Refuses a body that is encoded in any way but `chunked`, once. Servers let pass what only ends in
/// that; a proxy in front may take something else of it for the body than the server does.
pub(super) fn check_encoding(request: &Parts) -> Result<(), Problem> {
    let mut encodings = request.headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = |one: &HeaderValue| one.as_bytes().eq_ignore_ascii_case(b"chunked");
    if encodings.next().is_none_or(is_chunked) && encodings.next().is_none() {
        return Ok(());
    }
    let detail = "the only Transfer-Encoding is chunked, and that once";
    Err(Problem::bad_request(detail).closing(request.version))
}

/// Reads a body while it comes fast enough, and the hub has the time for it.
pub(super) struct Incoming {
    body: RequestBody,
    version: Version,
    max_bytes: usize,
    /// The longest pause.
    idle: Duration,
    /// When all of it has to be there.
    deadline: Option<Instant>,
    /// When a shutdown does not wait for it any more.
    urgent: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Why no more of a body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interruption {
    /// The peer broke it off.
    BrokenOff,
    /// It came too slowly.
    Slow,
    /// The hub is shutting down.
    Shutdown,
}

impl Incoming {
    /// A body that is read as a whole before anything is published.
    pub(super) fn whole(api: &Api, request: &Parts, body: RequestBody) -> Self {
        let deadline = Instant::now().checked_add(api.settings.body_timeout);
        let idle = api.settings.body_idle_timeout;
        Self { idle, deadline, ..Self::stream(api, request, body) }
    }

    /// A body that is published as it comes.
    pub(super) fn stream(api: &Api, request: &Parts, body: RequestBody) -> Self {
        let closing = api.closing.clone();
        Self {
            body,
            version: request.version,
            max_bytes: api.settings.max_body_bytes,
            idle: api.settings.stream_idle_timeout,
            deadline: None,
            urgent: Box::pin(async move { closing.is_urgent().await }),
        }
    }

    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Interruption> {
        loop {
            let Some(frame) = self.frame().await? else { return Ok(None) };
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
    }

    async fn frame(&mut self) -> Result<Option<http_body::Frame<Bytes>>, Interruption> {
        let now = Instant::now();
        let longest = now.checked_add(self.idle).into_iter().chain(self.deadline).min();
        let frame = pin!(async {
            match longest {
                Some(deadline) => timeout_at(deadline, self.body.frame()).await,
                None => Ok(self.body.frame().await),
            }
        });
        match select(frame, &mut self.urgent).await {
            Either::Left((Ok(frame), _)) => frame.transpose().map_err(|_| Interruption::BrokenOff),
            Either::Left((Err(_), _)) => Err(Interruption::Slow),
            Either::Right(_) => Err(Interruption::Shutdown),
        }
    }

    /// Reads nothing for a while.
    pub(super) async fn pause(&mut self, time: Duration) -> Result<(), Interruption> {
        if time.is_zero() {
            return Ok(());
        }
        match select(pin!(sleep(time)), &mut self.urgent).await {
            Either::Left(_) => Ok(()),
            Either::Right(_) => Err(Interruption::Shutdown),
        }
    }

    /// All of it.
    pub(super) async fn collect(mut self) -> Result<Bytes, Problem> {
        let most = self.max_bytes;
        if self.body.size_hint().lower() > most as u64 {
            return Err(Problem::too_large(most));
        }
        let mut whole = BytesMut::new();
        loop {
            let next = self.next().await;
            let next = next.map_err(|why| self.problem(why, "nothing was published"))?;
            let Some(mut chunk) = next else { return Ok(whole.freeze()) };
            if whole.len() + chunk.len() > most {
                return Err(Problem::too_large(most));
            }
            whole.extend_from_slice(&chunk.copy_to_bytes(chunk.len()));
        }
    }

    /// What the peer is told, with what has been done.
    pub(super) fn problem(&self, why: Interruption, done: &str) -> Problem {
        match why {
            Interruption::BrokenOff => Problem::bad_request(format!("the body broke off; {done}")),
            Interruption::Slow => {
                let detail = format!("the body came too slowly; {done}");
                Problem::slow_body(detail, self.version)
            }
            Interruption::Shutdown => {
                Problem::shutting_down(format!("the hub is shutting down; {done}"))
            }
        }
    }
}
