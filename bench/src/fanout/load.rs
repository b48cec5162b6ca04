//! The process of all subscribers.
//!
//! Connects, prints `ready` when each stream is open, then answers each line of its input with
//! `delivered EVENTS`, counted over all subscribers.

use std::{
    io::{BufRead, stdin},
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use memchr::memchr_iter;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime,
    sync::Semaphore,
};

use crate::program::{Outcome, pin_to};

use super::MARK;

const REQUEST: &[u8] = b"GET /sse HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";

/// Subscribes `subscribers` times at 127.0.0.1:`port`, until its input ends.
///
/// # Errors
///
/// When an argument is no number, or the server does not answer.
pub fn run(port: &str, subscribers: &str) -> Outcome {
    pin_to(1)?;
    let port: u16 = port.parse()?;
    let subscribers: u32 = subscribers.parse()?;
    let delivered = Arc::new(AtomicU64::new(0));
    let opened = Arc::new(Semaphore::new(0));
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for _ in 0..subscribers {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            tokio::spawn(subscribe(stream, opened.clone(), delivered.clone()));
        }
        opened.acquire_many(subscribers).await?.forget();
        answer(delivered);
        println!("ready");
        std::future::pending::<Outcome>().await
    })
}

async fn subscribe(
    mut stream: TcpStream,
    opened: Arc<Semaphore>,
    delivered: Arc<AtomicU64>,
) -> std::io::Result<()> {
    stream.write_all(REQUEST).await?;
    let mut buffer = vec![0; 64 * 1024];
    let mut is_open = false;
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        if !mem::replace(&mut is_open, true) {
            opened.add_permits(1);
        }
        let events = memchr_iter(MARK, &buffer[..read]).count();
        delivered.fetch_add(events as u64, Ordering::Relaxed);
    }
}

fn answer(delivered: Arc<AtomicU64>) {
    std::thread::spawn(move || {
        for _ in stdin().lock().lines().map_while(Result::ok) {
            println!("delivered {}", delivered.load(Ordering::Relaxed));
        }
        std::process::exit(0);
    });
}
