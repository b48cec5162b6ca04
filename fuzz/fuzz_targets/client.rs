//! Anything a server and a clock can do to the client's machine: it never panics, never spins, gives
//! nothing behind its end, and asks with the id of what it gave last.

#![no_main]

use fanfare_client::Policy;
use libfuzzer_sys::fuzz_target;

use crate::play::{Input, play};

#[path = "../../crates/fanfare-client/tests/machine/play.rs"]
mod play;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../crates/fanfare-client/tests/machine/support.rs"]
mod support;

fuzz_target!(|input: &[u8]| {
    let [options, rest @ ..] = input else { return };
    let policy = if options & 1 == 0 { Policy::standard() } else { Policy::resilient() };
    play(Inputs(rest), policy, u64::from(options >> 1));
});

/// Each input is a byte that says what it is, two bytes of a number, and bytes that the number
/// counts.
struct Inputs<'a>(&'a [u8]);

impl Iterator for Inputs<'_> {
    type Item = Input;

    fn next(&mut self) -> Option<Input> {
        let (&[kind, high, low], rest) = self.0.split_first_chunk()?;
        let number = u16::from_be_bytes([high, low]);
        self.0 = rest;
        Some(match kind % 6 {
            0 => Input::Bytes(self.take(number % 64).to_vec()),
            1 => Input::Answer {
                status: 200 + number % 400,
                is_stream: kind < 128,
                location: self.location(number / 400),
            },
            2 => Input::End,
            3 => Input::Fail,
            4 => Input::Pass(u64::from(number)),
            _ => Input::Reconnect,
        })
    }
}

impl<'a> Inputs<'a> {
    fn take(&mut self, count: u16) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(self.0.len().min(usize::from(count)));
        self.0 = rest;
        taken
    }

    /// A header's value, or none.
    fn location(&mut self, length: u16) -> Option<String> {
        let text = String::from_utf8_lossy(self.take(length % 32)).into_owned();
        (!text.is_empty() && !text.contains(|letter: char| letter.is_ascii_control()))
            .then_some(text)
    }
}
