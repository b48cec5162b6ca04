//! A comment after every stretch of silence, which keeps middle boxes from closing the connection
//! and finds out about peers that are gone.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

pin_project_lite::pin_project! {
    /// The timer of one stream. A delivery only notes the time; the timer itself is set anew when
    /// it fires, so that a busy stream does not touch the runtime's timers.
    #[derive(Debug)]
    pub(crate) struct KeepAlive {
        silence: Option<Duration>,
        last_write: Instant,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl KeepAlive {
    /// `None`: never.
    pub(crate) fn new(silence: Option<Duration>) -> Self {
        Self { silence, last_write: Instant::now(), timer: None }
    }

    /// Something has been written.
    pub(crate) fn touch(self: Pin<&mut Self>) {
        *self.project().last_write = Instant::now();
    }

    /// Ready when it is time for a comment.
    pub(crate) fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(silence) = *this.silence else { return Poll::Pending };
        if this.timer.is_none() {
            this.timer.set(Some(sleep(silence.saturating_sub(this.last_write.elapsed()))));
        }
        let Some(mut timer) = this.timer.as_pin_mut() else { return Poll::Pending };
        loop {
            ready!(timer.as_mut().poll(context));
            let left = silence.saturating_sub(this.last_write.elapsed());
            if left.is_zero() {
                *this.last_write = Instant::now();
                timer.set(sleep(silence));
                return Poll::Ready(());
            }
            timer.set(sleep(left));
        }
    }
}
