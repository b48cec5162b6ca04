//! `fanfare token`: a token to try a hub out with.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use clap::{ArgGroup, Args};
use fanfare_hub::{
    Selector, TopicError,
    auth::{Algorithm, Grant, IssueError, KeyError, Rights, SigningKey, UnknownAlgorithm, issue},
    log::Timestamp,
};
use thiserror::Error;

use crate::{failure::Failure, output};

const MORE: &str = "\
In production tokens are made by whoever knows the users. A hub takes those that
one of its keys verifies: `fanfare serve --secret-file FILE`, or [auth] in its
settings. `$` begins the hub's own topics, which are granted only by name.

Exit status:
    0  the token is printed
    1  stdout failed, or the key cannot be used
    2  wrong usage

Examples:
  openssl rand -base64 32 > secret.txt
  fanfare token --subscribe 'news/*' --secret-file secret.txt
  fanfare token --subscribe '*' --publish '*' --admin --expires 30d --key private.pem
  curl -H \"Authorization: Bearer $(fanfare token --publish news \\
      --secret-file secret.txt)\" -d hello http://localhost:8080/sse/news";

/// Print a token that lets its bearer follow or publish
#[derive(Debug, Args)]
#[command(after_long_help = MORE, group = keys())]
pub(crate) struct Options {
    /// Let it follow and read this topic, or these, such as news/*
    ///
    /// May be given several times.
    #[arg(long, value_name = "PATTERN", value_parser = selector, help_heading = "Rights")]
    subscribe: Vec<Selector>,
    /// Let it publish to this topic, or these
    ///
    /// May be given several times.
    #[arg(long, value_name = "PATTERN", value_parser = selector, help_heading = "Rights")]
    publish: Vec<Selector>,
    /// Let it administer the hub
    #[arg(long, help_heading = "Rights")]
    admin: bool,

    /// Let it expire after this time, or never, which hubs refuse by default
    #[arg(long, value_name = "DURATION|never", value_parser = expiry, default_value = "1h", help_heading = "Claims")]
    expires: Expiry,
    /// Who bears it (sub)
    #[arg(long, value_name = "NAME", help_heading = "Claims")]
    subject: Option<String>,
    /// Who made it (iss)
    #[arg(long, value_name = "NAME", help_heading = "Claims")]
    issuer: Option<String>,
    /// Which hub it is for (aud)
    #[arg(long, value_name = "NAME", help_heading = "Claims")]
    audience: Option<String>,

    /// Sign it with this secret, which others on this machine may see in the list of processes
    #[arg(long, value_name = "SECRET", help_heading = "Key")]
    secret: Option<String>,
    /// Sign it with the secret in this file
    #[arg(long, value_name = "FILE", help_heading = "Key")]
    secret_file: Option<PathBuf>,
    /// Sign it with the private key in this file, as PEM
    #[arg(long, value_name = "FILE", help_heading = "Key")]
    key: Option<PathBuf>,
    /// Sign it this way [default: HS256 with a secret, the first that suits a private key]
    #[arg(long, value_name = "NAME", value_parser = algorithm, help_heading = "Key")]
    algorithm: Option<Algorithm>,
    /// Name the key (kid)
    #[arg(long, value_name = "ID", help_heading = "Key")]
    key_id: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum Expiry {
    After(Duration),
    Never,
}

/// Why there is no token.
#[derive(Debug, Error)]
pub(crate) enum TokenError {
    #[error("{} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the key cannot be used")]
    Key(#[from] KeyError),
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// One of them has to be given.
fn keys() -> ArgGroup {
    ArgGroup::new("keys").args(["secret", "secret_file", "key"]).required(true)
}

pub(crate) fn run(options: &Options, now: fn() -> SystemTime) -> Result<(), Failure> {
    let token = make(options, now())?;
    output::print(format!("{token}\n").as_bytes())
}

fn make(options: &Options, now: SystemTime) -> Result<String, TokenError> {
    let mut key = signing_key(options)?;
    if let Some(id) = &options.key_id {
        key = key.with_id(id.as_str());
    }
    let grant = Grant {
        rights: Rights {
            subscribe: options.subscribe.clone(),
            publish: options.publish.clone(),
            admin: options.admin,
        },
        subject: options.subject.clone(),
        issuer: options.issuer.clone(),
        audience: options.audience.clone(),
        not_before: None,
        expires: options.expires.moment(now),
    };
    Ok(issue(&key, &grant)?)
}

fn signing_key(options: &Options) -> Result<SigningKey, TokenError> {
    let hash = options.algorithm.unwrap_or(Algorithm::Hs256);
    if let Some(secret) = &options.secret {
        return Ok(SigningKey::from_secret(secret, hash)?);
    }
    if let Some(path) = &options.secret_file {
        return Ok(SigningKey::from_secret(without_line_break(&read(path)?), hash)?);
    }
    let pem = options.key.as_deref().map(read).transpose()?.unwrap_or_default();
    Ok(SigningKey::from_pem(pem, options.algorithm)?)
}

fn read(path: &Path) -> Result<Vec<u8>, TokenError> {
    fs::read(path).map_err(|source| TokenError::Unreadable { path: path.to_owned(), source })
}

/// As a hub reads such a file.
fn without_line_break(secret: &[u8]) -> &[u8] {
    let secret = secret.strip_suffix(b"\n").unwrap_or(secret);
    secret.strip_suffix(b"\r").unwrap_or(secret)
}

impl Expiry {
    fn moment(self, now: SystemTime) -> Option<Timestamp> {
        let Self::After(time) = self else { return None };
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let moment = now.saturating_add(time).as_millis();
        Some(Timestamp(moment.try_into().unwrap_or(u64::MAX)))
    }
}

fn expiry(text: &str) -> Result<Expiry, humantime::DurationError> {
    if text == "never" {
        return Ok(Expiry::Never);
    }
    humantime::parse_duration(text).map(Expiry::After)
}

fn selector(text: &str) -> Result<Selector, TopicError> {
    Selector::new(text)
}

fn algorithm(text: &str) -> Result<Algorithm, UnknownAlgorithm> {
    text.parse()
}
