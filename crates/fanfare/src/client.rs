//! One connected event stream, seen from the server.

use std::{
    any::{Any, TypeId},
    borrow::Cow,
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use fanfare_wire::{Event, encode_comment};
use http::request::Parts;
use tokio::sync::Notify;

use crate::{
    Closed, End, Query, Sse, TrySendError,
    outbox::{Ending, Outbox},
    sse::WeakSse,
};

/// The query parameters in which polyfills send the last event id, because they cannot set the
/// header.
const LAST_EVENT_ID_PARAMETERS: [&str; 3] = ["lastEventId", "last_event_id", "evs_last_event_id"];

/// One connected event stream.
///
/// Clones are handles of the same stream. Dropping handles changes nothing: the stream goes on
/// until it is [closed](Self::close), its connection ends, or the server shuts down.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sse = fanfare::Sse::new();
/// # let (client, _response) = sse.accept(http::Request::new(()).into_parts().0)?;
/// use fanfare::{Event, EventName};
///
/// client.send("text").await?;
/// client.send(Event::new("data").with_name(EventName::from_static("greeting"))).await?;
/// client.close();
/// assert_eq!(client.send("too late").await, Err(fanfare::Closed));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    request: Parts,
    sse: Sse,
    outbox: Outbox,
    values: Mutex<Values>,
    end: OnceLock<End>,
    ended: Notify,
}

type Values = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

impl Client {
    pub(crate) fn new(request: Parts, sse: Sse, queue_bytes: u32) -> Self {
        Self(Arc::new(Shared {
            request,
            sse,
            outbox: Outbox::new(queue_bytes),
            values: Mutex::default(),
            end: OnceLock::new(),
            ended: Notify::new(),
        }))
    }

    /// Sends an event to this client, once there is room for it in the client's queue.
    ///
    /// Text becomes an event with that data. Returns when the event is queued: it is written as
    /// soon as the connection takes it, together with what else waits. Dropping the future before
    /// it returns sends nothing.
    ///
    /// To a client that is in channels, send events without ids: an id takes the place of the
    /// channels' in the client, which then cannot resume them.
    ///
    /// ```
    /// # use http_body_util::BodyExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sse = fanfare::Sse::new();
    /// # let (client, response) = sse.accept(http::Request::new(()).into_parts().0)?;
    /// use fanfare::{Event, EventName};
    ///
    /// client.send("two\nlines").await?;
    /// client.send(Event::new("9.99").with_name(EventName::from_static("price"))).await?;
    /// # client.close();
    /// let wire = response.into_body().collect().await?.to_bytes();
    /// assert_eq!(wire, ":ok\n\ndata: two\ndata: lines\n\nevent: price\ndata: 9.99\n\n");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Closed`] when the stream has ended, or ends while this waits.
    pub async fn send(&self, event: impl Into<Event>) -> Result<(), Closed> {
        self.0.outbox.send(&event.into()).await
    }

    /// Sends an event if there is room for it now: for events that are worth nothing later.
    ///
    /// ```
    /// use fanfare::{Sse, TrySendError};
    ///
    /// let sse = Sse::builder().queue_bytes(16).build();
    /// # let (client, _response) = sse.accept(http::Request::new(()).into_parts().0)?;
    /// client.try_send("first")?;
    /// assert_eq!(client.try_send("second"), Err(TrySendError::Full("second".into())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] gives the event back when there is no room;
    /// [`TrySendError::Closed`] when the stream has ended or is about to.
    pub fn try_send(&self, event: impl Into<Event>) -> Result<(), TrySendError> {
        self.0.outbox.try_send(event.into())
    }

    /// Sends a comment, which clients ignore, but which shows up in a debugger and keeps
    /// connections from looking idle. It takes room in the queue, as an event does.
    ///
    /// ```
    /// # use http_body_util::BodyExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sse = fanfare::Sse::new();
    /// # let (client, response) = sse.accept(http::Request::new(()).into_parts().0)?;
    /// client.comment("the model is thinking").await?;
    /// # client.close();
    /// let wire = response.into_body().collect().await?.to_bytes();
    /// assert_eq!(wire, ":ok\n\n:the model is thinking\n\n");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn comment(&self, text: &str) -> Result<(), Closed> {
        let mut bytes = Vec::new();
        encode_comment(text, &mut bytes);
        self.send_bytes(&bytes).await
    }

    /// Sends what is on the wire no event.
    pub(crate) async fn send_bytes(&self, wire: &[u8]) -> Result<(), Closed> {
        self.0.outbox.send_bytes(wire).await
    }

    /// Ends the stream behind what has been sent and broadcast. To this the browser's `EventSource`
    /// answers with a reconnection: tell it to stop by an event of your own.
    ///
    /// ```
    /// # use http_body_util::BodyExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sse = fanfare::Sse::new();
    /// # let (client, response) = sse.accept(http::Request::new(()).into_parts().0)?;
    /// use fanfare::{Event, EventName};
    ///
    /// let done = EventName::from_static("done"); // the page closes its `EventSource` then
    /// client.send(Event::new("").with_name(done)).await?;
    /// client.close();
    /// let wire = response.into_body().collect().await?.to_bytes();
    /// assert_eq!(wire, ":ok\n\nevent: done\ndata: \n\n");
    /// # Ok(())
    /// # }
    /// ```
    pub fn close(&self) {
        self.end(End::Closed, &[]);
    }

    /// Waits until the stream has ended, and tells why.
    ///
    /// A peer that goes away is noticed at once where its connection says so, and otherwise when
    /// a keep-alive comment cannot be delivered.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sse = fanfare::Sse::new();
    /// # let (client, response) = sse.accept(http::Request::new(()).into_parts().0)?;
    /// use fanfare::End;
    ///
    /// drop(response); // as the server does when the peer leaves
    /// assert_eq!(client.closed().await, End::Peer);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn closed(&self) -> End {
        loop {
            let ended = self.0.ended.notified();
            if let Some(end) = self.0.end.get() {
                return *end;
            }
            ended.await;
        }
    }

    /// Whether nothing more can be sent: the stream has ended or is about to.
    ///
    /// ```
    /// # let sse = fanfare::Sse::new();
    /// # let (client, _response) = sse.accept(http::Request::new(()).into_parts().0)?;
    /// assert!(!client.is_closed());
    /// client.close();
    /// assert!(client.is_closed()); // while what was sent before is on its way still
    /// # Ok::<(), fanfare::Rejection>(())
    /// ```
    pub fn is_closed(&self) -> bool {
        self.0.outbox.is_ending()
    }

    /// The request that asked for the stream: method, URI, version, headers, extensions.
    ///
    /// ```
    /// # let sse = fanfare::Sse::new();
    /// let request = http::Request::get("/sse").header("accept-language", "eo");
    /// let (client, _response) = sse.accept(request.body(())?.into_parts().0)?;
    /// assert_eq!(client.request().headers["accept-language"], "eo");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn request(&self) -> &Parts {
        &self.0.request
    }

    /// The query of the request's URI.
    ///
    /// ```
    /// # let sse = fanfare::Sse::new();
    /// let request = http::Request::get("/sse?room=caf%C3%A9");
    /// let (client, _response) = sse.accept(request.body(())?.into_parts().0)?;
    /// assert_eq!(client.query().get("room").as_deref(), Some("café"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn query(&self) -> Query<'_> {
        Query::of(&self.0.request.uri)
    }

    /// The id of the last event that the client got before it reconnected: from the header
    /// `Last-Event-ID`, or the query parameters of polyfills (`lastEventId`, `last_event_id`,
    /// `evs_last_event_id`). Empty counts as none.
    ///
    /// ```
    /// # let sse = fanfare::Sse::new();
    /// let request = http::Request::get("/sse").header("last-event-id", "42");
    /// let (client, _response) = sse.accept(request.body(())?.into_parts().0)?;
    /// assert_eq!(client.last_event_id().as_deref(), Some("42"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn last_event_id(&self) -> Option<Cow<'_, str>> {
        let in_header = self.0.request.headers.get("last-event-id");
        let in_header = in_header.map(|value| String::from_utf8_lossy(value.as_bytes()));
        let in_query = LAST_EVENT_ID_PARAMETERS.iter().filter_map(|name| self.query().get(name));
        in_header.into_iter().chain(in_query).find(|id| !id.is_empty())
    }

    /// Keeps a value with the client, in the place of an earlier one of the same type.
    ///
    /// ```
    /// # let sse = fanfare::Sse::new();
    /// # let (client, _response) = sse.accept(http::Request::new(()).into_parts().0)?;
    /// struct User { name: String }
    ///
    /// client.insert(User { name: "Ada".to_owned() });
    /// assert_eq!(client.get::<User>().unwrap().name, "Ada");
    /// # Ok::<(), fanfare::Rejection>(())
    /// ```
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) {
        let replaced = self.values().insert(TypeId::of::<T>(), Arc::new(value));
        // Outside the lock: its drop may do anything.
        drop(replaced);
    }

    /// The value of this type that was [kept](Self::insert) with the client.
    ///
    /// ```
    /// # let sse = fanfare::Sse::new();
    /// # let (client, _response) = sse.accept(http::Request::new(()).into_parts().0)?;
    /// client.insert(7_u32);
    /// assert_eq!(client.get::<u32>().as_deref(), Some(&7));
    /// assert_eq!(client.get::<String>(), None);
    /// # Ok::<(), fanfare::Rejection>(())
    /// ```
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let value = self.values().get(&TypeId::of::<T>())?.clone();
        value.downcast().ok()
    }

    fn values(&self) -> MutexGuard<'_, Values> {
        self.0.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the stream behind what has been sent and broadcast, and behind `farewell`; a stream
    /// that is ending ends as it was.
    pub(crate) fn end(&self, end: End, farewell: &[u8]) {
        let last = self.0.sse.positions().newest();
        let _ = self.0.outbox.end(Ending { end, last }, farewell);
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    /// The body is gone, and with it the connection or this stream of it.
    pub(crate) fn has_ended(&self) {
        let _ = self.0.end.set(self.0.outbox.abandon());
        self.0.ended.notify_waiters();
    }

    pub(crate) fn is_of(&self, sse: &WeakSse) -> bool {
        sse.is_of(&self.0.sse)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("uri", &self.0.request.uri)
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
