//! The same server as `basic`, without axum: hyper alone serves the connections.
//!
//! Run it with `cargo run --example hyper`, then `curl -N localhost:8080/sse`. `PORT` sets another
//! port.

#[path = "shared/server.rs"]
mod server;

use std::{convert::Infallible, pin::pin, time::Duration};

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
    select,
    time::sleep,
};

use server::Failure;

async fn okay(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new("okay".into()))
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // Usually too many are open: there is room again when some of them end.
            Err(error) => {
                eprintln!("cannot accept a connection: {error}");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = server::listen().await?;
    println!("listening on http://{}", listener.local_addr()?);

    let sse = Sse::new();
    sse.on_connection(|client| async move { client.send("hi there!").await });
    let service = sse.attach(service_fn(okay));

    let http = auto::Builder::new(TokioExecutor::new());
    let connections = GracefulShutdown::new();
    let mut stop = pin!(sse.shutdown_on(server::stop_signal()));
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
