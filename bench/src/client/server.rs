//! The server's process: as little work as possible, so that the clients are what is measured.
//!
//! Prints `port N`, then answers each request for `/STREAM` with that stream, over and over, until
//! the client goes away.

use std::{
    hint::spin_loop,
    io::{self, BufRead, BufReader, Read, Write, stdin},
    net::{TcpListener, TcpStream},
    thread,
    time::Instant,
};

use crate::program::{HOST, Outcome, pin_to};

use super::streams::Stream;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
    cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";

/// Serves until its input ends.
///
/// # Errors
///
/// When there is no socket to be had.
pub fn run() -> Outcome {
    pin_to(0)?;
    let listener = TcpListener::bind((HOST, 0))?;
    println!("port {}", listener.local_addr()?.port());
    thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            // It ends with an error whenever a client has read enough.
            thread::spawn(move || serve(tcp));
        }
    });
    io::copy(&mut stdin().lock(), &mut io::sink())?;
    Ok(())
}

fn serve(mut tcp: TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let Some(stream) = Stream::called(&requested(&tcp)?) else {
        return tcp.write_all(NOT_FOUND);
    };
    tcp.write_all(HEAD)?;
    for bytes in stream.writes().iter().cycle() {
        let start = Instant::now();
        tcp.write_all(bytes)?;
        // Precise, on a CPU that has nothing else to do.
        while stream.interval.is_some_and(|interval| start.elapsed() < interval) {
            spin_loop();
        }
    }
    Ok(())
}

/// The path that a request asks for, without its slash.
fn requested(tcp: impl Read) -> io::Result<String> {
    let mut lines = BufReader::new(tcp).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = request.split(' ').nth(1).unwrap_or_default();
    Ok(path.trim_start_matches('/').to_owned())
}
