//! Live charts of this process: CPU, memory and events, ten times a second.
//!
//! Run it with `cargo run --release --example serverstats` and open the address that it prints.
//! `PORT` sets another port than 8080.

mod meter;
#[path = "../shared/page.rs"]
mod page;
#[path = "../shared/server.rs"]
mod server;
mod work;

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::post, serve::ListenerExt};
use fanfare::{Client, Event, Sse};
use serde::Serialize;
use tokio::{
    select,
    time::{Instant, MissedTickBehavior, interval_at},
};

use meter::{Figures, Meter};
use server::Failure;
use work::Desk;

const INTERVAL: Duration = Duration::from_millis(100);
const UPLOT: &str = include_str!("../../crates/fanfare-hub/page/vendor/uplot/uPlot.iife.min.js");
const UPLOT_CSS: &str = include_str!("../../crates/fanfare-hub/page/vendor/uplot/uPlot.min.css");

/// One event, as JSON.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    figures: Figures,
    /// Open event streams.
    streams: usize,
    /// Events sent since the start, to all clients together.
    events: u64,
}

/// Sends `client` the newest figures until it leaves.
async fn report(client: Client, sse: Sse, events: Arc<AtomicU64>) {
    say("started client interval");
    let mut meter = Meter::start();
    let mut interval = interval_at(Instant::now() + INTERVAL, INTERVAL);
    // A client that reads slowly gets fewer events, not old ones.
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        interval.tick().await;
        let events = events.fetch_add(1, Ordering::Relaxed) + 1;
        let report = Report { figures: meter.read(), streams: sse.len(), events };
        let Ok(event) = Event::json(&report) else { break };
        if client.send(event).await.is_err() {
            break;
        }
    }
    say("stopping client interval");
}

/// On the terminal, if there still is one: what reads the output may have gone.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn pages() -> Router {
    Router::new()
        .route("/", page::html(include_str!("index.html")))
        .route("/page.css", page::css(include_str!("page.css")))
        .route("/page.js", page::javascript(include_str!("page.js")))
        .route("/chart.js", page::javascript(include_str!("chart.js")))
        .route("/uplot.js", page::javascript(UPLOT))
        .route("/uplot.css", page::css(UPLOT_CSS))
        .merge(page::shared())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = server::listen().await?;
    println!("listening on http://{}", listener.local_addr()?);

    let desk = Desk::default();
    let app = pages().route("/work", post(async move || work::begin(&desk)));

    let sse = Sse::builder().retry(Duration::from_secs(1)..=Duration::from_secs(2)).build();
    let events = Arc::<AtomicU64>::default();
    sse.on_connection({
        let sse = sse.clone();
        move |client| report(client, sse.clone(), events.clone())
    });

    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    let server = axum::serve(listener, sse.attach(app))
        .with_graceful_shutdown(sse.shutdown_on(server::stop_signal()));
    select! {
        result = server => Ok(result?),
        () = sse.grace_over() => Ok(()),
    }
}
