//! An `EventSource` for Rust: a client for server-sent events.
//!
//! [`EventSource`] follows the event stream of a URL. When the stream ends or breaks, it asks again
//! with the id of the last event, so that a server which keeps a history goes on where it was:
//!
//! ```no_run
//! # async fn follow() -> Result<(), Box<dyn std::error::Error>> {
//! use fanfare_client::{EventSource, Item};
//! use futures_util::StreamExt;
//!
//! let mut source = EventSource::new("http://localhost:8080/sse")?;
//! while let Some(item) = source.next().await {
//!     if let Item::Event(event) = item? {
//!         println!("{}", event.data());
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! - [`EventSource`]: a stream of [`Item`]s, made with the settings of a [`Builder`].
//! - [`Policy`]: what is tried again, and when. [`Policy::standard`] is the WHATWG standard to the
//!   letter, [`Policy::resilient`] also holds out against overloaded servers.
//! - [`Events`]: one answer, read once, such as the tokens of an LLM.
//! - [`Transport`]: what carries the requests: reqwest, hyper, or a function of your own.
//! - [`machine`]: the decisions alone, without I/O and clock.
//!
//! It is not a server, and it does not fan out: one `EventSource` is one connection.
//!
//! # What dropping does
//!
//! | dropped | what happens |
//! |---|---|
//! | an [`EventSource`] | its connection, its attempt to connect or its wait ends at once |
//! | a future of its `next` | nothing is lost; call `next` again |
//! | [`Events`] | the body is dropped, and its connection with it |
//!
//! # Features
//!
//! - `reqwest` (default): [`Reqwest`](transport::Reqwest) carries requests.
//! - `hyper`: [`Hyper`](transport::Hyper) carries requests, with fewer dependencies and no proxies.
//! - `serde` (default): JSON in an event's data.

mod builder;
mod error;
mod events;
#[cfg(feature = "serde")]
mod json;
pub mod machine;
mod policy;
mod request;
mod response;
mod source;
pub mod transport;

pub use builder::{BuildError, Builder, Settings};
pub use error::{BoxError, Error, RedirectError};
pub use events::{Events, ReadError};
pub use fanfare_wire::{ByteString, Event, EventId, EventName, EventTooLarge, IdError};
#[cfg(feature = "serde")]
pub use json::Json;
pub use machine::{Item, Opened};
pub use policy::Policy;
pub use source::{EventSource, ReadyState};
pub use transport::Transport;
