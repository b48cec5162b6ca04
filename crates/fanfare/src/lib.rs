//! Server-sent events for every Rust HTTP server.

mod attach;
#[cfg(feature = "axum")]
mod axum;
mod body;
mod channel;
mod client;
mod feed;
mod gate;
mod keep_alive;
mod outbox;
mod path;
mod query;
mod response;
mod sse;
mod stream;

#[cfg(feature = "axum")]
pub use crate::axum::{Accept, ForAxum};
pub use attach::{Attached, AttachedBody};
pub use body::Body;
pub use channel::{Channel, ChannelBuilder, JoinError, MAX_CHANNELS_PER_CLIENT};
pub use client::Client;
pub use fanfare_fanout::{LagPolicy, Position, Start};
pub use fanfare_wire::{Event, EventId, EventName, IdError, NameError};
pub use gate::Rejection;
pub use outbox::{Closed, End, TrySendError};
pub use query::Query;
pub use sse::{Builder, Connections, Sse};
pub use stream::{PipeError, StreamBody};
