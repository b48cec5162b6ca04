//! The hub and its verbs, run as an operator would run them. They need curl.

#![cfg(test)]

// What the tests share: the command as a child process, in a folder of its own.
mod support;

// Settings: who wins, what is wrong, and what `config` and `--print-config` print.
mod settings;

// `serve`: what it prints, when it refuses, how it ends, what survives.
mod serving;

// Ten thousand subscribers at once.
mod bursts;

// `serve --log`: hubs that share a log in Redis, and what they tell each other.
mod roster;
mod sharing;

// `serve --relay`: topics that follow streams elsewhere.
mod relaying;

// `serve --log` with the URL of another hub.
mod edges;

// `pub` in all its modes, against a hub.
mod publishing;

// `token`, against a hub that asks for tokens.
mod tokens;

// `bench`, against a hub, and against a server that lies.
mod benching;
mod liar;

// `log`: looking at a log, checking it, and taking it elsewhere.
mod logs;
