//! The stream: made if there is none, checked if there is one, and recognised later on.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions, Event, ServerAddr,
    jetstream::{
        self, Context, ErrorCode,
        context::{CreateStreamError, CreateStreamErrorKind},
        stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType},
    },
};
use percent_encoding::percent_decode_str;
use tokio::sync::watch;

use super::{
    NatsError, NatsOptions, Subjects,
    again::ask_again,
    room::{set_limit, with_room},
};

/// What the description of a stream begins with; the seed of its epoch follows.
const DESCRIPTION: &str = "fanfare log ";
/// Between questions whether the other end is still there.
const SHORTEST_PING: Duration = Duration::from_secs(1);
/// Between attempts to connect.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Connections: how many there have been, and whether there is one.
#[derive(Debug, Default)]
pub(super) struct Connections {
    pub(super) number: watch::Sender<u64>,
    is_lost: AtomicBool,
    /// What was asked last was not answered.
    pub(super) is_away: AtomicBool,
}

impl Connections {
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }
}

/// How long to wait before the next attempt, of which so many have failed. All hubs lose NATS at the same moment.
pub(super) fn pause(failures: usize) -> Duration {
    let doubled = SHORTEST_PAUSE * (1 << failures.min(6));
    doubled.min(LONGEST_PAUSE).mul_f64(0.5 + fastrand::f64())
}

/// Connects to any of some servers, which are separated by commas.
pub(super) async fn connect(
    url: &str,
    patience: Duration,
    connections: std::sync::Arc<Connections>,
) -> Result<Client, NatsError> {
    let servers: Result<Vec<ServerAddr>, _> =
        url.split(',').map(|one| one.trim().parse()).collect();
    let servers = servers.map_err(|error: std::io::Error| NatsError::Address(error.into()))?;
    let take_note = move |event| {
        match event {
            Event::Connected => {
                connections.is_lost.store(false, Ordering::Relaxed);
                connections.number.send_modify(|number| *number += 1);
            }
            Event::Disconnected => {
                connections.is_lost.store(true, Ordering::Relaxed);
                connections.is_away.store(true, Ordering::Relaxed);
            }
            Event::ServerError(error) => tracing::warn!(%error, "NATS refuses something"),
            _ => {}
        }
        std::future::ready(())
    };
    let options = ConnectOptions::new()
        .name("fanfare")
        .connection_timeout(patience)
        // A connection whose other end has silently gone is to be given up.
        .ping_interval((patience / 4).max(SHORTEST_PING))
        .request_timeout(Some(patience))
        .reconnect_delay_callback(pause)
        .event_callback(take_note);
    Ok(with_credentials(options, &servers).connect(servers).await?)
}

/// With `USER:PASSWORD@` or `TOKEN@` of an address, which the client leaves out. A cluster has the same everywhere.
fn with_credentials(options: ConnectOptions, servers: &[ServerAddr]) -> ConnectOptions {
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let found = servers.iter().find_map(|server| Some((server.username()?, server.password())));
    match found {
        Some((user, Some(password))) => options.user_and_password(decoded(user), decoded(password)),
        Some((token, None)) => options.token(decoded(token)),
        None => options,
    }
}

/// The stream of a log, which is made if there is none.
pub(super) async fn open(
    context: &Context,
    subjects: &Subjects,
    seed: u64,
    options: &NatsOptions,
) -> Result<jetstream::stream::Stream, NatsError> {
    let wanted = config(subjects, seed, options);
    let request = || make_or_find(context, subjects, &wanted);
    let stream = ask_again(options.patience, request).await?;
    check(&stream.cached_info().config, &wanted)?;
    set_limit(context, stream.cached_info(), &wanted).await?;
    Ok(stream)
}

async fn make_or_find(
    context: &Context,
    subjects: &Subjects,
    wanted: &Config,
) -> Result<jetstream::stream::Stream, NatsError> {
    match context.create_stream(wanted).await {
        Ok(stream) => Ok(stream),
        // It is there and set up in another way: with another seed at least.
        Err(error) if matches!(error.kind(), CreateStreamErrorKind::JetStream(_)) => {
            match context.get_stream(subjects.stream()).await.map_err(NatsError::from) {
                // There is none of this name.
                Err(NatsError::Replaced) if has_overlap(&error) => {
                    Err(NatsError::Taken { subjects: subjects.all() })
                }
                Err(NatsError::Replaced) => Err(error.into()),
                found => found,
            }
        }
        Err(error) => Err(error.into()),
    }
}

fn has_overlap(error: &CreateStreamError) -> bool {
    match error.kind() {
        CreateStreamErrorKind::JetStream(refused) => {
            refused.error_code() == ErrorCode::STREAM_SUBJECT_OVERLAP
        }
        _ => false,
    }
}

/// Nothing is dropped but by hubs, which say so before.
fn config(subjects: &Subjects, seed: u64, options: &NatsOptions) -> Config {
    Config {
        name: subjects.stream().to_owned(),
        description: Some(description(seed)),
        subjects: vec![subjects.all()],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        storage: if options.is_in_memory { StorageType::Memory } else { StorageType::File },
        num_replicas: options.replicas,
        duplicate_window: options.retention.idempotency_window.max(SHORTEST_WINDOW),
        max_bytes: with_room(options.max_bytes),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_message_size: -1,
        max_consumers: -1,
        allow_direct: true,
        ..Config::default()
    }
}

/// NATS takes none for its own default.
const SHORTEST_WINDOW: Duration = Duration::from_millis(100);

pub(super) fn description(seed: u64) -> String {
    format!("{DESCRIPTION}{seed:016x}")
}

/// What the log in a stream is named by.
pub(super) fn seed(config: &Config) -> Option<u64> {
    u64::from_str_radix(config.description.as_deref()?.strip_prefix(DESCRIPTION)?, 16).ok()
}

/// Whether a stream that is there does what is needed.
fn check(found: &Config, wanted: &Config) -> Result<(), NatsError> {
    let drops_by_itself = !found.max_age.is_zero()
        || found.max_messages > 0
        || found.max_messages_per_subject > 0
        || found.retention != RetentionPolicy::Limits
        || (found.discard != DiscardPolicy::New && found.max_bytes > 0);
    let replicas = (found.num_replicas, wanted.num_replicas);
    let what = if seed(found).is_none() {
        "it was not made by fanfare".into()
    } else if found.subjects != wanted.subjects {
        format!("its subjects are {:?} instead of {:?}", found.subjects, wanted.subjects)
    } else if drops_by_itself {
        "it drops messages by itself (max_age, max_msgs, max_msgs_per_subject, retention or discard)".into()
    } else if found.mirror.is_some() || found.sealed || found.deny_delete || found.deny_purge {
        "nothing can be written to it or deleted".into()
    } else if replicas.0 != replicas.1 {
        format!("it has {} replicas instead of {}", replicas.0, replicas.1)
    } else if found.storage != wanted.storage {
        format!("it is kept in {:?} instead of {:?}", found.storage, wanted.storage)
    } else {
        return Ok(());
    };
    Err(NatsError::Unfit { stream: found.name.clone(), what })
}

/// Within which time a server that leads hears from the others: each second, unless it is cut off. Then they choose
/// another one after four.
const HEARD: Duration = Duration::from_secs(3);

/// Whether this is told by a server that most of the others take for the one that leads. One that was cut off takes
/// itself for it, and does not know what there is by now.
pub(super) fn is_led(info: &Info) -> bool {
    let Some(cluster) = &info.cluster else { return true };
    let heard = cluster.replicas.iter().filter(|peer| peer.active < HEARD).count();
    // It makes one more of them.
    2 * (heard + 1) > cluster.replicas.len() + 1
}

/// Says what an operator may not know of a server of this version.
pub(super) fn warn_of(version: &str, replicas: usize) {
    if may_come_apart(version, replicas) {
        tracing::warn!(
            "nats-server {version} may lose events that were acknowledged when a link between the servers of a \
             cluster is cut for some seconds: use version 2.12 or later"
        );
    }
}

/// Whether a cut may leave replicas with different messages, which each takes for the right ones.
fn may_come_apart(version: &str, replicas: usize) -> bool {
    replicas > 1 && version.starts_with("2.9.")
}

/// Gives the log another name, which tells all hubs that it is another one.
pub(super) async fn rename(context: &Context, info: &Info, seed: u64) -> Result<(), NatsError> {
    let renamed = Config { description: Some(description(seed)), ..info.config.clone() };
    context.update_stream(renamed).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Info, is_led, may_come_apart};

    /// Of a stream on three servers, told by one that heard from the others so many seconds ago.
    fn told(heard: [u64; 2]) -> Info {
        let peer =
            |seconds| json!({ "name": "n", "current": true, "active": seconds * 1_000_000_000 });
        let state = json!({
            "messages": 0, "bytes": 0, "first_seq": 0, "first_ts": "0001-01-01T00:00:00Z", "last_seq": 0,
            "last_ts": "0001-01-01T00:00:00Z", "consumer_count": 0,
        });
        let cluster = json!({ "leader": "l", "replicas": heard.map(peer) });
        let config = super::config(&super::Subjects::new("x"), 1, &options());
        let created = "2026-01-01T00:00:00Z";
        let info =
            json!({ "config": config, "created": created, "state": state, "cluster": cluster });
        serde_json::from_value(info).unwrap()
    }

    fn options() -> super::NatsOptions {
        super::NatsOptions {
            name: "x".into(),
            retention: crate::log::Retention::default(),
            max_topics: 1,
            patience: super::Duration::from_secs(1),
            replicas: 3,
            is_in_memory: false,
            max_unfollowed: 0,
            max_bytes: None,
        }
    }

    #[test]
    fn a_server_that_has_heard_of_none_of_the_others_for_long_does_not_lead() {
        assert!(is_led(&told([0, 1])));
        assert!(is_led(&told([0, 60])));
        assert!(!is_led(&told([5, 60])));
    }

    #[test]
    fn replicas_may_come_apart_on_old_servers_only() {
        assert!(may_come_apart("2.9.10", 3));
        assert!(!may_come_apart("2.9.10", 1));
        assert!(!may_come_apart("2.12.15", 3));
        assert!(!may_come_apart("2.90.0", 3));
    }
}
