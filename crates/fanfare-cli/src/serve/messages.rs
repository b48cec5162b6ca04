//! The program's own messages, on stderr.

use std::io::{self, IsTerminal};

use tracing_subscriber::{
    Layer, Registry, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::config::{LogFormat, Settings};
use crate::output;

pub(super) fn begin(settings: &Settings) {
    // It was one when it was read.
    let filter: Targets = settings.messages.level.0.parse().unwrap_or_default();
    let to_stderr = fmt::layer().with_writer(io::stderr);
    let layer = match *settings.messages.format {
        LogFormat::Json => to_stderr.json().boxed(),
        LogFormat::Human => {
            let is_coloured = io::stderr().is_terminal() && output::is_coloured(&io::stderr());
            to_stderr.with_ansi(is_coloured).boxed()
        }
    };
    // Nobody else has begun it.
    let _ = Registry::default().with(layer.with_filter(filter)).try_init();
}
