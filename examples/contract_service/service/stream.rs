//! One stream that is followed.

use std::sync::Arc;

use fanfare_client::EventSource;
use futures_util::StreamExt;
use tokio::{select, sync::Notify, task::JoinHandle};

use super::callbacks::Callbacks;

pub(super) struct Stream {
    restart: Arc<Notify>,
    following: JoinHandle<()>,
}

impl Stream {
    /// Follows `source` and tells the harness of everything that comes.
    pub(super) fn follow(source: EventSource, callbacks: Callbacks) -> Self {
        let restart = Arc::<Notify>::default();
        let following = tokio::spawn(follow(source, callbacks, restart.clone()));
        Self { restart, following }
    }

    /// Gives up the connection and asks for the stream again, as soon as a callback that is under
    /// way is over.
    pub(super) fn restart(&self) {
        self.restart.notify_one();
    }

    /// Ends it at once, with its connection and a callback that is under way.
    pub(super) async fn close(self) {
        self.following.abort();
        let _ = self.following.await;
    }
}

async fn follow(mut source: EventSource, mut callbacks: Callbacks, restart: Arc<Notify>) {
    loop {
        let item = select! {
            biased;
            () = restart.notified() => {
                source.reconnect();
                continue;
            }
            item = source.next() => item,
        };
        let Some(item) = item else { return };
        // Callbacks are in order because each is over before the next begins.
        if let Err(error) = callbacks.tell(&item).await {
            eprintln!("nobody takes the callbacks of a stream, so it is closed: {error}");
            return;
        }
    }
}
