//! A comment after every stretch of silence, which keeps middle boxes from closing the connection
//! and finds out about peers that are gone.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

/// An empty comment.
pub(crate) const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");

/// No silence at all would mean comments as fast as the peer reads.
const SHORTEST_SILENCE: Duration = Duration::from_millis(1);

pin_project_lite::pin_project! {
    /// The timer of one stream. A delivery only notes the time; the timer itself is set anew when
    /// it fires, and not even looked at before, so that a busy stream leaves the runtime's timers
    /// alone.
    #[derive(Debug)]
    pub(crate) struct KeepAlive {
        silence: Option<Duration>,
        last_write: Instant,
        armed: Option<Armed>,
        #[pin]
        timer: Option<Sleep>,
    }
}

/// When the timer fires, and whom it wakes.
#[derive(Debug)]
struct Armed {
    deadline: Instant,
    waker: Waker,
}

impl KeepAlive {
    /// `None`: never.
    pub(crate) fn new(silence: Option<Duration>) -> Self {
        let silence = silence.map(|silence| silence.max(SHORTEST_SILENCE));
        Self { silence, last_write: Instant::now(), armed: None, timer: None }
    }

    /// Something has been written.
    pub(crate) fn touch(self: Pin<&mut Self>) {
        *self.project().last_write = Instant::now();
    }

    /// Ready when it is time for a comment.
    pub(crate) fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(silence) = *this.silence else { return Poll::Pending };
        let mut now = Instant::now();
        if this.armed.as_ref().is_some_and(|armed| armed.is_right(now, context.waker())) {
            return Poll::Pending;
        }
        loop {
            let Some(due) = this.last_write.checked_add(silence) else { return Poll::Pending };
            if due <= now {
                (*this.last_write, *this.armed) = (now, None);
                return Poll::Ready(());
            }
            this.timer.set(Some(sleep_until(due)));
            *this.armed = Some(Armed { deadline: due, waker: context.waker().clone() });
            let Some(timer) = this.timer.as_mut().as_pin_mut() else { return Poll::Pending };
            ready!(timer.poll(context));
            now = Instant::now();
        }
    }
}

impl Armed {
    fn is_right(&self, now: Instant, waker: &Waker) -> bool {
        now < self.deadline && self.waker.will_wake(waker)
    }
}
