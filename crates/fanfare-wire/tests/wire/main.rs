//! What the codec promises, seen from outside.

#![cfg(test)]

// How the tests read a stream: options, chunks, and what came out.
mod reading;

// The standard's prose as code, slow and obvious: what every decoder must give.
mod oracle;

// The cases of testdata/wire, in every chunking.
mod vectors;

// Random and exhaustive streams against the oracle, and events there and back.
mod properties;

// What the decoder does beyond one stream's items: order, ids from before, the next connection.
mod decoder;

// The limit for one event.
mod limits;

// Many MiB in small pieces: it ends only if the work is linear.
mod large;

// Whose memory the data is.
mod views;

// Events, names and ids as values: what can be built, and why not.
mod events;

// Where the bytes of an event go.
mod encoder;
