//! The command `fanfare`, run as a user would run it.

#![cfg(test)]

// What the tests share: the command as a child process, servers that do as a test says, terminals.
mod support;

// From an event stream on stdin to JSON lines.
mod decode;

// What `sub` asks a server for, and which command lines it refuses.
mod request;

// What `sub` prints: for people, as JSON, raw; and which events.
mod printing;

// Connections that are lost: what is tried again, and what stderr tells of it.
mod reconnecting;

// How `sub` ends, and with which status.
mod ending;

// The file with the last id: kills at any moment lose nothing.
mod resuming;

// Help texts, completions, pages of the manual.
mod help;
