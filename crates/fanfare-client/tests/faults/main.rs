//! The client against servers that do everything wrong, and networks that do worse: what the
//! program sees, and what the server saw. Over real sockets, with each transport.

#![cfg(test)]

// What the tests share: the server with its scripts, transports, ways to wait.
mod support;

// How bodies are framed, and pieces of any size.
mod framing;

// Streams that are cut anywhere, by an orderly end, a broken one, or a reset.
mod cuts;

// Servers that stop in the middle, and say nothing more.
mod stalls;

// Answers that are no event stream, and those that barely are.
mod answers;

// Where redirects lead, with which method, body and credentials.
mod redirects;

// Compressed streams, block by block.
mod compression;

// Lines and events without end.
mod limits;

// Last event ids, on their way to the server and back.
mod ids;

// Reconnection times that a server sets.
mod retries;

// What is sent: the standard's headers, the program's own, bodies, credentials.
mod requests;

// When it is tried again, and when it is given up.
mod policies;

// The end and the fresh start that the program asks for, at any moment.
mod ending;

// Sources that have much to read and nothing to give.
mod fairness;

// Answers that are read once.
mod one_shot;

// Thousands of random cuts, and every event exactly once; `make soak` does it for longer.
mod soak;
