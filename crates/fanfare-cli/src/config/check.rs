//! `fanfare config`: what is wrong with a file, and what can be in one.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::{Engine, Settings, Sources, load, place, reference, table::Setting};
use crate::{failure::Failure, output};

const CHECK: &str = "\
All that is wrong is told at once, with the line. The environment is left
aside, and files that are named in it are not opened.

Exit status:
    0  nothing is wrong
    1  stdout failed
    2  something is wrong, or wrong usage

Examples:
  fanfare config check fanfare.toml
  fanfare config check /etc/fanfare.toml && systemctl restart fanfare";

const EXAMPLES: &str = "\
Examples:
  fanfare config check fanfare.toml
  fanfare config reference | less
  fanfare serve --print-config > fanfare.toml";

/// Check a file with settings, or tell what can be in one
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, subcommand_value_name = "ACTION", subcommand_help_heading = "Actions")]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Tell all that is wrong with a file
    #[command(after_help = CHECK)]
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print every setting with its default, its meaning and its variable, as Markdown
    Reference,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    match &options.action {
        Action::Check { file } => {
            let sources = Sources { file: Some(file.clone()), ..Sources::default() };
            load(&sources)?;
            output::print(format!("{}: nothing is wrong\n", file.display()).as_bytes())
        }
        Action::Reference => output::print(reference::reference().as_bytes()),
    }
}

/// The longest name of a hub, in bytes: it is told again and again.
const LONGEST_NAME: usize = 100;

/// What is wrong between values that are right on their own.
pub(super) fn values(settings: &Settings, wrong: &mut Vec<String>) {
    let (certificate, key) = (&settings.tls.certificate, &settings.tls.key);
    if certificate.is_some() != key.is_some() {
        let origin = if certificate.is_some() { certificate.origin() } else { key.origin() };
        let what = "tls.certificate and tls.key go together: one is missing";
        wrong.push(format!("{}: {what}", place(origin)));
    }
    let burst = &settings.limits.publish_burst;
    if burst.is_some() && settings.limits.publish_rate.is_none() {
        let what = "limits.publish_burst: it means nothing without limits.publish_rate";
        wrong.push(format!("{}: {what}", place(burst.origin())));
    }
    let name = &settings.server.name;
    if name.as_ref().is_some_and(|name| !(1..=LONGEST_NAME).contains(&name.len())) {
        let what = format!("server.name: it is 1 to {LONGEST_NAME} bytes long");
        wrong.push(format!("{}: {what}", place(name.origin())));
    }
    let is_edge = settings.log.url.as_ref().is_some_and(|url| url.engine() == Engine::Origin);
    if is_edge && !settings.top.relay.0.is_empty() {
        let what = "relay: an edge keeps nothing, let the origin of log.url relay";
        wrong.push(format!("{}: {what}", place(settings.top.relay.origin())));
    }
    if !is_edge && settings.log.token_file.is_some() {
        let what = "log.token_file: it means nothing without the URL of a hub in log.url";
        wrong.push(format!("{}: {what}", place(settings.log.token_file.origin())));
    }
    for (key, time) in times(settings).into_iter().filter(|(_, time)| time.is_zero()) {
        wrong.push(format!("{}: {key}: it cannot be zero", place(time.origin())));
    }
}

/// Where no time at all would be no time to do anything.
fn times(settings: &Settings) -> [(&'static str, &Setting<Duration>); 9] {
    let Settings { http, log, limits, .. } = settings;
    [
        ("http.keep_alive", &http.keep_alive),
        ("log.interval", &log.interval),
        ("log.trim_every", &log.trim_every),
        ("limits.body_timeout", &limits.body_timeout),
        ("limits.body_idle_timeout", &limits.body_idle_timeout),
        ("limits.stream_idle_timeout", &limits.stream_idle_timeout),
        ("limits.header_timeout", &limits.header_timeout),
        ("limits.idle_timeout", &limits.idle_timeout),
        ("limits.write_timeout", &limits.write_timeout),
    ]
}
