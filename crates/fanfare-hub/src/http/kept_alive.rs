//! A stream as the body of a response, with comments in its silences.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep};

use super::stream::Streaming;
use crate::log::BoxError;

/// Ends with the stream. Dropping it drops that.
pub(super) struct KeptAlive {
    streaming: Streaming,
    silence: Duration,
    timer: Pin<Box<Sleep>>,
}

impl KeptAlive {
    pub(super) fn new(streaming: Streaming, silence: Duration) -> Self {
        Self { streaming, silence, timer: Box::pin(sleep(silence)) }
    }
}

impl Body for KeptAlive {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let next = match Pin::new(&mut this.streaming).poll_next(context) {
            Poll::Ready(next) => next,
            Poll::Pending => {
                ready!(this.timer.as_mut().poll(context));
                Some(Ok(this.streaming.comment()))
            }
        };
        this.timer.as_mut().reset(Instant::now() + this.silence);
        Poll::Ready(next.map(|bytes| bytes.map(Frame::data).map_err(Into::into)))
    }
}
