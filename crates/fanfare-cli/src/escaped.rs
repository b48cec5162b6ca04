//! Text from elsewhere, made harmless.

use std::fmt::{self, Display, Formatter};

/// Shows text so that it cannot control a terminal: ESC and all other control characters but the
/// tab become escapes such as `\u{1b}`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut pieces = self.0.split_inclusive(is_control);
        pieces.try_for_each(|piece| {
            let control = piece.chars().next_back().filter(|&last| is_control(last));
            f.write_str(piece.trim_end_matches(is_control))?;
            control.map_or(Ok(()), |control| write!(f, "{}", control.escape_default()))
        })
    }
}

fn is_control(character: char) -> bool {
    character.is_control() && character != '\t'
}
