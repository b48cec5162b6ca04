//! What is told of the connection.

use std::{fmt::Display, io, time::Duration};

use anstyle::Style;
use fanfare_client::{Error, Opened};
use url::Url;

use super::explained::{Explained, Explainer};
use crate::{output, stderr};

pub(super) struct News {
    is_quiet: bool,
    style: Style,
    explainer: Explainer,
}

impl News {
    pub(super) fn new(is_quiet: bool, explainer: Explainer) -> Self {
        let is_coloured = output::is_coloured(&io::stderr());
        let style = if is_coloured { Style::new().dimmed() } else { Style::new() };
        Self { is_quiet, style, explainer }
    }

    pub(super) fn opened(&self, opened: &Opened) {
        self.tell(format_args!("open: {}", without_password(&opened.url)));
    }

    pub(super) fn reconnecting(&self, reason: &Error, delay: Duration) {
        let reason = self.explain(reason);
        self.tell(format_args!("{reason}, trying again in {delay:.1?}"));
    }

    pub(super) fn ended(&self, reason: &Error) {
        let reason = self.explain(reason);
        self.tell(format_args!("{reason}: that is all"));
    }

    pub(super) fn explain(&self, error: &Error) -> Explained {
        self.explainer.explain(error)
    }

    fn tell(&self, text: impl Display) {
        if !self.is_quiet {
            stderr::say_in(self.style, text);
        }
    }
}

fn without_password(url: &Url) -> Url {
    let mut url = url.clone();
    // These fail for URLs without a host, which have neither.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url
}
