mod carrier;
mod server;
mod told;
mod wait;

pub(crate) use carrier::{Carrier, with_each};
pub(crate) use server::{Answer, Gate, Request, Server, chunk};
pub(crate) use told::{in_words, next, told, told_to_end};
pub(crate) use wait::{at_once, now_or_never, silent_until, until, within};
