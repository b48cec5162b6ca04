//! Channels that clients join: every event goes to all of them.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use fanfare_fanout::{
    self as fanout, Bounds, Epoch, GapReason, LagPolicy, Missing, Options, Position, Start,
};
use fanfare_wire::Event;
use thiserror::Error;

use crate::{
    Client, Closed, MAX_CHANNELS_PER_CLIENT, Sse,
    feed::{Joined, MissingBefore},
    memberships::Past,
    sse::WeakSse,
};

/// A longer id of a client is not told back to it, in bytes.
const LONGEST_TOLD_ID: usize = 128;

/// For whom an event is.
pub(crate) type Audience = dyn Fn(&Client) -> bool + Send + Sync;

/// A group of clients to which events are broadcast, with a history. Clones are the same channel.
///
/// An event is encoded once, whatever the number of clients, and stamped with an id, so that a
/// client which lost its connection is given what it missed when it [joins](Self::join) again.
/// Broadcasting never waits: a client that falls behind the kept history is told so by an event
/// named `gap` (or as the [`LagPolicy`] says).
///
/// All channels of one [`Sse`] count their events together, so that one `Last-Event-ID` is enough
/// for a client in several of them, and it gets their events in the order of the broadcasts.
///
/// Dropping all handles ends nothing for clients inside; [`close`](Self::close) does.
///
/// ```
/// use std::future::ready;
/// use fanfare::{Channel, Event, EventName, Sse};
///
/// let sse = Sse::new();
/// let news = Channel::new(&sse);
/// let everybody = news.clone();
/// sse.on_connection(move |client| ready(everybody.join(&client)));
///
/// news.broadcast("to everybody")?;
/// news.broadcast(Event::new("with a name").with_name(EventName::from_static("news")))?;
/// news.broadcast_to("to some", |client| client.query().get("vip").is_some())?;
/// assert_eq!(news.len(), 0);
/// # Ok::<(), fanfare::Closed>(())
/// ```
#[derive(Clone)]
pub struct Channel(Arc<Shared>);

struct Shared {
    /// Told apart by it, also from channels that are no more.
    id: u64,
    log: fanout::Channel<Audience>,
    epoch: Epoch,
    stamps_ids: bool,
    members: AtomicUsize,
    replay: Start,
    /// Weak, because the handlers of an `Sse` know its channels.
    sse: WeakSse,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// A client's membership, counted while it lasts.
#[derive(Debug)]
pub(crate) struct Member(Channel);

/// Why a client could not join a channel.
///
/// ```
/// use fanfare::{Channel, JoinError, Sse};
///
/// let [sse, other] = [Sse::new(), Sse::new()];
/// # let (client, _response) = sse.accept(http::Request::new(()).into_parts().0)?;
/// assert_eq!(Channel::new(&other).join(&client), Err(JoinError::OtherSse)); // a client of `sse`
/// client.close();
/// assert_eq!(Channel::new(&sse).join(&client), Err(JoinError::Closed));
/// # Ok::<(), fanfare::Rejection>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JoinError {
    /// The client's stream has ended.
    #[error("the client's stream has ended")]
    Closed,
    /// The client belongs to another `Sse` than the channel.
    #[error("the client belongs to another `Sse` than the channel: make one `Sse` serve both")]
    OtherSse,
    /// The client is in as many channels as it can be.
    #[error("the client is in {MAX_CHANNELS_PER_CLIENT} channels, and cannot be in more")]
    TooMany,
}

impl From<Closed> for JoinError {
    fn from(Closed: Closed) -> Self {
        Self::Closed
    }
}

/// Settings for a new [`Channel`].
///
/// ```
/// # use http_body_util::BodyExt;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sse = fanfare::Sse::new();
/// # let (client, response) = sse.accept(http::Request::new(()).into_parts().0)?;
/// use fanfare::{Channel, LagPolicy, Start};
///
/// let prices = Channel::builder(&sse)
///     .history(1)
///     .replay(Start::Last(1)) // who joins sees the last price at once
///     .lag_policy(LagPolicy::Latest) // who is slow sees the newest only
///     .without_ids()
///     .build();
/// prices.broadcast("9.98")?;
/// prices.broadcast("9.99")?;
/// prices.join(&client)?;
/// # client.close();
/// let wire = response.into_body().collect().await?.to_bytes();
/// assert_eq!(wire, ":ok\n\ndata: 9.99\n\n");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ChannelBuilder {
    sse: Sse,
    bounds: Bounds,
    lag_policy: LagPolicy,
    replay: Start,
    stamps_ids: bool,
}

impl Channel {
    /// A channel whose clients must come from `sse`, with the settings of
    /// [`builder`](Self::builder).
    pub fn new(sse: &Sse) -> Self {
        Self::builder(sse).build()
    }

    /// Settings for a channel: history of 16,384 events and 4 MiB; new clients see what comes from
    /// now on; who falls behind is told by a `gap` event; events are stamped with ids.
    pub fn builder(sse: &Sse) -> ChannelBuilder {
        ChannelBuilder {
            sse: sse.clone(),
            bounds: Bounds::default(),
            lag_policy: LagPolicy::default(),
            replay: Start::Latest,
            stamps_ids: true,
        }
    }

    /// Gives `client` the channel's events from now on.
    ///
    /// A client that came with a last event id goes on right behind that event, of whichever channel
    /// of the `Sse` it is. If what follows it is no longer kept, it is told by a `gap` event (or as
    /// the [`LagPolicy`] says); so it is, whatever the policy, if the id is unknown. Then everything
    /// kept follows. A client without one starts where the channel's
    /// [`replay`](ChannelBuilder::replay) says, and so does one that has [left](Self::leave) and
    /// joins again. Joining twice is joining once.
    ///
    /// A client that resumes joins several channels at once, by [`Client::join_all`].
    ///
    /// ```
    /// # use http_body_util::BodyExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sse = fanfare::Sse::new();
    /// # let request = http::Request::get("/sse").header("last-event-id", "1").body(())?;
    /// # let (client, response) = sse.accept(request.into_parts().0)?;
    /// use fanfare::{Channel, Event, EventId};
    ///
    /// let news = Channel::new(&sse);
    /// news.broadcast(Event::new("a").with_id(EventId::from_static("1")))?;
    /// news.broadcast(Event::new("b").with_id(EventId::from_static("2")))?;
    /// // A client that comes with `Last-Event-ID: 1`:
    /// news.join(&client)?;
    /// # client.close();
    /// let wire = response.into_body().collect().await?.to_bytes();
    /// assert_eq!(wire, ":ok\n\nid: 2\ndata: b\n\n");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`JoinError`] says why not.
    pub fn join(&self, client: &Client) -> Result<(), JoinError> {
        client.join_all([self])
    }

    /// As [`join`](Self::join), from `start`, whatever last event id the client came with: for
    /// channels in which the past means nothing, such as who is there.
    ///
    /// ```
    /// # use http_body_util::BodyExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sse = fanfare::Sse::new();
    /// # let request = http::Request::get("/sse").header("last-event-id", "1").body(())?;
    /// # let (client, response) = sse.accept(request.into_parts().0)?;
    /// use fanfare::{Channel, Start};
    ///
    /// let present = Channel::builder(&sse).without_ids().build();
    /// present.broadcast("Ada came in")?;
    /// present.join_from(&client, Start::Latest)?;
    /// present.broadcast("Bob came in")?;
    /// # client.close();
    /// let wire = response.into_body().collect().await?.to_bytes();
    /// assert_eq!(wire, ":ok\n\ndata: Bob came in\n\n");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`JoinError`] says why not.
    pub fn join_from(&self, client: &Client, start: Start) -> Result<(), JoinError> {
        admit(client, &[self], |channel, _| channel.joined_from(start))
    }

    fn joined_from(&self, start: Start) -> Joined {
        self.joined(self.0.log.cursor(start), None)
    }

    /// Whether an id can be of this channel: not if it is a stamp, and this channel sets none.
    fn may_know(&self, id: &str) -> bool {
        self.0.stamps_ids || self.0.epoch.position(id).is_none()
    }

    fn resume(&self, id: &str) -> Joined {
        let resumed = self.0.log.resume(id);
        let missing = resumed.missing.map(|missing| {
            let reason = match missing {
                Missing::Expired => GapReason::Expired,
                Missing::Unknown => GapReason::Unknown,
            };
            let requested = Some(id.to_owned()).filter(|id| id.len() <= LONGEST_TOLD_ID);
            Box::new(MissingBefore { reason, requested, until: resumed.after })
        });
        self.joined(resumed.cursor, missing)
    }

    fn joined(
        &self,
        cursor: fanout::Cursor<Audience>,
        missing: Option<Box<MissingBefore>>,
    ) -> Joined {
        Joined { channel: self.clone(), cursor, missing }
    }

    /// Gives `client` no more events of this channel, from now on or at least very soon: what is
    /// already on its way to the socket still arrives. Its stream goes on, also when it is in no
    /// channel any more.
    ///
    /// ```
    /// # let sse = fanfare::Sse::new();
    /// # let (client, _response) = sse.accept(http::Request::new(()).into_parts().0)?;
    /// # let news = fanfare::Channel::new(&sse);
    /// news.join(&client)?;
    /// news.leave(&client);
    /// assert!(news.is_empty());
    /// assert!(!client.is_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn leave(&self, client: &Client) {
        client.outbox().leave(self);
    }

    /// Sends an event to every client in the channel, and tells its position among the events of all
    /// channels of the `Sse`. Does not wait.
    ///
    /// An id that the event brings along is sent instead of the stamp; a client can resume from it
    /// while its event is kept, in this channel only.
    ///
    /// ```
    /// use fanfare::{Channel, Event, EventName, Position, Sse};
    ///
    /// let sse = Sse::new();
    /// let [news, prices] = [Channel::new(&sse), Channel::new(&sse)];
    /// let price = Event::new("9.99").with_name(EventName::from_static("price"));
    /// assert_eq!(prices.broadcast(price)?, Position(1));
    /// assert_eq!(news.broadcast("to everybody")?, Position(2));
    /// # Ok::<(), fanfare::Closed>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`close`](Self::close).
    pub fn broadcast(&self, event: impl Into<Event>) -> Result<Position, Closed> {
        self.0.log.append(event.into()).map_err(|fanout::Closed| Closed)
    }

    /// Sends an event to those clients for which `is_meant` says so. It is asked for each client
    /// when the event's turn comes, also for clients that resume later. In the channel's history it
    /// takes its place for all.
    ///
    /// ```
    /// # use http_body_util::BodyExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sse = fanfare::Sse::new();
    /// # let news = fanfare::Channel::builder(&sse).without_ids().build();
    /// # let request = |target: &str| http::Request::get(target).body(()).map(|it| it.into_parts().0);
    /// let (guest, to_guest) = sse.accept(request("/sse")?)?;
    /// let (member, to_member) = sse.accept(request("/sse?member")?)?;
    /// news.join(&guest)?;
    /// news.join(&member)?;
    /// news.broadcast_to("to members", |client| client.query().get("member").is_some())?;
    /// # news.close();
    /// # let to_guest = to_guest.into_body().collect().await?.to_bytes();
    /// # let to_member = to_member.into_body().collect().await?.to_bytes();
    /// assert_eq!(to_guest, ":ok\n\n");
    /// assert_eq!(to_member, ":ok\n\ndata: to members\n\n");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`close`](Self::close).
    pub fn broadcast_to(
        &self,
        event: impl Into<Event>,
        is_meant: impl Fn(&Client) -> bool + Send + Sync + 'static,
    ) -> Result<Position, Closed> {
        self.0.log.append_for(event.into(), Arc::new(is_meant)).map_err(|fanout::Closed| Closed)
    }

    /// How many clients are in the channel: those that have joined, and have neither left nor ended.
    ///
    /// ```
    /// # let sse = fanfare::Sse::new();
    /// # let (client, response) = sse.accept(http::Request::new(()).into_parts().0)?;
    /// # let news = fanfare::Channel::new(&sse);
    /// news.join(&client)?;
    /// assert_eq!(news.len(), 1);
    /// drop(response); // as the server does when the peer leaves
    /// assert!(news.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn len(&self) -> usize {
        self.0.members.load(Ordering::Relaxed)
    }

    /// Whether no client is in the channel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the channel: its clients get what is left, then leave it, and the stream of a client
    /// that is in no other channel ends. Clients can still join, to the same effect.
    ///
    /// ```
    /// # use http_body_util::BodyExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sse = fanfare::Sse::new();
    /// # let (client, response) = sse.accept(http::Request::new(()).into_parts().0)?;
    /// # let news = fanfare::Channel::builder(&sse).without_ids().build();
    /// use fanfare::{Closed, End};
    ///
    /// news.join(&client)?;
    /// news.broadcast("good bye")?;
    /// news.close();
    /// assert_eq!(news.broadcast("too late"), Err(Closed));
    ///
    /// let wire = response.into_body().collect().await?.to_bytes();
    /// assert_eq!(wire, ":ok\n\ndata: good bye\n\n");
    /// assert_eq!(client.closed().await, End::Closed);
    /// # Ok(())
    /// # }
    /// ```
    pub fn close(&self) {
        self.0.log.close();
    }

    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    pub(crate) fn enter(&self) -> Member {
        self.0.members.fetch_add(1, Ordering::Relaxed);
        Member(self.clone())
    }

    pub(crate) fn stamps_ids(&self) -> bool {
        self.0.stamps_ids
    }
}

impl Client {
    /// [Joins](Channel::join) several channels at once. Either it joins all, or none.
    ///
    /// A client has one last event id for all its channels. It counts for all of them only when they
    /// are joined together: between two joins, events of the first may move the id past what the
    /// second still has to give, and a client that loses its connection then would miss that.
    ///
    /// ```
    /// # let sse = fanfare::Sse::new();
    /// # let (client, _response) = sse.accept(http::Request::new(()).into_parts().0)?;
    /// use fanfare::Channel;
    ///
    /// let [news, prices] = [Channel::new(&sse), Channel::new(&sse)];
    /// client.join_all([&news, &prices])?;
    /// assert_eq!((news.len(), prices.len()), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`JoinError`] says why not.
    pub fn join_all<'a>(
        &self,
        channels: impl IntoIterator<Item = &'a Channel>,
    ) -> Result<(), JoinError> {
        let channels: Vec<&Channel> = channels.into_iter().collect();
        let last_event_id = self.last_event_id();
        admit(self, &channels, |channel, past| match &last_event_id {
            Some(id) if past == Past::None && channel.may_know(id) => channel.resume(id),
            _ => channel.joined_from(channel.0.replay),
        })
    }
}

fn admit(
    client: &Client,
    channels: &[&Channel],
    join: impl Fn(&Channel, Past) -> Joined,
) -> Result<(), JoinError> {
    if channels.iter().any(|channel| !client.is_of(&channel.0.sse)) {
        return Err(JoinError::OtherSse);
    }
    client.outbox().join(channels, join)
}

impl ChannelBuilder {
    /// Keeps this many events at most (16,384 if not set; at least 1), for clients that resume or
    /// are slow.
    ///
    /// ```
    /// # use http_body_util::BodyExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sse = fanfare::Sse::new();
    /// # let (client, response) = sse.accept(http::Request::new(()).into_parts().0)?;
    /// use fanfare::{Channel, Start};
    ///
    /// let news = Channel::builder(&sse).history(2).replay(Start::Earliest).without_ids().build();
    /// for event in ["a", "b", "c"] {
    ///     news.broadcast(event)?;
    /// }
    /// news.join(&client)?;
    /// # client.close();
    /// let wire = response.into_body().collect().await?.to_bytes();
    /// assert_eq!(wire, ":ok\n\ndata: b\n\ndata: c\n\n");
    /// # Ok(())
    /// # }
    /// ```
    pub fn history(mut self, events: usize) -> Self {
        self.bounds.frames = events;
        self
    }

    /// Keeps this many bytes of events at most (4 MiB if not set). The newest event is kept
    /// whatever its size.
    pub fn history_bytes(mut self, bytes: usize) -> Self {
        self.bounds.bytes = bytes;
        self
    }

    /// What becomes of a client that falls behind the history ([`LagPolicy::Gap`] if not set).
    ///
    /// ```
    /// # use http_body_util::BodyExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sse = fanfare::Sse::new();
    /// # let (client, response) = sse.accept(http::Request::new(()).into_parts().0)?;
    /// use fanfare::{Channel, LagPolicy};
    ///
    /// let news = Channel::builder(&sse).history(1).lag_policy(LagPolicy::Gap).without_ids().build();
    /// news.join(&client)?;
    /// for event in ["a", "b", "c"] {
    ///     news.broadcast(event)?; // faster than the client reads
    /// }
    /// # client.close();
    /// let wire = response.into_body().collect().await?.to_bytes();
    /// let gap = "event: gap\ndata: {\"reason\":\"lagged\",\"missed\":2}\n\n";
    /// assert_eq!(wire, format!(":ok\n\n{gap}data: c\n\n"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn lag_policy(mut self, lag_policy: LagPolicy) -> Self {
        self.lag_policy = lag_policy;
        self
    }

    /// Where a client without a last event id starts ([`Start::Latest`] if not set), and one that has
    /// left and joins again.
    pub fn replay(mut self, start: Start) -> Self {
        self.replay = start;
        self
    }

    /// Sends events as they are, without stamping ids. Clients cannot resume, except from ids that
    /// the events bring along: one that comes with a stamp of another channel starts where
    /// [`replay`](Self::replay) says.
    pub fn without_ids(mut self) -> Self {
        self.stamps_ids = false;
        self
    }

    /// The channel.
    pub fn build(self) -> Channel {
        let options = Options {
            bounds: self.bounds,
            lag_policy: self.lag_policy,
            positions: self.sse.positions().clone(),
            epoch: self.stamps_ids.then(|| self.sse.epoch()),
            ..Options::default()
        };
        Channel(Arc::new(Shared {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            epoch: self.sse.epoch(),
            log: fanout::Channel::new(options),
            stamps_ids: self.stamps_ids,
            members: AtomicUsize::new(0),
            replay: self.replay,
            sse: self.sse.downgrade(),
        }))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.0.members.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("log", &self.0.log)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
