//! Server-sent events for every Rust HTTP server.
//!
//! An [`Sse`] is attached to a server that exists. It answers `/sse` with an event stream, gives a
//! [`Client`] for each, and leaves every other request to the server:
//!
//! ```no_run
//! # async fn serve(listener: tokio::net::TcpListener, app: axum::Router) -> std::io::Result<()> {
//! use fanfare::Sse;
//!
//! let sse = Sse::new();
//! sse.on_connection(|client| async move { client.send("hi there!").await });
//! axum::serve(listener, sse.attach(app)).await
//! # }
//! ```
//!
//! - [`Sse`]: settings, new clients, the end of all streams; [`Sse::attach`] for axum, hyper and
//!   anything of tower; [`Sse::accept`] and [`Accept`] for routes of your own.
//! - [`Client`]: what one connection is sent, and what is known of it.
//! - [`Channel`]: what many are sent, with history and resume after `Last-Event-ID`.
//! - [`Sse::stream`]: any stream of events as a response.
//! - [`Event`]: data, name, id and reconnection time.
//!
//! It is not a client, and it keeps history in memory only.
//!
//! # What dropping does
//!
//! | dropped | what happens |
//! |---|---|
//! | a [`Client`], [`Channel`] or [`Sse`] handle | nothing: streams go on until they are closed or their connections end |
//! | the response of a client or its [`Body`] | the client's stream ends, as when the peer leaves |
//! | the response of [`Sse::stream`] and its like, or its [`StreamBody`] | the stream that it carries is dropped |
//! | the future of a request that waits in [`verify_async`] or [`authorize`] | that future of yours is dropped; there is no client |
//! | the future of a request that waits for room in [`Connections`] | its client ends, also for those to whom it has been given |
//! | the future of [`Client::send`] or [`Client::comment`] | before it is ready: nothing is sent |
//! | the future of [`Client::pipe`] or [`Client::pipe_wire`] | the source is dropped; what was sent stays sent |
//! | the future of [`Client::closed`], [`Sse::shutdown_begun`] or [`Sse::grace_over`] | nothing |
//! | the future of [`Sse::shutdown_on`] | before the signal: there will be no shutdown |
//! | [`Connections`] | new clients are no longer put into it; those in it stay connected |
//!
//! A server drops the request's future, or the response, when the peer leaves. The futures of
//! [`Sse::on_connection`] are not dropped then: they run to their end.
//!
//! [`verify_async`]: Builder::verify_async
//! [`authorize`]: Builder::authorize
//!
//! # Requirements
//!
//! Bodies and connection handlers run on a tokio runtime with time enabled. Without one, bodies that
//! have nothing to send and handlers of [`Sse::on_connection`] that wait panic, as `tokio::time` and
//! `tokio::spawn` do.
//!
//! # Features
//!
//! - `axum` (default): `axum::serve` takes an attached service; [`Accept`].
//! - `hyper`: an attached hyper service is a hyper service.
//! - `serde`: JSON in and out of an event's data.

mod attach;
#[cfg(feature = "axum")]
mod axum;
mod body;
mod channel;
mod client;
mod feed;
mod gate;
mod keep_alive;
mod memberships;
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
pub use channel::{Channel, ChannelBuilder, JoinError};
pub use client::Client;
pub use fanfare_fanout::{GAP, LagPolicy, Position, Start};
pub use fanfare_wire::{ByteString, Event, EventId, EventName, IdError, NameError};
pub use gate::Rejection;
pub use memberships::MAX_CHANNELS_PER_CLIENT;
pub use outbox::{Closed, End, TrySendError};
pub use query::Query;
pub use sse::{Builder, Connections, Sse};
pub use stream::{PipeError, StreamBody};

/// The README's code compiles.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
