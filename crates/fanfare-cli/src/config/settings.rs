//! The table of all settings. docs/configuration.md is printed from it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use fanfare_hub::{
    Coding, Selector,
    auth::Algorithm,
    server::{ForwardingHeader, Network},
};

use super::{
    relays::Relays,
    rules::Rules,
    table::{Entry, Section, Setting, settings},
    value::{Durable, Filter, LogFormat, LogUrl, Secret, Size, Storage, Times, Url, WebOrigin},
};

/// `NonZero` numbers as literals.
macro_rules! at_least_one {
    ($type:ident, $number:literal) => {
        $type::new($number).unwrap_or($type::MIN)
    };
}

settings! {
    /// What stands above all sections of the file.
    "" top: Top {
        /// Limits for the events that are kept of each topic: `[[retention]]` with `topics`, a topic or
        /// a pattern, and `max_events`, `max_age` and `max_bytes`, of which each may be left out. The
        /// first rule that selects a topic is the one that counts for it. Without one, `log.max_events`
        /// and its like are the only limits.
        retention: Rules = Rules::default(),
        /// Streams of other servers that the hub follows and keeps, with its own ids: `[[relay]]` with `url`, the
        /// stream of a hub or of any other server, and what may be left out: `topic`, the topic that it is
        /// here (that of a hub, or the last part of the path); `token`, for `Authorization: Bearer`, or
        /// `token_file`, which is read again when the token is refused or has expired; `headers`, such as
        /// `{ x-key = "value" }`; `from`, where it begins the first time: `earliest` (with `from=earliest` in
        /// the query, which hubs know) or `latest`; `idle_timeout`, the silence after which the connection
        /// counts as lost (`45s`, or `none`).
        relay: Relays = Relays::default(),
    }

    /// Where the hub listens, and how it ends.
    "server." server: Server {
        /// Where to listen. Port 0 takes any that is free.
        listen: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
        /// What the hub is called among those that share its log, for people who look at them (`GET /topics`).
        /// None given: the name of this machine, and the port.
        name: Option<String> = None,
        /// Serve other machines without authentication: whoever reaches the port may follow, publish
        /// and erase.
        insecure: bool = false,
        /// The proxies in front of the hub, whose word is taken for the address of a client.
        trusted_proxies: Vec<Network> = vec![],
        /// The header in which they tell it. The other one is not looked at.
        forwarding_header: ForwardingHeader = ForwardingHeader::XForwardedFor,
        /// Whether streams over plain HTTP/1.1 are written by threads that do nothing else, which takes a
        /// fraction of the time and memory. Those over HTTP/2 and TLS never are.
        engine: bool = true,
        /// How many such threads there are; none: one for each CPU.
        engine_threads: Option<NonZeroUsize> = None,
        /// How long a shutdown may take. Streams end spread over it.
        grace: Duration = Duration::from_secs(5),
    }

    /// HTTPS, where both files are given. SIGHUP reads them again.
    "tls." tls: Tls {
        /// The file with the certificates as PEM, that of the hub first.
        certificate: Option<PathBuf> = None,
        /// The file with the private key as PEM.
        key: Option<PathBuf> = None,
    }

    /// What browsers and other subscribers are told.
    "http." http: Http {
        /// The sites whose pages may use the hub, besides its own. `*` stands for all, without cookies.
        origins: Vec<WebOrigin> = vec![],
        /// The codings in which subscribers who accept them are given compressed streams, the best
        /// first. Each event is compressed once for all of them; small ones, which would not become
        /// smaller, are not.
        compression: Vec<Coding> = Coding::COMPRESSED.to_vec(),
        /// The silence after which a subscriber is sent a comment.
        keep_alive: Duration = Duration::from_secs(15),
        /// The reconnection time that a stream begins with, drawn at random for each.
        retry: Times = Times(Duration::from_secs(1)..=Duration::from_secs(3)),
        /// The reconnection time that a stream is told when the hub shuts down.
        farewell_retry: Times = Times(Duration::from_secs(1)..=Duration::from_secs(5)),
    }

    /// The log, which keeps the events.
    "log." log: Log {
        /// The folder of the log. One hub at a time can use it.
        data: PathBuf = "./fanfare-data".into(),
        /// Keep events in memory instead: nothing outlives the process.
        memory: bool = false,
        /// Share the log with other hubs instead: `redis://HOST:PORT`, or `rediss://` for TLS, with
        /// `USER:PASSWORD@` before the host and `/DATABASE` behind it where there are such; or
        /// `redis+unix:///PATH` of a socket; or `nats://HOST:PORT`, or `tls://`, with `JetStream`, with
        /// `USER:PASSWORD@` or `TOKEN@` before the host where there are such, and more servers
        /// of a cluster behind commas. What an answer to a publish promises is then what these are set up
        /// to promise (docs/operating.md).
        /// `http://HOST:PORT` or `https://` of a hub makes this one an edge of it, its origin: it keeps nothing,
        /// has each followed topic from there, and ids are the same on both.
        url: Option<LogUrl> = None,
        /// The file with the token that an edge sends its origin. It is read again when the token is refused or
        /// has expired.
        token_file: Option<PathBuf> = None,
        /// How long an edge follows a topic on that nobody follows there any more.
        linger: Duration = Duration::from_secs(30),
        /// The name of a log that hubs share: what all its keys in Redis begin with, or the stream in NATS. Logs
        /// with different names do not know each other.
        name: String = "fanfare".to_owned(),
        /// How long a log that hubs share, or the origin of an edge, may take to answer. Publishes are answered 503 beyond it.
        patience: Duration = Duration::from_secs(5),
        /// On how many servers of a cluster of NATS each event is kept.
        replicas: NonZeroUsize = at_least_one!(NonZeroUsize, 1),
        /// Where the servers of NATS keep events: `file` or `memory`.
        storage: Storage = Storage::File,
        /// What the stream in NATS may hold, with all that is written besides the data of events. Publishes are
        /// refused beyond it; the stream itself takes 1 MiB more, for what says which events are dropped.
        max_stored: Option<Size> = None,
        /// Bytes a second of events that nobody follows at this hub which it takes from NATS nevertheless. When more
        /// come, and more than is followed, it takes only what they are about (some 300 bytes each), and asks for each
        /// event that is followed. `0KiB`: always.
        max_unfollowed: Size = Size(256 * Size::KIB),
        /// When a publish is answered. `sync`: when the disk has confirmed it, and a loss of power loses
        /// nothing that was answered. `interval`: when the operating system has it; a loss of power may
        /// lose the newest `log.interval`. `none`: as `interval`, but the disk is left to the operating
        /// system, which takes half a minute. `kill -9` loses nothing in any of them.
        durability: Durable = Durable::Sync,
        /// With `durability = "interval"`, how often the disk has to confirm.
        interval: Duration = Duration::from_secs(1),
        /// Events that are kept, of all topics together.
        max_events: Option<u64> = None,
        /// How long events are kept, of all topics.
        max_age: Option<Duration> = None,
        /// Bytes of data that are kept, of all topics together.
        max_bytes: Option<Size> = None,
        /// How often events that are beyond their limits are dropped.
        trim_every: Duration = Duration::from_secs(5),
        /// How many topics there may be; each takes about 250 bytes of memory.
        max_topics: u64 = 1_000_000,
        /// Publishes are refused while less than this is free on the disk.
        reserve: Size = Size(256 * Size::MIB),
        /// Bytes of dropped events that may stay on the disk before it is made to shrink.
        slack: Size = Size(64 * Size::MIB),
        /// Memory for what was read from the disk lately.
        cache: Size = Size(64 * Size::MIB),
        /// How long an `Idempotency-Key` is known.
        idempotency_window: Duration = Duration::from_mins(10),
        /// How many of these keys are known; beyond it, the oldest are forgotten sooner.
        max_idempotency_keys: u64 = 1_000_000,
        /// Events of each followed topic or pattern that are kept in memory for its subscribers. Who
        /// falls behind them reads on from the log.
        window_events: NonZeroUsize = at_least_one!(NonZeroUsize, 16_384),
        /// Their bytes on the wire.
        window_bytes: Size = Size(4 * Size::MIB),
    }

    /// Who may do what. With any key given here, a token decides (docs/protocol.md); without, everybody
    /// may do everything, and the hub serves this machine only.
    "auth." auth: Auth {
        /// Secrets that issuers of tokens share with the hub. A file is the safer place.
        secrets: Vec<Secret> = vec![],
        /// Files with such a secret each. One line break at the end does not belong to it.
        secret_files: Vec<PathBuf> = vec![],
        /// Files with public keys as PEM.
        public_key_files: Vec<PathBuf> = vec![],
        /// Files with JSON Web Key Sets.
        jwks_files: Vec<PathBuf> = vec![],
        /// URLs of JSON Web Key Sets.
        jwks_urls: Vec<Url> = vec![],
        /// Fetch key sets by plain HTTP from other machines too. Whoever can change what is on the way
        /// can then make tokens.
        plain_http: bool = false,
        /// How old the keys of files may get before they are read again. SIGHUP reads them at once.
        refresh_files: Duration = Duration::from_mins(1),
        /// The same for keys of URLs.
        refresh_urls: Duration = Duration::from_mins(10),
        /// The only algorithms that keys may be used with. None given: all that a key is fit for.
        algorithms: Vec<Algorithm> = vec![],
        /// What everybody may follow and read, without a token too.
        anonymous_subscribe: Vec<Selector> = vec![],
        /// What everybody may publish to, without a token too.
        anonymous_publish: Vec<Selector> = vec![],
        /// How much the clocks of the hub and of issuers may differ.
        leeway: Duration = Duration::from_secs(30),
        /// Whether a token has to say when it expires.
        require_expiry: bool = true,
        /// The issuers that are trusted (`iss`). None given: any.
        issuers: Vec<String> = vec![],
        /// The names of the hub, one of which a token has to be for (`aud`). None given: tokens for
        /// nobody in particular.
        audiences: Vec<String> = vec![],
    }

    /// What clients may take.
    "limits." limits: Limits {
        /// Streams at once, in all.
        max_clients: NonZeroUsize = at_least_one!(NonZeroUsize, 100_000),
        /// Streams at once of one address. Behind a proxy all clients have one, unless it is among
        /// `server.trusted_proxies`.
        max_clients_per_address: Option<NonZeroUsize> = None,
        /// Events that one address may publish each second.
        publish_rate: Option<NonZeroU32> = None,
        /// Events that it may publish at once after a silence. None given: those of a second.
        publish_burst: Option<NonZeroU32> = None,
        /// How many addresses are remembered for their rate.
        max_rate_addresses: NonZeroUsize = at_least_one!(NonZeroUsize, 100_000),
        /// Topics and patterns of one subscription.
        max_topics: NonZeroUsize = at_least_one!(NonZeroUsize, 100),
        /// The largest body of a publish, and the largest event of a published stream.
        max_body: Size = Size(Size::MIB),
        /// The time for the whole body of a publish that is one event or a batch.
        body_timeout: Duration = Duration::from_mins(1),
        /// The longest pause in such a body.
        body_idle_timeout: Duration = Duration::from_secs(10),
        /// The longest pause in an event stream that is published.
        stream_idle_timeout: Duration = Duration::from_mins(5),
        /// Events of one batch.
        max_batch_events: NonZeroUsize = at_least_one!(NonZeroUsize, 10_000),
        /// Connections at once. More wait.
        max_connections: NonZeroU32 = at_least_one!(NonZeroU32, 110_000),
        /// The largest head of a request; less than 8 KiB counts as 8 KiB over HTTP/1.1.
        max_header: Size = Size(16 * Size::KIB),
        /// The time for the head of a request; on a new connection, with its TLS handshake.
        header_timeout: Duration = Duration::from_secs(10),
        /// How long a connection may go without a request.
        idle_timeout: Duration = Duration::from_secs(75),
        /// How long a client may read nothing while there is something for it to read.
        write_timeout: Duration = Duration::from_mins(1),
        /// What is kept of an answer that its client has not read, also by the operating system. Over a long
        /// way it bounds how fast one client can be replayed to: by so much in a round trip.
        write_buffer: Size = Size(64 * Size::KIB),
        /// Requests at once in one HTTP/2 connection.
        max_requests_per_connection: NonZeroU32 = at_least_one!(NonZeroU32, 200),
    }

    /// The program's own messages, on stderr.
    "messages." messages: Messages {
        /// How they are written.
        format: LogFormat = LogFormat::Human,
        /// Which are written. `info,fanfare_hub=debug` sets the level of a part.
        level: Filter = Filter("info,async_nats=warn".to_owned()),
    }
}
