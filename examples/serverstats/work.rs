//! A few seconds of work on demand, so that the charts have something to show.

use std::{
    hint,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use tokio::{sync::Mutex, task::spawn_blocking, time::interval};

const STEP: Duration = Duration::from_millis(100);
/// Steps up to full load; as many lead down again.
const TOP: u32 = 30;
const BLOCK_BYTES: usize = 1024 * 1024;

/// Held while there is work: one piece at a time is enough for anybody.
pub(crate) type Desk = Arc<Mutex<()>>;

/// Begins the work, unless it is going on already.
pub(crate) fn begin(desk: &Desk) -> (StatusCode, &'static str) {
    let Ok(busy) = desk.clone().try_lock_owned() else {
        return (StatusCode::TOO_MANY_REQUESTS, "still at work\n");
    };
    tokio::spawn(async move {
        work().await;
        drop(busy);
    });
    (StatusCode::ACCEPTED, "at work\n")
}

/// Takes more and more memory and time of one core, then less and less.
async fn work() {
    let mut blocks = Vec::new();
    let mut steps = interval(STEP);
    for load in (0..TOP).chain((0..=TOP).rev()) {
        steps.tick().await;
        blocks.resize_with(load as usize, || vec![1_u8; BLOCK_BYTES]);
        // Only a panic inside makes this fail.
        let _ = spawn_blocking(move || spin(STEP * load / TOP)).await;
    }
}

fn spin(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        hint::spin_loop();
    }
}
