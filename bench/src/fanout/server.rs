//! The server's process.
//!
//! Prints `port N`, then obeys lines: `publish RATE SECONDS` (`RATE` events per second, or `max`)
//! publishes and prints `published EVENTS CPU_NANOSECONDS`, the CPU time of the whole process.
//! On axum a POST publishes its body too, for a load from outside.

use std::{
    convert::Infallible,
    future::ready,
    io::{BufRead, stdin},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    response::sse::{Event, KeepAlive},
    routing::{MethodRouter, get, post},
    serve::{Listener, ListenerExt},
};
use bytes::Bytes;
use cpu_time::ProcessTime;
use fanfare::{Channel, Sse};
use http_body_util::Empty;
use hyper::{Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, runtime, sync::broadcast, task::yield_now, time::interval};
use tokio_stream::{StreamExt, wrappers::BroadcastStream};

use crate::program::{HOST, Outcome, pin_to};

use super::payload;

/// How many events both keep for a slow subscriber: the library's default.
const HISTORY: usize = 16_384;

type Publish = Arc<dyn Fn(&str) + Send + Sync>;

/// Serves as `contender` at a port, of which 0 is any that is free, until its input ends.
///
/// # Errors
///
/// When there is no such contender, or no socket to be had.
pub fn run(contender: &str, port: u16) -> Outcome {
    pin_to(0)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((HOST, port)).await?;
        println!("port {}", listener.local_addr()?.port());
        match contender {
            "axum" => serve_axum(listener).await,
            "fanfare" => serve_fanfare_on_axum(listener, Ids::Without).await,
            "fanfare-ids" => serve_fanfare_on_axum(listener, Ids::Stamped).await,
            "fanfare-hyper" => serve_fanfare_on_hyper(listener).await,
            other => Err(format!("no contender is called {other}").into()),
        }
    })
}

async fn serve_axum(listener: TcpListener) -> Outcome {
    let (events, _) = broadcast::channel(HISTORY);
    let publish = publish_by_axum(events.clone());
    obey(publish.clone());
    let subscribe = move || {
        let events = BroadcastStream::new(events.subscribe()).filter_map(Result::ok);
        let sse = axum::response::Sse::new(events.map(Ok::<Event, Infallible>));
        ready(sse.keep_alive(KeepAlive::default()))
    };
    let app = Router::new().route("/sse", get(subscribe).merge(posted(publish)));
    Ok(axum::serve(without_delay(listener), app).await?)
}

async fn serve_fanfare_on_axum(listener: TcpListener, ids: Ids) -> Outcome {
    let sse = Sse::new();
    let publish = publish_by_fanfare(&sse, ids);
    obey(publish.clone());
    let app = Router::new().route("/sse", posted(publish));
    Ok(axum::serve(without_delay(listener), sse.attach(app)).await?)
}

fn posted(publish: Publish) -> MethodRouter {
    post(move |data: String| {
        publish(&data);
        ready(())
    })
}

async fn serve_fanfare_on_hyper(listener: TcpListener) -> Outcome {
    let sse = Sse::new();
    obey(publish_by_fanfare(&sse, Ids::Without));
    let empty = |_| ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
    let service = sse.attach(service_fn(empty));
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        // One buffer a write: a run of frames is small beside what a gathering write costs.
        let mut http = http1::Builder::new();
        let connection = http.writev(false).serve_connection(TokioIo::new(tcp), service.clone());
        tokio::spawn(connection);
    }
}

fn without_delay(listener: TcpListener) -> impl Listener<Addr = SocketAddr> {
    listener.tap_io(|tcp| {
        // A socket that is gone already is none to configure.
        let _ = tcp.set_nodelay(true);
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ids {
    Stamped,
    Without,
}

fn publish_by_fanfare(sse: &Sse, ids: Ids) -> Publish {
    let settings = Channel::builder(sse).history(HISTORY);
    let settings = if ids == Ids::Without { settings.without_ids() } else { settings };
    let channel = settings.build();
    let joined = channel.clone();
    sse.on_connection(move |client| ready(joined.join(&client)));
    Arc::new(move |data| {
        // It is never closed.
        let _ = channel.broadcast(data);
    })
}

fn publish_by_axum(events: broadcast::Sender<Event>) -> Publish {
    Arc::new(move |data| {
        // Without a subscriber there is nobody to deliver to.
        let _ = events.send(Event::default().data(data));
    })
}

/// Reads orders on a thread. A steady publisher is a task of the server's runtime; one that does
/// nothing else is this thread, which shares the CPU.
fn obey(publish: Publish) {
    let runtime = runtime::Handle::current();
    std::thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            if let ["publish", rate, seconds] = words[..] {
                let length = Duration::from_secs(seconds.parse().unwrap_or(1));
                let start = ProcessTime::now();
                let published = match rate.parse() {
                    Ok(rate) => {
                        let steady = publish_steadily(length, rate, publish.clone());
                        runtime.block_on(runtime.spawn(steady)).unwrap_or_default()
                    }
                    Err(_) => publish_for(length, &*publish),
                };
                println!("published {published} {}", start.elapsed().as_nanos());
            }
        }
        std::process::exit(0);
    });
}

async fn publish_steadily(length: Duration, rate: u32, publish: Publish) -> u64 {
    let mut ticks = interval(Duration::from_secs(1) / rate);
    let events = length.as_secs() * u64::from(rate);
    let payload = payload();
    for _ in 0..events {
        ticks.tick().await;
        publish(&payload);
    }
    // Behind the tasks that the last event has woken.
    yield_now().await;
    events
}

fn publish_for(length: Duration, publish: &dyn Fn(&str)) -> u64 {
    let payload = payload();
    let start = Instant::now();
    let mut published = 0;
    while start.elapsed() < length {
        publish(&payload);
        published += 1;
    }
    published
}
