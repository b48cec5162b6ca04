//! The scripts, and their arguments.

use std::time::Duration;

use fanfare_fanout::Position;
use redis::{Script, ScriptInvocation, ToRedisArgs, Value, aio::ConnectionLike};
use tokio::time::timeout;

use super::{
    Batch, Limits, NewEvent, Place, Read, RedisClock, RedisError, RedisOptions, Reply, Report,
    Retention, Selection, Selector, Timestamp, TopicName,
};

macro_rules! script {
    ($name:literal) => {
        script!("", $name)
    };
    ($flags:literal, $name:literal) => {
        Script::new(concat!(
            $flags,
            include_str!("lib.lua"),
            "\n",
            include_str!(concat!($name, ".lua"))
        ))
    };
}

pub(super) struct Scripts {
    /// The key of what is counted over all topics; the others are made of it.
    meta: String,
    /// What names the log; empty as long as that is not known.
    seed: String,
    append: Script,
    count_back: Script,
    erase: Script,
    exchange: Script,
    open: Script,
    read: Script,
    size: Script,
    survey: Script,
    tail: Script,
    topics: Script,
    trim: Script,
    clock: RedisClock,
}

/// A script with its arguments.
pub(super) struct Call<'a>(ScriptInvocation<'a>);

impl Scripts {
    pub(super) fn new(name: &str, clock: RedisClock) -> Self {
        Self {
            meta: format!("{{{name}}}:meta"),
            seed: String::new(),
            append: script!("append"),
            count_back: script!("count_back"),
            erase: script!("#!lua flags=allow-oom\n", "erase"),
            exchange: script!("#!lua flags=allow-oom\n", "exchange"),
            open: script!("open"),
            read: script!("read"),
            size: script!("size"),
            survey: script!("survey"),
            tail: script!("tail"),
            topics: script!("topics"),
            trim: script!("#!lua flags=allow-oom\n", "trim"),
            clock,
        }
    }

    /// The key of what has happened, in order.
    pub(super) fn order(&self) -> String {
        [self.meta.trim_end_matches("meta"), "order"].concat()
    }

    /// From now on they do nothing in another log.
    pub(super) fn expect(&mut self, seed: u64) {
        self.seed = seed.to_string();
    }

    fn call<'a>(&self, script: &'a Script) -> Call<'a> {
        Call(script.key(&self.meta)).with(&self.seed)
    }

    /// Nothing where Redis is to look at its own clock.
    fn told(&self, time: Timestamp) -> Option<u64> {
        (self.clock == RedisClock::Told).then_some(time.0)
    }

    /// `own` is the seed by which a hub knows the log, `known` what it has seen last.
    pub(super) fn open(&self, drawn: u64, own: Option<u64>, known: Place, nonce: &str) -> Call<'_> {
        let call = Call(self.open.key(&self.meta)).with("").with(drawn).or_nothing(own);
        call.with(known.position).with(nonce)
    }

    pub(super) fn append(&self, batch: &Batch, options: &RedisOptions, nonce: &str) -> Call<'_> {
        let RedisOptions { retention, max_topics, .. } = options;
        let key = batch.idempotency_key.as_ref();
        let key = key.map_or_else(String::new, |key| ["k", &key.0].concat());
        let call =
            self.call(&self.append).or_nothing(self.told(batch.time)).keys(retention).with(key);
        let call =
            call.with(nonce).with(*max_topics).limits(retention.total).with(batch.events.len());
        let call = batch
            .events
            .iter()
            .fold(call, |call, event| call.event(event).limits(retention.limits_of(&event.topic)));
        let call = call.with(batch.ends.len());
        batch.ends.iter().fold(call, |call, name| call.with(name.as_str()))
    }

    pub(super) fn read(&self, read: &Read) -> Call<'_> {
        let Read { selection, after, until, max_events, max_bytes } = read;
        let call = self.call(&self.read).with(after.0).with(until.0);
        call.with((*max_events).max(1)).with(*max_bytes).selection(selection)
    }

    pub(super) fn survey(
        &self,
        selection: &Selection,
        after: Position,
        behind: Option<&str>,
    ) -> Call<'_> {
        self.call(&self.survey).with(after.0).behind(behind).selection(selection)
    }

    pub(super) fn count_back(&self, selection: &Selection, before: &str, count: u64) -> Call<'_> {
        self.call(&self.count_back).with(before).with(count).selection(selection)
    }

    pub(super) fn topics(
        &self,
        selection: &Selection,
        behind: Option<&str>,
        most: usize,
    ) -> Call<'_> {
        self.call(&self.topics).behind(behind).with(most).selection(selection)
    }

    pub(super) fn erase(&self, name: &TopicName) -> Call<'_> {
        self.call(&self.erase).with(name.as_str())
    }

    pub(super) fn size(&self) -> Call<'_> {
        self.call(&self.size)
    }

    pub(super) fn exchange(&self, report: &Report, within: Duration) -> Call<'_> {
        let call = self.call(&self.exchange).with(report.hub).milliseconds(Some(within));
        call.with(&*report.content)
    }

    pub(super) fn trim(&self, now: Timestamp, retention: &Retention, after: &str) -> Call<'_> {
        let call = self.call(&self.trim).or_nothing(self.told(now)).keys(retention).with(after);
        let call = call.limits(retention.total).with(retention.rules.len());
        retention
            .rules
            .iter()
            .fold(call, |call, rule| call.selector(&rule.topics).limits(rule.limits))
    }

    pub(super) fn tail(&self, behind: Place, events: usize, bytes: usize) -> Call<'_> {
        self.call(&self.tail).with(behind.position).with(behind.sub).with(events).with(bytes)
    }
}

impl Call<'_> {
    fn with(mut self, argument: impl ToRedisArgs) -> Self {
        self.0.arg(argument);
        self
    }

    fn or_nothing(self, number: Option<u64>) -> Self {
        match number {
            Some(number) => self.with(number),
            None => self.with(""),
        }
    }

    /// Behind a name, which may be empty.
    fn behind(self, name: Option<&str>) -> Self {
        self.with(usize::from(name.is_some())).with(name.unwrap_or_default())
    }

    fn milliseconds(self, time: Option<Duration>) -> Self {
        self.or_nothing(time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }

    fn limits(self, Limits { max_events, max_age, max_bytes }: Limits) -> Self {
        self.or_nothing(max_events).milliseconds(max_age).or_nothing(max_bytes)
    }

    /// What is kept of idempotency keys.
    fn keys(self, retention: &Retention) -> Self {
        self.milliseconds(Some(retention.idempotency_window)).with(retention.max_idempotency_keys)
    }

    fn event(self, NewEvent { topic, name, retry, data }: &NewEvent) -> Self {
        let name = name.as_ref().map_or("", |name| name.as_str());
        let retry = retry.map_or_else(String::new, |retry| {
            format!("{}.{:09}", retry.as_secs(), retry.subsec_nanos())
        });
        self.with(topic.as_str()).with(name).with(retry).with(&**data)
    }

    fn selector(self, selector: &Selector) -> Self {
        match selector {
            Selector::Topic(name) => self.with("topic").with(name.as_str()),
            Selector::Prefix(prefix) => self.with("prefix").with(&**prefix),
        }
    }

    fn selection(self, selection: &Selection) -> Self {
        let call = self.with(selection.selectors().len());
        selection.selectors().iter().fold(call, Self::selector)
    }

    pub(super) async fn invoke(
        self,
        connection: &mut impl ConnectionLike,
        patience: Duration,
    ) -> Result<Reply, RedisError> {
        let answered = timeout(patience, self.0.invoke_async::<Value>(connection)).await;
        Reply::new(answered.map_err(|_| RedisError::Late(patience))??)
    }
}
