//! How many files and sockets the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Takes as many as the operating system gives to whoever asks. What it gives unasked is often 1,024,
/// for the sake of old programs.
pub(crate) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => tracing::debug!(?current, ?maximum, "open files: as many as may be"),
        Err(error) => tracing::warn!(%error, ?current, "the limit of open files stays as it was"),
    }
}
