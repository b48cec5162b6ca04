//! From settings to the hub's parts.

use std::{
    iter,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
};

use ::http::HeaderValue;
use fanfare_fanout::{Bounds, Epoch};
use fanfare_hub::{
    Relay, Via,
    auth::{self, Auth, KeySource},
    http, limits,
    log::{
        self, BoxError, EmbeddedLog, MemoryLog, NatsLog, NatsOptions, Opened, RedisClock, RedisLog,
        RedisOptions, Retention,
    },
    server::{self, Tls},
};

use super::{
    ServeError,
    origin::{Access, OriginLog, OriginOptions},
};
use crate::{
    config::{self, Durable, Engine, LogUrl, Settings, Storage},
    http_client,
};

/// A log, and what is known of it.
pub(super) enum OpenedLog {
    Memory(MemoryLog),
    Embedded(EmbeddedLog, Opened),
    /// Other hubs may have it too.
    Shared(Arc<dyn log::Log>),
}

impl OpenedLog {
    pub(super) fn log(self) -> Arc<dyn log::Log> {
        match self {
            Self::Memory(log) => Arc::new(log),
            Self::Embedded(log, _) => Arc::new(log),
            Self::Shared(log) => log,
        }
    }
}

pub(super) async fn log(settings: &Settings, seed: u64) -> Result<OpenedLog, ServeError> {
    let retention = retention(settings);
    if *settings.log.memory {
        return Ok(OpenedLog::Memory(MemoryLog::new(Epoch::from_seed(seed), retention)));
    }
    if let Some(url) = &*settings.log.url {
        let opened = match url.engine() {
            Engine::Redis => redis(url, &settings.log, retention, seed).await,
            Engine::Nats => nats(url, &settings.log, retention, seed).await,
            Engine::Origin => origin(url, &settings.log, seed).await,
        };
        let opened =
            opened.map_err(|error| ServeError::Shared { at: url.without_credentials(), error });
        return Ok(OpenedLog::Shared(opened?));
    }
    let options = options(&settings.log, retention);
    let opened = EmbeddedLog::open(&*settings.log.data, seed, options);
    let (log, opened) = opened.map_err(ServeError::of_open)?;
    Ok(OpenedLog::Embedded(log, opened))
}

async fn redis(
    url: &LogUrl,
    log: &config::Log,
    retention: Retention,
    seed: u64,
) -> Result<Arc<dyn log::Log>, BoxError> {
    let options = RedisOptions {
        name: log.name.to_string(),
        retention,
        max_topics: count(*log.max_topics),
        patience: *log.patience,
        clock: RedisClock::Redis,
    };
    Ok(Arc::new(RedisLog::open(&url.0, seed, options).await?))
}

async fn nats(
    url: &LogUrl,
    log: &config::Log,
    retention: Retention,
    seed: u64,
) -> Result<Arc<dyn log::Log>, BoxError> {
    let options = NatsOptions {
        name: log.name.to_string(),
        retention,
        max_topics: count(*log.max_topics),
        patience: *log.patience,
        replicas: log.replicas.get(),
        is_in_memory: *log.storage == Storage::Memory,
        max_unfollowed: log.max_unfollowed.0,
        max_bytes: log.max_stored.map(|size| size.0),
    };
    Ok(Arc::new(NatsLog::open(&url.0, seed, options).await?))
}

async fn origin(url: &LogUrl, log: &config::Log, seed: u64) -> Result<Arc<dyn log::Log>, BoxError> {
    let name = Via::named(&format!("edge-{}", Epoch::from_seed(seed)));
    let token_file = (*log.token_file).clone();
    let options = OriginOptions {
        access: Access::new(url.0.parse()?, token_file, &name),
        patience: *log.patience,
        linger: *log.linger,
        name,
    };
    Ok(Arc::new(OriginLog::open(options).await?))
}

fn retention(settings: &Settings) -> Retention {
    let log = &settings.log;
    Retention {
        // The places of relays are kept whatever else is.
        rules: iter::once(Relay::retention()).chain(settings.top.retention.0.clone()).collect(),
        total: log::Limits {
            max_events: *log.max_events,
            max_age: *log.max_age,
            max_bytes: log.max_bytes.map(|size| size.0),
        },
        idempotency_window: *log.idempotency_window,
        max_idempotency_keys: count(*log.max_idempotency_keys),
    }
}

fn options(log: &config::Log, retention: Retention) -> log::Options {
    let durability = match *log.durability {
        Durable::Sync => log::Durability::Sync,
        Durable::Interval => log::Durability::Interval(*log.interval),
        Durable::None => log::Durability::None,
    };
    log::Options {
        durability,
        retention,
        reserve_bytes: log.reserve.0,
        max_topics: count(*log.max_topics),
        slack_bytes: log.slack.0,
        cache_bytes: log.cache.0,
    }
}

/// What the hub is called among others.
pub(super) fn name(settings: &Settings, address: SocketAddr) -> String {
    if let Some(name) = &*settings.server.name {
        return name.clone();
    }
    let machine = rustix::system::uname();
    format!("{}:{}", machine.nodename().to_string_lossy(), address.port())
}

pub(super) fn window(log: &config::Log) -> Bounds {
    Bounds { frames: log.window_events.get(), bytes: log.window_bytes.bytes() }
}

/// Who may do what; `None` when everybody may do everything.
pub(super) fn auth(settings: &Settings) -> Result<Option<Auth>, ServeError> {
    let auth = &settings.auth;
    let keys = keys(auth)?;
    let anonymous = auth::Rights {
        subscribe: auth.anonymous_subscribe.to_vec(),
        publish: auth.anonymous_publish.to_vec(),
        admin: false,
    };
    if keys.is_empty() && anonymous == auth::Rights::none() {
        return Ok(None);
    }
    let sites =
        settings.http.origins.iter().map(|origin| &origin.0).filter(|origin| *origin != "*");
    let settings = auth::Settings {
        keys,
        anonymous,
        leeway: *auth.leeway,
        is_expiry_required: *auth.require_expiry,
        issuers: auth.issuers.to_vec(),
        audiences: auth.audiences.to_vec(),
        // They were origins when they were read.
        origins: auth::Origins::new(sites).unwrap_or_default(),
    };
    Auth::new(settings).map(Some).map_err(ServeError::Auth)
}

fn keys(auth: &config::Auth) -> Result<Vec<KeySource>, ServeError> {
    let given = auth.secrets.iter().map(|secret| KeySource::secret(&secret.0));
    let secrets = auth.secret_files.iter().map(KeySource::secret_file);
    let pems = auth.public_key_files.iter().map(KeySource::pem_file);
    let sets = auth.jwks_files.iter().map(KeySource::jwks_file);
    let files = secrets.chain(pems).chain(sets);
    let files = files.map(|source| source.refresh_every(*auth.refresh_files));
    let mut keys: Vec<KeySource> = given.chain(files).collect();
    if !auth.jwks_urls.is_empty() {
        let client = http_client::new().map_err(ServeError::Client)?;
        keys.extend(auth.jwks_urls.iter().map(|url| fetched(auth, url.0.clone(), client.clone())));
    }
    let restrict = |source: KeySource| source.algorithms(auth.algorithms.iter().copied());
    if auth.algorithms.is_empty() { Ok(keys) } else { Ok(keys.into_iter().map(restrict).collect()) }
}

fn fetched(auth: &config::Auth, url: ::http::Uri, client: reqwest::Client) -> KeySource {
    let fetch = move |uri: ::http::Uri| http_client::fetch(client.clone(), uri);
    let source = KeySource::jwks_url(url, fetch).refresh_every(*auth.refresh_urls);
    if *auth.plain_http { source.allow_plain_http() } else { source }
}

pub(super) fn tls(settings: &Settings) -> Result<Option<Arc<Tls>>, ServeError> {
    match (&*settings.tls.certificate, &*settings.tls.key) {
        (Some(certificate), Some(key)) => {
            let tls = Tls::open(certificate, key).map_err(ServeError::Tls)?;
            Ok(Some(Arc::new(tls)))
        }
        _ => Ok(None),
    }
}

pub(super) fn http(settings: &Settings) -> http::Settings {
    let Settings { http, limits, .. } = settings;
    http::Settings {
        max_body_bytes: limits.max_body.bytes(),
        max_batch_events: limits.max_batch_events.get(),
        max_topics: limits.max_topics.get(),
        limits: bounds(limits),
        body_timeout: *limits.body_timeout,
        body_idle_timeout: *limits.body_idle_timeout,
        stream_idle_timeout: *limits.stream_idle_timeout,
        keep_alive: *http.keep_alive,
        retry: http.retry.0.clone(),
        farewell_retry: http.farewell_retry.0.clone(),
        codings: http.compression.to_vec(),
        origins: origins(settings),
    }
}

fn origins(settings: &Settings) -> http::Origins {
    let origins = &settings.http.origins;
    if origins.is_empty() {
        return http::Origins::None;
    }
    if origins.iter().any(|origin| origin.0 == "*") {
        return http::Origins::Any;
    }
    let origins = origins.iter().filter_map(|origin| HeaderValue::try_from(&*origin.0).ok());
    http::Origins::These(origins.collect())
}

fn bounds(limits: &config::Limits) -> limits::Settings {
    let rate = limits.publish_rate.map(|per_second: NonZeroU32| limits::Rate {
        per_second,
        burst: limits.publish_burst.unwrap_or(per_second),
    });
    limits::Settings {
        max_clients: limits.max_clients.get(),
        max_clients_per_address: limits.max_clients_per_address.map(Into::into),
        publish_rate: rate,
        max_rate_addresses: limits.max_rate_addresses.get(),
    }
}

pub(super) fn server(settings: &Settings) -> server::Settings {
    let Settings { server, limits, .. } = settings;
    server::Settings {
        max_connections: *limits.max_connections,
        max_header_bytes: limits.max_header.bytes(),
        header_timeout: *limits.header_timeout,
        idle_timeout: *limits.idle_timeout,
        write_timeout: *limits.write_timeout,
        write_buffer_bytes: limits.write_buffer.bytes(),
        max_requests_per_connection: limits.max_requests_per_connection.get(),
        engine_threads: engine_threads(settings),
        grace: *server.grace,
        trusted_proxies: server.trusted_proxies.to_vec(),
        forwarding_header: *server.forwarding_header,
    }
}

fn engine_threads(settings: &Settings) -> Option<NonZeroUsize> {
    let automatic = server::Settings::default().engine_threads;
    settings.server.engine_threads.or(automatic).filter(|_| *settings.server.engine)
}

/// More than memory could have anyway.
fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
