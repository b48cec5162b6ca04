//! What scripts answer.

use std::time::Duration;

use bytes::Bytes;
use fanfare_fanout::Position;
use fanfare_wire::{ByteString, EventName};
use redis::Value;

use super::RedisError;
use crate::{
    TopicName,
    log::{NewEvent, Record, Timestamp},
};

/// Seconds, a dot and nine digits.
fn duration(text: &str) -> Option<Duration> {
    let (seconds, nanoseconds) = text.split_once('.')?;
    let nanoseconds =
        nanoseconds.parse().ok().filter(|&nanoseconds| nanoseconds < 1_000_000_000)?;
    Some(Duration::new(seconds.parse().ok()?, nanoseconds))
}

/// Values, one after the other.
#[derive(Debug)]
pub(super) struct Reply(std::vec::IntoIter<Value>);

impl Reply {
    pub(super) fn new(value: Value) -> Result<Self, RedisError> {
        match value {
            Value::Array(values) => Ok(Self(values.into_iter())),
            _ => Err(RedisError::Reply),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, RedisError> {
        match self.0.next() {
            Some(Value::BulkString(bytes)) => Ok(bytes.into()),
            _ => Err(RedisError::Reply),
        }
    }

    pub(super) fn text(&mut self) -> Result<ByteString, RedisError> {
        self.bytes()?.try_into().map_err(|_| RedisError::Reply)
    }

    /// `None` for an empty text.
    pub(super) fn number_or_none(&mut self) -> Result<Option<u64>, RedisError> {
        match self.0.next() {
            Some(Value::Int(number)) => number.try_into().map(Some).map_err(|_| RedisError::Reply),
            Some(Value::BulkString(digits)) if digits.is_empty() => Ok(None),
            Some(Value::BulkString(digits)) => {
                let digits = str::from_utf8(&digits).map_err(|_| RedisError::Reply)?;
                digits.parse().map(Some).map_err(|_| RedisError::Reply)
            }
            _ => Err(RedisError::Reply),
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, RedisError> {
        self.number_or_none()?.ok_or(RedisError::Reply)
    }

    pub(super) fn position(&mut self) -> Result<Position, RedisError> {
        self.number().map(Position)
    }

    pub(super) fn values(&mut self) -> Result<Self, RedisError> {
        Self::new(self.0.next().ok_or(RedisError::Reply)?)
    }

    pub(super) fn topic(&mut self) -> Result<TopicName, RedisError> {
        TopicName::new(&self.text()?).map_err(|_| RedisError::Reply)
    }

    /// The event at a position: its topic, time, name, reconnection time and data.
    pub(super) fn record(&mut self, position: Position) -> Result<Record, RedisError> {
        let (topic, time) = (self.topic()?, self.number()?);
        let name = Some(self.text()?).filter(|name| !name.is_empty());
        let name = name.map(EventName::new).transpose().map_err(|_| RedisError::Reply)?;
        let retry = Some(self.text()?).filter(|retry| !retry.is_empty());
        let retry = retry.map(|retry| duration(&retry).ok_or(RedisError::Reply)).transpose()?;
        let data = self.text()?;
        let event = NewEvent { topic, name, retry, data };
        Ok(Record { position, time: Timestamp(time), event })
    }
}
