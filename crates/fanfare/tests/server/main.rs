//! The server library, seen from both ends of the connection.

#![cfg(test)]

// What the tests share: servers, and peers over sockets and without; ways to wait.
mod support;

// Which requests become event streams, and what the others are answered.
mod attach;

// tower-http's layers around an attached service.
mod layers;

// One client: what is sent to it, how it ends, and what is known of it.
mod client;

// New clients as a stream.
mod connections;

// Channels, step by step: members, audiences, history, lag, the end.
mod channels;

// Clients that come back: nothing is missing and nothing comes twice, or a gap says so.
mod resume;

// Comments in silence, on a clock of the tests' own.
mod keep_alive;

// The end of all streams, and reconnection times.
mod shutdown;

// How many clients there may be.
mod limits;

// Streams as responses, and piped to clients.
mod stream;

// Thousands of clients that vanish: no task, no memory, no place is lost.
mod leaks;

// Anything in any order, and all at once.
mod chaos;
