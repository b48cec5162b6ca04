//! The same server as `basic`, without axum: hyper alone serves the connections.
//!
//! Run it with `cargo run --example hyper`, then `curl -N localhost:8080/sse`. `PORT` sets another
//! port.

use std::{
    convert::Infallible,
    env,
    error::Error,
    io::{self, Write},
    pin::pin,
    process::ExitCode,
    time::Duration,
};

use bytes::Bytes;
use fanfare::Sse;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    select, signal,
    time::sleep,
};

#[tokio::main]
async fn main() -> ExitCode {
    let Err(why) = serve().await else { return ExitCode::SUCCESS };
    eprintln!("Error: {why}");
    ExitCode::FAILURE
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let listener = listen().await?;
    println!("listening on http://{}", listener.local_addr()?);

    let sse = Sse::new();
    sse.on_connection(|client| async move { client.send("hi there!").await });
    let service = sse.attach(service_fn(okay));

    let http = auto::Builder::new(TokioExecutor::new());
    let connections = GracefulShutdown::new();
    let mut stop = pin!(sse.shutdown_on(stop_signal()));
    loop {
        let stream = select! {
            stream = accept(&listener) => stream,
            () = &mut stop => break,
        };
        // Small events go out at once.
        let _ = stream.set_nodelay(true);
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        // A connection that breaks off is nothing to report: its client has noticed.
        tokio::spawn(connections.watch(connection.into_owned()));
    }

    drop(listener);
    select! {
        () = connections.shutdown() => Ok(()),
        () = sse.grace_over() => Ok(()),
    }
}

async fn okay(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new("okay".into()))
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // Usually too many are open: there is room again when some of them end.
            Err(error) => {
                let _ = writeln!(io::stderr(), "cannot accept a connection: {error}");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Listens on this machine only, on `PORT` (8080 if not set, any free one if 0).
async fn listen() -> Result<TcpListener, String> {
    let port = env::var_os("PORT").unwrap_or("8080".into());
    let port = port.to_string_lossy();
    let number = port.parse::<u16>();
    let number = number.map_err(|_| format!("PORT must be a number up to 65535, not {port:?}"))?;
    TcpListener::bind(("127.0.0.1", number)).await.map_err(|error| {
        format!("cannot listen on 127.0.0.1:{number}: {error}; PORT sets another port")
    })
}

/// Waits for Ctrl-C, or for the polite end that a service manager sends.
async fn stop_signal() {
    #[cfg(unix)]
    if let Ok(mut terminate) = signal::unix::signal(signal::unix::SignalKind::terminate()) {
        select! {
            _ = signal::ctrl_c() => return,
            _ = terminate.recv() => return,
        }
    }
    let _ = signal::ctrl_c().await;
}
