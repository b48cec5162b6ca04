//! Streams that are relayed: `[[relay]]`.

use std::{collections::HashSet, fmt, path::PathBuf, time::Duration};

use fanfare_hub::TopicName;
use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use toml::de::{DeTable, DeValue};

use super::{
    tables::{self, get},
    value::{Raw, RelayFrom, RelayUrl, Value, not_a, quote},
};

/// What is followed elsewhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct Relays(pub(crate) Vec<Relay>);

/// A topic that follows a stream.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    pub(crate) url: RelayUrl,
    pub(crate) topic: TopicName,
    pub(crate) token: Option<Credential>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) from: RelayFrom,
    pub(crate) idle_timeout: Option<Duration>,
}

/// Where the token is that the upstream asks for.
#[derive(Clone)]
pub(crate) enum Credential {
    Token(String),
    File(PathBuf),
}

const NAMES: &[&str] = &["url", "topic", "token", "token_file", "headers", "from", "idle_timeout"];
/// What a hub sends a comment in is a third of it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);
const HIDDEN: &str = "(hidden)";

impl Value for Relays {
    const READS: &'static str = "the URL of a stream, or a list of relays such as { url = \"https://hub.example/sse/news\", topic = \"news\", token_file = \"token.txt\" }";

    fn read(raw: Raw<'_>) -> Result<Self, String> {
        let relays = match raw {
            Raw::Text(text) if !text.trim_start().starts_with('[') => {
                let relay = RelayUrl::read(raw).and_then(|url| Relay::new(url, None));
                vec![relay?]
            }
            raw => tables::read(raw, Self::READS, "relay", read_relay)?,
        };
        let mut topics = HashSet::new();
        match relays.iter().find(|relay| !topics.insert(relay.topic.clone())) {
            None => Ok(Self(relays)),
            Some(Relay { topic, .. }) => {
                Err(format!("two relays have the topic {topic}: give one of them another `topic`"))
            }
        }
    }

    fn to_toml(&self) -> String {
        tables::write(self.0.iter().map(write_relay))
    }
}

impl Relay {
    fn new(url: RelayUrl, topic: Option<TopicName>) -> Result<Self, String> {
        let topic = topic.map_or_else(|| topic_of(&url), Ok)?;
        if topic.is_own() {
            return Err(format!("topic: {topic} is the hub's own: give it another `topic`"));
        }
        Ok(Self {
            url,
            topic,
            token: None,
            headers: vec![],
            from: RelayFrom::Earliest,
            idle_timeout: Some(IDLE_TIMEOUT),
        })
    }
}

/// That of a hub, or else the last part of the path.
fn topic_of(url: &RelayUrl) -> Result<TopicName, String> {
    let path = url.0.path();
    let name = path.split_once("/sse/").map_or_else(
        || path.trim_end_matches('/').rsplit('/').next().unwrap_or_default(),
        |(_, topic)| topic,
    );
    let name = percent_decode_str(name).decode_utf8_lossy();
    let named = TopicName::new(&name);
    named.map_err(|why| format!("its URL names no topic ({why}): say which it is with `topic`"))
}

/// A relay, or all that is wrong with it.
fn read_relay(value: &DeValue<'_>) -> Result<Relay, Vec<String>> {
    let DeValue::Table(table) = value else {
        return Err(vec![not_a("a table with `url`", Raw::Toml(value))]);
    };
    let mut wrong: Vec<String> = tables::unknown_names(table, NAMES).collect();
    if !table.contains_key("url") {
        wrong.push("it has no `url`, such as url = \"https://hub.example/sse/news\"".to_owned());
    }
    let url: Option<RelayUrl> = get(table, "url", &mut wrong);
    let topic: Option<TopicName> = get(table, "topic", &mut wrong);
    let token = credential(table, &mut wrong);
    let headers = headers(table, &mut wrong);
    let from = get(table, "from", &mut wrong);
    let idle_timeout = get(table, "idle_timeout", &mut wrong);
    if idle_timeout == Some(Some(Duration::ZERO)) {
        wrong.push("idle_timeout: it cannot be zero".to_owned());
    }
    let Some(url) = url.filter(|_| wrong.is_empty()) else { return Err(wrong) };
    let relay = Relay::new(url, topic).map_err(|why| vec![why])?;
    Ok(Relay {
        token,
        headers,
        from: from.unwrap_or(relay.from),
        idle_timeout: idle_timeout.unwrap_or(relay.idle_timeout),
        ..relay
    })
}

fn credential(table: &DeTable<'_>, wrong: &mut Vec<String>) -> Option<Credential> {
    let token = get::<String>(table, "token", wrong);
    let file = get::<PathBuf>(table, "token_file", wrong);
    match (token, file) {
        (Some(_), Some(_)) => {
            wrong.push("it has both `token` and `token_file`: leave one out".to_owned());
            None
        }
        (Some(token), None) => Some(Credential::Token(token)),
        (None, file) => file.map(Credential::File),
    }
}

/// What is wrong is told without the values, which may be secret.
fn headers(table: &DeTable<'_>, wrong: &mut Vec<String>) -> Vec<(HeaderName, HeaderValue)> {
    let Some(value) = table.get("headers") else { return vec![] };
    let DeValue::Table(headers) = value.get_ref() else {
        wrong.push("headers: it is a table such as { x-key = \"value\" }".to_owned());
        return vec![];
    };
    let mut read = vec![];
    for (name, value) in headers {
        let name = name.get_ref();
        let value = String::read(Raw::Toml(value.get_ref())).ok();
        let value = value.and_then(|value| HeaderValue::try_from(value).ok());
        match (HeaderName::try_from(name.as_ref()), value) {
            (Ok(name), Some(value)) => read.push((name, value)),
            _ => wrong.push(format!("headers: {name} or its value is none of a header")),
        }
    }
    read
}

fn write_relay(relay: &Relay) -> Vec<(&'static str, String)> {
    let Relay { url, topic, token, headers, from, idle_timeout } = relay;
    let mut fields = vec![("url", url.to_toml()), ("topic", topic.to_toml())];
    match token {
        Some(Credential::Token(_)) => fields.push(("token", quote(HIDDEN))),
        Some(Credential::File(file)) => fields.push(("token_file", file.to_toml())),
        None => {}
    }
    if !headers.is_empty() {
        let headers = headers.iter().map(|(name, _)| format!("{name} = {}", quote(HIDDEN)));
        fields.push(("headers", format!("{{ {} }}", headers.collect::<Vec<_>>().join(", "))));
    }
    fields.extend([("from", from.to_toml()), ("idle_timeout", idle_timeout.to_toml())]);
    fields
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => f.write_str(HIDDEN),
            Self::File(file) => file.fmt(f),
        }
    }
}
