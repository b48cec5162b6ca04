//! What lies between the upstream and the log. Where it is full, nothing more is read, and the upstream waits.

use std::sync::Arc;

use fanfare_wire::{ByteString, Event};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Words at most,
pub(super) const MOST: usize = 512;
/// and bytes, but one word at least.
const ROOM: u32 = 1 << 20;
/// What a word takes besides its data.
const OVERHEAD: usize = 128;

/// What has come.
#[derive(Debug)]
pub(super) struct Come {
    pub(super) word: Word,
    /// The upstream's id behind it.
    pub(super) place: ByteString,
    _room: OwnedSemaphorePermit,
}

#[derive(Debug)]
pub(super) enum Word {
    Event(Event),
    /// Events are missing; how many, where that is known.
    Gap(Option<u64>),
    /// Nothing but the place.
    Place,
}

/// Takes what comes.
#[derive(Debug)]
pub(super) struct Sender {
    room: Arc<Semaphore>,
    words: mpsc::Sender<Come>,
}

pub(super) fn queue() -> (Sender, mpsc::Receiver<Come>) {
    let (words, queue) = mpsc::channel(MOST);
    (Sender { room: Arc::new(Semaphore::new(ROOM as usize)), words }, queue)
}

impl Sender {
    /// Waits for room.
    pub(super) async fn send(&self, word: Word, place: ByteString) {
        let data = if let Word::Event(event) = &word { event.data().len() } else { 0 };
        let size = u32::try_from(data + place.len() + OVERHEAD).unwrap_or(ROOM).min(ROOM);
        // Neither is closed before the relay ends.
        if let Ok(room) = self.room.clone().acquire_many_owned(size).await {
            let _ = self.words.send(Come { word, place, _room: room }).await;
        }
    }
}
