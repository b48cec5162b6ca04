//! Who is in a room.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use fanfare::{Client, Event, EventName, Sse};
use tokio::{sync::Notify, time::sleep};

const PEOPLE: EventName = EventName::from_static("people");
/// Many who come and go at once, as after a restart, are told of at once.
const AT_MOST_EVERY: Duration = Duration::from_millis(100);

/// Tells everybody who is in the same room. Clones tell the same people.
#[derive(Clone)]
pub(crate) struct People {
    changed: Arc<Notify>,
}

/// What a client's place is.
struct Seat {
    room: &'static str,
    name: String,
}

impl People {
    pub(crate) fn new(sse: &Sse) -> Self {
        let changed = Arc::new(Notify::new());
        tokio::spawn(keep_telling(sse.clone(), changed.clone()));
        Self { changed }
    }

    /// `client` is in `room` until its stream ends.
    pub(crate) fn enter(&self, client: Client, room: &'static str, name: String) {
        client.insert(Seat { room, name });
        self.changed.notify_one();
        let changed = self.changed.clone();
        tokio::spawn(async move {
            client.closed().await;
            changed.notify_one();
        });
    }
}

async fn keep_telling(sse: Sse, changed: Arc<Notify>) {
    loop {
        changed.notified().await;
        tell(&sse.clients());
        sleep(AT_MOST_EVERY).await;
    }
}

fn tell(clients: &[Client]) {
    let seats: Vec<_> = clients.iter().filter_map(|c| Some((c, c.get::<Seat>()?))).collect();
    let mut rooms = BTreeMap::<_, BTreeSet<_>>::new();
    for (_, seat) in &seats {
        rooms.entry(seat.room).or_default().insert(&seat.name);
    }
    for (client, seat) in &seats {
        let Ok(event) = Event::json(&rooms[seat.room]) else { continue };
        // Without an id: a client that resumes asks for messages, not for this. And one that is
        // too slow for it now is told the next time.
        let _ = client.try_send(event.with_name(PEOPLE));
    }
}
