//! What the server has to tell, without end: each event follows from its number.

use fastrand::Rng;

/// Of one, two, three and four bytes, and what could be taken for a line's or a field's end.
const CHARACTERS: [char; 12] =
    ['a', 'z', ' ', ':', '\t', '\0', '\u{85}', 'ß', '\u{2028}', '\u{feff}', '€', '👋'];
const LINE_ENDS: [&str; 3] = ["\n", "\r", "\r\n"];
const NAMES: [&str; 3] = ["message", "tick", "größe"];
/// Between events, meaning nothing to who follows.
const ASIDES: [&str; 6] =
    ["", "", ": still here", "retry: 1", "event: dropped\n", "unknown: field"];
const MOST_CHARACTERS: usize = 60;
const MOST_CHARACTERS_OF_A_LARGE_ONE: usize = 10_000;

/// The event with a number.
pub(crate) struct Numbered {
    number: u64,
    pub(crate) name: &'static str,
    pub(crate) data: String,
}

impl Numbered {
    pub(crate) fn new(number: u64) -> Self {
        let mut random = Rng::with_seed(number);
        let name = NAMES[random.usize(..NAMES.len())];
        let is_large = random.u32(..200) == 0;
        let most = if is_large { MOST_CHARACTERS_OF_A_LARGE_ONE } else { MOST_CHARACTERS };
        let lines = 1 + random.usize(..3);
        let lines = (0..lines).map(|_| line(&mut random, most)).collect::<Vec<_>>();
        Self { number, name, data: lines.join("\n") }
    }

    /// The id that the event has to come with.
    pub(crate) fn id(&self) -> String {
        self.number.to_string()
    }

    /// The event on the wire, written in one of the many ways that the standard allows.
    pub(crate) fn write(&self, wire: &mut Vec<u8>, random: &mut Rng) {
        let end = LINE_ENDS[random.usize(..LINE_ENDS.len())];
        let aside = ASIDES[random.usize(..ASIDES.len())].replace('\n', end);
        let mut text = if aside.is_empty() { aside } else { aside + end };
        let mut field = |name: &str, value: &str| {
            let colon = if value.starts_with(' ') || random.bool() { ": " } else { ":" };
            text.extend([name, colon, value, end]);
        };
        field("event", self.name);
        field("id", &self.id());
        self.data.split('\n').for_each(|line| field("data", line));
        text.push_str(end);
        wire.extend_from_slice(text.as_bytes());
    }
}

fn line(random: &mut Rng, most: usize) -> String {
    let length = random.usize(..most);
    (0..length).map(|_| CHARACTERS[random.usize(..CHARACTERS.len())]).collect()
}
