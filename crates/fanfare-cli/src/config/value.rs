//! What can be written for a setting.

use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use fanfare_hub::{
    Coding, Selector, TopicName,
    auth::Algorithm,
    server::{ForwardingHeader, Network},
};
use toml::de::DeValue;
use tracing_subscriber::filter::LevelFilter;

/// A value as it was written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Raw<'a> {
    /// In the environment or a flag.
    Text(&'a str),
    /// In a file.
    Toml(&'a DeValue<'a>),
}

/// What a setting can be. What it writes it also reads.
pub(crate) trait Value: Sized {
    /// What can be written, as a noun: `a duration such as "15s"`.
    const READS: &'static str;
    fn read(raw: Raw<'_>) -> Result<Self, String>;
    fn to_toml(&self) -> String;
}

/// A value that is one word.
pub(crate) trait Scalar: Sized {
    const KIND: &'static str;
    /// What can be written where there may be none.
    const MAYBE: &'static str;
    /// What can be written where there may be several.
    const LIST: &'static str;
    /// Whether TOML writes it without quotes.
    const IS_BARE: bool = false;
    fn parse(text: &str) -> Result<Self, String>;
    fn write(&self) -> String;
}

/// A count of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// What is shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

/// Scheme, host and port of a site, or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebOrigin(pub(crate) String);

/// The address of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url(pub(crate) http::Uri);

/// The address of a log that hubs share, with credentials, which are shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct LogUrl(pub(crate) String);

/// The address of a stream that is relayed. Its credentials are shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RelayUrl(pub(crate) url::Url);

/// A time drawn at random from a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Times(pub(crate) RangeInclusive<Duration>);

impl Size {
    pub(crate) const KIB: u64 = 1 << 10;
    pub(crate) const MIB: u64 = 1 << 20;

    pub(crate) fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl std::fmt::Debug for LogUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.without_credentials())
    }
}

/// What a log that hubs share is kept by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Redis,
    Nats,
    /// Another hub.
    Origin,
}

impl LogUrl {
    pub(crate) fn engine(&self) -> Engine {
        match self.0.split(':').next() {
            Some("http" | "https") => Engine::Origin,
            Some("nats" | "tls") => Engine::Nats,
            _ => Engine::Redis,
        }
    }

    pub(crate) fn without_credentials(&self) -> String {
        let without = |one: &str| {
            // Those of a socket stand behind its path.
            let address = one.split('?').next().unwrap_or_default();
            match (address.split_once("://"), address.rsplit_once('@')) {
                (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
                _ => address.to_owned(),
            }
        };
        self.0.split(',').map(without).collect::<Vec<_>>().join(",")
    }
}

impl std::fmt::Debug for RelayUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

impl RelayUrl {
    /// Without what may open doors.
    pub(crate) fn shown(&self) -> String {
        format!("{}{}", self.0.origin().ascii_serialization(), self.0.path())
    }
}

impl<T: Scalar> Value for T {
    const READS: &'static str = T::KIND;

    fn read(raw: Raw<'_>) -> Result<Self, String> {
        T::parse(&word(raw).ok_or_else(|| not_a(T::KIND, raw))?)
    }

    fn to_toml(&self) -> String {
        let text = self.write();
        if T::IS_BARE { text } else { quote(&text) }
    }
}

const NONE: &str = "none";

impl<T: Scalar> Value for Option<T> {
    const READS: &'static str = T::MAYBE;

    fn read(raw: Raw<'_>) -> Result<Self, String> {
        let word = word(raw).ok_or_else(|| not_a(T::MAYBE, raw))?;
        if word == NONE { Ok(None) } else { T::parse(&word).map(Some) }
    }

    fn to_toml(&self) -> String {
        self.as_ref().map_or_else(|| quote(NONE), Value::to_toml)
    }
}

impl<T: Scalar> Value for Vec<T> {
    const READS: &'static str = T::LIST;

    fn read(raw: Raw<'_>) -> Result<Self, String> {
        match raw {
            Raw::Toml(DeValue::Array(items)) => {
                items.iter().map(|item| T::read(Raw::Toml(item.get_ref()))).collect()
            }
            Raw::Text(text) => {
                text.split(',').map(str::trim).filter(is_some).map(T::parse).collect()
            }
            raw @ Raw::Toml(_) => Ok(vec![T::read(raw).map_err(|_| not_a(T::LIST, raw))?]),
        }
    }

    fn to_toml(&self) -> String {
        let items: Vec<String> = self.iter().map(Value::to_toml).collect();
        format!("[{}]", items.join(", "))
    }
}

fn is_some(text: &&str) -> bool {
    !text.is_empty()
}

/// The word that was written, without TOML's quotes.
fn word(raw: Raw<'_>) -> Option<String> {
    match raw {
        Raw::Text(text) => Some(text.trim().to_owned()),
        Raw::Toml(DeValue::String(text)) => Some(text.clone().into_owned()),
        Raw::Toml(DeValue::Integer(number)) => Some(number.to_string()),
        Raw::Toml(DeValue::Boolean(is)) => Some(is.to_string()),
        Raw::Toml(_) => None,
    }
}

pub(super) fn not_a(kind: &str, raw: Raw<'_>) -> String {
    match raw {
        Raw::Text(text) => format!("{text:?} is not {kind}"),
        Raw::Toml(DeValue::String(text)) => format!("{:?} is not {kind}", text.as_ref()),
        Raw::Toml(value) => {
            format!("{} is not {kind}", with_article(value.type_str()))
        }
    }
}

fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}

/// A string of TOML: one of JSON, but for DEL.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

/// The three nouns of a kind: one, perhaps one, several.
macro_rules! kinds {
    ($kind:literal) => {
        const KIND: &'static str = $kind;
        const MAYBE: &'static str = concat!($kind, ", or \"none\"");
        const LIST: &'static str = concat!("a list, each item ", $kind);
    };
}

fn parse_as<T: std::str::FromStr>(text: &str, kind: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is not {kind}"))
}

macro_rules! numbers {
    ($($type:ty: $kind:literal),+) => {$(
        impl Scalar for $type {
            kinds!($kind);
            const IS_BARE: bool = true;

            fn parse(text: &str) -> Result<Self, String> {
                parse_as(&text.replace('_', ""), Self::KIND)
            }

            fn write(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

numbers! {
    u64: "a number",
    NonZeroU32: "a number from 1 to 4294967295",
    NonZeroUsize: "a number from 1"
}

impl Scalar for bool {
    kinds!("true or false");
    const IS_BARE: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        parse_as(text, Self::KIND)
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Scalar for String {
    kinds!("a text");

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn write(&self) -> String {
        self.clone()
    }
}

impl Scalar for PathBuf {
    kinds!("a path");

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("a path cannot be empty".into()) } else { Ok(text.into()) }
    }

    fn write(&self) -> String {
        self.to_string_lossy().into_owned()
    }
}

impl Scalar for Secret {
    kinds!("a secret of 32 bytes at least");

    fn parse(text: &str) -> Result<Self, String> {
        // The value is not told back.
        let is_long = text.len() >= 32;
        if is_long { Ok(Self(text.to_owned())) } else { Err("it is shorter than 32 bytes".into()) }
    }

    fn write(&self) -> String {
        "(hidden)".into()
    }
}

impl Scalar for Duration {
    kinds!("a duration such as \"15s\", \"10m\" or \"7d\"");

    fn parse(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text).map_err(|_| format!("{text:?} is not {}", Self::KIND))
    }

    fn write(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

impl Scalar for Times {
    kinds!("a range of durations such as \"1s..3s\"");

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not {}", Self::KIND);
        let (from, to) = text.split_once("..").ok_or_else(wrong)?;
        let (from, to) = (Duration::parse(from.trim())?, Duration::parse(to.trim())?);
        if from > to {
            return Err(format!("{text:?} begins behind its end"));
        }
        Ok(Self(from..=to))
    }

    fn write(&self) -> String {
        format!("{}..{}", self.0.start().write(), self.0.end().write())
    }
}

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl Scalar for Size {
    kinds!("a size such as \"64KiB\", \"1MiB\" or \"10GB\"");

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not {}", Self::KIND);
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &text[digits.len()..];
        let unit = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        let (_, unit) = unit.ok_or_else(wrong)?;
        let count: u64 = digits.trim().replace('_', "").parse().map_err(|_| wrong())?;
        count.checked_mul(*unit).map(Self).ok_or_else(wrong)
    }

    fn write(&self) -> String {
        let binary = UNITS.iter().filter(|(name, _)| name.ends_with("iB"));
        let whole =
            binary.clone().find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit));
        whole.map_or_else(
            || format!("{}B", self.0),
            |(name, unit)| format!("{}{name}", self.0 / unit),
        )
    }
}

impl Scalar for SocketAddr {
    kinds!("an address and a port such as \"127.0.0.1:8080\" or \"[::]:8080\"");

    fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("localhost:") {
            Some(port) => parse_as(&format!("127.0.0.1:{port}"), Self::KIND),
            None => parse_as(text, Self::KIND),
        }
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Scalar for Network {
    kinds!("a network such as \"10.0.0.0/8\", or an address");

    fn parse(text: &str) -> Result<Self, String> {
        parse_as(text, Self::KIND)
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Scalar for ForwardingHeader {
    kinds!("\"x-forwarded-for\" or \"forwarded\"");

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            "forwarded" => Ok(Self::Forwarded),
            text => Err(format!("{text:?} is not {}", Self::KIND)),
        }
    }

    fn write(&self) -> String {
        let name = match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        };
        name.to_owned()
    }
}

impl Scalar for Coding {
    kinds!("\"zstd\", \"br\" or \"gzip\"");

    fn parse(text: &str) -> Result<Self, String> {
        let coding = Self::COMPRESSED.into_iter().find(|coding| coding.token() == text);
        coding.ok_or_else(|| format!("{text:?} is not {}", Self::KIND))
    }

    fn write(&self) -> String {
        self.token().to_owned()
    }
}

impl Scalar for Selector {
    kinds!("a topic, or a pattern such as \"news/*\"");

    fn parse(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|error| error.to_string())
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Scalar for Algorithm {
    kinds!("an algorithm such as \"HS256\" or \"EdDSA\"");

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: fanfare_hub::auth::UnknownAlgorithm| error.to_string())
    }

    fn write(&self) -> String {
        self.name().to_owned()
    }
}

impl Scalar for WebOrigin {
    kinds!("an origin such as \"https://app.example\", or \"*\"");

    fn parse(text: &str) -> Result<Self, String> {
        if text != "*" {
            fanfare_hub::auth::Origins::new([text]).map_err(|error| error.to_string())?;
        }
        Ok(Self(text.to_owned()))
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

impl Scalar for Url {
    kinds!("a URL such as \"https://login.example/jwks.json\"");

    fn parse(text: &str) -> Result<Self, String> {
        let uri: http::Uri = parse_as(text, Self::KIND)?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        if is_http { Ok(Self(uri)) } else { Err(format!("{text:?} is not {}", Self::KIND)) }
    }

    fn write(&self) -> String {
        self.0.to_string()
    }
}

impl Scalar for RelayUrl {
    kinds!("the URL of a stream, such as \"https://hub.example/sse/news\"");

    fn parse(text: &str) -> Result<Self, String> {
        // The value is not told back: it may hold a password.
        let url = url::Url::parse(text).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        url.map(Self).ok_or_else(|| format!("it is not {}", Self::KIND))
    }

    fn write(&self) -> String {
        self.shown()
    }
}

impl Scalar for TopicName {
    kinds!("a topic");

    fn parse(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|error| error.to_string())
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Scalar for LogUrl {
    kinds!(
        "the address of a log that hubs share, such as \"nats://127.0.0.1:4222\" or \"redis://127.0.0.1:6379\", or that of a hub, such as \"https://hub.example\""
    );

    fn parse(text: &str) -> Result<Self, String> {
        // The value is not told back: it may hold a password.
        let wrong = || format!("it is not {}", Self::KIND);
        if text.starts_with("redis+unix:///") {
            return Ok(Self(text.to_owned()));
        }
        let addresses = with_schemes(text);
        let mut schemes = vec![];
        for one in &addresses {
            let uri: http::Uri = one.parse().map_err(|_| wrong())?;
            let scheme = uri.scheme_str().filter(|_| uri.host().is_some()).ok_or_else(wrong)?;
            schemes.push(scheme.to_owned());
        }
        let is_hub = text.starts_with("http");
        if is_hub && addresses[0].parse::<http::Uri>().is_ok_and(|uri| uri.path() != "/") {
            return Err("the address of a hub has no path: it is http://HOST:PORT".to_owned());
        }
        let is_nats = schemes.iter().all(|scheme| ["nats", "tls"].contains(&&**scheme));
        let others = ["redis", "rediss", "http", "https"];
        let is_other = matches!(&*schemes, [one] if others.contains(&&**one));
        if is_nats || is_other { Ok(Self(addresses.join(","))) } else { Err(wrong()) }
    }

    fn write(&self) -> String {
        self.without_credentials()
    }
}

/// Addresses with commas between them. The scheme of the first one stands for those that have none.
fn with_schemes(text: &str) -> Vec<String> {
    let first = text.split_once("://").map(|(scheme, _)| scheme.trim()).unwrap_or_default();
    let address = |one: &str| match one.trim() {
        whole if whole.contains("://") || first.is_empty() => whole.to_owned(),
        host => format!("{first}://{host}"),
    };
    text.split(',').map(address).collect()
}

/// An enum whose values have names.
macro_rules! choice {
    ($(#[doc = $about:literal])+ $type:ident, $kind:literal { $( $variant:ident = $name:literal, )+ }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $type {
            $( $variant, )+
        }

        impl Scalar for $type {
            kinds!($kind);

            fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $( $name => Ok(Self::$variant), )+
                    text => Err(format!("{text:?} is not {}", Self::KIND)),
                }
            }

            fn write(&self) -> String {
                match self {
                    $( Self::$variant => $name, )+
                }
                .to_owned()
            }
        }
    };
}

choice! {
    /// When a publish is answered.
    Durable, "\"sync\", \"interval\" or \"none\"" {
        Sync = "sync",
        Interval = "interval",
        None = "none",
    }
}

choice! {
    /// Where servers keep events.
    Storage, "\"file\" or \"memory\"" {
        File = "file",
        Memory = "memory",
    }
}

choice! {
    /// Where a relay begins that has no place yet.
    RelayFrom, "\"earliest\" or \"latest\"" {
        Earliest = "earliest",
        Latest = "latest",
    }
}

choice! {
    /// How the program's own log is written.
    LogFormat, "\"human\" or \"json\"" {
        Human = "human",
        Json = "json",
    }
}

/// Which messages are logged.
#[derive(Debug, Clone)]
pub(crate) struct Filter(pub(crate) String);

impl Scalar for Filter {
    kinds!("a level (\"error\", \"warn\", \"info\", \"debug\", \"trace\", \"off\")");

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not {}", Self::KIND);
        // A word alone would be taken for a target, of which everything is told and of others nothing.
        let is_level = |word: &str| word.contains('=') || word.parse::<LevelFilter>().is_ok();
        if !text.split(',').all(is_level) {
            return Err(wrong());
        }
        let known: Result<tracing_subscriber::filter::Targets, _> = text.parse();
        known.map(|_| Self(text.to_owned())).map_err(|_| wrong())
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}
