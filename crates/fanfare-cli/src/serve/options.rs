//! What `fanfare serve` can be asked for.

use std::{env, path::PathBuf};

use clap::Args;

use crate::config::{Flag, Sources, quote};

const MORE: &str = "\
Settings come from defaults, a TOML file, variables FANFARE_… and flags; whoever
comes later wins. docs/configuration.md, or `fanfare config reference`, lists
all of them.

On another address than this machine's own it refuses to serve without keys
that verify tokens ([auth]), unless --insecure is given.

SIGTERM and SIGINT end it in good order: nothing new is accepted, publishes in
flight are answered, streams are told when to come back and end spread over
server.grace, the log is closed. A second one ends it at once. SIGHUP reads
certificates and keys again.

Exit status:
    0  ended in good order, or the settings are printed
    1  it cannot serve: the port or the log's folder is in use, a file with a
       key or a certificate cannot be used, the log failed
    2  wrong usage or wrong settings, or a refusal to serve others unprotected
  130  ended at once by a second SIGINT
  143  ended at once by a second SIGTERM

Examples:
  fanfare serve
  fanfare serve --memory --listen 127.0.0.1:0
  fanfare serve --listen 0.0.0.0:8080 --secret-file secret.txt
  fanfare serve --relay https://hub.example/sse/news
  fanfare serve --log https://hub.example
  fanfare serve --config hub.toml --set limits.max_body=4MiB
  FANFARE_LOG_DURABILITY=interval fanfare serve --print-config";

/// Serve a hub: topics that are published to and followed over HTTP
#[derive(Debug, Args)]
#[command(after_long_help = MORE)]
pub(crate) struct Options {
    /// Read settings from this file [default: fanfare.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set any setting
    ///
    /// May be given several times. Items of a list are separated by commas.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Print the settings with where each came from, as a file, and do nothing else
    #[arg(long)]
    pub(super) print_config: bool,

    /// Listen on this address and port [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", help_heading = "Address")]
    listen: Option<String>,
    /// Serve other machines without authentication
    #[arg(long, help_heading = "Address")]
    insecure: bool,
    /// Serve HTTPS with this certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "Address")]
    tls_certificate: Option<String>,
    /// The certificate's private key, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate", help_heading = "Address")]
    tls_key: Option<String>,
    /// Let pages of this site use the hub
    ///
    /// It is written with its scheme, and its port if it has another than usual. May be given several
    /// times.
    #[arg(long, value_name = "ORIGIN", help_heading = "Address")]
    origin: Vec<String>,

    /// Follow this stream and keep it, under its topic
    ///
    /// That of another hub, or of any other server that sends events. May be given several times. Tokens,
    /// and topics of other names, are set in the file ([[relay]]).
    #[arg(long, value_name = "URL", help_heading = "Topics of other servers")]
    relay: Vec<String>,

    /// Keep the log in this folder [default: ./fanfare-data]
    #[arg(long, value_name = "FOLDER", help_heading = "Log", conflicts_with = "memory")]
    data: Option<String>,
    /// Keep events in memory only
    #[arg(long, help_heading = "Log")]
    memory: bool,
    /// Share the log of this address with other hubs, or have it from a hub
    ///
    /// redis://HOST:PORT or nats://HOST:PORT is a log that hubs share. http://HOST:PORT or https:// is a hub:
    /// this one becomes an edge of it, and keeps nothing.
    #[arg(long, value_name = "URL", help_heading = "Log", conflicts_with_all = ["data", "memory"])]
    log: Option<String>,
    /// When a publish is answered: sync, interval or none [default: sync]
    #[arg(long, value_name = "LEVEL", help_heading = "Log")]
    durability: Option<String>,

    /// Ask for tokens that were made with the secret in this file
    ///
    /// May be given several times.
    #[arg(long, value_name = "FILE", help_heading = "Authentication")]
    secret_file: Vec<String>,

    /// Write messages for people or as JSON: human or json [default: human]
    #[arg(long, value_name = "FORMAT", help_heading = "Messages")]
    log_format: Option<String>,
    /// Write messages of this level: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL", help_heading = "Messages")]
    log_level: Option<String>,
}

impl Options {
    pub(super) fn sources(&self) -> Sources {
        Sources {
            file: self.config.clone(),
            environment: env::vars_os().collect(),
            flags: self.flags(),
        }
    }

    fn flags(&self) -> Vec<Flag> {
        let yes = |is: bool| is.then(|| "true".to_owned());
        let list = |items: &[String]| (!items.is_empty()).then(|| items.join(","));
        let relays = self.relay.iter().map(|url| format!("{{ url = {} }}", quote(url)));
        let relays = relays.collect::<Vec<_>>().join(", ");
        let flags = [
            ("--listen", "server.listen", self.listen.clone()),
            ("--insecure", "server.insecure", yes(self.insecure)),
            ("--tls-certificate", "tls.certificate", self.tls_certificate.clone()),
            ("--tls-key", "tls.key", self.tls_key.clone()),
            ("--origin", "http.origins", list(&self.origin)),
            ("--relay", "relay", (!relays.is_empty()).then(|| format!("[{relays}]"))),
            ("--data", "log.data", self.data.clone()),
            // Who names a folder wants it to be used.
            ("--data", "log.memory", self.data.as_ref().map(|_| "false".to_owned())),
            ("--memory", "log.memory", yes(self.memory)),
            ("--log", "log.url", self.log.clone()),
            ("--durability", "log.durability", self.durability.clone()),
            ("--secret-file", "auth.secret_files", list(&self.secret_file)),
            ("--log-format", "messages.format", self.log_format.clone()),
            ("--log-level", "messages.level", self.log_level.clone()),
        ];
        let flags =
            flags.into_iter().filter_map(|(name, key, value)| Some(flag(name, key, value?)));
        let set = self.set.iter().map(|(key, value)| flag("--set", key, value.clone()));
        flags.chain(set).collect()
    }
}

fn flag(name: &str, key: &str, value: String) -> Flag {
    Flag { name: name.to_owned(), key: key.to_owned(), value }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=');
    let (key, value) = pair.ok_or("it is written KEY=VALUE, such as limits.max_body=4MiB")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}
