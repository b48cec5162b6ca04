//! Where the origin is, and what opens its doors.

use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use fanfare_hub::{VIA, Via};
use http::{HeaderMap, HeaderValue, header};
use url::Url;

use super::OriginError;

/// The way to the origin.
#[derive(Debug)]
pub(crate) struct Access {
    url: Url,
    token_file: Option<PathBuf>,
    via: Option<HeaderValue>,
    /// The token, until it is refused or expires: then the file is read again.
    token: Mutex<Option<HeaderValue>>,
}

impl Access {
    /// `name` names this hub among others.
    pub(crate) fn new(url: Url, token_file: Option<PathBuf>, name: &Via) -> Self {
        Self { url, token_file, via: name.to_header(), token: Mutex::default() }
    }

    /// Where it is, without what opens doors.
    pub(super) fn shown(&self) -> String {
        let shown = format!("{}{}", self.url.origin().ascii_serialization(), self.url.path());
        shown.trim_end_matches('/').to_owned()
    }

    pub(super) fn url(&self, path: &str, query: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        url.set_query(Some(query));
        url
    }

    /// What each request brings along.
    pub(super) fn headers(&self) -> Result<HeaderMap, OriginError> {
        let token = self.token()?.map(|token| (header::AUTHORIZATION, token));
        let via = self.via.clone().map(|via| (VIA, via));
        Ok(token.into_iter().chain(via).collect())
    }

    fn token(&self) -> Result<Option<HeaderValue>, OriginError> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let mut known = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            let read = fs::read_to_string(path).and_then(|token| {
                let token = HeaderValue::try_from(format!("Bearer {}", token.trim_end()));
                token.map_err(std::io::Error::other)
            });
            let path = || path.display().to_string();
            *known = Some(read.map_err(|source| OriginError::Token { path: path(), source })?);
        }
        Ok(known.clone())
    }

    /// It is of no use any more.
    pub(super) fn forget_token(&self) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
