//! Streams whose bytes the server writes itself.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use super::stream::Streaming;

/// Among the extensions of a request: the server can write a stream into its socket itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnSocket;

/// Among the extensions of a response: the stream that the server is to write.
#[derive(Clone)]
pub(crate) struct Detached(Arc<Mutex<Option<Streaming>>>);

impl Detached {
    pub(super) fn new(streaming: Streaming) -> Self {
        Self(Arc::new(Mutex::new(Some(streaming))))
    }

    /// The stream, for who asks first.
    pub(crate) fn take(&self) -> Option<Streaming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Detached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Detached")
    }
}
