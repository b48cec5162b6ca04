//! A hub for server-sent events: topics with a durable log, published to by one HTTP request, and
//! followed by any `EventSource`.

pub mod auth;
mod coding;
mod event;
pub mod http;
mod hub;
pub mod limits;
mod live;
pub mod log;
mod metrics;
mod own;
mod relay;
mod roster;
pub mod server;
mod stats;
mod subscription;
mod times;
mod topic;
mod via;

pub use fanfare_fanout::{Bounds, Digest, Epoch, Frame, Position};

pub use coding::Coding;
pub use event::Format;
pub use hub::{Clock, From, Hub, Subscribed};
pub use relay::{Passage, Relay};
pub use subscription::Subscription;
pub use topic::{MAX_TOPIC_BYTES, Selection, Selector, TopicError, TopicName};
pub use via::{Circle, VIA, Via};
