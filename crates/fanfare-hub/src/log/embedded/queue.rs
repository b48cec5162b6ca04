//! What waits for the writer.

use std::sync::{
    Arc,
    mpsc::{self, Receiver, Sender},
};

use tokio::sync::{Semaphore, oneshot};

use super::writer::{Append, Job};
use crate::log::{AppendError, Appended, Batch};

/// Appends that wait, in bytes. Who comes when it is full waits for room.
const MAX_WAITING_BYTES: u32 = 32 * 1024 * 1024;
/// What a batch and an event take, besides their data.
const BATCH_BYTES: usize = 256;
const EVENT_BYTES: usize = 128;

/// The writer's queue. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    jobs: Sender<Job>,
    room: Arc<Semaphore>,
}

impl Queue {
    pub(super) fn new() -> (Self, Receiver<Job>) {
        let (jobs, receiver) = mpsc::channel();
        let room = Arc::new(Semaphore::new(MAX_WAITING_BYTES as usize));
        (Self { jobs, room }, receiver)
    }

    pub(super) async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        let room = self.room.clone().acquire_many_owned(size(&batch)).await;
        let room = room.map_err(|_| closed())?;
        let (answer, answered) = oneshot::channel();
        self.send(Job::Append(Append { batch, answer, _room: room }))?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Has something done that is neither many nor large.
    pub(super) async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, AppendError>>) -> Job,
    ) -> Result<T, AppendError> {
        let (answer, answered) = oneshot::channel();
        self.send(job(answer))?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    pub(super) fn send(&self, job: Job) -> Result<(), AppendError> {
        self.jobs.send(job).map_err(|_| closed())
    }
}

/// What a batch takes of the room. One that is larger than all of it waits until there is nothing else.
fn size(batch: &Batch) -> u32 {
    let data: usize = batch.events.iter().map(|event| event.data.len() + EVENT_BYTES).sum();
    u32::try_from(BATCH_BYTES + data).unwrap_or(u32::MAX).min(MAX_WAITING_BYTES)
}

pub(super) fn closed() -> AppendError {
    AppendError::Unavailable("the log has been closed".into())
}
