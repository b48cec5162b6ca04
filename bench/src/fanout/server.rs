//! The server's process.
//!
//! Prints `port N`, then obeys lines: `publish RATE SECONDS` (`RATE` events per second, or `max`)
//! publishes and prints `published EVENTS CPU_NANOSECONDS`, the CPU time of the whole process.

use std::{
    convert::Infallible,
    io::{BufRead, stdin},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    response::sse::{Event, KeepAlive},
    routing::get,
    serve::ListenerExt,
};
use cpu_time::ProcessTime;
use fanfare::{Channel, Sse};
use tokio::{net::TcpListener, runtime, sync::broadcast};
use tokio_stream::{StreamExt, wrappers::BroadcastStream};

use super::{Outcome, payload, pin_to};

/// How many events both keep for a slow subscriber: the library's default.
const HISTORY: usize = 16_384;

type Publish = Arc<dyn Fn() + Send + Sync>;

/// Serves as `contender` until its input ends.
pub fn run(contender: &str) -> Outcome {
    pin_to(0)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("port {}", listener.local_addr()?.port());
        let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
        let plain = Router::new();
        match contender {
            "fanfare" | "fanfare-ids" => {
                let sse = Sse::new();
                obey(publish_by_fanfare(&sse, contender == "fanfare-ids"));
                axum::serve(listener, sse.attach(plain)).await?;
            }
            "axum" => {
                let (events, _) = broadcast::channel(HISTORY);
                obey(publish_by_axum(events.clone()));
                let subscribe = move || {
                    let events = BroadcastStream::new(events.subscribe()).filter_map(Result::ok);
                    let events = events.map(Ok::<Event, Infallible>);
                    let sse = axum::response::Sse::new(events);
                    std::future::ready(sse.keep_alive(KeepAlive::default()))
                };
                axum::serve(listener, plain.route("/sse", get(subscribe))).await?;
            }
            other => return Err(format!("no contender is called {other}").into()),
        }
        Ok(())
    })
}

fn publish_by_fanfare(sse: &Sse, with_ids: bool) -> Publish {
    let channel = Channel::builder(sse).history(HISTORY);
    let channel = if with_ids { channel } else { channel.without_ids() }.build();
    let joined = channel.clone();
    sse.on_connection(move |client| std::future::ready(joined.join(&client)));
    let payload = payload();
    Arc::new(move || drop(channel.broadcast(&*payload)))
}

fn publish_by_axum(events: broadcast::Sender<Event>) -> Publish {
    let payload = payload();
    Arc::new(move || drop(events.send(Event::default().data(&payload))))
}

/// Reads orders on a thread, which shares the CPU with the runtime and is its publisher.
fn obey(publish: Publish) {
    std::thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            if let ["publish", rate, seconds] = words[..] {
                let period =
                    rate.parse().map_or(Duration::ZERO, |rate: u32| Duration::from_secs(1) / rate);
                let length = Duration::from_secs(seconds.parse().unwrap_or(1));
                let start = ProcessTime::now();
                let published = publish_for(length, period, &*publish);
                println!("published {published} {}", start.elapsed().as_nanos());
            }
        }
        std::process::exit(0);
    });
}

/// One event every `period`, or as fast as it can.
fn publish_for(length: Duration, period: Duration, publish: &dyn Fn()) -> u64 {
    let start = Instant::now();
    let mut published = 0;
    while start.elapsed() < length {
        publish();
        published += 1;
        let next = start + period * u32::try_from(published).unwrap_or(u32::MAX);
        if !period.is_zero() {
            std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
        }
    }
    published
}
