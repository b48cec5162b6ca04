//! The floor: what the kernel takes for a delivery, and hardly anything else.
//!
//! One thread. A subscriber is a socket in a list, and an event is one `send` to each of them, of bytes
//! that are made once. There are no names, ids, keep-alive comments or bounds, and a subscriber that
//! reads nothing stops everything: it is no server to use.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net,
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};

use crate::program::{HOST, Outcome};

/// What it is called on the command line.
pub(super) const NAME: &str = "floor";

const LISTENER: Token = Token(0);
const READ_BYTES: usize = 16 * 1024;

const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const PUBLISHED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Serves for ever.
pub(super) fn serve(port: u16) -> Outcome {
    let listener = net::TcpListener::bind((HOST, port))?;
    listener.set_nonblocking(true)?;
    let mut floor = Floor {
        poll: Poll::new()?,
        listener: TcpListener::from_std(listener),
        peers: HashMap::new(),
        next: LISTENER.0 + 1,
        subscribers: vec![],
    };
    floor.poll.registry().register(&mut floor.listener, LISTENER, Interest::READABLE)?;
    floor.run()
}

struct Floor {
    poll: Poll,
    listener: TcpListener,
    /// Those who have not asked for the stream.
    peers: HashMap<Token, Peer>,
    next: usize,
    subscribers: Vec<net::TcpStream>,
}

struct Peer {
    socket: TcpStream,
    received: Vec<u8>,
}

/// What is to be done with a peer.
enum Next {
    Wait,
    Subscribe,
    Forget,
}

impl Floor {
    fn run(&mut self) -> Outcome {
        let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; READ_BYTES]);
        loop {
            self.poll.poll(&mut events, None)?;
            for event in &events {
                match event.token() {
                    LISTENER => self.accept_all()?,
                    token => self.go_on(token, &mut buffer),
                }
            }
        }
    }

    fn accept_all(&mut self) -> Outcome {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            socket.set_nodelay(true)?;
            let token = Token(self.next);
            self.next += 1;
            self.poll.registry().register(&mut socket, token, Interest::READABLE)?;
            self.peers.insert(token, Peer { socket, received: vec![] });
        }
    }

    fn go_on(&mut self, token: Token, buffer: &mut [u8]) {
        let Some(mut peer) = self.peers.remove(&token) else { return };
        match self.read(&mut peer, buffer) {
            Ok(Next::Wait) => {
                self.peers.insert(token, peer);
            }
            Ok(Next::Subscribe) => {
                if let Ok(socket) = self.subscribe(peer) {
                    self.subscribers.push(socket);
                }
            }
            Ok(Next::Forget) | Err(_) => {}
        }
    }

    fn read(&mut self, peer: &mut Peer, buffer: &mut [u8]) -> io::Result<Next> {
        loop {
            match peer.socket.read(buffer) {
                Ok(0) => return Ok(Next::Forget),
                Ok(count) => peer.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Next::Wait),
                Err(error) => return Err(error),
            }
            if let Some(body_at) =
                memchr::memmem::find(&peer.received, b"\r\n\r\n").map(|at| at + 4)
            {
                if peer.received.starts_with(b"GET ") {
                    return Ok(Next::Subscribe);
                }
                let end = body_at + content_length(&peer.received[..body_at]);
                if peer.received.len() >= end {
                    self.publish(&peer.received[body_at..end]);
                    peer.socket.write_all(PUBLISHED)?;
                    peer.received.drain(..end);
                }
            }
        }
    }

    /// From now on it is written to, and blocks when it takes no more.
    fn subscribe(&self, Peer { mut socket, .. }: Peer) -> io::Result<net::TcpStream> {
        self.poll.registry().deregister(&mut socket)?;
        let mut socket = net::TcpStream::from(socket);
        socket.set_nonblocking(false)?;
        socket.write_all(STREAM)?;
        Ok(socket)
    }

    fn publish(&mut self, data: &[u8]) {
        let event = [b"data: ", data, b"\n\n"].concat();
        self.subscribers.retain_mut(|socket| socket.write_all(&event).is_ok());
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head);
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_body_is_found_in_its_head() {
        assert_eq!(
            content_length(b"POST / HTTP/1.1\r\nHost: a:1\r\nContent-Length: 42\r\n\r\n"),
            42
        );
        assert_eq!(content_length(b"POST / HTTP/1.1\r\n\r\n"), 0);
    }
}
