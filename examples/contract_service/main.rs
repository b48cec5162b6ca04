//! The service that the public contract tests for clients drive,
//! [sse-contract-tests](https://github.com/launchdarkly/sse-contract-tests).
//!
//! Run it with `cargo run --release -p fanfare-client --example contract_service`, then the harness
//! with `--url http://localhost:8000`. `PORT` sets another port (any free one if 0).

mod service;

use std::{env, process::ExitCode};

use fanfare_client::BoxError;
use tokio::net::TcpListener;

const DEFAULT_PORT: &str = "8000";

async fn run() -> Result<(), BoxError> {
    let port = env::var("PORT").unwrap_or_else(|_| DEFAULT_PORT.to_owned());
    let address = format!("127.0.0.1:{port}");
    let listener = TcpListener::bind(&address).await;
    let listener = listener.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    service::serve(listener).await
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
