//! The body of the request.

use std::{
    fs,
    io::{self, Read},
};

use bytes::Bytes;

use crate::failure::Failure;

/// What `--data` names: a text, `@FILE`, or `-` for stdin.
pub(super) fn load(data: &str) -> Result<Bytes, Failure> {
    if matches!(data, "-" | "@-") {
        return stdin().map_err(Failure::Stdin);
    }
    let Some(path) = data.strip_prefix('@') else {
        return Ok(data.to_owned().into());
    };
    let body = fs::read(path);
    let failure = |source| Failure::File { action: "read", path: path.into(), source };
    body.map(Into::into).map_err(failure)
}

fn stdin() -> io::Result<Bytes> {
    let mut body = vec![];
    io::stdin().lock().read_to_end(&mut body)?;
    Ok(body.into())
}
