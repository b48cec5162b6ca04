//! A hub for server-sent events: topics with a durable log, published to by one HTTP request, and
//! followed by any `EventSource`.

pub mod log;
mod topic;

pub use topic::{MAX_TOPIC_BYTES, Selection, Selector, TopicError, TopicName};
