//! All open connections: how many there may be, and their common end.

use std::{
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use slab::Slab;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Hub;

use super::watch::Waking;

/// What connections are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Go on.
    Serving,
    /// End with the requests that are in flight.
    Draining,
    /// End now.
    CutOff,
}

/// The connections that are open. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct OpenConnections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    hub: Hub,
    most: u32,
    room: Arc<Semaphore>,
    phase: AtomicU8,
    connections: Mutex<Slab<Arc<Waking>>>,
}

/// Room for one connection.
pub(super) type Room = OwnedSemaphorePermit;

/// One of the open connections, until it is dropped.
#[derive(Debug)]
pub(super) struct Entered {
    listed: Listed,
    resting: Resting,
}

/// One of the open connections that is not told what to do, until it [rises](Self::rise).
#[derive(Debug)]
pub(super) struct Resting {
    open: OpenConnections,
    _room: Room,
}

/// Where a connection's task is woken.
#[derive(Debug)]
struct Listed {
    open: OpenConnections,
    key: usize,
    waking: Arc<Waking>,
}

impl OpenConnections {
    pub(super) fn new(most: NonZeroU32, hub: &Hub) -> Self {
        Self(Arc::new(Shared {
            hub: hub.clone(),
            most: most.get(),
            room: Arc::new(Semaphore::new(most.get() as usize)),
            phase: AtomicU8::new(Phase::Serving as u8),
            connections: Mutex::default(),
        }))
    }

    /// Room for one more, if there is any.
    pub(super) fn try_room(&self) -> Option<Room> {
        self.0.room.clone().try_acquire_owned().ok()
    }

    /// Waits for room. `None` never comes: nobody closes it.
    pub(super) async fn room(&self) -> Option<Room> {
        self.0.room.clone().acquire_owned().await.ok()
    }

    pub(super) fn enter(&self, room: Room) -> Entered {
        self.0.hub.metrics().connections.inc();
        Resting { open: self.clone(), _room: room }.rise()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        let all = usize::try_from(self.0.most).unwrap_or(usize::MAX);
        all.saturating_sub(self.0.room.available_permits())
    }

    /// Has each end with what it is doing.
    pub(super) fn drain(&self) {
        self.begin(Phase::Draining);
    }

    /// Has all end now.
    pub(super) fn cut_off(&self) {
        self.begin(Phase::CutOff);
    }

    fn begin(&self, phase: Phase) {
        self.0.phase.store(phase as u8, Ordering::SeqCst);
        let connections: Vec<_> =
            self.connections().iter().map(|(_, waking)| waking.clone()).collect();
        for connection in connections {
            connection.wake();
        }
    }

    /// Waits until there are none.
    pub(super) async fn all_ended(&self) {
        let _ = self.0.room.acquire_many(self.0.most).await;
    }

    fn connections(&self) -> MutexGuard<'_, Slab<Arc<Waking>>> {
        self.0.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entered {
    /// What wakes the connection's task.
    pub(super) fn waking(&self) -> &Arc<Waking> {
        &self.listed.waking
    }

    /// What the connection is to do; look at it after the task's waker is known.
    pub(super) fn phase(&self) -> Phase {
        match self.resting.open.0.phase.load(Ordering::SeqCst) {
            phase if phase == Phase::Serving as u8 => Phase::Serving,
            phase if phase == Phase::Draining as u8 => Phase::Draining,
            _ => Phase::CutOff,
        }
    }

    /// Lets nobody be woken any more, for as long as somebody else has the socket.
    pub(super) fn rest(self) -> Resting {
        self.resting
    }
}

impl Resting {
    pub(super) fn rise(self) -> Entered {
        let open = self.open.clone();
        let waking = Arc::new(Waking::default());
        let key = open.connections().insert(waking.clone());
        Entered { listed: Listed { open, key, waking }, resting: self }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let ended = self.open.connections().try_remove(self.key);
        drop(ended);
    }
}

impl Drop for Resting {
    fn drop(&mut self) {
        self.open.0.hub.metrics().connections.dec();
    }
}
